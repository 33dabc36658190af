//! Room `identity`: visits of operators: with a reason, for a while, seen by the tenant.

use http::StatusCode;
use misy_core::{TenantId, crypto};
use serde_json::{Value, json};

use crate::exchanges::{exchange, oauth};
use crate::house::{Answer, House};

const REASON: &str = "ticket 4711: messages do not arrive";

struct Scene {
    house: House,
    acme: TenantId,
    owner: String,
    operator: String,
}

impl Scene {
    async fn build() -> Self {
        let house = House::build().await;
        let acme = house.tenant("acme").await;
        let owner = house.owner("acme").await;
        let (email, password) = house.operator().await;
        let operator = house.sign_in(&email, &password).await.access;
        Self { house, acme, owner, operator }
    }

    async fn try_visit(&self, other: Value) -> Answer {
        let mut wanted = json!({"audience": "acme", "reason": REASON});
        for (name, value) in other.as_object().expect("an object") {
            wanted[name] = value.clone();
        }
        exchange(&self.house, &self.operator, wanted).await
    }

    async fn visit(&self, other: Value) -> String {
        let answer = self.try_visit(other).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.json().get("refresh_token"), None, "a visit is not prolonged");
        answer.text("access_token")
    }

    async fn visits(&self) -> Vec<Value> {
        let page = self.house.get("/v1/impersonations", &self.owner).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        page.json()["data"].as_array().expect("a list").clone()
    }

    /// Does something that every visitor may.
    async fn touch(&self, bearer: &str) -> u16 {
        self.house.get("/v1/users", bearer).await.status.as_u16()
    }
}

fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&crypto::from_base64url(body).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn an_operator_comes_with_a_reason_and_the_tenant_sees_it() {
    let scene = Scene::build().await;
    let token = scene.visit(json!({})).await;
    assert_eq!(scene.touch(&token).await, 200);
    let said = claims(&token);
    assert_eq!(said["act"]["sub"], said["sub"]);
    assert_eq!(said["tid"], scene.acme.to_string());
    let visits = scene.visits().await;
    assert_eq!((visits.len(), &visits[0]["reason"]), (1, &json!(REASON)));
    assert_eq!(visits[0]["operator_id"], said["sub"]);
    assert_eq!((&visits[0]["user_id"], &visits[0]["ended_at"]), (&Value::Null, &Value::Null));
    for table in ["audit_records", "platform_audit_records"] {
        let sql = format!(
            "select count(*) from {table} where action = 'impersonation.started'
            and detail ->> 'operator' = '{}'",
            said["sub"].as_str().expect("a text")
        );
        assert_eq!(scene.house.count(&sql).await, 1, "{table}");
    }
}

#[tokio::test]
async fn without_a_reason_nobody_comes() {
    let scene = Scene::build().await;
    for reason in
        [json!(null), json!(""), json!("because"), json!("          "), json!("x".repeat(501))]
    {
        let answer = scene.try_visit(json!({"reason": reason})).await;
        assert_eq!(oauth(&answer), (400, "invalid_request".to_owned()), "{reason}");
    }
    assert!(scene.visits().await.is_empty());
}

#[tokio::test]
async fn every_record_of_a_visit_as_somebody_names_both() {
    let scene = Scene::build().await;
    let (user, _) = scene.house.person("acme", "admin").await;
    let token = scene.visit(json!({"requested_subject": user})).await;
    let said = claims(&token);
    assert_eq!(said["sub"], user);
    let me = scene.house.get("/v1/auth/me", &token).await;
    assert_eq!((me.text("id"), me.text("role")), (user.clone(), "admin".to_owned()));
    let visit = scene.visits().await[0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/impersonations/{visit}/end");
    let ended = scene.house.post(&path, &token, Value::Null).await;
    assert_eq!(ended.status, StatusCode::OK, "{}", ended.body);
    let both = format!("{} as {user}", said["act"]["sub"].as_str().expect("a text"));
    assert_eq!(ended.text("ended_by"), both);
    let sql = "select actor from audit_records where action = 'impersonation.ended'";
    assert_eq!(scene.house.text(sql).await, both);
}

#[tokio::test]
async fn a_visit_ends_by_itself_after_an_hour_at_most() {
    let scene = Scene::build().await;
    for expires_in in [json!(0), json!(3601), json!("soon")] {
        let answer = scene.try_visit(json!({"expires_in": expires_in})).await;
        assert_eq!(oauth(&answer), (400, "invalid_request".to_owned()), "{expires_in}");
    }
    let token = scene.visit(json!({"expires_in": 3600})).await;
    scene.house.clock.advance_ms(3_599_000);
    assert_eq!(scene.touch(&token).await, 200);
    scene.house.clock.advance_ms(1_000);
    assert_eq!(scene.touch(&token).await, 401);
}

#[tokio::test]
async fn the_owner_ends_a_visit_and_it_is_over_everywhere_for_good() {
    let scene = Scene::build().await;
    let other = scene.house.second_process().await;
    let (token, second) = (scene.visit(json!({})).await, scene.visit(json!({})).await);
    assert!(other.get("/v1/users", &token).await.status == StatusCode::OK);
    let visits = scene.visits().await;
    let first = visits[1]["id"].as_str().expect("the latest comes first").to_owned();
    let path = format!("/v1/impersonations/{first}/end");
    let (_, admin) = scene.house.person("acme", "admin").await;
    assert_eq!(scene.house.post(&path, &admin, Value::Null).await.status.as_u16(), 403);
    assert_eq!(scene.house.post(&path, &scene.owner, Value::Null).await.status, StatusCode::OK);
    assert_eq!(scene.touch(&token).await, 401);
    other.deps.tick().await.expect("renews");
    assert_eq!(other.get("/v1/users", &token).await.status.as_u16(), 401);
    assert_eq!(scene.touch(&second).await, 200, "another visit goes on");
    let again = scene.house.post(&path, &scene.owner, Value::Null).await;
    assert_eq!(again.refusal(), (409, "request.conflict".to_owned()));
    // What keeps it dead must live as long as the token would have.
    let kept = "select count(*) from revocations r join impersonations i on i.id = r.subject
        where r.created_at = i.expires_at";
    assert_eq!(scene.house.count(kept).await, 1);
}

#[tokio::test]
async fn a_visitor_makes_nothing_that_stays() {
    let scene = Scene::build().await;
    let (user, _) = scene.house.person("acme", "admin").await;
    let owner = scene.house.get("/v1/auth/me", &scene.owner).await.text("id");
    let denied = (403, "auth.permission_denied".to_owned());
    for other in
        [json!({}), json!({"requested_subject": user}), json!({"requested_subject": owner})]
    {
        let token = scene.visit(other).await;
        let house = &scene.house;
        let key = json!({"name": "k", "role": "viewer"});
        assert_eq!(house.post("/v1/api-keys", &token, key).await.refusal(), denied);
        let person = json!({"email": "eve@x.example", "name": "E", "role": "viewer",
            "password": "a wise old owl"});
        assert_eq!(house.post("/v1/users", &token, person).await.refusal(), denied);
        let domain = json!({"name": "evil.example"});
        assert_eq!(house.post("/v1/domains", &token, domain).await.refusal(), denied);
        for (method, path) in [("GET", "/v1/auth/sessions"), ("DELETE", "/v1/auth/sessions")] {
            let answer = house.send(method, path, Some(&token), None).await;
            assert_eq!(answer.status.as_u16(), 401, "{path} is of a person's own sign-in");
        }
        let further = exchange(house, &token, json!({"audience": "acme", "reason": REASON})).await;
        assert_eq!(oauth(&further), (400, "invalid_request".to_owned()));
    }
}

#[tokio::test]
async fn one_who_only_looks_changes_nothing() {
    let scene = Scene::build().await;
    let answer = scene.try_visit(json!({"scope": "read"})).await;
    assert_eq!(answer.text("scope"), "read");
    let token = answer.text("access_token");
    assert_eq!(scene.touch(&token).await, 200);
    let me = "select count(*) from impersonations where read_only";
    assert_eq!(scene.house.count(me).await, 1);
    assert_eq!(claims(&token)["scope"], "read");
}

#[tokio::test]
async fn nobody_visits_who_is_not_there_or_as_somebody_who_is_not() {
    let scene = Scene::build().await;
    scene.house.tenant("beta").await;
    let (stranger, _) = scene.house.person("beta", "agent").await;
    let target = (400, "invalid_target".to_owned());
    let nobody = "usr_01k8zq5m3ge0r8v0w1x2y3z4a5";
    for other in [
        json!({"audience": "nobodys"}),
        json!({"requested_subject": stranger}),
        json!({"requested_subject": nobody}),
    ] {
        assert_eq!(oauth(&scene.try_visit(other.clone()).await), target, "{other}");
    }
    let (_, admin) = scene.house.person("acme", "admin").await;
    let wanted = json!({"audience": "beta", "reason": REASON});
    let refused = exchange(&scene.house, &admin, wanted).await;
    assert_eq!(oauth(&refused), (400, "invalid_request".to_owned()), "a person has no visits");
}

#[tokio::test]
async fn an_operator_who_is_disabled_is_out_of_every_tenant() {
    let scene = Scene::build().await;
    let token = scene.visit(json!({})).await;
    let body = json!({"current_password": "x", "new_password": "a rather new parrot"});
    scene.house.post("/v1/auth/password", &scene.operator, body).await;
    assert_eq!(scene.touch(&token).await, 200, "nothing was changed");
    scene.house.alter("update operators set status = 'disabled', uv = uv + 1").await;
    scene
        .house
        .alter(
            "insert into revocations (subject, kind, minimum) select id, 'user', uv from operators",
        )
        .await;
    scene.house.deps.tick().await.expect("renews");
    assert_eq!(scene.touch(&token).await, 401);
    let answer = scene.try_visit(json!({})).await;
    assert_eq!(oauth(&answer), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn a_visit_is_seen_by_its_own_tenant_alone() {
    let scene = Scene::build().await;
    scene.visit(json!({})).await;
    let visit = scene.visits().await[0]["id"].as_str().expect("an id").to_owned();
    scene.house.tenant("rival").await;
    let rival = scene.house.owner("rival").await;
    let page = scene.house.get("/v1/impersonations", &rival).await;
    assert_eq!(page.json()["data"], json!([]));
    let end = |id: &str| format!("/v1/impersonations/{id}/end");
    let theirs = scene.house.post(&end(&visit), &rival, Value::Null).await;
    let nobodys = end("imp_01k8zq5m3ge0r8v0w1x2y3z4a5");
    let nobodys = scene.house.post(&nobodys, &rival, Value::Null).await;
    assert_eq!(theirs.refusal(), (404, "request.not_found".to_owned()));
    assert_eq!(theirs.without_instance(), nobodys.without_instance());
    let (_, agent) = scene.house.person("acme", "supervisor").await;
    assert_eq!(scene.house.get("/v1/impersonations", &agent).await.status.as_u16(), 403);
}

#[tokio::test]
async fn the_token_of_a_visit_is_no_token_of_a_session_and_the_other_way_round() {
    let scene = Scene::build().await;
    let visit = scene.visit(json!({})).await;
    let parts: Vec<&str> = visit.split('.').collect();
    let session: Vec<&str> = scene.operator.split('.').collect();
    let swapped = [
        format!("{}.{}.{}", session[0], parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], session[1], session[2]),
        format!("{}.{}.{}", parts[0], parts[1], session[2]),
    ];
    for token in swapped {
        assert!(!scene.house.lets_in(&token).await);
    }
}
