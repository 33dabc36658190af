//! Room `trace`: the way of finished spans to the collector. Whoever ends a span hands it over and
//! goes on; if the queue is full, the span is dropped and counted.

use std::time::Duration;

use opentelemetry::trace::{SpanKind, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SdkTracerProvider, Span, SpanData, SpanExporter as Exporter, SpanProcessor,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::Config;

/// How long spans are gathered before they leave together.
const GATHERING: Duration = Duration::from_millis(500);

/// Spans of one export.
const BATCH_SPANS: usize = 512;

/// How long the end of the program waits for the last spans to leave.
const PARTING: Duration = Duration::from_secs(2);

const COUNT: &str = "misy_trace_spans_total";

/// The exporter cannot be made of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be exported")]
pub struct Failed(#[source] Box<dyn std::error::Error + Send + Sync>);

/// What exports, while the program runs.
#[must_use = "spans are exported until this is dropped"]
pub struct Export {
    provider: SdkTracerProvider,
    stop: watch::Sender<bool>,
    carrying: JoinSet<()>,
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Export")
    }
}

impl Export {
    /// Begins to export, if an endpoint is configured. It connects to nothing yet: a collector may
    /// come later. Has to be called where Tokio runs.
    #[expect(
        clippy::disallowed_methods,
        reason = "a collector is the operator's own: no tenant's call, and no lane of one"
    )]
    #[expect(
        clippy::disallowed_methods,
        reason = "the operator's collector is no address of a tenant, and nothing is sent but spans"
    )]
    pub fn start(config: &Config) -> Result<Option<Self>, Failed> {
        let Some(target) = config.target() else { return Ok(None) };
        let patience = Duration::from_millis(config.export_ms);
        let client = reqwest::Client::builder()
            .timeout(patience)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| Failed(error.into()))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(target)
            .with_timeout(patience)
            .build()
            .map_err(|error| Failed(error.into()))?;
        let (sender, receiver) = mpsc::channel(config.queue_spans);
        let (stop, stopped) = watch::channel(false);
        let mut carrying = JoinSet::new();
        carrying.spawn(carry(receiver, exporter, patience, stopped));
        let resource = Resource::builder_empty()
            .with_service_name("misybot")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let begun_here = Sampler::TraceIdRatioBased(config.sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Queue(sender))
            .with_sampler(Sampler::ParentBased(Box::new(begun_here)))
            .with_resource(resource.build())
            .build();
        Ok(Some(Self { provider, stop, carrying }))
    }

    /// The layer that turns our spans, and nobody else's, into exported ones. Events of the log
    /// stay out: what they say of a failure may hold anything.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let ours = filter_fn(|one| one.is_span() && one.target().starts_with("misy_"));
        let layer = tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_level(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_tracer(self.provider.tracer("misybot"));
        layer.with_filter(ours.with_max_level_hint(LevelFilter::TRACE))
    }

    /// Sends what is left, for a moment, and ends.
    pub async fn finish(mut self) {
        self.stop.send_replace(true);
        let _ = tokio::time::timeout(PARTING, self.carrying.join_next()).await;
    }
}

/// Finished spans on their way.
#[derive(Debug)]
struct Queue(mpsc::Sender<SpanData>);

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        span.span_kind = kind(&span);
        if self.0.try_send(span).is_err() {
            metrics::counter!(COUNT, "outcome" => "dropped").increment(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _patience: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// What stands on which side of a call, by the conventions of what is noted on it. Said here and
/// not by the rooms, whose spans are in the log as well.
fn kind(span: &SpanData) -> SpanKind {
    let has = |key: &str| span.attributes.iter().any(|one| one.key.as_str() == key);
    if has("http.route") {
        SpanKind::Server
    } else if has("messaging.destination.name") {
        SpanKind::Consumer
    } else if has("server.address") || has("db.system.name") {
        SpanKind::Client
    } else {
        SpanKind::Internal
    }
}

/// Carries spans to the collector, one export at a time, until the end.
async fn carry(
    mut spans: mpsc::Receiver<SpanData>,
    exporter: impl Exporter,
    patience: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let mut well = true;
    loop {
        let mut batch = Vec::with_capacity(BATCH_SPANS);
        let ended = tokio::select! {
            _ = stopped.wait_for(|over| *over) => true,
            _ = spans.recv_many(&mut batch, BATCH_SPANS) => false,
        };
        if !ended && batch.len() < BATCH_SPANS {
            tokio::time::sleep(GATHERING).await;
        }
        while batch.len() < BATCH_SPANS {
            let Ok(span) = spans.try_recv() else { break };
            batch.push(span);
        }
        if batch.is_empty() {
            return;
        }
        let sent = deliver(&exporter, batch, patience).await;
        if let Err(error) = &sent
            && well
        {
            tracing::warn!(error, "the collector takes no traces; the program goes on without");
        }
        well = sent.is_ok();
    }
}

/// One export; how it went is counted in spans.
async fn deliver(
    exporter: &impl Exporter,
    batch: Vec<SpanData>,
    patience: Duration,
) -> Result<(), String> {
    let count = batch.len() as u64;
    let outcome = match tokio::time::timeout(patience, exporter.export(batch)).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    };
    let label = if outcome.is_ok() { "exported" } else { "failed" };
    metrics::counter!(COUNT, "outcome" => label).increment(count);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells how many it was given, and takes as long as it likes.
    #[derive(Debug)]
    struct Slow;

    impl Exporter for Slow {
        async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
            std::future::pending().await
        }
    }

    #[test]
    fn a_full_queue_drops_and_holds_nobody_up() {
        use opentelemetry::trace::Tracer;
        let (sender, mut receiver) = mpsc::channel(2);
        let provider = SdkTracerProvider::builder().with_span_processor(Queue(sender)).build();
        let tracer = provider.tracer("test");
        for _ in 0..5 {
            drop(tracer.start("span"));
        }
        assert_eq!(receiver.len(), 2);
        assert!(receiver.try_recv().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_never_answers_is_given_up() {
        let outcome = deliver(&Slow, Vec::new(), Duration::from_secs(5)).await;
        assert_eq!(outcome, Err("no answer in time".to_owned()));
    }
}
