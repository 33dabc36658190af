//! Room `identity`: connections to identity providers: who may see and change them, and that
//! secrets stay inside.

use axum::body::Body;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};

use crate::house::House;

fn keycloak(name: &str) -> Value {
    json!({
        "kind": "oidc", "name": name, "default_role": "agent",
        "settings": {"issuer": "https://id.acme.example", "client_id": "misy"},
        "secrets": {"client_secret": "hunter2-hunter2"},
    })
}

async fn made(house: &House, bearer: &str, body: Value) -> String {
    let answer = house.post("/v1/sso-connections", bearer, body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    answer.text("id")
}

#[tokio::test]
async fn a_secret_is_given_back_by_nothing_and_is_sealed() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let id = made(&house, &owner, keycloak("one")).await;
    let path = format!("/v1/sso-connections/{id}");
    let new = json!({"secrets": {"client_secret": "another-secret"}});
    for answer in [
        house.get(&path, &owner).await,
        house.get("/v1/sso-connections", &owner).await,
        house.patch(&path, &owner, json!({"jit": true})).await,
        house.patch(&path, &owner, new).await,
    ] {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(!answer.body.contains("hunter2") && !answer.body.contains("another-secret"));
        assert!(answer.body.contains("\"secrets\":[\"client_secret\"]"), "{}", answer.body);
    }
    let plain = "select count(*) from sso_connections
        where position('secret'::bytea in secrets) > 0 or settings::text like '%secret%'";
    assert_eq!(house.count(plain).await, 0);
    let logged = "select count(*) from audit_records where detail::text like '%hunter2%'";
    assert_eq!(house.count(logged).await, 0);
}

#[tokio::test]
async fn it_is_shown_with_the_addresses_to_enter_at_the_provider() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let shown = house.post("/v1/sso-connections", &owner, keycloak("one")).await;
    let id = shown.text("id");
    let base = format!("https://misybot.invalid/v1/auth/oidc/{id}");
    assert_eq!(shown.text("callback_url"), format!("{base}/callback"));
    assert_eq!(shown.text("start_url"), format!("{base}/start"));
    assert_eq!(shown.json()["settings"]["client_id"], "misy");
    assert_eq!(
        (shown.text("role_ceiling"), shown.text("status")),
        ("admin".into(), "enabled".into())
    );
}

#[tokio::test]
async fn only_administrators_see_and_change_connections() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let id = made(&house, &owner, keycloak("one")).await;
    let path = format!("/v1/sso-connections/{id}");
    let (_, admin) = house.person("acme", "admin").await;
    assert_eq!(house.get(&path, &admin).await.status, StatusCode::OK);
    let (email, password) = house.operator().await;
    let operator = house.sign_in(&email, &password).await.access;
    for role in ["viewer", "agent", "supervisor"] {
        let (_, bearer) = house.person("acme", role).await;
        let denied = (403, "auth.permission_denied".to_owned());
        assert_eq!(house.get(&path, &bearer).await.refusal(), denied);
        assert_eq!(house.get("/v1/sso-connections", &bearer).await.refusal(), denied);
        let body = keycloak("two");
        assert_eq!(house.post("/v1/sso-connections", &bearer, body).await.refusal(), denied);
        assert_eq!(house.patch(&path, &bearer, json!({})).await.refusal(), denied);
        assert_eq!(house.delete(&path, &bearer).await.refusal(), denied);
        let test = format!("{path}/test");
        assert_eq!(house.post(&test, &bearer, json!({})).await.refusal(), denied);
    }
    assert_eq!(house.get(&path, &operator).await.status.as_u16(), 403);
    assert_eq!(house.send("GET", &path, None, None).await.status.as_u16(), 401);
}

#[tokio::test]
async fn another_tenants_connection_is_as_good_as_none() {
    let house = House::build().await;
    house.tenant("acme").await;
    house.tenant("rival").await;
    let (owner, rival) = (house.owner("acme").await, house.owner("rival").await);
    let theirs = format!("/v1/sso-connections/{}", made(&house, &owner, keycloak("one")).await);
    let nobodys = "/v1/sso-connections/sso_01k8zq5m3ge0r8v0w1x2y3z4a5";
    let change = || json!({"name": "mine"});
    let without = |answer: crate::house::Answer| answer.without_instance();
    assert_eq!(
        without(house.get(&theirs, &rival).await),
        without(house.get(nobodys, &rival).await)
    );
    assert_eq!(
        without(house.patch(&theirs, &rival, change()).await),
        without(house.patch(nobodys, &rival, change()).await)
    );
    assert_eq!(
        without(house.delete(&theirs, &rival).await),
        without(house.delete(nobodys, &rival).await)
    );
    let test = |path: &str| format!("{path}/test");
    assert_eq!(
        without(house.post(&test(&theirs), &rival, json!({})).await),
        without(house.post(&test(nobodys), &rival, json!({})).await)
    );
    assert_eq!(house.get(&theirs, &owner).await.status, StatusCode::OK);
    made(&house, &rival, keycloak("one")).await;
}

#[tokio::test]
async fn whoever_connects_hands_out_no_more_than_they_have() {
    let house = House::build().await;
    house.tenant("acme").await;
    let (owner, (_, admin)) = (house.owner("acme").await, house.person("acme", "admin").await);
    made(&house, &admin, keycloak("one")).await;
    let mut body = keycloak("two");
    body["role_ceiling"] = json!("owner");
    let refused = house.post("/v1/sso-connections", &owner, body.clone()).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/role_ceiling");
    body["role_ceiling"] = json!("agent");
    body["role_mapping"] = json!([{"group": "x", "role": "admin"}]);
    let refused = house.post("/v1/sso-connections", &owner, body).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/role_mapping/0/role");
    let permissions = json!({"name": "k", "permissions": ["sso.manage", "sso.read"]});
    let key = house.post("/v1/api-keys", &owner, permissions).await.text("secret");
    let beyond = house.post("/v1/sso-connections", &key, keycloak("three")).await;
    assert_eq!(beyond.refusal(), (403, "auth.permission_denied".to_owned()));
}

#[tokio::test]
async fn a_name_is_taken_once_and_faults_are_told_all_at_once() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    made(&house, &owner, keycloak("one")).await;
    let again = house.post("/v1/sso-connections", &owner, keycloak("one")).await;
    assert_eq!(again.refusal(), (409, "request.conflict".to_owned()));
    let mut wrong = keycloak("two");
    wrong["settings"] = json!({"issuer": "id.acme.example", "client_id": ""});
    wrong["secrets"] = json!({"password": "x"});
    let answer = house.post("/v1/sso-connections", &owner, wrong).await;
    assert_eq!(answer.status.as_u16(), 422);
    assert_eq!(answer.json()["errors"].as_array().map(Vec::len), Some(3), "{}", answer.body);
    assert!(!answer.body.contains("id.acme.example"));
}

#[tokio::test]
async fn a_writer_that_has_not_seen_the_newest_version_is_refused() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let id = made(&house, &owner, keycloak("one")).await;
    let path = format!("/v1/sso-connections/{id}");
    let change = |tag: &str, name: &str| {
        Request::patch(&path)
            .header(header::AUTHORIZATION, format!("Bearer {owner}"))
            .header(header::CONTENT_TYPE, "application/merge-patch+json")
            .header(header::IF_MATCH, tag)
            .body(Body::from(json!({"name": name}).to_string()))
            .expect("a request")
    };
    let first = house.raw(change("\"v1\"", "two")).await;
    assert_eq!(first.headers()[header::ETAG], "\"v2\"");
    assert_eq!(house.answer(change("\"v1\"", "three")).await.refusal().0, 412);
    assert_eq!(house.get(&path, &owner).await.text("name"), "two");
    assert_eq!(house.delete(&path, &owner).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.get(&path, &owner).await.status, StatusCode::NOT_FOUND);
    let left = "select count(*) from sso_routes";
    assert_eq!(house.count(left).await, 0);
}

#[tokio::test]
async fn the_test_of_a_connection_says_what_a_login_would_come_to_and_changes_nothing() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let mut body = keycloak("one");
    body["jit"] = json!(true);
    body["role_mapping"] = json!([{"group": "leads", "role": "supervisor"}]);
    body["settings"]["issuer"] = json!("http://127.0.0.1:1");
    let path = format!("/v1/sso-connections/{}/test", made(&house, &owner, body).await);
    let claims = json!({"sub": "1", "email": "ana@acme.example", "name": "Ana",
        "groups": ["leads", "x"]});
    let answer = house.post(&path, &owner, json!({"claims": claims})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let told = answer.json();
    assert_eq!(told["checks"][0]["ok"], false, "nobody listens there");
    let expected = json!({"user_id": null, "by": "added", "email": "ana@acme.example",
        "name": "Ana", "role": "supervisor", "groups": ["leads"]});
    assert_eq!(told["yields"], expected);
    let owner_claims = json!({"sub": "2", "email": "owner@acme.example", "email_verified": true});
    let refused = house.post(&path, &owner, json!({"claims": owner_claims})).await.json();
    assert_eq!(refused["refused"], "domain_not_verified");
    assert!(refused["remedy"].as_str().is_some_and(|text| text.contains("/v1/domains")));
    assert_eq!(house.count("select count(*) from users").await, 1);
    assert_eq!(house.count("select count(*) from sso_identities").await, 0);
}
