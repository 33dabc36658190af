//! Room `identity`: one tenant is nothing to another.

use misy_store::DbRole;
use serde_json::json;

use crate::house::{House, PASSWORD};

#[tokio::test]
async fn ids_of_another_tenant_answer_as_ids_of_nothing() {
    let house = House::build().await;
    house.tenant("acme").await;
    house.tenant("bolt").await;
    let (acme, bolt) = (house.owner("acme").await, house.owner("bolt").await);
    let user = house.get("/v1/auth/me", &bolt).await.text("id");
    let body = json!({"name": "theirs", "role": "agent"});
    let key = house.post("/v1/api-keys", &bolt, body).await.text("id");
    let nothing = "00000000000000000000000009";
    for (method, path, body) in [
        ("GET", "/v1/users/usr_", None),
        ("PATCH", "/v1/users/usr_", Some(json!({"name": "Mine"}))),
        ("DELETE", "/v1/users/usr_", None),
        ("GET", "/v1/api-keys/key_", None),
        ("DELETE", "/v1/api-keys/key_", None),
        ("POST", "/v1/api-keys/key_/rotate", None),
    ] {
        let id = if path.contains("usr_") { &user } else { &key };
        let theirs = path.replace("usr_", id).replace("key_", id);
        let absent = format!("{}{nothing}", &id[..4]);
        let absent = path.replace("usr_", &absent).replace("key_", &absent);
        let foreign = house.send(method, &theirs, Some(&acme), body.clone()).await;
        let absent = house.send(method, &absent, Some(&acme), body).await;
        assert_eq!(foreign.refusal().0, 404, "{method} {path}");
        assert_eq!(foreign.without_instance(), absent.without_instance(), "{method} {path}");
    }
    assert_eq!(house.get(&format!("/v1/users/{user}"), &bolt).await.text("name"), "Olga Owner");
}

#[tokio::test]
async fn lists_hold_ones_own_only() {
    let house = House::build().await;
    house.tenant("acme").await;
    house.tenant("bolt").await;
    let acme = house.owner("acme").await;
    let listed = house.get("/v1/users", &acme).await;
    assert!(listed.body.contains("owner@acme.example") && !listed.body.contains("bolt"));
}

#[tokio::test]
async fn the_tenants_role_reads_no_account_session_or_key_of_signing() {
    let house = House::build().await;
    house.tenant("acme").await;
    house.owner("acme").await;
    let closed = [
        "accounts",
        "operators",
        "sessions",
        "refresh_tokens",
        "signing_keys",
        "sign_in_challenges",
    ];
    for table in closed {
        let read = house.as_role(DbRole::Tenant, &format!("select * from {table}")).await;
        assert_eq!(read, Err(format!("permission denied for table {table}")));
    }
    for table in ["users", "roles", "api_keys"] {
        let read = house.as_role(DbRole::Platform, &format!("select * from {table}")).await;
        assert_eq!(read, Err(format!("permission denied for table {table}")));
    }
}

#[tokio::test]
async fn without_a_tenant_the_directories_raise_and_never_match() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    house.post("/v1/api-keys", &owner, json!({"name": "shop", "role": "agent"})).await;
    house.send("POST", "/v1/auth/logout", Some(&owner), None).await;
    for table in ["memberships", "credentials", "realms", "api_key_routes", "revocations", "users"]
    {
        let read = house.as_role(DbRole::Tenant, &format!("select * from {table}")).await;
        assert!(read.is_err_and(|text| text.contains("misy.tenant")), "{table}");
    }
}

#[tokio::test]
async fn a_tenant_writes_no_directory_row_of_another() {
    let house = House::build().await;
    let (acme, bolt) = (house.tenant("acme").await, house.tenant("bolt").await);
    let bolt = misy_core::id::TypedId::uuid(bolt);
    let mut tx =
        house.db.tenant(&misy_testkit::ctx(acme, misy_core::Role::Owner)).await.expect("tx");
    let forge = "insert into credentials (account_id, realm, password_hash)
        select account_id, $1, 'x' from memberships limit 1";
    let forged = tx.execute(forge, &[&bolt]).await;
    assert!(forged.is_err(), "the policy refuses another realm");
    drop(tx);
    let mut tx =
        house.db.tenant(&misy_testkit::ctx(acme, misy_core::Role::Owner)).await.expect("tx");
    let steal = "update memberships set role = 'owner' where tenant_id = $1";
    assert_eq!(tx.execute(steal, &[&bolt]).await.expect("runs"), 0);
}

#[tokio::test]
async fn letters_factors_and_what_is_needed_are_each_tenants_own() {
    let house = House::build().await;
    house.tenant("acme").await;
    let bolt = house.tenant("bolt").await;
    let bolt_id = misy_core::id::TypedId::uuid(bolt);
    let acme = house.owner("acme").await;
    let invited = json!({"email": "ana@people.example", "name": "Ana", "role": "agent"});
    house.post("/v1/invitations", &acme, invited).await;
    house.post("/v1/auth/mfa/totp", &acme, json!({"current_password": PASSWORD})).await;
    let rule = Some(json!({"roles": ["agent"]}));
    house.send("PUT", "/v1/auth/mfa/policy", Some(&acme), rule).await;
    let tables =
        [("letters", "id"), ("second_factors", "id"), ("second_factor_rules", "tenant_id")];
    for (table, column) in tables {
        assert_eq!(house.count(&format!("select count(*) from {table}")).await, 1, "{table}");
        let nobody = house.as_role(DbRole::Tenant, &format!("select * from {table}")).await;
        assert!(nobody.is_err_and(|text| text.contains("misy.tenant")), "{table}");
        let ctx = misy_testkit::ctx(bolt, misy_core::Role::Owner);
        let mut tx = house.db.tenant(&ctx).await.expect("tx");
        let everything = format!("delete from {table} where {column} is not null");
        let everything: &'static str = everything.leak();
        assert_eq!(tx.execute(everything, &[]).await.expect("runs"), 0, "{table}");
    }
    let ctx = misy_testkit::ctx(bolt, misy_core::Role::Owner);
    let mut tx = house.db.tenant(&ctx).await.expect("tx");
    let forge = "insert into letters
            (id, tenant_id, account_id, user_id, kind, nonce, created_at, expires_at)
        select gen_random_uuid(), r.tenant_id, m.account_id, m.user_id, 'invitation', 'x', now(),
            now() + '1 day'
        from memberships m cross join (values (gen_random_uuid())) r (tenant_id)
        where m.tenant_id = $1";
    assert!(tx.execute(forge, &[&bolt_id]).await.is_err(), "not for another tenant");
}

#[tokio::test]
async fn only_a_tenant_may_ask_for_an_account_and_learns_no_more_than_its_id() {
    let house = House::build().await;
    house.tenant("acme").await;
    let ask = "select misy_account_of('owner@acme.example', gen_random_uuid())";
    let denied = house.as_role(DbRole::Platform, ask).await;
    assert_eq!(denied, Err("permission denied for function misy_account_of".to_owned()));
    assert_eq!(house.as_role(DbRole::Tenant, ask).await, Ok(1));
    let guard = "select misy_protect_directory('users', 'tenant_id')";
    assert!(house.as_role(DbRole::Tenant, guard).await.is_err());
    assert_eq!(house.count("select count(*) from accounts").await, 1);
}

#[tokio::test]
async fn a_role_of_another_tenant_cannot_be_referred_to() {
    let house = House::build().await;
    let acme = house.tenant("acme").await;
    let stranger = house.db.ambient().id();
    let mut tx =
        house.db.tenant(&misy_testkit::ctx(stranger, misy_core::Role::Owner)).await.expect("tx");
    let insert = "insert into users (tenant_id, id, account_id, email, name, role, status)
        values ($1, gen_random_uuid(), gen_random_uuid(), 'a@b.example', 'A', 'owner', 'active')";
    let orphan = tx.execute(insert, &[&misy_core::id::TypedId::uuid(stranger)]).await;
    let orphan = orphan.expect_err("that tenant has no roles");
    assert_eq!(orphan.foreign_key_violation(), Some("users_tenant_id_role_fkey"));
    drop(tx);
    let mut tx =
        house.db.tenant(&misy_testkit::ctx(stranger, misy_core::Role::Owner)).await.expect("tx");
    let smuggled = tx.execute(insert, &[&misy_core::id::TypedId::uuid(acme)]).await;
    assert!(smuggled.is_err(), "and may not write into one that has");
}
