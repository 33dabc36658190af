//! Room `integration`: what is told to the outside and heard from it. Events and their catalogue,
//! the endpoints that want them, deliveries with their attempts, dead letters, replays, signatures;
//! and sources, the other services that tenants hear from.
//!
//! Never: a channel, an adapter, another vertical.

pub mod dead_letters;
pub mod deliveries;
pub mod deps;
pub mod endpoints;
pub mod events;
pub mod replays;
pub mod signatures;
pub mod sources;

use std::sync::Arc;

use misy_core::{Code, Public};
use misy_jobs::Registry;
use utoipa_axum::router::OpenApiRouter;

pub use deliveries::Postman;
pub use deps::{Config, Deps};
pub use endpoints::{Provisioner, TABLES};

/// Every route of this room.
pub fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    let routers = [
        events::http::router,
        endpoints::http::router,
        deliveries::http::router,
        dead_letters::http::router,
        replays::http::router,
        signatures::http::router,
        sources::http::router,
    ];
    routers.into_iter().fold(OpenApiRouter::new(), |all, one| all.merge(one(Arc::clone(deps))))
}

/// Every job of this room, with their schedules.
#[must_use]
pub fn jobs(registry: Registry, deps: &Arc<Deps>) -> Registry {
    registry
        .register::<replays::Replay>(Arc::clone(deps))
        .register::<sources::Process>(Arc::clone(deps))
        .register_platform::<events::KeepDays>(Arc::clone(deps))
        .every("integration.events.keep_days", events::KEEP_DAYS_EVERY, events::KeepDays {})
}

/// Why a room below refused: the actor lacks a right, or the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Below {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] misy_core::ctx::Denied),
    /// The database.
    #[error(transparent)]
    Store(#[from] misy_store::Error),
    /// A limit of the plan.
    #[error(transparent)]
    Quota(#[from] misy_store::QuotaError),
}

impl Public for Below {
    fn code(&self) -> Code {
        match self {
            Self::Denied(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Quota(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Denied(error) => error.detail(),
            Self::Store(error) => error.detail(),
            Self::Quota(error) => error.detail(),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Denied(_) => None,
            Self::Store(error) => error.retry_after_s(),
            Self::Quota(error) => error.retry_after_s(),
        }
    }
}
