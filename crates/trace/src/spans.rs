//! Room `trace`: places spans in traces (W3C Trace Context) and notes on them what is safe to tell.

use misy_core::{Ambient, Trace};
use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, Value};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Puts a span that nothing has entered yet into the trace of what caused it, or at the beginning
/// of one. Gives the span's own position: what it causes in turn names that as its cause. Where
/// nothing is exported, the position is made of the ambient entropy.
pub fn enter(span: &Span, cause: Option<Trace>, ambient: &Ambient) -> Trace {
    if let Some(cause) = cause {
        let remote = Context::new().with_remote_span_context(context_of(cause));
        // It fails where nothing is exported, and then there is nothing to do.
        let _ = span.set_parent(remote);
    }
    position(span)
        .unwrap_or_else(|| cause.map_or_else(|| Trace::start(ambient), |one| one.child(ambient)))
}

/// Where the span is; `None` if it is not exported.
fn position(span: &Span) -> Option<Trace> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let found = context.span().span_context().clone();
    found.is_valid().then(|| Trace {
        trace_id: u128::from_be_bytes(found.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(found.span_id().to_bytes()),
        sampled: found.is_sampled(),
    })
}

fn context_of(trace: Trace) -> SpanContext {
    let flags = if trace.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace_id, span_id) = (trace.trace_id.to_be_bytes(), trace.span_id.to_be_bytes());
    let (trace_id, span_id) = (TraceId::from_bytes(trace_id), SpanId::from_bytes(span_id));
    SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE)
}

/// Notes something on the exported span that the log's lines do not repeat.
pub fn note(span: &Span, key: &'static str, value: impl Into<Value>) {
    span.set_attribute(key, value);
}

/// Names the exported span by what it turned out to be.
pub fn rename(span: &Span, name: impl FnOnce() -> String) {
    let context = span.context();
    let exported = context.span();
    if exported.is_recording() {
        exported.update_name(name());
    }
}

/// Marks the exported span as failed. The cause stays in the log.
pub fn fail(span: &Span) {
    span.set_status(Status::error(""));
}
