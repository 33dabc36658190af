//! Room `egress`: what is written of a call: one event and two figures. Never the query, a header
//! or a body; of the path only its template.

use std::time::Duration;

use http::{Method, StatusCode};
use misy_core::{Ambient, Ctx, Trace};
use misy_trace::spans;
use tracing::Span;
use url::Url;

use crate::{Answer, Call, Error};

/// Begins the span of a call, below what makes it. It names the host and nothing of the path.
pub(crate) fn span(ctx: &Ctx, method: &Method, url: &Url, ambient: &Ambient) -> (Span, Trace) {
    let span = tracing::trace_span!(
        "call",
        "otel.name" = %method,
        tenant = %ctx.tenant(),
        "http.request.method" = %method,
        "server.address" = url.host_str(),
    );
    let trace = spans::enter(&span, Some(ctx.trace()), ambient);
    (span, trace)
}

/// Notes on the span how the call ended.
pub(crate) fn tell(span: &Span, outcome: Result<StatusCode, &Error>) {
    match outcome {
        Ok(status) => {
            spans::note(span, "http.response.status_code", i64::from(status.as_u16()));
            if status.is_client_error() || status.is_server_error() {
                spans::fail(span);
            }
        }
        Err(error) => {
            spans::note(span, "error.type", error.label());
            spans::fail(span);
        }
    }
}

/// Writes the record of a call.
pub(crate) fn write(call: &Call, ctx: &Ctx, outcome: &Result<Answer, Error>, elapsed: Duration) {
    let label = match outcome {
        Ok(answer) if answer.status.is_success() => "ok",
        Ok(answer) if answer.status.is_server_error() => "status_5xx",
        Ok(_) => "status_other",
        Err(error) => error.label(),
    };
    metrics::counter!("misy_egress_calls_total", "outcome" => label).increment(1);
    metrics::histogram!("misy_egress_call_seconds", "outcome" => label).record(elapsed);
    let answer = outcome.as_ref().ok();
    tracing::info!(
        name: "egress.call",
        tenant = %ctx.tenant(),
        request_id = %ctx.request(),
        connection = %call.connection,
        host = call.url.host_str().unwrap_or_default(),
        method = %call.method,
        path = call.path_template,
        trace_id = format!("{:032x}", ctx.trace().trace_id),
        status = answer.map(|answer| answer.status.as_u16()),
        bytes = answer.map(|answer| answer.body.len()),
        elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        outcome = label,
    );
}
