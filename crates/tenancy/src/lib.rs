//! Room `tenancy`: tenants and what belongs to being one: provisioning, keys, quotas,
//! the audit log.
//!
//! Never: channels, conversations, accounts of people. Those rooms register what a new tenant needs
//! of them (`misy_jobs::provision`), this room drives it.

pub mod audit_records;
pub mod directory;
pub mod failed_jobs;
pub mod keys;
pub mod quotas;
pub mod tenants;

use std::sync::Arc;

use misy_core::Ambient;
use misy_jobs::Registry;
use misy_jobs::provision::Provision;
use misy_store::Db;
use utoipa_axum::router::OpenApiRouter;

pub use directory::Directory;
pub use keys::Keys;

/// What the services of this room work with.
pub struct Deps {
    /// The database.
    pub db: Db,
    /// Clock, entropy, ids.
    pub ambient: Ambient,
    /// Tenants' keys.
    pub keys: Arc<Keys>,
    /// What other rooms do for a new tenant, in order.
    pub steps: Vec<Arc<dyn Provision>>,
    /// Who is active; other processes' changes are seen within half a second.
    pub directory: Arc<Directory>,
}

/// Every route of this room.
pub fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    tenants::http::router(Arc::clone(deps))
        .merge(quotas::http::router(Arc::clone(deps)))
        .merge(audit_records::http::router(Arc::clone(deps)))
        .merge(failed_jobs::http::router(Arc::clone(deps)))
}

/// Every job of this room.
pub fn jobs(registry: Registry, deps: &Arc<Deps>) -> Registry {
    registry
        .register_platform::<tenants::jobs::ProvisionTenant>(Arc::clone(deps))
        .register_platform::<tenants::jobs::AdoptPlan>(Arc::clone(deps))
}
