//! Room `egress`: a request body that tells whether anything of it was ever asked for.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Whether a request may have left. The connection asks for the body only after it stands and the
/// head is being written; a request whose declared body was never begun cannot have had an effect.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    begun: Arc<AtomicBool>,
    has_body: bool,
}

impl Sent {
    /// Whether it is certain that the other side had no complete request. Without a body there is
    /// nothing to tell by, so it is never certain then.
    pub(crate) fn certainly_not(&self) -> bool {
        self.has_body && !self.begun.load(Ordering::Acquire)
    }
}

/// The body of one request.
pub(crate) struct Watched {
    rest: Option<Bytes>,
    begun: Arc<AtomicBool>,
}

impl Watched {
    /// Wraps a body; the other half tells of it.
    pub(crate) fn new(body: Bytes) -> (Self, Sent) {
        let begun = Arc::new(AtomicBool::new(false));
        let sent = Sent { begun: Arc::clone(&begun), has_body: !body.is_empty() };
        (Self { rest: Some(body).filter(|body| !body.is_empty()), begun }, sent)
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.begun.store(true, Ordering::Release);
        Poll::Ready(self.rest.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
