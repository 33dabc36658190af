//! Room `tenancy`: how many requests a minute a tenant's plan allows, as this process follows it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use misy_core::{PlatformCtx, TenantId};
use misy_store::{Db, Error};
use misy_web::rates::{Allowance, Allowances, Quota};
use misy_web::{Class, RateLimits};
use tokio::sync::Mutex;

use crate::quotas::store;

/// A plan's requests a minute, for each tenant that has such a limit: all of them are followed, for
/// among many tenants asking for each every few seconds would be a question for most requests.
pub struct Rates {
    db: Db,
    system: PlatformCtx,
    /// `None` before the first look.
    known: RwLock<Option<HashMap<TenantId, u32>>>,
    /// The transaction with which the next look begins.
    next: Mutex<String>,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rates")
    }
}

impl Rates {
    /// Reads as the program itself. Knows nothing yet; the first question reads everything.
    pub fn new(db: Db, system: PlatformCtx) -> Self {
        Self { db, system, known: RwLock::default(), next: Mutex::new("0".to_owned()) }
    }

    /// Learns what any process has changed. The server calls it about twice a second, so that a
    /// change is felt everywhere within a second.
    pub async fn tick(&self) -> Result<(), Error> {
        let mut next = self.next.lock().await;
        let mut tx = self.db.platform_read(&self.system).await?;
        let (changed, then) = store::list_rates(&mut tx, &next).await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        for (tenant, requests) in changed {
            match requests {
                Some(requests) => known.insert(tenant, requests),
                None => known.remove(&tenant),
            };
        }
        *next = then;
        Ok(())
    }

    /// A limit was just changed here. If nobody can be asked now, the next look learns it.
    pub(crate) async fn changed(&self) {
        if let Err(error) = self.tick().await {
            tracing::debug!(%error, "the next look will learn the new limit");
        }
    }

    /// Together with the limits of the configuration.
    pub fn beside(self: &Arc<Self>, configured: Allowances) -> PlanRates {
        PlanRates { rates: Arc::clone(self), configured }
    }

    fn known(&self, tenant: TenantId) -> Option<Option<u32>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|known| known.get(&tenant).copied())
    }

    /// Without an answer of the database the configuration's limits remain; a request that needs
    /// the database will say itself what is wrong.
    async fn find(&self, tenant: TenantId) -> Option<u32> {
        if let Some(found) = self.known(tenant) {
            return found;
        }
        self.changed().await;
        self.known(tenant).flatten()
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
