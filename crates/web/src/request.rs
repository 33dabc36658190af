//! Room `web`: the request's id and trace, known to everything that answers it.

use std::future::Future;

use http::HeaderMap;
use misy_core::boundary::{BAGGAGE_HEADER, TENANT_HEADER};
use misy_core::{Ambient, Claim, RequestId, Trace};
use misy_trace::spans;
use tracing::Span;
use tracing::field::Empty;

/// The header that carries the request's id, in and out.
pub(crate) const REQUEST_ID: &str = "x-request-id";

tokio::task_local! {
    static CURRENT: RequestId;
}

/// What names a request.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// In logs, audit and answers.
    pub(crate) id: RequestId,
    /// Our own span of the caller's trace.
    pub(crate) trace: Trace,
    /// What the message says of its tenant; compared with the credential's, never believed.
    pub(crate) claim: Claim,
}

impl Origin {
    /// Takes the caller's id and trace where they are safe, else makes its own.
    /// Begins the span that names request and tenant on every line that is written meanwhile.
    pub(crate) fn read(headers: &HeaderMap, ambient: &Ambient) -> (Self, Span) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let id = text(REQUEST_ID).and_then(RequestId::parse);
        let id = id.unwrap_or_else(|| RequestId::new(ambient));
        let span = span(&id);
        let trace = spans::enter(&span, text("traceparent").and_then(Trace::parse), ambient);
        span.record("trace_id", format_args!("{:032x}", trace.trace_id));
        (Self { id, trace, claim: claim(headers) }, span)
    }

    /// Runs the work of this request.
    pub(crate) async fn scope<F: Future>(&self, work: F) -> F::Output {
        CURRENT.scope(self.id.clone(), work).await
    }
}

/// Enabled wherever anything is: a filter that lets only warnings through must not take the tenant
/// from them.
fn span(id: &RequestId) -> Span {
    tracing::error_span!("request", request_id = %id, trace_id = Empty, tenant = Empty)
}

/// Bytes that are no text make no tenant's id either.
fn claim(headers: &HeaderMap) -> Claim {
    let texts = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    };
    let (baggage, named) = (texts(BAGGAGE_HEADER), texts(TENANT_HEADER));
    Claim::read(baggage.iter().map(String::as_str), named.iter().map(String::as_str))
}

/// The id of the request being answered.
pub(crate) fn current_id() -> Option<RequestId> {
    CURRENT.try_with(Clone::clone).ok()
}
