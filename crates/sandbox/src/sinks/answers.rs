//! Room `sandbox`: what a sink answers, well or ill.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;
use tokio::time::sleep;

use super::{Behaviour, Hostile};
use crate::server::LoseAnswer;

/// Bytes of an endless body, which has an end so that nobody runs for ever.
const ENDLESS: usize = 512 << 20;
const PART: usize = 64 << 10;

/// Between two bytes of a slow body.
const DRIP: Duration = Duration::from_millis(200);

/// Answers a delivery.
pub(super) async fn answer(behaviour: Behaviour, request: &[u8]) -> Response {
    sleep(Duration::from_millis(behaviour.delay_ms)).await;
    match behaviour.hostile {
        None => honest(&behaviour, request),
        Some(Hostile::EndlessBody) => {
            let part = Bytes::from(vec![b'x'; PART]);
            let parts = (0..ENDLESS / PART).map(move |_| Ok::<_, Infallible>(part.clone()));
            Body::from_stream(stream::iter(parts)).into_response()
        }
        Some(Hostile::SlowBody) => {
            let drip = stream::unfold((), async |()| {
                sleep(DRIP).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), ()))
            });
            Body::from_stream(drip).into_response()
        }
        Some(Hostile::ManyHeaders) => {
            let mut response = StatusCode::OK.into_response();
            for _ in 0..20_000 {
                let line = HeaderValue::from_static("more and more and more and more and more");
                response.headers_mut().append("x-more", line);
            }
            response
        }
        Some(Hostile::Silence) => pending().await,
        Some(Hostile::HangUp) => {
            let mut response = StatusCode::OK.into_response();
            response.extensions_mut().insert(LoseAnswer);
            response
        }
    }
}

fn honest(behaviour: &Behaviour, request: &[u8]) -> Response {
    let status = StatusCode::from_u16(behaviour.status).unwrap_or(StatusCode::OK);
    let challenge = || {
        let body: Value = serde_json::from_slice(request).ok()?;
        Some(body["data"]["challenge"].as_str()?.to_owned())
    };
    let challenge = if behaviour.answer_challenge { challenge() } else { None };
    let body = challenge.unwrap_or_else(|| behaviour.body.clone());
    let mut response = (status, body).into_response();
    for (name, value) in &behaviour.headers {
        let (name, value) = (HeaderName::try_from(name), HeaderValue::try_from(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
