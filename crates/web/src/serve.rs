//! Room `web`: serves connections. A slow sender loses its connection, too many wait at the door,
//! and an end lets what is under way finish, for a while.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::Service as _;

use crate::rest::Rest;

/// How connections are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Connections at once; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Within how many milliseconds a request's head has to be complete; also the longest pause
    /// between two requests on a connection.
    pub header_read_ms: u64,
    /// The largest request head, in bytes.
    pub max_header_bytes: usize,
    /// How long requests under way may take to finish at the end, in milliseconds.
    pub drain_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 8_192,
            header_read_ms: 20_000,
            max_header_bytes: 32 * 1_024,
            drain_ms: 15_000,
        }
    }
}

/// Serves until `shutdown` is ready, then until the requests under way are done or the drain time
/// is over.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: Config,
    shutdown: impl Future<Output = ()>,
) {
    let seats = Arc::new(Semaphore::new(config.max_connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(config.header_read_ms))
        .max_buf_size(config.max_header_bytes.max(8 * 1_024));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            stream = accept(&listener, &seats) => stream,
        };
        let Some((stream, peer, seat)) = stream else { continue };
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<_>| {
            let (mut request, rest) = Rest::of(request);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = router.clone().call(request);
            async move {
                let answer = answer.await.unwrap_or_else(|never| match never {});
                rest.drain().await;
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        connections.spawn(async move {
            // A connection that breaks is the caller's business; its requests were logged.
            drop(connection.await);
            drop(seat);
        });
    }
    drop(listener);
    let drained = tokio::time::timeout(Duration::from_millis(config.drain_ms), graceful.shutdown());
    if drained.await.is_err() {
        tracing::warn!(open = connections.len(), "connections were cut off at the end");
    }
    connections.shutdown().await;
}

type Accepted = (TcpStream, std::net::SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, when there is a seat for it.
async fn accept(listener: &TcpListener, seats: &Arc<Semaphore>) -> Option<Accepted> {
    let seat = Arc::clone(seats).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            drop(stream.set_nodelay(true));
            Some((stream, peer, seat))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
