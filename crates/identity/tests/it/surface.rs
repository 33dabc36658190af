//! Room `identity`: the routes as a whole: who may call which, and that none was forgotten.

use http::StatusCode;
use misy_core::Role;
use serde_json::{Value, json};

use crate::house::{House, PASSWORD};

/// Every operation, what it is sent, and the lowest role that may call it; `None` is anybody who is
/// signed in.
fn operations() -> Vec<(&'static str, &'static str, Option<Value>, Option<Role>)> {
    let absent = json!({"current_password": "wrong", "new_password": "wrong"});
    let user = json!({"email": "nobody", "name": "N", "role": "viewer", "password": PASSWORD});
    let invited = json!({"email": "nobody", "name": "N", "role": "viewer"});
    let code = json!({"code": "000000"});
    vec![
        ("GET", "/v1/auth/me", None, None),
        ("GET", "/v1/auth/sessions", None, None),
        ("DELETE", "/v1/auth/sessions/{id}", None, None),
        ("POST", "/v1/auth/password", Some(absent), None),
        ("GET", "/v1/roles", None, Some(Role::Viewer)),
        ("GET", "/v1/users", None, Some(Role::Agent)),
        ("GET", "/v1/users/{id}", None, Some(Role::Agent)),
        ("POST", "/v1/users", Some(user), Some(Role::Admin)),
        ("PATCH", "/v1/users/{id}", Some(json!({"name": "N"})), Some(Role::Admin)),
        ("DELETE", "/v1/users/{id}", None, Some(Role::Admin)),
        ("GET", "/v1/api-keys", None, Some(Role::Admin)),
        ("GET", "/v1/api-keys/{id}", None, Some(Role::Admin)),
        ("POST", "/v1/api-keys", Some(json!({"name": "N"})), Some(Role::Admin)),
        ("DELETE", "/v1/api-keys/{id}", None, Some(Role::Admin)),
        ("POST", "/v1/api-keys/{id}/rotate", None, Some(Role::Admin)),
        ("GET", "/v1/invitations", None, Some(Role::Agent)),
        ("POST", "/v1/invitations", Some(invited), Some(Role::Admin)),
        ("DELETE", "/v1/invitations/{id}", None, Some(Role::Admin)),
        ("POST", "/v1/invitations/{id}/resend", None, Some(Role::Admin)),
        ("GET", "/v1/auth/mfa", None, None),
        ("POST", "/v1/auth/mfa/totp", Some(json!({"current_password": "wrong"})), None),
        ("POST", "/v1/auth/mfa/totp/confirm", Some(code.clone()), None),
        ("POST", "/v1/auth/mfa/verify", Some(code.clone()), None),
        ("POST", "/v1/auth/mfa/recovery-codes", Some(code.clone()), None),
        ("POST", "/v1/auth/mfa/disable", Some(code), None),
        ("GET", "/v1/auth/mfa/policy", None, Some(Role::Viewer)),
        ("PUT", "/v1/auth/mfa/policy", Some(json!({"roles": []})), Some(Role::Admin)),
        ("DELETE", "/v1/users/{id}/mfa", None, Some(Role::Admin)),
        ("POST", "/v1/auth/verification", None, None),
        ("POST", "/v1/auth/logout", None, None),
        ("DELETE", "/v1/auth/sessions", None, None),
    ]
}

/// A path with an id of the right kind that does not exist.
fn concrete(path: &str) -> String {
    let kind = match path {
        path if path.contains("users") => "usr",
        path if path.contains("invitations") => "inv",
        path if path.contains("api-keys") => "key",
        _ => "ses",
    };
    path.replace("{id}", &format!("{kind}_00000000000000000000000009"))
}

#[tokio::test]
async fn every_operation_is_open_to_the_roles_it_names_and_to_no_lower_one() {
    let house = House::build().await;
    house.tenant("acme").await;
    for role in Role::OF_TENANT {
        if role != Role::Owner {
            house.person("acme", role.slug()).await;
        }
        for (method, path, body, least) in operations() {
            let email = format!("{}@acme.example", role.slug());
            let access = house.sign_in(&email, PASSWORD).await.access;
            let answer = house.send(method, &concrete(path), Some(&access), body).await;
            let let_in = answer.status != StatusCode::FORBIDDEN;
            let expected = least.is_none_or(|least| role >= least);
            assert_eq!(let_in, expected, "{role:?} {method} {path}: {}", answer.body);
            assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn without_a_good_credential_nothing_is_open_but_the_public_routes() {
    let house = House::build().await;
    for (method, path, body, _) in operations() {
        // Guesses are counted, and these are many.
        house.clock.advance_ms(60_000);
        for bearer in [None, Some("eyJ.e.y"), Some("mb_live_x"), Some("")] {
            let answer = house.send(method, &concrete(path), bearer, body.clone()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path} {bearer:?}");
        }
    }
}

#[tokio::test]
async fn the_reference_lists_these_operations_and_the_public_ones() {
    let house = House::build().await;
    let reference = misy_identity::router(&house.deps).into_openapi();
    let reference = serde_json::to_value(reference).expect("JSON");
    let mut listed = Vec::new();
    let mut public = Vec::new();
    for (path, item) in reference["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = format!("{} {path}", method.to_uppercase());
            let open = operation["security"].as_array().is_some_and(|all| all.contains(&json!({})));
            if open {
                public.push(name);
            } else {
                listed.push(name);
            }
            assert!(operation["summary"].is_string(), "{method} {path} says what it does");
        }
    }
    let mut expected: Vec<_> =
        operations().iter().map(|(method, path, ..)| format!("{method} {path}")).collect();
    listed.sort();
    expected.sort();
    public.sort();
    assert_eq!(listed, expected);
    let open = [
        "GET /.well-known/jwks.json",
        "POST /v1/auth/invitation",
        "POST /v1/auth/login",
        "POST /v1/auth/mfa/challenge",
        "POST /v1/auth/recovery",
        "POST /v1/auth/recovery/complete",
        "POST /v1/auth/refresh",
        "POST /v1/auth/revoke",
        "POST /v1/auth/verification/complete",
    ];
    assert_eq!(public, open);
}

#[tokio::test]
async fn a_repeated_request_gives_the_same_key_and_the_same_secret() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let body = json!({"name": "shop", "role": "agent"});
    let first = house.send_keyed("/v1/api-keys", &owner, "once", &body).await;
    let again = house.send_keyed("/v1/api-keys", &owner, "once", &body).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    assert_eq!(first, again);
    assert_eq!(house.count("select count(*) from api_keys").await, 1);
    let user = json!({"email": "a@b.example", "name": "A", "role": "agent", "password": PASSWORD});
    let first = house.send_keyed("/v1/users", &owner, "two", &user).await;
    assert_eq!(first, house.send_keyed("/v1/users", &owner, "two", &user).await);
    house.sign_in("a@b.example", PASSWORD).await;
    let other = json!({"email": "c@b.example", "name": "A", "role": "agent", "password": PASSWORD});
    let mismatch = house.send_keyed("/v1/users", &owner, "two", &other).await;
    assert_eq!(mismatch.refusal(), (422, "idempotency.mismatch".to_owned()));
}

#[tokio::test]
async fn a_token_is_checked_without_asking_the_database() {
    use misy_store::meter::Meter;
    use misy_web::{Authenticator, Peer};
    use std::sync::Arc;

    let house = House::build().await;
    house.tenant("acme").await;
    let access = misy_core::Secret::new(house.owner("acme").await);
    let bearers = misy_identity::Bearers(Arc::clone(&house.deps));
    // A machine that stops for half a second between two lines makes one look necessary.
    let mut asked = u64::MAX;
    for _ in 0..20 {
        house.deps.tick().await.expect("the database is there");
        let meter = Arc::new(Meter::default());
        let work = bearers.authenticate(&access, Peer::UNKNOWN);
        let found = Arc::clone(&meter).measure(work).await;
        assert!(found.is_ok());
        asked = asked.min(meter.queries());
    }
    assert_eq!(asked, 0);
}
