//! Room `web`: requests that name a tenant by themselves. It is compared with the credential's and
//! never believed.

use http::Method;
use insta::assert_snapshot;

use crate::kit::{Admin, Anonymous, Answer, Guesser, Platform, Suspended, TestApp, User, tenant};

async fn ask<U: User>(path: &str, headers: &[(&str, &str)]) -> Answer {
    TestApp::new().send::<U>(Method::GET, path, headers, "").await
}

fn code(answer: &Answer) -> (u16, String) {
    let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), code)
}

fn ambiguous() -> (u16, String) {
    (400, "context.ambiguous_tenant".to_owned())
}

#[tokio::test]
async fn a_credential_of_one_tenant_with_the_name_of_another_is_refused() {
    let other = tenant(2).to_string();
    assert_snapshot!(ask::<Admin>("/v1/notes", &[("x-misy-tenant", &other)]).await, @r#"
    400 application/problem+json
    {
      "type": "/docs/errors#context.ambiguous_tenant",
      "title": "It names another tenant than the one it comes from",
      "status": 400,
      "detail": "The credential names the tenant. Leave `X-Misy-Tenant` and `misy.tenant` in `baggage` out, or send the same tenant.",
      "code": "context.ambiguous_tenant"
    }
    "#);
}

#[tokio::test]
async fn baggage_that_names_another_tenant_two_or_none_that_can_be_read_is_refused() {
    let (own, other) = (tenant(1), tenant(2));
    for baggage in [
        format!("misy.tenant={other}"),
        format!("a=b,misy.tenant={own};x=1, misy.tenant={other}"),
        "misy.tenant=acme".to_owned(),
        "misy.tenant=".to_owned(),
    ] {
        let answer = ask::<Admin>("/v1/notes", &[("baggage", &baggage)]).await;
        assert_eq!(code(&answer), ambiguous(), "{baggage}");
    }
    let (own, other) = (format!("misy.tenant={own}"), other.to_string());
    let split = [("baggage", own.as_str()), ("x-misy-tenant", other.as_str())];
    assert_eq!(code(&ask::<Admin>("/v1/notes", &split).await), ambiguous());
}

#[tokio::test]
async fn the_own_tenant_may_be_named_and_others_baggage_is_passed_over() {
    let own = tenant(1).to_string();
    let baggage = format!("user=7;p, misy.tenant={own}");
    let named = [("x-misy-tenant", own.as_str()), ("baggage", baggage.as_str())];
    assert_eq!(ask::<Admin>("/v1/notes", &named).await.status, 200);
    assert_eq!(ask::<Admin>("/v1/notes", &[("baggage", "tenant=x,y")]).await.status, 200);
}

#[tokio::test]
async fn naming_a_tenant_gives_nobody_a_way_in() {
    let own = tenant(1).to_string();
    let named = [("x-misy-tenant", own.as_str())];
    assert_eq!(ask::<Anonymous>("/v1/notes", &named).await.status, 401);
    assert_eq!(ask::<Guesser>("/v1/notes", &named).await.status, 401);
    let operator = ask::<Platform>("/v1/notes", &named).await;
    assert_eq!(code(&operator), ambiguous(), "an operator's credential is of no tenant");
    assert_eq!(code(&ask::<Platform>("/v1/platform", &named).await), ambiguous());
}

#[tokio::test]
async fn a_credential_without_a_tenant_is_refused_where_one_is_needed() {
    let answer = ask::<Platform>("/v1/notes", &[]).await;
    assert_eq!(code(&answer), (403, "context.missing_tenant".to_owned()));
}

#[tokio::test]
async fn a_tenant_that_is_not_active_is_refused_with_a_code_of_its_own() {
    let own = tenant(3).to_string();
    let answer = ask::<Suspended>("/v1/notes", &[("x-misy-tenant", &own)]).await;
    assert_eq!(code(&answer), (403, "tenant.inactive".to_owned()));
}
