//! Room `trace`: spans where nobody exports them, and where somebody does.
#![cfg(test)]

use misy_core::Trace;
use misy_trace::{Config, Export, spans};
use tracing_subscriber::layer::SubscriberExt;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn caller() -> Trace {
    Trace::parse(CALLER).expect("valid")
}

#[test]
fn without_an_export_a_span_has_a_place_in_the_callers_trace_all_the_same() {
    let ambient = misy_testkit::ambient();
    let span = tracing::error_span!("request");
    let place = spans::enter(&span, Some(caller()), &ambient);
    assert_eq!((place.trace_id, place.sampled), (caller().trace_id, true));
    assert_ne!(place.span_id, caller().span_id);
    assert_ne!(spans::enter(&span, None, &ambient).trace_id, place.trace_id);
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_exported() {
    assert!(Export::start(&Config::default()).expect("valid").is_none());
}

#[tokio::test]
async fn an_exported_span_continues_its_caller_and_keeps_to_what_the_caller_records() {
    let config = Config {
        otlp_endpoint: Some("http://127.0.0.1:9".to_owned()),
        sample_ratio: 0.0,
        ..Config::default()
    };
    let export = Export::start(&config).expect("valid").expect("configured");
    let subscriber = tracing_subscriber::registry().with(export.layer());
    let guard = tracing::subscriber::set_default(subscriber);
    let ambient = misy_testkit::ambient();
    let request = tracing::error_span!(target: "misy_web", "request");
    let place = spans::enter(&request, Some(caller()), &ambient);
    assert_eq!((place.trace_id, place.sampled), (caller().trace_id, true));
    let call = tracing::trace_span!(target: "misy_egress", parent: &request, "call");
    let below = spans::enter(&call, Some(place), &ambient);
    assert_eq!(below.trace_id, place.trace_id);
    assert_ne!(below.span_id, place.span_id);

    let own = tracing::error_span!(target: "misy_jobs", "job");
    assert!(!spans::enter(&own, None, &ambient).sampled, "a share of 0 is none");
    let strange = tracing::error_span!(target: "tokio_postgres", "query");
    spans::note(&strange, "sql", "select");
    let place = spans::enter(&strange, Some(caller()), &ambient);
    assert_eq!(place.trace_id, caller().trace_id, "it is ours to name, but it is not exported");
    drop((request, call, own, strange, guard));
    export.finish().await;
}
