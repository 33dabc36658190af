//! Room `identity`: service accounts and the keys that belong to them.

use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House};

async fn house() -> (House, String) {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    (house, owner)
}

async fn account(house: &House, owner: &str, scope: Value) -> Answer {
    let mut body = json!({"name": "shop"});
    body.as_object_mut().expect("an object").extend(scope.as_object().cloned().expect("one too"));
    house.post("/v1/service-accounts", owner, body).await
}

async fn key(house: &House, owner: &str, account: &str, scope: Value) -> Answer {
    let mut body = json!({"name": "key", "service_account_id": account});
    body.as_object_mut().expect("an object").extend(scope.as_object().cloned().expect("one too"));
    house.post("/v1/api-keys", owner, body).await
}

/// Long enough for what a process believes of all keys; its view counts real time.
async fn believed_no_more() {
    tokio::time::sleep(std::time::Duration::from_millis(950)).await;
}

#[tokio::test]
async fn an_account_is_made_read_listed_changed_and_removed_with_its_keys() {
    let (house, owner) = house().await;
    let made = account(&house, &owner, json!({"role": "agent", "description": "sends"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let path = format!("/v1/service-accounts/{}", made.text("id"));
    assert_eq!(house.get(&path, &owner).await.json(), made.json());
    let listed = house.get("/v1/service-accounts", &owner).await.json();
    assert_eq!(listed["data"], json!([made.json()]));
    assert_eq!(account(&house, &owner, json!({"role": "agent"})).await.refusal().0, 409);
    let renamed = house.patch(&path, &owner, json!({"name": "till"})).await;
    assert_eq!((renamed.text("name"), renamed.text("role")), ("till".into(), "agent".into()));
    let secret = key(&house, &owner, &made.text("id"), json!({})).await.text("secret");
    assert!(house.lets_in(&secret).await);
    assert_eq!(house.delete(&path, &owner).await.status, StatusCode::NO_CONTENT);
    assert!(!house.lets_in(&secret).await);
    assert_eq!(house.get(&path, &owner).await.refusal().0, 404);
    let told = "select count(*) from access_notices where subject <> tenant_id";
    assert_eq!(house.count(told).await, 0);
    assert_eq!(house.count("select count(*) from api_key_routes").await, 0);
}

#[tokio::test]
async fn a_disabled_accounts_keys_die_in_every_process_and_live_again() {
    let (house, owner) = house().await;
    let other = house.second_process().await;
    let made = account(&house, &owner, json!({"role": "viewer"})).await;
    let path = format!("/v1/service-accounts/{}", made.text("id"));
    let mut secrets = Vec::new();
    for _ in 0..2 {
        secrets.push(key(&house, &owner, &made.text("id"), json!({})).await.text("secret"));
    }
    for (status, alive) in [("disabled", false), ("active", true)] {
        assert!(
            house.lets_in(&secrets[0]).await != alive && other.lets_in(&secrets[0]).await != alive
        );
        let changed = house.patch(&path, &owner, json!({"status": status})).await;
        assert_eq!(changed.text("status"), status, "{}", changed.body);
        believed_no_more().await;
        for secret in &secrets {
            assert_eq!(house.lets_in(secret).await, alive, "{status}");
            assert_eq!(other.lets_in(secret).await, alive, "{status}, in another process");
        }
    }
    house.patch(&path, &owner, json!({"status": "disabled"})).await;
    assert_eq!(key(&house, &owner, &made.text("id"), json!({})).await.refusal().0, 409);
}

#[tokio::test]
async fn a_key_may_do_what_its_account_may_or_less_and_follows_its_changes() {
    let (house, owner) = house().await;
    let made = account(&house, &owner, json!({"permissions": ["role.read", "user.read"]})).await;
    let whole = key(&house, &owner, &made.text("id"), json!({})).await;
    assert_eq!(whole.json()["permissions"], json!(["user.read", "role.read"]));
    let less = json!({"permissions": ["role.read", "audit.read"]});
    let less = key(&house, &owner, &made.text("id"), less).await;
    assert_eq!(less.json()["permissions"], json!(["role.read"]), "never more than the account");
    let (whole, less) = (whole.text("secret"), less.text("secret"));
    assert_eq!(house.get("/v1/users", &whole).await.status, StatusCode::OK);
    assert_eq!(house.get("/v1/users", &less).await.refusal().0, 403);
    let path = format!("/v1/service-accounts/{}", made.text("id"));
    let changed = house.patch(&path, &owner, json!({"permissions": ["user.read"]})).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert_eq!(house.get("/v1/roles", &whole).await.refusal().0, 403);
    assert_eq!(house.get("/v1/roles", &less).await.refusal().0, 403);
    assert_eq!(house.get("/v1/users", &whole).await.status, StatusCode::OK);
}

#[tokio::test]
async fn accounts_and_keys_have_roles_of_the_tenants_own_and_follow_them() {
    let (house, owner) = house().await;
    let body = json!({"slug": "clerk", "name": "Clerk", "inherits": "viewer",
        "permissions": ["user.read"]});
    let role = format!("/v1/roles/{}", house.post("/v1/roles", &owner, body).await.text("id"));
    let made = account(&house, &owner, json!({"role": "clerk"})).await;
    assert_eq!(made.text("role"), "clerk");
    let of_account = key(&house, &owner, &made.text("id"), json!({})).await.text("secret");
    let alone = json!({"name": "alone", "role": "clerk"});
    let alone = house.post("/v1/api-keys", &owner, alone).await.text("secret");
    for secret in [&of_account, &alone] {
        assert_eq!(house.get("/v1/users", secret).await.status, StatusCode::OK);
    }
    let changed = house.patch(&role, &owner, json!({"permissions": []})).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    believed_no_more().await;
    for secret in [&of_account, &alone] {
        assert_eq!(house.get("/v1/users", secret).await.refusal().0, 403);
        assert_eq!(house.get("/v1/roles", secret).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn nobody_makes_or_changes_an_account_beyond_their_own_rights() {
    let (house, owner) = house().await;
    let (_, admin) = house.person("acme", "admin").await;
    assert_eq!(account(&house, &admin, json!({"role": "owner"})).await.refusal().0, 403);
    let strong = account(&house, &owner, json!({"role": "owner"})).await.text("id");
    let path = format!("/v1/service-accounts/{strong}");
    assert_eq!(house.patch(&path, &admin, json!({"role": "viewer"})).await.refusal().0, 403);
    assert_eq!(house.delete(&path, &admin).await.refusal().0, 403);
    assert_eq!(key(&house, &admin, &strong, json!({})).await.refusal().0, 403);
    assert_eq!(key(&house, &admin, &strong, json!({"role": "viewer"})).await.refusal().0, 403);
    for scope in [json!({}), json!({"role": "operator"}), json!({"role": "x"})] {
        assert_eq!(account(&house, &owner, scope).await.refusal().0, 422);
    }
    house.tenant("other").await;
    let stranger = house.owner("other").await;
    let absent = "sva_00000000000000000000000009";
    assert_eq!(key(&house, &stranger, &strong, json!({})).await.refusal().0, 404);
    assert_eq!(key(&house, &stranger, absent, json!({})).await.refusal().0, 404);
    for (method, body) in [("GET", None), ("PATCH", Some(json!({"name": "X"}))), ("DELETE", None)] {
        let foreign = house.send(method, &path, Some(&stranger), body.clone()).await;
        let nothing = format!("/v1/service-accounts/{absent}");
        let nothing = house.send(method, &nothing, Some(&stranger), body).await;
        assert_eq!(foreign.without_instance(), nothing.without_instance(), "{method}");
    }
}

#[tokio::test]
async fn what_happens_to_a_key_reaches_other_processes_within_a_second() {
    let (house, owner) = house().await;
    let other = house.second_process().await;
    let body = json!({"slug": "clerk", "name": "Clerk", "inherits": "viewer",
        "permissions": ["user.read"]});
    let role = format!("/v1/roles/{}", house.post("/v1/roles", &owner, body).await.text("id"));
    let made = account(&house, &owner, json!({"role": "clerk"})).await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(key(&house, &owner, &made.text("id"), json!({})).await);
    }
    let secret = |which: usize| keys[which].text("secret");
    let path = |which: usize| format!("/v1/api-keys/{}", keys[which].text("id"));
    let seen = async |which: usize| other.get("/v1/users", &secret(which)).await.status.as_u16();
    assert_eq!([seen(0).await, seen(1).await, seen(2).await], [200; 3]);

    house.delete(&path(0), &owner).await;
    house.send("POST", &format!("{}/rotate", path(1)), Some(&owner), None).await;
    believed_no_more().await;
    assert_eq!([seen(0).await, seen(1).await, seen(2).await], [401, 401, 200]);

    house.patch(&role, &owner, json!({"permissions": []})).await;
    believed_no_more().await;
    assert_eq!(seen(2).await, 403, "its account's role changed");

    house.delete(&format!("/v1/service-accounts/{}", made.text("id")), &owner).await;
    believed_no_more().await;
    assert_eq!(seen(2).await, 401, "its account is gone");
}
