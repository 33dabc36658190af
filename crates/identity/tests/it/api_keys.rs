//! Room `identity`: keys of programs.

use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House};

async fn house() -> (House, String) {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    (house, owner)
}

async fn make(house: &House, maker: &str, scope: Value) -> Answer {
    let mut body = json!({"name": "shop"});
    body.as_object_mut().expect("an object").extend(scope.as_object().cloned().expect("one too"));
    house.post("/v1/api-keys", maker, body).await
}

#[tokio::test]
async fn a_key_is_shown_once_and_does_what_its_role_may() {
    let (house, owner) = house().await;
    let made = make(&house, &owner, json!({"role": "agent"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let secret = made.text("secret");
    assert!(secret.starts_with(&made.text("prefix")));
    let me = house.get("/v1/auth/me", &secret).await.json();
    assert_eq!(
        (me["kind"].as_str(), me["id"].as_str()),
        (Some("api_key"), Some(made.text("id").as_str()))
    );
    assert_eq!(house.get("/v1/users", &secret).await.status, StatusCode::OK);
    assert_eq!(house.get("/v1/api-keys", &secret).await.refusal().0, 403);
    let read = house.get(&format!("/v1/api-keys/{}", made.text("id")), &owner).await;
    assert_eq!(read.status, StatusCode::OK);
    let listed = house.get("/v1/api-keys", &owner).await;
    assert!(!read.body.contains(&secret[34..]) && !listed.body.contains(&secret[34..]));
}

#[tokio::test]
async fn a_key_with_listed_permissions_has_exactly_those() {
    let (house, owner) = house().await;
    let made = make(&house, &owner, json!({"permissions": ["role.read"]})).await;
    let secret = made.text("secret");
    assert_eq!(house.get("/v1/roles", &secret).await.status, StatusCode::OK);
    assert_eq!(house.get("/v1/users", &secret).await.refusal().0, 403);
    assert_eq!(made.json()["role"], Value::Null);
}

#[tokio::test]
async fn a_key_can_do_no_more_than_its_maker() {
    let (house, owner) = house().await;
    let (_, admin) = house.person("acme", "admin").await;
    assert_eq!(make(&house, &admin, json!({"role": "owner"})).await.refusal().0, 403);
    let above = json!({"permissions": ["owner.manage"]});
    assert_eq!(make(&house, &admin, above).await.refusal().0, 403);
    let narrow = json!({"permissions": ["api_key.manage", "role.read"]});
    let narrow = make(&house, &owner, narrow).await.text("secret");
    assert_eq!(make(&house, &narrow, json!({"role": "agent"})).await.refusal().0, 403);
    let same = json!({"permissions": ["role.read"]});
    assert_eq!(make(&house, &narrow, same).await.status, StatusCode::CREATED);
    let strong = make(&house, &owner, json!({"role": "owner"})).await.text("id");
    let rotate = format!("/v1/api-keys/{strong}/rotate");
    let answer = house.send("POST", &rotate, Some(&admin), None).await;
    assert_eq!(answer.refusal().0, 403, "whoever rotates learns the secret");
}

#[tokio::test]
async fn a_key_that_makes_no_sense_is_refused_with_the_reason() {
    let (house, owner) = house().await;
    for (scope, pointer) in [
        (json!({}), "/permissions"),
        (json!({"permissions": []}), "/permissions"),
        (json!({"role": "agent", "permissions": ["role.read"]}), "/permissions"),
        (json!({"role": "operator"}), "/role"),
        (json!({"role": "agent", "expires_at": "2026-03-01T12:00:00Z"}), "/expires_at"),
        (json!({"permissions": ["role.reed"]}), "/permissions/0"),
    ] {
        let answer = make(&house, &owner, scope).await;
        assert_eq!(answer.refusal().0, 422, "{}", answer.body);
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}", answer.body);
    }
}

#[tokio::test]
async fn an_expired_key_is_refused_though_it_was_just_used() {
    let (house, owner) = house().await;
    let scope = json!({"role": "agent", "expires_at": "2026-03-01T12:00:10Z"});
    let secret = make(&house, &owner, scope).await.text("secret");
    assert!(house.lets_in(&secret).await);
    house.clock.advance_ms(10_000);
    assert!(!house.lets_in(&secret).await);
}

#[tokio::test]
async fn a_revoked_key_is_dead_and_stays_in_the_list() {
    let (house, owner) = house().await;
    let made = make(&house, &owner, json!({"role": "agent"})).await;
    let (secret, path) = (made.text("secret"), format!("/v1/api-keys/{}", made.text("id")));
    assert!(house.lets_in(&secret).await);
    assert_eq!(house.delete(&path, &owner).await.status, StatusCode::NO_CONTENT);
    assert!(!house.lets_in(&secret).await);
    assert_eq!(house.get(&path, &owner).await.text("status"), "revoked");
    assert_eq!(house.delete(&path, &owner).await.status, StatusCode::NO_CONTENT, "again is fine");
    let rotate = house.send("POST", &format!("{path}/rotate"), Some(&owner), None).await;
    assert_eq!(rotate.refusal(), (409, "request.conflict".to_owned()));
    let audited = "select count(*) from audit_records where action like 'api_key.%'";
    assert_eq!(house.count(audited).await, 2);
}

#[tokio::test]
async fn a_rotated_key_has_a_new_secret_and_the_old_one_is_dead() {
    let (house, owner) = house().await;
    let made = make(&house, &owner, json!({"role": "agent"})).await;
    let old = made.text("secret");
    assert!(house.lets_in(&old).await);
    let path = format!("/v1/api-keys/{}/rotate", made.text("id"));
    let rotated = house.send("POST", &path, Some(&owner), None).await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.body);
    assert_eq!(rotated.text("id"), made.text("id"));
    assert!(house.lets_in(&rotated.text("secret")).await);
    assert!(!house.lets_in(&old).await);
}

#[tokio::test]
async fn the_last_use_is_shown_after_a_tick() {
    let (house, owner) = house().await;
    let made = make(&house, &owner, json!({"role": "agent"})).await;
    let path = format!("/v1/api-keys/{}", made.text("id"));
    assert_eq!(house.get(&path, &owner).await.json()["last_used_at"], Value::Null);
    for _ in 0..3 {
        house.lets_in(&made.text("secret")).await;
    }
    house.deps.tick().await.expect("the database is there");
    assert_eq!(house.get(&path, &owner).await.json()["last_used_at"], "2026-03-01T12:00:00Z");
}

#[tokio::test]
async fn a_made_up_key_is_refused_like_a_dead_one() {
    let (house, owner) = house().await;
    let secret = make(&house, &owner, json!({"role": "agent"})).await.text("secret");
    let mut typo = secret.clone();
    typo.replace_range(40..41, if &secret[40..41] == "0" { "1" } else { "0" });
    for key in [typo.as_str(), "mb_live_", "mb_test_x", "mb_live_'; drop table api_keys", "secret"]
    {
        assert_eq!(house.get("/v1/auth/me", key).await.refusal().0, 401, "{key}");
    }
}

#[tokio::test]
async fn a_key_has_no_session_to_end_or_password_to_change() {
    let (house, owner) = house().await;
    let secret = make(&house, &owner, json!({"role": "owner"})).await.text("secret");
    let logout = house.send("POST", "/v1/auth/logout", Some(&secret), None).await;
    assert_eq!(logout.refusal(), (403, "auth.permission_denied".to_owned()));
    assert_eq!(house.get("/v1/auth/sessions", &secret).await.refusal().0, 403);
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute_however_often_a_key_is_used() {
    let (house, owner) = house().await;
    let made = make(&house, &owner, json!({"role": "agent"})).await;
    let path = format!("/v1/api-keys/{}", made.text("id"));
    for _ in 0..3 {
        house.lets_in(&made.text("secret")).await;
        house.deps.tick().await.expect("the database is there");
        house.clock.advance_ms(1_000);
    }
    assert_eq!(house.get(&path, &owner).await.json()["last_used_at"], "2026-03-01T12:00:00Z");
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let (house, owner) = house().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(make(&house, &owner, json!({"role": "viewer"})).await.text("id"));
    }
    let mut seen = Vec::new();
    let mut path = "/v1/api-keys?limit=2".to_owned();
    loop {
        let page = house.get(&path, &owner).await.json();
        let ids = page["data"].as_array().expect("a list").iter();
        seen.extend(ids.map(|key| key["id"].as_str().expect("an id").to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/api-keys?limit=2&cursor={next}");
    }
    assert_eq!(seen, made);
    assert_eq!(house.get("/v1/api-keys?name=shop", &owner).await.refusal().0, 400);
}

#[tokio::test]
async fn a_rotated_keys_old_secret_works_as_long_as_was_asked_for() {
    let (house, owner) = house().await;
    let made = make(&house, &owner, json!({"role": "agent"})).await;
    let (old, path) = (made.text("secret"), format!("/v1/api-keys/{}", made.text("id")));
    let rotate = format!("{path}/rotate?overlap_s=60");
    let rotated = house.send("POST", &rotate, Some(&owner), None).await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.body);
    assert_eq!(rotated.text("overlap_until"), "2026-03-01T12:01:00Z");
    let new = rotated.text("secret");
    assert!(house.lets_in(&old).await && house.lets_in(&new).await);
    house.clock.advance_ms(59_999);
    assert!(house.lets_in(&old).await);
    house.clock.advance_ms(1);
    assert!(!house.lets_in(&old).await && house.lets_in(&new).await);
    let long = format!("{path}/rotate?overlap_s=604801");
    assert_eq!(house.send("POST", &long, Some(&owner), None).await.refusal().0, 422);
    let at_once = format!("{path}/rotate");
    house.send("POST", &at_once, Some(&owner), None).await;
    assert!(!house.lets_in(&new).await, "without an overlap it dies at once");
}

#[tokio::test]
async fn a_test_key_looks_like_one_and_sends_nothing_to_anybody() {
    let (house, owner) = house().await;
    let made = make(&house, &owner, json!({"role": "agent", "mode": "test"})).await;
    assert!(made.text("secret").starts_with("mb_test_") && made.text("mode") == "test");
    let may = made.json()["permissions"].as_array().cloned().unwrap_or_default();
    assert!(!may.contains(&json!("message.send")) && may.contains(&json!("message.read")));
    let me = house.get("/v1/auth/me", &made.text("secret")).await.json();
    assert_eq!(me["permissions"], made.json()["permissions"]);
    let turned = made.text("secret").replacen("mb_test_", "mb_live_", 1);
    assert!(!house.lets_in(&turned).await);
}
