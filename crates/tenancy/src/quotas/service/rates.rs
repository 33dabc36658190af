//! Room `tenancy`: how many requests a minute a tenant's plan allows, remembered for a few seconds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use misy_core::{PlatformCtx, Role, TenantId};
use misy_store::{Db, Limited};
use misy_web::rates::{Allowance, Allowances, Quota};
use misy_web::{Class, RateLimits};
use moka::future::Cache;

use crate::quotas::store;

/// So long another process's change may take to be felt; the process that makes it forgets at once.
const FRESH: Duration = Duration::from_secs(5);
const KEPT_MAX: u64 = 50_000;

/// A plan's requests a minute, for each tenant.
pub struct Rates {
    db: Db,
    system: PlatformCtx,
    known: Cache<TenantId, Option<u32>>,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rates")
    }
}

impl Rates {
    /// Reads as the program itself.
    pub fn new(db: Db, system: PlatformCtx) -> Self {
        Self {
            db,
            system,
            known: Cache::builder().max_capacity(KEPT_MAX).time_to_live(FRESH).build(),
        }
    }

    /// What is known of a tenant is read anew.
    pub(crate) async fn forget(&self, tenant: TenantId) {
        self.known.invalidate(&tenant).await;
    }

    /// Together with the limits of the configuration.
    pub fn beside(self: &Arc<Self>, configured: Allowances) -> PlanRates {
        PlanRates { rates: Arc::clone(self), configured }
    }

    /// Without an answer of the database the configuration's limits remain; a request that needs
    /// the database will say itself what is wrong.
    async fn find(&self, tenant: TenantId) -> Option<u32> {
        let read = async {
            let inside = self.system.enter(tenant, Role::Viewer.grants());
            let mut tx = self.db.read(&inside).await.ok()?;
            let found = store::find_max(&mut tx, Limited::ApiRequestsPerMinute.name()).await;
            found.ok()?.map(|count| u32::try_from(count).unwrap_or(u32::MAX))
        };
        self.known.get_with(tenant, read).await
    }
}

/// Limits of the configuration, and those of plans.
#[derive(Debug)]
pub struct PlanRates {
    rates: Arc<Rates>,
    configured: Allowances,
}

#[async_trait]
impl RateLimits for PlanRates {
    async fn allowance(&self, _: Option<TenantId>, class: Class) -> Option<Allowance> {
        self.configured.of(class)
    }

    async fn of_plan(&self, tenant: TenantId) -> Option<Quota> {
        self.rates.find(tenant).await.map(|requests| Quota { requests, window_s: 60 })
    }
}
