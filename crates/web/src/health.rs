//! Room `web`: `/healthz` says that the process lives, `/readyz` whether it can do its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, join_all};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use misy_core::Code;
use misy_store::Db;
use serde_json::{Value, json};

use crate::Problem;
use crate::problem::{PROBLEM_JSON, chain};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Ask = dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync;

/// A dependency.
#[derive(Clone)]
struct Check {
    name: &'static str,
    /// Whether nothing works without it.
    needed: bool,
    ask: Arc<Ask>,
}

const PATIENCE: Duration = Duration::from_secs(2);

/// The dependencies and how to ask whether each answers.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<Check>,
    draining: Arc<AtomicBool>,
}

impl Readiness {
    /// The database alone.
    pub fn of_database(db: Db) -> Self {
        Self::default().with("database", move || {
            let db = db.clone();
            async move { db.ping().await }
        })
    }

    /// One dependency more. A check that takes longer than two seconds has failed.
    #[must_use]
    pub fn with<F, E>(
        self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.and(name, true, check)
    }

    /// One dependency more that the program can do without: while it is away, it is told to be
    /// degraded, and the process stays ready.
    #[must_use]
    pub fn with_optional<F, E>(
        self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.and(name, false, check)
    }

    fn and<F, E>(
        mut self,
        name: &'static str,
        needed: bool,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let ask = move || -> BoxFuture<'static, Result<(), BoxError>> {
            let answer = check();
            Box::pin(async move { answer.await.map_err(Into::into) })
        };
        self.checks.push(Check { name, needed, ask: Arc::new(ask) });
        self
    }

    /// Says from now on that no new work should come, while what is under way ends.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Asks all at once. Who is down is told; why is only logged.
    pub(crate) async fn answer(&self) -> Response {
        let asked = self.checks.iter().map(|check| async move {
            let outcome = tokio::time::timeout(PATIENCE, (check.ask)()).await;
            (check, outcome.unwrap_or_else(|_| Err("it took too long".into())))
        });
        let outcomes = join_all(asked).await;
        let draining = self.draining.load(Ordering::Relaxed);
        let ready =
            !draining && outcomes.iter().all(|(check, outcome)| outcome.is_ok() || !check.needed);
        for (check, outcome) in &outcomes {
            if let Err(error) = outcome {
                let (name, error) = (check.name, chain(&**error));
                tracing::warn!(dependency = name, needed = check.needed, error, "not ready");
            }
        }
        let checks: Vec<Value> = outcomes
            .iter()
            .map(|(check, outcome)| json!({"name": check.name, "status": status(check, outcome)}))
            .collect();
        if ready {
            return Json(json!({"status": "ready", "checks": checks})).into_response();
        }
        unready(draining, &checks)
    }
}

fn status(check: &Check, outcome: &Result<(), BoxError>) -> &'static str {
    match outcome {
        Ok(()) => "up",
        Err(_) if check.needed => "down",
        Err(_) => "degraded",
    }
}

/// A problem with the list of checks as an extension member (RFC 9457 section 3.2).
fn unready(draining: bool, checks: &[Value]) -> Response {
    let detail = if draining { "It is shutting down." } else { "A dependency does not answer." };
    let problem = Problem::new(Code::Unavailable).with_detail(detail);
    let mut document = serde_json::to_value(problem.document()).unwrap_or_default();
    document["checks"] = json!(checks);
    let mut response = problem.into_response();
    *response.body_mut() = document.to_string().into();
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response
}

/// Alive, whatever its dependencies do.
pub(crate) async fn alive() -> Json<Value> {
    Json(json!({"status": "alive"}))
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|check| check.name)).finish()
    }
}
