//! What the other side learns of whose call it is.

use http::{HeaderName, HeaderValue};
use misy_core::{Code, Ctx, Public, Role};
use misy_egress::{Call, Config, Error};

use crate::peer::{Peer, answer, gateway, local, post, tenant};

fn ctx() -> Ctx {
    misy_testkit::ctx(tenant(1), Role::Owner)
}

/// A call whose maker tries to say more than is his to say.
fn talkative(url: &str) -> Call {
    let tenant = tenant(1).to_string();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let baggage = format!("misy.tenant={tenant}");
    let said = [
        ("baggage", baggage.as_str()),
        ("x-misy-tenant", &tenant),
        ("traceparent", trace),
        ("tracestate", "misy=1"),
        ("x-request-id", "r-1"),
    ];
    said.into_iter().fold(post(url), |call, (name, text)| {
        let value = HeaderValue::from_str(text).expect("visible text");
        call.header(HeaderName::from_static(name), value)
    })
}

async fn heard(config: Config, peer: &Peer, call: Call) -> String {
    gateway(config).of(&ctx()).call(call).await.expect("an answer");
    peer.heard().join("").to_lowercase()
}

#[tokio::test]
async fn a_foreign_host_gets_neither_baggage_nor_tenant_nor_trace() {
    let peer = Peer::new(answer(200, "", "")).await;
    let elsewhere = vec!["https://own.example".to_owned(), "http://127.0.0.1:1".to_owned()];
    let config = Config { own_origins: elsewhere, ..local() };
    let heard = heard(config, &peer, talkative(&peer.url)).await;
    let told =
        ["baggage", "misy.tenant", "x-misy-tenant", "traceparent", "tracestate", "x-request"];
    for word in told.into_iter().chain([tenant(1).to_string().to_lowercase().as_str(), "ten_"]) {
        assert!(!heard.contains(word), "{word}: {heard}");
    }
    assert!(heard.contains(r#"{"hello":"world"}"#));
}

#[tokio::test]
async fn a_service_of_ours_is_told_tenant_trace_and_request() {
    let peer = Peer::new(answer(200, "", "")).await;
    let origin = peer.url.trim_end_matches("/v1/x").to_owned();
    let config = Config { own_origins: vec![origin], ..local() };
    let heard = heard(config, &peer, talkative(&peer.url)).await;
    let told = [
        format!("baggage: misy.tenant={}\r\n", tenant(1)),
        format!("x-request-id: {}\r\n", ctx().request()),
        format!("traceparent: 00-{:032x}-", ctx().trace().trace_id),
    ];
    for line in told {
        assert!(heard.contains(&line.to_lowercase()), "{line}: {heard}");
        let name = line.split(':').next().unwrap_or_default().to_owned();
        assert_eq!(heard.matches(&format!("{name}: ")).count(), 1, "the caller's own is gone");
    }
    let child = format!("-{:016x}-", ctx().trace().span_id);
    assert!(!heard.contains(&child), "it is a span of its own");
}

#[tokio::test]
async fn a_way_out_of_one_tenant_is_none_for_another() {
    let peer = Peer::new(answer(200, "", "")).await;
    let mut call = post(&peer.url);
    call.tenant = tenant(2);
    let error = gateway(local()).of(&ctx()).call(call).await.expect_err("it is refused");
    assert!(matches!(error, Error::Misplaced(_)) && error.is_not_delivered());
    assert_eq!(error.code(), Code::TenantAmbiguous);
    assert_eq!(peer.heard().len(), 0);
}
