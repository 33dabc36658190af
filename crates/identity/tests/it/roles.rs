//! Room `identity`: roles of a tenant's own, and that a change bites everywhere at once.

use axum::body::Body;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};

use crate::house::{Answer, House, PASSWORD};

async fn house() -> (House, String) {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    (house, owner)
}

async fn role(house: &House, bearer: &str, slug: &str, inherits: &str, may: Value) -> Answer {
    let body = json!({"slug": slug, "name": slug, "inherits": inherits, "permissions": may});
    house.post("/v1/roles", bearer, body).await
}

/// Adds a person with a role; gives the id and the access token.
async fn person(house: &House, owner: &str, name: &str, role: &str) -> (String, String) {
    let email = format!("{name}@acme.example");
    let body = json!({"email": email, "name": name, "role": role, "password": PASSWORD});
    let made = house.post("/v1/users", owner, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.text("role"), role);
    (made.text("id"), house.sign_in(&email, PASSWORD).await.access)
}

async fn sees_keys(house: &House, bearer: &str) -> bool {
    let status = house.get("/v1/api-keys", bearer).await.status;
    assert!([StatusCode::OK, StatusCode::FORBIDDEN].contains(&status), "{status}");
    status == StatusCode::OK
}

#[tokio::test]
async fn a_role_is_made_read_listed_changed_and_removed() {
    let (house, owner) = house().await;
    let made = role(&house, &owner, "lead", "agent", json!(["audit.read"])).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let body = made.json();
    assert_eq!((&body["inherits"], &body["built_in"]), (&json!("agent"), &json!(false)));
    assert_eq!(body["own_permissions"], json!(["audit.read"]));
    let may = body["permissions"].as_array().cloned().unwrap_or_default();
    assert!(may.contains(&json!("message.send")) && may.contains(&json!("audit.read")));
    let path = format!("/v1/roles/{}", made.text("id"));
    assert_eq!(house.get(&path, &owner).await.json(), body);
    let listed = house.get("/v1/roles", &owner).await.json();
    assert_eq!((listed["data"].as_array().map(Vec::len), &listed["data"][5]), (Some(6), &body));
    let changed = house.patch(&path, &owner, json!({"name": "Lead", "permissions": []})).await;
    assert_eq!(changed.json()["own_permissions"], json!([]), "{}", changed.body);
    let stale = Request::patch(&path)
        .header(header::AUTHORIZATION, format!("Bearer {owner}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::IF_MATCH, "\"v1\"")
        .body(Body::from("{}"));
    assert_eq!(house.answer(stale.expect("a request")).await.refusal().0, 412);
    assert_eq!(house.delete(&path, &owner).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.get(&path, &owner).await.refusal().0, 404);
    let audited = "select count(*) from audit_records where action like 'role.%'";
    assert_eq!(house.count(audited).await, 3);
}

#[tokio::test]
async fn nobody_makes_a_role_that_can_do_more_than_they_can() {
    let (house, owner) = house().await;
    let (_, admin) = house.person("acme", "admin").await;
    assert_eq!(role(&house, &admin, "king", "owner", json!([])).await.refusal().0, 403);
    let above = role(&house, &admin, "king", "viewer", json!(["owner.manage"])).await;
    assert_eq!(above.refusal().0, 403);
    let king = role(&house, &owner, "king", "owner", json!([])).await;
    let path = format!("/v1/roles/{}", king.text("id"));
    for change in [json!({"name": "K"}), json!({"inherits": "viewer"})] {
        assert_eq!(house.patch(&path, &admin, change).await.refusal().0, 403);
    }
    assert_eq!(house.delete(&path, &admin).await.refusal().0, 403);
    let mine = role(&house, &admin, "mine", "viewer", json!([])).await.text("id");
    let mine = format!("/v1/roles/{mine}");
    assert_eq!(house.patch(&mine, &admin, json!({"inherits": "king"})).await.refusal().0, 403);
    let body =
        json!({"email": "k@acme.example", "name": "K", "role": "king", "password": PASSWORD});
    assert_eq!(house.post("/v1/users", &admin, body).await.refusal().0, 403);
    let (id, _) = person(&house, &owner, "kim", "king").await;
    let kim = format!("/v1/users/{id}");
    assert_eq!(house.patch(&kim, &admin, json!({"role": "viewer"})).await.refusal().0, 403);
    assert_eq!(house.delete(&kim, &admin).await.refusal().0, 403);
}

#[tokio::test]
async fn a_role_that_makes_no_sense_is_refused_with_the_reason() {
    let (house, owner) = house().await;
    for (slug, inherits, may, pointer) in [
        ("Lead", "agent", json!([]), "/slug"),
        ("lead", "nobody", json!([]), "/inherits"),
        ("lead", "lead", json!([]), "/inherits"),
        ("lead", "agent", json!(["platform.tenant.read"]), "/permissions/0"),
        ("lead", "agent", json!(["no.such"]), "/permissions/0"),
    ] {
        let answer = role(&house, &owner, slug, inherits, may).await;
        assert_eq!(answer.refusal().0, 422, "{}", answer.body);
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}", answer.body);
    }
    for taken in ["owner", "support", "agent"] {
        assert_eq!(role(&house, &owner, taken, "viewer", json!([])).await.refusal().0, 409);
    }
    role(&house, &owner, "one", "viewer", json!([])).await;
    let two = role(&house, &owner, "two", "one", json!([])).await;
    assert_eq!(role(&house, &owner, "two", "one", json!([])).await.refusal().0, 409);
    let listed = house.get("/v1/roles", &owner).await.json();
    let one = format!("/v1/roles/{}", listed["data"][5]["id"].as_str().expect("an id"));
    let circle = house.patch(&one, &owner, json!({"inherits": "two"})).await;
    assert_eq!(circle.json()["errors"][0]["pointer"], "/inherits", "{}", circle.body);
    assert_eq!(house.delete(&one, &owner).await.refusal().0, 409, "two inherits from it");
    let two = format!("/v1/roles/{}", two.text("id"));
    person(&house, &owner, "ana", "two").await;
    assert_eq!(house.delete(&two, &owner).await.refusal().0, 409, "ana has it");
    let built_in = listed["data"][0]["id"].as_str().expect("an id");
    let built_in = format!("/v1/roles/{built_in}");
    assert_eq!(house.patch(&built_in, &owner, json!({"name": "V"})).await.refusal().0, 409);
    assert_eq!(house.delete(&built_in, &owner).await.refusal().0, 409);
}

#[tokio::test]
async fn a_changed_role_bites_in_another_process_without_a_new_sign_in() {
    let (house, owner) = house().await;
    let other = house.second_process().await;
    let top = role(&house, &owner, "top", "viewer", json!([])).await;
    role(&house, &owner, "below", "top", json!([])).await;
    let (_, ana) = person(&house, &owner, "ana", "below").await;
    assert!(!sees_keys(&house, &ana).await && !sees_keys(&other, &ana).await);
    let path = format!("/v1/roles/{}", top.text("id"));
    for (may, sees) in [(json!(["api_key.read"]), true), (json!([]), false)] {
        let changed = house.patch(&path, &owner, json!({"permissions": may})).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
        other.deps.tick().await.expect("ticks, as the program does every 400 ms");
        assert_eq!(sees_keys(&house, &ana).await, sees);
        assert_eq!(sees_keys(&other, &ana).await, sees, "inherited, in another process");
    }
}

#[tokio::test]
async fn a_person_gets_and_loses_a_role_of_the_tenants_own() {
    let (house, owner) = house().await;
    let other = house.second_process().await;
    role(&house, &owner, "keeper", "viewer", json!(["api_key.read"])).await;
    let (id, ana) = person(&house, &owner, "ana", "viewer").await;
    let path = format!("/v1/users/{id}");
    assert!(!sees_keys(&house, &ana).await && !sees_keys(&other, &ana).await);
    assert_eq!(house.patch(&path, &owner, json!({"role": "keeper"})).await.text("role"), "keeper");
    other.deps.tick().await.expect("ticks");
    assert!(sees_keys(&house, &ana).await && sees_keys(&other, &ana).await);
    assert_eq!(house.get("/v1/auth/me", &ana).await.text("role"), "keeper");
    assert_eq!(house.patch(&path, &owner, json!({"role": "viewer"})).await.text("role"), "viewer");
    other.deps.tick().await.expect("ticks");
    assert!(!sees_keys(&house, &ana).await && !sees_keys(&other, &ana).await);
}

#[tokio::test]
async fn another_tenants_roles_are_not_there() {
    let (house, owner) = house().await;
    house.tenant("other").await;
    let stranger = house.owner("other").await;
    let made = role(&house, &owner, "lead", "agent", json!([])).await;
    let path = format!("/v1/roles/{}", made.text("id"));
    let absent = "/v1/roles/rol_00000000000000000000000009";
    for (method, body) in [("GET", None), ("PATCH", Some(json!({"name": "X"}))), ("DELETE", None)] {
        let foreign = house.send(method, &path, Some(&stranger), body.clone()).await;
        let nothing = house.send(method, absent, Some(&stranger), body).await;
        assert_eq!(foreign.without_instance(), nothing.without_instance(), "{method}");
        assert_eq!(foreign.refusal().0, 404);
    }
    let body =
        json!({"email": "x@other.example", "name": "X", "role": "lead", "password": PASSWORD});
    assert_eq!(house.post("/v1/users", &stranger, body).await.refusal().0, 422);
    let own = role(&house, &stranger, "lead", "viewer", json!([])).await;
    assert_eq!(own.status, StatusCode::CREATED, "a slug is taken in one tenant only");
}
