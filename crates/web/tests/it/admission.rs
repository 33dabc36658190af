//! Room `web`: who gets in, and what the others are told.

use http::Method;
use insta::assert_snapshot;

use crate::kit::{
    Admin, Agent, Anonymous, Guesser, Late, OtherAdmin, Platform, Suspended, TestApp, Unlucky,
};

#[tokio::test]
async fn without_a_credential_it_is_401_with_a_challenge() {
    let answer = TestApp::new().get::<Anonymous>("/v1/notes").await;
    assert_snapshot!(answer, @r#"
    401 application/problem+json
    {
      "type": "/docs/errors#auth.unauthenticated",
      "title": "No valid credential",
      "status": 401,
      "detail": "Send `Authorization: Bearer <access token or API key>`; if the token has expired, refresh it.",
      "code": "auth.unauthenticated"
    }
    "#);
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn an_unknown_and_an_expired_credential_are_401_and_say_which() {
    let app = TestApp::new();
    let unknown = app.get::<Guesser>("/v1/notes").await;
    assert_snapshot!(unknown, @r#"
    401 application/problem+json
    {
      "type": "/docs/errors#auth.unauthenticated",
      "title": "No valid credential",
      "status": 401,
      "detail": "The credential is not known; it may have been revoked.",
      "code": "auth.unauthenticated"
    }
    "#);
    assert_eq!(unknown.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    let expired = app.get::<Late>("/v1/notes").await;
    assert_eq!(expired.status, 401);
    assert_eq!(
        expired.json()["detail"],
        "The credential has expired; refresh it or sign in again."
    );
}

#[tokio::test]
async fn an_operator_is_told_how_to_enter_a_tenant() {
    assert_snapshot!(TestApp::new().get::<Platform>("/v1/notes").await, @r#"
    403 application/problem+json
    {
      "type": "/docs/errors#context.missing_tenant",
      "title": "It works inside a tenant and comes from none",
      "status": 403,
      "detail": "This works inside a tenant and the credential is an operator's. Exchange it for a token of the tenant, with a reason, at `POST /v1/auth/token`.",
      "code": "context.missing_tenant"
    }
    "#);
}

#[tokio::test]
async fn a_tenants_credential_is_not_for_the_platform() {
    assert_snapshot!(TestApp::new().get::<Admin>("/v1/platform").await, @r#"
    403 application/problem+json
    {
      "type": "/docs/errors#auth.permission_denied",
      "title": "Not allowed",
      "status": 403,
      "detail": "This is for operators of the platform; the credential is a tenant's.",
      "code": "auth.permission_denied"
    }
    "#);
}

#[tokio::test]
async fn a_suspended_tenant_is_kept_out() {
    assert_snapshot!(TestApp::new().get::<Suspended>("/v1/notes").await, @r#"
    403 application/problem+json
    {
      "type": "/docs/errors#tenant.inactive",
      "title": "The tenant is not active",
      "status": 403,
      "detail": "Ask the operator of the platform why, and to activate it.",
      "code": "tenant.inactive"
    }
    "#);
}

#[tokio::test]
async fn a_credential_that_cannot_be_checked_is_503_and_not_401() {
    let answer = TestApp::new().get::<Unlucky>("/v1/notes").await;
    assert_snapshot!(answer, @r#"
    503 application/problem+json
    {
      "type": "/docs/errors#server.unavailable",
      "title": "A service it needs is not available",
      "status": 503,
      "detail": "Repeat the request after the seconds that `Retry-After` says.",
      "code": "server.unavailable"
    }
    "#);
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn each_acts_in_their_own_name() {
    let app = TestApp::new();
    let agent = app.get::<Agent>("/v1/auth/me").await.json();
    let other = app.get::<OtherAdmin>("/v1/auth/me").await.json();
    let operator = app.get::<Platform>("/v1/auth/me").await.json();
    assert_ne!(agent["tenant"], other["tenant"]);
    assert_eq!(agent["actor"]["kind"], "user");
    assert_eq!(operator["actor"]["kind"], "operator");
}

#[tokio::test]
async fn a_credential_counts_nowhere_but_in_its_header() {
    let app = TestApp::new();
    for path in ["/v1/auth/me?access_token=admin", "/v1/auth/me?token=admin"] {
        assert_eq!(app.get::<Anonymous>(path).await.status, 401, "{path}");
    }
    for value in ["admin", "Basic admin", "Bearer", "Bearer  ", "Bearer ad min", "bearer=admin"] {
        let sent = [("authorization", value)];
        let answer = app.send::<Anonymous>(Method::GET, "/v1/auth/me", &sent, "").await;
        assert_eq!(answer.status, 401, "{value}");
    }
    let sent = [("authorization", "bearer  admin")];
    assert_eq!(app.send::<Anonymous>(Method::GET, "/v1/auth/me", &sent, "").await.status, 200);
}

#[tokio::test]
async fn two_credentials_at_once_are_refused() {
    let sent = [("authorization", "Bearer other")];
    let answer = TestApp::new().send::<Admin>(Method::GET, "/v1/auth/me", &sent, "").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn sign_in_needs_none_and_ignores_a_stale_one() {
    let body = r#"{"email": "ana@acme.example", "password": "hunter2"}"#;
    let app = TestApp::new();
    let answer = app.post::<Late>("/v1/auth/login", body).await;
    assert_eq!(answer.json()["known"], true, "{answer}");
    assert_eq!(app.post::<Anonymous>("/v1/auth/login", body).await.status, 200);
}

#[tokio::test]
async fn a_tenant_that_the_caller_names_changes_nothing() {
    let app = TestApp::new();
    let named = crate::kit::tenant(2).to_string();
    let headers = ["x-tenant-id", "x-tenant", "tenant", "x-misy-tenant"];
    let headers = headers.map(|name| (name, named.as_str()));
    let plain = app.get::<Admin>("/v1/auth/me").await;
    assert_eq!(plain.json()["tenant"], crate::kit::tenant(1).to_string());
    for header in headers {
        let naming = app.send::<Admin>(Method::GET, "/v1/auth/me", &[header], "").await;
        let refused = naming.json()["code"] == "context.ambiguous_tenant";
        assert!(refused || naming.body == plain.body, "{}: {naming}", header.0);
    }
    let own = crate::kit::tenant(1).to_string();
    let headers = headers.map(|(name, _)| (name, own.as_str()));
    let naming = app.send::<Admin>(Method::GET, "/v1/auth/me", &headers, "").await;
    assert_eq!(naming.body, plain.body);
}
