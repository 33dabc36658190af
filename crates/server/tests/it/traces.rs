//! Room `server`: what a collector gets of the program, on the real protocol.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::{Method, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::program::{Program, Shop, call, folder, free_port, probe, until};

/// What the collector was sent, raw and read.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<(Vec<u8>, Vec<Span>)>>);

impl Taken {
    fn take(&self, body: &Bytes) -> StatusCode {
        let Ok(request) = ExportTraceServiceRequest::decode(body.as_ref()) else {
            return StatusCode::BAD_REQUEST;
        };
        let mut all = self.0.lock().expect("no panic while writing");
        all.0.extend_from_slice(body);
        let scopes = request.resource_spans.into_iter().flat_map(|one| one.scope_spans);
        all.1.extend(scopes.flat_map(|scope| scope.spans));
        StatusCode::OK
    }

    fn spans(&self) -> Vec<Span> {
        self.0.lock().expect("no panic while writing").1.clone()
    }

    fn raw(&self) -> Vec<u8> {
        self.0.lock().expect("no panic while writing").0.clone()
    }
}

struct Collector {
    address: String,
    taken: Taken,
    _serving: JoinSet<()>,
}

impl Collector {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let taken = Taken::default();
        let own = taken.clone();
        let take = move |body: Bytes| async move { own.take(&body) };
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let app = Router::new().route("/v1/traces", post(take));
            axum::serve(listener, app).await.expect("served");
        });
        Self { address, taken, _serving: serving }
    }
}

async fn up(folder: &Path, endpoint: &str) -> Program {
    let (data, settings) = (folder.join("data"), folder.join("misybot.toml"));
    std::fs::write(&settings, format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\n"))
        .expect("written");
    let (data, settings) = (data.to_str().expect("UTF-8"), settings.to_str().expect("UTF-8"));
    let place = ["up", "--data", data, "--config", settings, "--listen", "127.0.0.1:0"];
    Program::start(folder, &place).await
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a Any> {
    let found = span.attributes.iter().find(|one| one.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    match attribute(span, key) {
        Some(Any::StringValue(text)) => Some(text),
        _ => None,
    }
}

/// The spans above one, up to one that nobody sent.
fn line<'a>(span: &'a Span, all: &'a HashMap<Vec<u8>, Span>) -> Vec<&'a Span> {
    std::iter::successors(Some(span), |one| all.get(&one.parent_span_id)).collect()
}

/// The call that a job makes which a delivery caused, with all that is above it.
fn whole_trace(spans: &[Span], tenant: &str) -> Option<Vec<Span>> {
    let all: HashMap<Vec<u8>, Span> =
        spans.iter().map(|span| (span.span_id.clone(), span.clone())).collect();
    let calls = spans.iter().filter(|span| attribute(span, "server.address").is_some());
    let mut lines = calls
        .filter(|span| text(span, "tenant") == Some(tenant))
        .map(|span| line(span, &all).into_iter().cloned().collect::<Vec<_>>());
    lines.find(|line| {
        let has = |key: &str| line.iter().any(|span| attribute(span, key).is_some());
        has("messaging.destination.name")
            && line.iter().any(|span| span.name == "POST /hooks/{hook}")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_its_job_and_the_jobs_call_are_one_trace_without_what_was_said() {
    let (folder, collector) = (folder(), Collector::start().await);
    let program = up(folder.path(), &collector.address).await;
    let sandbox = program.host("sandbox");
    let acme = Shop::open(&program, &sandbox, "acme").await;
    let tenant = acme.tenant["id"].as_str().expect("an id");
    let (said, number) = ("what are your opening hours? zebra-canary-4711", "+4915112340815");
    let question = json!({ "from": number, "name": "Ada Canary", "text": said });
    call(&sandbox, Method::POST, &acme.path("messages"), None, question).await;
    until("one trace", 60, async || {
        let spans = collector.taken.spans();
        whole_trace(&spans, tenant).map(drop).ok_or_else(|| {
            let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
            format!("{names:?}")
        })
    })
    .await;
    let trace = whole_trace(&collector.taken.spans(), tenant).expect("found before");
    assert!(trace.iter().all(|span| span.trace_id == trace[0].trace_id), "{trace:#?}");
    let job = trace.iter().find(|span| text(span, "messaging.destination.name").is_some());
    assert_eq!(text(job.expect("a job"), "tenant"), Some(tenant));

    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let bearer = format!("Bearer {}", acme.bearer);
    let headers = [("traceparent", caller), ("authorization", bearer.as_str())];
    let path = "/v1/contacts?limit=7";
    assert_eq!(probe(&program.host("api"), Method::GET, path, &headers, "").await.0, 200);
    let ours = |span: &Span| {
        let caller = span.trace_id == 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
        caller && span.name == "GET /v1/contacts"
    };
    until("the caller's trace", 60, async || {
        let spans = collector.taken.spans();
        let served = spans.iter().find(|span| ours(span)).ok_or("not yet")?;
        assert_eq!(served.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
        let reads = |span: &&Span| span.parent_span_id == served.span_id && span.name == "reads";
        let read = spans.iter().find(reads).ok_or("its reads are not there yet")?;
        assert_eq!(text(read, "tenant"), Some(tenant));
        Ok::<(), String>(())
    })
    .await;
    program.stop();

    let raw = collector.taken.raw();
    let secret = acme.account["access_token"].as_str().unwrap_or("no-such-secret");
    let untold =
        ["zebra-canary", "4915112340815", "Ada Canary", acme.bearer.as_str(), secret, "limit=7"];
    for canary in untold {
        let found = raw.windows(canary.len()).any(|part| part == canary.as_bytes());
        assert!(!found, "`{canary}` left the process");
    }
    assert!(collector.taken.spans().iter().all(|span| span.events.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_collector_the_program_serves_and_counts_what_it_could_not_tell() {
    let folder = folder();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let program = up(folder.path(), &nobody).await;
    let operator = program.operator().await;
    let tenants =
        call(&program.host("api"), Method::GET, "/v1/tenants", Some(&operator), Value::Null).await;
    assert!(tenants["data"].is_array());
    until("counted", 60, async || {
        let admin = program.host("admin");
        let mut connection = misy_bench::http::Connection::open(&admin).await.expect("connected");
        let answer = connection.call(Method::GET, "/metrics", &[], Bytes::new()).await;
        let page = String::from_utf8_lossy(&answer.expect("an answer").1).into_owned();
        let counted = page.contains("misy_trace_spans_total{outcome=\"failed\"}");
        if counted { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    program.stop();
}
