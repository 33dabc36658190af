//! Room `tenancy`: the parts of a tenant that no other room answers for: its keys, limits and
//! secrets, its collections, its user in the cache, its jobs.

use std::sync::Arc;

use async_trait::async_trait;
use misy_core::{Ctx, Mailer, PlatformCtx, Secret};
use misy_jobs::belongings;
use misy_jobs::provision::{Found, Promise, Provision, Step, StepError, TenantSeed};
use misy_store::tenant_data::{Fate, StoreData};
use misy_store::{Cache, Db, Documents, Kind, TenantData, TenantTable, TenantTx};
use uuid::Uuid;

use crate::Keys;
use crate::provisionings::store;
use crate::quotas;

/// What this room keeps of each tenant. The log of its sagas outlives it: it says how it went.
pub const TABLES: [TenantTable; 11] = [
    TenantTable::new("onboarding_steps"),
    TenantTable::new("onboardings"),
    TenantTable::new("quota_notices"),
    TenantTable::new("quota_slots"),
    TenantTable::new("tenant_secrets").without(&["sealed"]),
    TenantTable::new("tenant_quotas"),
    TenantTable::new("tenant_rates"),
    TenantTable::new("tenant_keys").without(&["wrapped"]),
    TenantTable::new("saga_steps").retained(),
    TenantTable::new("sagas").retained(),
    TenantTable::new("tenants").of("id").retained(),
];

fn found(rows: Vec<(TenantTable, i64)>) -> impl Iterator<Item = Found> {
    rows.into_iter().map(|(table, rows)| Found {
        is_kept: table.fate() == Fate::Retained,
        ..Found::new("postgresql", table.name(), rows)
    })
}

/// Keys, limits, secrets; the audit log, which the first key's record opens and which stays.
pub(crate) struct Foundation {
    pub(crate) db: Db,
    pub(crate) keys: Arc<Keys>,
}

impl TenantData for Foundation {
    fn tables(&self) -> &'static [TenantTable] {
        &TABLES
    }
}

#[async_trait]
impl Step<TenantSeed> for Foundation {
    fn name(&self) -> &'static str {
        "tenancy.foundation"
    }

    async fn write(
        &self,
        tx: &mut TenantTx,
        seed: &TenantSeed,
        _: Option<Secret>,
    ) -> Result<(), StepError> {
        if let Some(key) = self.keys.ensure_first(tx).await? {
            let secret = self.keys.seal_secret(tx, &key, "webhook_signing");
            store::insert_secret(tx, "webhook_signing", &secret).await?;
        }
        quotas::service::write_plan(tx, &seed.limits).await?;
        Ok(())
    }

    async fn undo(&self, ctx: &Ctx, _: Uuid) -> Result<(), StepError> {
        self.erase(&self.db, ctx).await?;
        StoreData.erase(&self.db, ctx).await?;
        self.keys.forget(ctx.tenant());
        Ok(())
    }
}

#[async_trait]
impl Provision for Foundation {
    async fn find(&self, ctx: &Ctx) -> Result<Vec<Found>, StepError> {
        let own = self.count(&self.db, ctx).await?;
        let common = StoreData.count(&self.db, ctx).await?;
        Ok(found(own).chain(found(common)).collect())
    }

    fn wanted(&self, _: &Promise) -> Vec<&'static str> {
        vec!["tenant_keys", "tenant_secrets"]
    }
}

/// The collections of the tenant's documents.
pub(crate) struct Collections {
    pub(crate) documents: Documents,
    pub(crate) kinds: &'static [Kind],
}

#[async_trait]
impl Step<TenantSeed> for Collections {
    fn name(&self) -> &'static str {
        "documents.collections"
    }

    /// Without a server all of it is a row among the others.
    fn is_elsewhere(&self) -> bool {
        self.documents.has_server()
    }

    async fn write(
        &self,
        tx: &mut TenantTx,
        _: &TenantSeed,
        _: Option<Secret>,
    ) -> Result<(), StepError> {
        Ok(self.documents.settle(tx).await?)
    }

    async fn act(&self, ctx: &Ctx, _: Uuid, _: &TenantSeed) -> Result<(), StepError> {
        Ok(self.documents.of(ctx).prepare(self.kinds).await?)
    }

    async fn undo(&self, ctx: &Ctx, _: Uuid) -> Result<(), StepError> {
        Ok(self.documents.of(ctx).remove().await?)
    }
}

#[async_trait]
impl Provision for Collections {
    async fn find(&self, ctx: &Ctx) -> Result<Vec<Found>, StepError> {
        let found = self.documents.of(ctx).inventory().await?;
        Ok(found.into_iter().map(|(what, count)| Found::new("documents", what, count)).collect())
    }

    fn wanted(&self, _: &Promise) -> Vec<&'static str> {
        vec!["document_homes"]
    }

    async fn repair(&self, ctx: &Ctx, _: &Promise) -> Result<bool, StepError> {
        self.documents.of(ctx).prepare(self.kinds).await?;
        Ok(true)
    }
}

/// The tenant's user in the cache's server, and its values.
pub(crate) struct CacheUser {
    pub(crate) cache: Cache,
    pub(crate) system: PlatformCtx,
}

#[async_trait]
impl Step<TenantSeed> for CacheUser {
    fn name(&self) -> &'static str {
        "cache.user"
    }

    /// Where tenants have no users there is nothing to make.
    fn is_elsewhere(&self) -> bool {
        self.cache.has_users()
    }

    /// A tenant is made without its cache too: the first use makes the user then.
    async fn act(&self, ctx: &Ctx, _: Uuid, _: &TenantSeed) -> Result<(), StepError> {
        if let Err(error) = self.cache.admit(ctx).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(tenant = %ctx.tenant(), error, "the user in the cache is made later");
        }
        Ok(())
    }

    async fn undo(&self, ctx: &Ctx, _: Uuid) -> Result<(), StepError> {
        Ok(self.cache.forget(&self.system, ctx.tenant()).await?)
    }
}

#[async_trait]
impl Provision for CacheUser {
    async fn find(&self, ctx: &Ctx) -> Result<Vec<Found>, StepError> {
        let (has_user, bytes) = self.cache.find(&self.system, ctx.tenant()).await?;
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        Ok(vec![
            Found::new("cache", "user", i64::from(has_user)),
            Found::new("cache", "bytes", bytes),
        ])
    }

    fn wanted(&self, _: &Promise) -> Vec<&'static str> {
        if self.cache.has_users() { vec!["user"] } else { Vec::new() }
    }

    async fn repair(&self, ctx: &Ctx, _: &Promise) -> Result<bool, StepError> {
        self.cache.admit(ctx).await?;
        Ok(true)
    }
}

/// The tenant's jobs, and mails that lie where nobody has fetched them. None are made; all are
/// removed.
pub(crate) struct Queue {
    pub(crate) db: Db,
    pub(crate) system: PlatformCtx,
    pub(crate) mailer: Arc<dyn Mailer>,
}

#[async_trait]
impl Step<TenantSeed> for Queue {
    fn name(&self) -> &'static str {
        "jobs.queue"
    }

    async fn undo(&self, ctx: &Ctx, _: Uuid) -> Result<(), StepError> {
        belongings::remove(&self.db, &self.system, ctx.tenant()).await?;
        Ok(self.mailer.forget(ctx.tenant())?)
    }
}

#[async_trait]
impl Provision for Queue {
    async fn find(&self, ctx: &Ctx) -> Result<Vec<Found>, StepError> {
        let tenant = ctx.tenant();
        let (jobs, dead_letters) = belongings::count(&self.db, &self.system, tenant).await?;
        let mails = i64::try_from(self.mailer.count_kept(tenant)?).unwrap_or(i64::MAX);
        Ok(vec![
            Found::new("queue", "jobs", jobs),
            Found::new("queue", "dead_letters", dead_letters),
            Found::new("files", "mails", mails),
        ])
    }
}

/// All parts of a tenant: this room's, then those of other rooms, then what lies in other stores.
pub(crate) fn all(
    foundation: Arc<Foundation>,
    others: Vec<Arc<dyn Provision>>,
    elsewhere: (Collections, CacheUser, Queue),
) -> Vec<Arc<dyn Provision>> {
    let (collections, cache, queue) = elsewhere;
    let mut parts: Vec<Arc<dyn Provision>> = vec![foundation];
    parts.extend(others);
    // Rows that follow one another share a transaction, so the queue comes before what does not.
    parts.push(Arc::new(queue));
    parts.push(Arc::new(collections));
    parts.push(Arc::new(cache));
    parts
}
