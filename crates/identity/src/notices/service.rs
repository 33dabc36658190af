//! Room `identity`: this process's view of all notices.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use misy_core::id::TypedId;
use misy_core::{Grants, PlatformCtx, TenantId, UserId};
use misy_store::{Db, Error};
use tokio::sync::Mutex;

use super::model::Known;
use super::store;

/// A view of this age is renewed before it is asked.
const RENEW_AFTER: Duration = Duration::from_millis(700);
/// A view of this age is not believed, whatever the database says.
const BELIEVED_FOR: Duration = Duration::from_secs(3);

/// Where the next look begins and when the last one was.
struct Mark {
    next: String,
    read_at: Option<Instant>,
}

/// What roles of tenants' own give whom, which versions policies have and how often keys changed,
/// less than a second old.
pub struct Notices {
    db: Db,
    ctx: PlatformCtx,
    known: RwLock<Known>,
    mark: Mutex<Mark>,
    /// When `known` was last brought up to date, readable without waiting for a look under way.
    fresh_at: RwLock<Option<Instant>>,
}

impl Notices {
    /// Knows nothing yet; the first question reads everything.
    pub fn new(db: Db, ctx: PlatformCtx) -> Self {
        let mark = Mutex::new(Mark { next: "0".to_owned(), read_at: None });
        let (known, fresh_at) = (RwLock::default(), RwLock::default());
        Self { db, ctx, known, mark, fresh_at }
    }

    /// What a person may do beside what their built-in role gives.
    pub(crate) async fn grants(&self, tenant: TenantId, user: UserId) -> Result<Grants, Error> {
        self.freshen().await?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Ok(known.grants(tenant.uuid(), user.uuid()))
    }

    /// The version of a tenant's policies; 0 if it never had any.
    pub(crate) async fn policies(&self, tenant: TenantId) -> Result<i64, Error> {
        self.freshen().await?;
        Ok(self.known.read().unwrap_or_else(PoisonError::into_inner).version(tenant.uuid()))
    }

    /// How often keys of the tenant changed: a key that was looked up before is looked up again.
    pub(crate) async fn keys(&self, tenant: TenantId) -> Result<i64, Error> {
        self.freshen().await?;
        Ok(self.known.read().unwrap_or_else(PoisonError::into_inner).keys(tenant.uuid()))
    }

    fn age(&self) -> Option<Duration> {
        let at = *self.fresh_at.read().unwrap_or_else(PoisonError::into_inner);
        at.map(|at| at.elapsed())
    }

    async fn freshen(&self) -> Result<(), Error> {
        if self.age().is_some_and(|age| age < RENEW_AFTER) {
            return Ok(());
        }
        match self.look(RENEW_AFTER).await {
            Err(error) if self.age().is_none_or(|age| age >= BELIEVED_FOR) => Err(error),
            _ => Ok(()),
        }
    }

    /// Renews the view now, whatever its age.
    pub async fn renew(&self) -> Result<(), Error> {
        self.look(Duration::ZERO).await
    }

    /// Looks unless somebody else has done so while this one waited.
    async fn look(&self, unless_younger: Duration) -> Result<(), Error> {
        let mut mark = self.mark.lock().await;
        if mark.read_at.is_some_and(|at| at.elapsed() < unless_younger) {
            return Ok(());
        }
        let began = Instant::now();
        let mut tx = self.db.platform_read(&self.ctx).await?;
        let (notices, next) = store::list_since(&mut tx, &mark.next).await?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).learn(notices);
        *self.fresh_at.write().unwrap_or_else(PoisonError::into_inner) = Some(began);
        *mark = Mark { next, read_at: Some(began) };
        Ok(())
    }
}
