//! Room `tenancy`: who is active and from where, remembered for half a second.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use misy_core::{PlatformCtx, TenantId};
use misy_store::{Db, Error};
use misy_web::TenantDirectory;
use moka::future::Cache;

use crate::tenants::{self, Status};

/// An answer is at most this old, so a suspension bites everywhere well within a second.
const FRESH: Duration = Duration::from_millis(500);
const KEPT_MAX: u64 = 50_000;

/// What is remembered of a tenant.
#[derive(Debug)]
struct Standing {
    active: bool,
    allowed_origins: Vec<String>,
}

/// Remembers for half a second whether a tenant is active and which origins it allows.
pub struct Directory {
    db: Db,
    ctx: PlatformCtx,
    known: Cache<TenantId, Arc<Standing>>,
    origins: Cache<String, bool>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Directory")
    }
}

impl Directory {
    /// Reads with this context, which the server makes at its start.
    pub fn new(db: Db, ctx: PlatformCtx) -> Self {
        let known = Cache::builder().max_capacity(KEPT_MAX).time_to_live(FRESH).build();
        let origins = Cache::builder().max_capacity(KEPT_MAX).time_to_live(FRESH).build();
        Self { db, ctx, known, origins }
    }

    /// Forgets a tenant whose row was just changed here.
    pub async fn forget(&self, tenant: TenantId) {
        self.known.invalidate(&tenant).await;
    }

    async fn load(&self, tenant: TenantId) -> Result<Arc<Standing>, Error> {
        let mut tx = self.db.platform_read(&self.ctx).await?;
        let found = tenants::store::find(&mut tx, tenant).await?;
        Ok(Arc::new(match found {
            Some(tenant) => Standing {
                active: tenant.status == Status::Active,
                allowed_origins: tenant.allowed_origins,
            },
            None => Standing { active: false, allowed_origins: Vec::new() },
        }))
    }

    async fn standing(&self, tenant: TenantId) -> Result<Arc<Standing>, Error> {
        let found = self.known.try_get_with(tenant, self.load(tenant)).await;
        found.map_err(|error| Error::Unavailable(Box::new(error)))
    }

    async fn load_origin(&self, origin: &str) -> Result<bool, Error> {
        let mut tx = self.db.platform_read(&self.ctx).await?;
        tenants::store::allows_origin(&mut tx, origin).await
    }
}

#[async_trait]
impl TenantDirectory for Directory {
    async fn is_active(&self, tenant: TenantId) -> Result<bool, Error> {
        Ok(self.standing(tenant).await?.active)
    }

    async fn allows_origin(&self, tenant: Option<TenantId>, origin: &str) -> Result<bool, Error> {
        if let Some(tenant) = tenant {
            let standing = self.standing(tenant).await?;
            return Ok(standing.allowed_origins.iter().any(|one| one == origin));
        }
        let found = self.origins.try_get_with(origin.to_owned(), self.load_origin(origin)).await;
        found.map_err(|error| Error::Unavailable(Box::new(error)))
    }
}

#[async_trait]
impl misy_jobs::Tenants for Directory {
    async fn is_active(&self, tenant: TenantId) -> Result<bool, Error> {
        TenantDirectory::is_active(self, tenant).await
    }
}
