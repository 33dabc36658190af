//! Room `tenancy`: tenants and what belongs to being one: provisioning, keys, quotas,
//! the audit log.
//!
//! Never: channels, conversations, accounts of people. Those rooms register what a new tenant needs
//! of them (`misy_jobs::provision`), this room drives it.

pub mod audit_records;
pub mod directory;
pub mod exports;
pub mod failed_jobs;
pub mod inventories;
pub mod keys;
pub mod lifecycles;
pub mod onboarding_workflows;
pub mod onboardings;
pub mod plans;
pub mod provisionings;
pub mod quotas;
pub mod signups;
pub mod tenants;

use std::sync::Arc;
use std::time::Duration;

use misy_core::{Ambient, PlatformCtx};
use misy_jobs::provision::{Provision, TenantSeed};
use misy_jobs::{PlatformJob, Registry, Saga};
use misy_store::tenant_data::StoreData;
use misy_store::{Cache, Db, Documents, Kind, TenantData};
use utoipa_axum::router::OpenApiRouter;

pub use directory::Directory;
pub use keys::Keys;
pub use provisionings::service::parts::TABLES;
pub use quotas::{Quotas, Rates};

use provisionings::service::parts::{self, CacheUser, Collections, Foundation, Queue};

/// What the services of this room work with.
pub struct Deps {
    /// The database.
    pub db: Db,
    /// Clock, entropy, ids.
    pub ambient: Ambient,
    /// Who is active; other processes' changes are seen within half a second.
    pub directory: Arc<Directory>,
    /// Tenants' keys.
    pub keys: Arc<Keys>,
    /// How fast plans allow requests.
    pub rates: Arc<Rates>,
    pub(crate) parts: Vec<Arc<dyn Provision>>,
    pub(crate) data: Vec<Arc<dyn TenantData>>,
    pub(crate) making: Saga<TenantSeed>,
    pub(crate) removal: Saga<TenantSeed>,
    pub(crate) documents: Documents,
    pub(crate) kinds: &'static [Kind],
    pub(crate) front: signups::Front,
    pub(crate) exports: Arc<exports::model::Seats>,
    pub(crate) facts: Arc<dyn onboardings::Facts>,
    /// The program itself, as an operator.
    pub(crate) system: PlatformCtx,
}

/// What this room stands on.
pub struct Base {
    /// The database.
    pub db: Db,
    /// The program itself, as an operator.
    pub system: PlatformCtx,
    /// Tenants' keys.
    pub keys: Arc<Keys>,
    /// Who is active; other processes' changes are seen within half a second.
    pub directory: Arc<Directory>,
    /// The cache, in which a tenant may have a user.
    pub cache: Cache,
    /// The documents, for which a tenant may have collections.
    pub documents: Documents,
    /// The kinds of documents that other rooms keep.
    pub kinds: &'static [Kind],
    /// What other rooms make for a new tenant, in order.
    pub parts: Vec<Arc<dyn Provision>>,
    /// What other rooms keep of tenants, to be taken along.
    pub data: Vec<Arc<dyn TenantData>>,
    /// What sign-ups need.
    pub front: signups::Front,
    /// What other rooms know of a tenant that is being led through its onboarding.
    pub facts: Arc<dyn onboardings::Facts>,
}

impl Deps {
    /// Learns what other processes have changed of tenants and of their limits. The server calls it
    /// about twice a second.
    pub async fn tick(&self) -> Result<(), misy_store::Error> {
        self.directory.tick().await?;
        self.rates.tick().await
    }

    /// Ties the parts of a tenant together.
    pub fn new(base: Base) -> Self {
        Self::with(base, |part| part)
    }

    /// The same with something put around each part, which is how tests make parts fail.
    pub fn with(base: Base, around: impl Fn(Arc<dyn Provision>) -> Arc<dyn Provision>) -> Self {
        let Base {
            db,
            system,
            keys,
            directory,
            cache,
            documents,
            kinds,
            parts,
            mut data,
            front,
            facts,
        } = base;
        let foundation = Arc::new(Foundation { db: db.clone(), keys: Arc::clone(&keys) });
        data.push(Arc::<Foundation>::clone(&foundation));
        data.push(Arc::new(StoreData));
        let collections = Collections { documents: documents.clone(), kinds };
        let rates = Arc::new(Rates::new(db.clone(), system.clone()));
        let user = CacheUser { cache, system: system.clone() };
        let mailer = Arc::clone(&front.mailer);
        let queue = Queue { db: db.clone(), system: system.clone(), mailer };
        let parts = parts::all(foundation, parts, (collections, user, queue));
        let parts: Vec<_> = parts.into_iter().map(around).collect();
        let (making, removal) = provisionings::service::sagas(&parts);
        let ambient = db.ambient().clone();
        Self {
            db,
            ambient,
            directory,
            keys,
            rates,
            parts,
            data,
            making,
            removal,
            documents,
            kinds,
            front,
            exports: Arc::default(),
            facts,
            system,
        }
    }

    /// Every table that a room has said it keeps of tenants. Those of documents are not among them.
    pub fn tables(&self) -> Vec<misy_store::TenantTable> {
        self.data.iter().flat_map(|data| data.tables().iter().copied()).collect()
    }
}

/// Every route of this room.
pub fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    tenants::http::router(Arc::clone(deps))
        .merge(lifecycles::http::router(Arc::clone(deps)))
        .merge(exports::http::router(Arc::clone(deps)))
        .merge(plans::http::router(Arc::clone(deps)))
        .merge(provisionings::http::router(Arc::clone(deps)))
        .merge(inventories::http::router(Arc::clone(deps)))
        .merge(quotas::http::router(Arc::clone(deps)))
        .merge(audit_records::http::router(Arc::clone(deps)))
        .merge(failed_jobs::http::router(Arc::clone(deps)))
        .merge(signups::http::router(Arc::clone(deps)))
        .merge(onboarding_workflows::http::router(Arc::clone(deps)))
        .merge(onboardings::http::router(Arc::clone(deps)))
}

/// Every job of this room.
pub fn jobs(registry: Registry, deps: &Arc<Deps>) -> Registry {
    use inventories::jobs::Reconcile;
    use provisionings::jobs::{Attend, ProvisionTenant};
    use signups::jobs::{Send, Sweep};
    registry
        .register_platform::<ProvisionTenant>(Arc::clone(deps))
        .register_platform::<tenants::jobs::AdoptPlan>(Arc::clone(deps))
        .register_platform::<Attend>(Arc::clone(deps))
        .every(Attend::NAME, Duration::from_secs(30), Attend {})
        .register_platform::<lifecycles::jobs::Purge>(Arc::clone(deps))
        .register_platform::<lifecycles::jobs::Tell>(Arc::clone(deps))
        .register_platform::<plans::jobs::ApplyChange>(Arc::clone(deps))
        .register_platform::<plans::jobs::RollOut>(Arc::clone(deps))
        .register_platform::<Send>(Arc::clone(deps))
        .register_platform::<Sweep>(Arc::clone(deps))
        .every(Sweep::NAME, Duration::from_mins(10), Sweep {})
        .register_platform::<Reconcile>(Arc::clone(deps))
        .every(Reconcile::NAME, Duration::from_hours(1), Reconcile::default())
}
