//! Room `web`: the request's id and trace, known to everything that answers it.

use std::future::Future;

use http::HeaderMap;
use misy_core::{Ambient, RequestId, Trace};

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
}

impl Origin {
    /// Takes the caller's id and trace where they are safe, else makes its own.
    pub(crate) fn read(headers: &HeaderMap, ambient: &Ambient) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let id = text(REQUEST_ID).and_then(RequestId::parse);
        let trace = text("traceparent").and_then(Trace::parse);
        Self {
            id: id.unwrap_or_else(|| RequestId::new(ambient)),
            trace: trace.map_or_else(|| Trace::start(ambient), |trace| trace.child(ambient)),
        }
    }

    /// Runs the work of this request.
    pub(crate) async fn scope<F: Future>(&self, work: F) -> F::Output {
        CURRENT.scope(self.id.clone(), work).await
    }
}

/// The id of the request being answered.
pub(crate) fn current_id() -> Option<RequestId> {
    CURRENT.try_with(Clone::clone).ok()
}
