//! Room `tenancy`: who is active and from where: remembered for half a second, or, where changes
//! are watched, until the tenant is changed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::SignedDuration;
use misy_core::{PlatformCtx, TenantId, Timestamp};
use misy_store::{Bar, Db, Error};
use misy_web::TenantDirectory;
use moka::future::Cache;

use crate::tenants::store::Changed;
use crate::tenants::{self, Status};

/// An answer is at most this old, so a suspension bites everywhere well within a second.
const FRESH: Duration = Duration::from_millis(500);
const KEPT_MAX: u64 = 50_000;

/// A look for changes counts for so long: what it cannot know yet bites within a second.
const WATCHED: Duration = Duration::from_millis(900);

/// What is watched is remembered for so long at most. Long, so that among ten thousand tenants a
/// read seldom begins with a look-up.
const KEPT: Duration = Duration::from_hours(1);

/// After so long without a look for changes nothing that is remembered counts any more: less than
/// every look goes back.
const BLIND: Duration = Duration::from_mins(1);

/// How far back every look for changes goes: further than clocks of processes differ, and longer
/// than a transaction takes from its time stamp to its commit.
const LOOK_BACK: SignedDuration = SignedDuration::from_mins(2);

/// Whom the door keeps out of a tenant that stands there.
const fn bar(status: Status) -> Option<Bar> {
    match status {
        // Nobody has a way in yet; and when it is made, nobody should wait for the next look.
        Status::Active | Status::Requested | Status::Provisioning => None,
        Status::Suspended | Status::Closing => Some(Bar::People),
        Status::Purging | Status::Purged | Status::Failed => Some(Bar::Everybody),
    }
}

/// What is remembered of a tenant.
#[derive(Debug)]
struct Standing {
    loaded: Instant,
    version: i64,
    active: bool,
    allowed_origins: Vec<String>,
}

/// Remembers for half a second whether a tenant is active and which origins it allows.
pub struct Directory {
    db: Db,
    ctx: PlatformCtx,
    known: Cache<TenantId, Arc<Standing>>,
    /// When changes were last looked for with success.
    watched: Mutex<Option<Instant>>,
    /// The same by the clock that rows are stamped with.
    looked: Mutex<Option<Timestamp>>,
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
        let known = Cache::builder().max_capacity(KEPT_MAX).time_to_live(KEPT).build();
        let origins = Cache::builder().max_capacity(KEPT_MAX).time_to_live(FRESH).build();
        Self { db, ctx, known, watched: Mutex::default(), looked: Mutex::default(), origins }
    }

    /// Forgets the tenants that any process has changed lately. Called again and again, at least
    /// twice a second, this spares a look-up for each tenant and half second; without, nothing is
    /// wrong.
    pub async fn tick(&self) -> Result<(), Error> {
        let began = Instant::now();
        let now = self.db.ambient().now();
        let mut tx = self.db.platform_read(&self.ctx).await?;
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = match looked {
            Some(_) => Vec::new(),
            None => tenants::store::list_stopped(&mut tx).await?,
        };
        let since = looked.unwrap_or(now) - LOOK_BACK;
        changed.extend(tenants::store::list_changed(&mut tx, since).await?);
        for Changed { id, version, status } in changed {
            self.db.bars().set(id, bar(status));
            if self.known.get(&id).await.is_some_and(|known| known.version != version) {
                self.known.invalidate(&id).await;
            }
        }
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.is_some_and(|at| at.elapsed() > BLIND) {
            self.known.invalidate_all();
        }
        *watched = Some(began);
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }

    /// Whether what is remembered still counts: it is young, or every change since is known.
    fn is_fresh(&self, standing: &Standing) -> bool {
        let watched = *self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        standing.loaded.elapsed() < FRESH || watched.is_some_and(|at| at.elapsed() < WATCHED)
    }

    /// Forgets a tenant whose row was just changed here.
    pub async fn forget(&self, tenant: TenantId) {
        self.known.invalidate(&tenant).await;
    }

    /// Takes note of where a tenant stands since its row was just changed here.
    pub(crate) async fn note(&self, tenant: TenantId, status: Status) {
        self.db.bars().set(tenant, bar(status));
        self.forget(tenant).await;
    }

    async fn load(&self, tenant: TenantId) -> Result<Arc<Standing>, Error> {
        let loaded = Instant::now();
        let mut tx = self.db.platform_read(&self.ctx).await?;
        let found = tenants::store::find(&mut tx, tenant).await?;
        Ok(Arc::new(match found {
            Some(tenant) => Standing {
                loaded,
                version: tenant.version,
                active: tenant.status == Status::Active,
                allowed_origins: tenant.allowed_origins,
            },
            None => Standing { loaded, version: 0, active: false, allowed_origins: Vec::new() },
        }))
    }

    async fn standing(&self, tenant: TenantId) -> Result<Arc<Standing>, Error> {
        if let Some(known) = self.known.get(&tenant).await {
            if self.is_fresh(&known) {
                return Ok(known);
            }
            self.known.invalidate(&tenant).await;
        }
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

    async fn list_origins(&self, tenant: TenantId) -> Result<Vec<String>, Error> {
        Ok(self.standing(tenant).await?.allowed_origins.clone())
    }

    async fn find_site(&self, site_id: &str) -> Result<Option<TenantId>, Error> {
        let mut tx = self.db.platform_read(&self.ctx).await?;
        tenants::store::find_by_site(&mut tx, site_id).await
    }
}

#[async_trait]
impl misy_jobs::Tenants for Directory {
    async fn is_active(&self, tenant: TenantId) -> Result<bool, Error> {
        TenantDirectory::is_active(self, tenant).await
    }
}
