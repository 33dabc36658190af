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
    let question = json!({"action": "user.read", "resource": {"type": "tenant"}});
    let operator = json!({"email": "o", "name": "N", "role": "support", "password": PASSWORD});
    let invited = json!({"email": "nobody", "name": "N", "role": "viewer"});
    let code = json!({"code": "000000"});
    let mut all = vec![
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
        ("GET", "/scim/v2/ServiceProviderConfig", None, Some(Role::Admin)),
        ("GET", "/scim/v2/ResourceTypes", None, Some(Role::Admin)),
        ("GET", "/scim/v2/ResourceTypes/{resource_type}", None, Some(Role::Admin)),
        ("GET", "/scim/v2/Schemas", None, Some(Role::Admin)),
        ("GET", "/scim/v2/Schemas/{schema}", None, Some(Role::Admin)),
        ("GET", "/scim/v2/Users", None, Some(Role::Admin)),
        ("POST", "/scim/v2/Users", Some(json!({})), Some(Role::Admin)),
        ("POST", "/scim/v2/Users/.search", Some(json!({})), Some(Role::Admin)),
        ("GET", "/scim/v2/Users/{id}", None, Some(Role::Admin)),
        ("PUT", "/scim/v2/Users/{id}", Some(json!({})), Some(Role::Admin)),
        ("PATCH", "/scim/v2/Users/{id}", Some(json!({})), Some(Role::Admin)),
        ("DELETE", "/scim/v2/Users/{id}", None, Some(Role::Admin)),
        ("GET", "/scim/v2/Groups", None, Some(Role::Admin)),
        ("POST", "/scim/v2/Groups", Some(json!({})), Some(Role::Admin)),
        ("POST", "/scim/v2/Groups/.search", Some(json!({})), Some(Role::Admin)),
        ("GET", "/scim/v2/Groups/{id}", None, Some(Role::Admin)),
        ("PUT", "/scim/v2/Groups/{id}", Some(json!({})), Some(Role::Admin)),
        ("PATCH", "/scim/v2/Groups/{id}", Some(json!({})), Some(Role::Admin)),
        ("DELETE", "/scim/v2/Groups/{id}", None, Some(Role::Admin)),
        ("GET", "/v1/scim/role-mappings", None, Some(Role::Viewer)),
        ("PUT", "/v1/scim/role-mappings", Some(json!({"mappings": []})), Some(Role::Admin)),
        ("POST", "/v1/sso-connections/read-saml-metadata", Some(json!({})), Some(Role::Admin)),
        ("POST", "/v1/sso-connections/{id}/saml-key", None, Some(Role::Admin)),
        ("GET", "/v1/roles/{role}", None, Some(Role::Viewer)),
        ("POST", "/v1/roles", Some(json!({"slug": "x", "name": "X"})), Some(Role::Admin)),
        ("PATCH", "/v1/roles/{role}", Some(json!({"name": "N"})), Some(Role::Admin)),
        ("DELETE", "/v1/roles/{role}", None, Some(Role::Admin)),
        ("GET", "/v1/service-accounts", None, Some(Role::Admin)),
        ("GET", "/v1/service-accounts/{account}", None, Some(Role::Admin)),
        ("POST", "/v1/service-accounts", Some(json!({"name": "N"})), Some(Role::Admin)),
        ("PATCH", "/v1/service-accounts/{account}", Some(json!({})), Some(Role::Admin)),
        ("DELETE", "/v1/service-accounts/{account}", None, Some(Role::Admin)),
        ("GET", "/v1/policies", None, Some(Role::Admin)),
        ("GET", "/v1/policies/{policy}", None, Some(Role::Admin)),
        ("POST", "/v1/policies", Some(json!({"name": "N", "text": "x"})), Some(Role::Admin)),
        ("PATCH", "/v1/policies/{policy}", Some(json!({})), Some(Role::Admin)),
        ("DELETE", "/v1/policies/{policy}", None, Some(Role::Admin)),
        ("POST", "/v1/policies/validate", Some(json!({"text": "x"})), Some(Role::Admin)),
        ("GET", "/v1/policies/templates", None, Some(Role::Admin)),
        ("GET", "/v1/policies/schema", None, Some(Role::Admin)),
        ("PUT", "/v1/policies/schema", Some(json!({"text": "x"})), Some(Role::Admin)),
        ("GET", "/v1/policies/entities", None, Some(Role::Admin)),
        ("PUT", "/v1/policies/entities", Some(json!({"entities": []})), Some(Role::Admin)),
        ("POST", "/v1/policies/explain", Some(question.clone()), Some(Role::Admin)),
        ("POST", "/v1/policies/who-can", Some(question), Some(Role::Admin)),
        ("GET", "/v1/decisions", None, Some(Role::Admin)),
        ("POST", "/access/v1/evaluation", Some(json!({})), Some(Role::Admin)),
        ("POST", "/access/v1/evaluations", Some(json!({})), Some(Role::Admin)),
        ("POST", "/access/v1/search/action", Some(json!({})), Some(Role::Admin)),
        ("POST", "/access/v1/search/subject", Some(json!({})), Some(Role::Admin)),
        ("POST", "/access/v1/search/resource", Some(json!({})), Some(Role::Admin)),
        ("GET", "/v1/operators", None, Some(Role::Operator)),
        ("POST", "/v1/operators", Some(operator), Some(Role::Operator)),
        ("PATCH", "/v1/operators/{operator}", Some(json!({})), Some(Role::Operator)),
        ("GET", "/v1/tenants/{tenant}/domains", None, Some(Role::Operator)),
        ("DELETE", "/v1/tenants/{tenant}/domains/{id}", None, Some(Role::Operator)),
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
    ];
    all.extend(single_sign_on());
    all
}

/// Those of single sign-on and visits.
fn single_sign_on() -> Vec<(&'static str, &'static str, Option<Value>, Option<Role>)> {
    let connection = json!({"kind": "oidc", "name": "N",
        "settings": {"issuer": "https://id.acme.example", "client_id": "misy"},
        "secrets": {"client_secret": "s"}});
    let admin = Some(Role::Admin);
    vec![
        ("POST", "/v1/auth/sso/logout", Some(json!({})), None),
        ("GET", "/v1/sso-connections", None, admin),
        ("GET", "/v1/sso-connections/{id}", None, admin),
        ("POST", "/v1/sso-connections", Some(connection), admin),
        ("PATCH", "/v1/sso-connections/{id}", Some(json!({"name": "N"})), admin),
        ("DELETE", "/v1/sso-connections/{id}", None, admin),
        ("POST", "/v1/sso-connections/{id}/test", Some(json!({})), admin),
        ("GET", "/v1/domains", None, admin),
        ("GET", "/v1/domains/{id}", None, admin),
        ("POST", "/v1/domains", Some(json!({"name": "acme.example"})), admin),
        ("PATCH", "/v1/domains/{id}", Some(json!({})), admin),
        ("DELETE", "/v1/domains/{id}", None, admin),
        ("POST", "/v1/domains/{id}/verify", None, admin),
        ("GET", "/v1/impersonations", None, admin),
        ("POST", "/v1/impersonations/{id}/end", None, Some(Role::Owner)),
    ]
}

/// A path with an id of the right kind that does not exist.
fn concrete(path: &str) -> String {
    let kind = match path {
        path if path.contains("users") => "usr",
        path if path.contains("invitations") => "inv",
        path if path.contains("api-keys") => "key",
        path if path.contains("sso-connections") => "sso",
        path if path.contains("roles") => "rol",
        path if path.contains("service-accounts") => "sva",
        path if path.contains("operators") => "opr",
        path if path.contains("policies") => "pol",
        path if path.contains("domains") => "dom",
        path if path.contains("impersonations") => "imp",
        _ => "ses",
    };
    let path = path.replace("{tenant}", "ten_00000000000000000000000009");
    let id = format!("{kind}_00000000000000000000000009");
    ["{id}", "{role}", "{account}", "{operator}", "{policy}"]
        .into_iter()
        .fold(path, |path, name| path.replace(name, &id))
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
        "GET /.well-known/authzen-configuration",
        "GET /.well-known/jwks.json",
        "GET /v1/auth/oidc/{connection}/callback",
        "GET /v1/auth/oidc/{connection}/start",
        "GET /v1/auth/saml/{connection}/metadata",
        "GET /v1/auth/saml/{connection}/slo",
        "GET /v1/auth/saml/{connection}/start",
        "POST /v1/auth/discover",
        "POST /v1/auth/invitation",
        "POST /v1/auth/login",
        "POST /v1/auth/mfa/challenge",
        "POST /v1/auth/oidc/{connection}/backchannel-logout",
        "POST /v1/auth/recovery",
        "POST /v1/auth/recovery/complete",
        "POST /v1/auth/refresh",
        "POST /v1/auth/revoke",
        "POST /v1/auth/saml/{connection}/acs",
        "POST /v1/auth/saml/{connection}/slo",
        "POST /v1/auth/sso/exchange",
        "POST /v1/auth/token",
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
