//! Room `web`: what is left of a request's body when its answer is ready. A sender that is cut off
//! in the middle does not read the answer, so the rest is thrown away first, within bounds
//! (RFC 9112 section 9.6).

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// How much is thrown away at most, in bytes, and for how long.
const BYTES_MAX: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

type Slot = Arc<Mutex<Option<Incoming>>>;

/// Where a body comes back to when its reader has had enough of it.
pub(crate) struct Rest(Option<Slot>);

impl Rest {
    /// Keeps an eye on the body. A sender that asks before it sends (RFC 9110 section 10.1.1) needs
    /// no help: it has sent nothing that nobody wanted.
    pub(crate) fn of(request: Request<Incoming>) -> (Request<Body>, Self) {
        let (parts, body) = request.into_parts();
        if body.is_end_stream() || parts.headers.contains_key(EXPECT) {
            return (Request::from_parts(parts, Body::new(body)), Self(None));
        }
        let slot = Slot::default();
        let lent = Lent { body: Some(body), home: Arc::clone(&slot) };
        (Request::from_parts(parts, Body::new(lent)), Self(Some(slot)))
    }

    /// Reads what is left and forgets it.
    pub(crate) async fn drain(self) {
        let left =
            self.0.and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(mut body) = left else { return };
        let read = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if bytes > BYTES_MAX {
                    return;
                }
            }
        };
        // Whoever needs longer is cut off, as every slow sender is.
        let _ = tokio::time::timeout(PATIENCE, read).await;
    }
}

/// A body that goes home when it is dropped before its end.
struct Lent {
    body: Option<Incoming>,
    home: Slot,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.home.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}
