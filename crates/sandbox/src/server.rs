//! Room `sandbox`: the listener. It owns its connections, because one of the emulated faults is to
//! drop one without a word.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::engine::Engine;
use crate::{graph, page, script, sinks};

/// Marks a response that must never arrive.
#[derive(Clone, Copy)]
pub(crate) struct LoseAnswer;

/// Says to hyper that there is nothing to answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost by order")]
struct Lost;

/// Everything that is served.
pub(crate) fn router(engine: &Arc<Engine>) -> Router {
    Router::new()
        .merge(page::router())
        .merge(script::router())
        .merge(sinks::router())
        .merge(graph::router(engine))
        .with_state(Arc::clone(engine))
}

/// Accepts connections until the end.
pub(crate) async fn serve(listener: TcpListener, engine: Arc<Engine>) {
    let router = router(&engine);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = serve_connection(stream, router.clone(), Arc::clone(&engine));
                engine.tasks.start_polite(connection);
            }
            // Out of file descriptors, most likely: others must end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Answers the requests of a connection until either side ends it.
async fn serve_connection(stream: TcpStream, router: Router, engine: Arc<Engine>) {
    const PARTING: Duration = Duration::from_secs(2);
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let answer: Result<Response, Infallible> = router.oneshot(request.map(Body::new)).await;
            let Ok(response) = answer;
            match response.extensions().get::<LoseAnswer>() {
                Some(LoseAnswer) => Err(Lost),
                None => Ok(response),
            }
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => {}
        () = engine.tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(PARTING, connection).await;
        }
    }
}
