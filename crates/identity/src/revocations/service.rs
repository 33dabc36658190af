//! Room `identity`: this process's view of all revocations.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use misy_core::{PlatformCtx, Timestamp};
use misy_store::{Db, Error};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::model::{Floor, Floors};
use super::store;

/// A view of this age is renewed.
const RENEW_AFTER: Duration = Duration::from_millis(400);
/// A view of this age is not believed: whoever was revoked meanwhile must not pass.
const BELIEVED_FOR: Duration = Duration::from_secs(3);
/// Floors are kept this much longer than a token lives, for clocks that differ.
const MARGIN_S: i64 = 60;

struct View {
    floors: Floors,
    next: String,
    read_at: Option<Instant>,
}

/// The floors of all sessions and users, at most half a second old.
pub struct Revocations {
    db: Db,
    ctx: PlatformCtx,
    token_s: i64,
    view: RwLock<View>,
    renewing: Mutex<()>,
}

impl Revocations {
    /// Knows nothing yet; the first question reads everything.
    pub fn new(db: Db, ctx: PlatformCtx, access_token_s: u32) -> Self {
        let view = View { floors: Floors::default(), next: "0".to_owned(), read_at: None };
        Self {
            db,
            ctx,
            token_s: access_token_s.into(),
            view: RwLock::new(view),
            renewing: Mutex::new(()),
        }
    }

    /// Whether a token with these versions of these subjects is still believed. Normally answered
    /// from memory; an error if the view could not be renewed for some seconds.
    pub(crate) async fn allow(&self, versions: [(Uuid, i64); 2]) -> Result<bool, Error> {
        self.freshen().await?;
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        Ok(versions.iter().all(|(subject, version)| view.floors.allow(*subject, *version)))
    }

    async fn freshen(&self) -> Result<(), Error> {
        let age = self.age();
        if age.is_some_and(|age| age < RENEW_AFTER) {
            return Ok(());
        }
        if age.is_some_and(|age| age < BELIEVED_FOR) {
            // One asks for all; the others go on with a view that is still believed.
            let Ok(turn) = self.renewing.try_lock() else { return Ok(()) };
            let renewed = self.read().await;
            drop(turn);
            return match renewed {
                Err(error) if self.age().is_none_or(|age| age >= BELIEVED_FOR) => Err(error),
                _ => Ok(()),
            };
        }
        let _turn = self.renewing.lock().await;
        if self.age().is_some_and(|age| age < RENEW_AFTER) {
            return Ok(());
        }
        self.read().await
    }

    fn age(&self) -> Option<Duration> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        view.read_at.map(|read_at| read_at.elapsed())
    }

    /// Renews the view now, whatever its age.
    pub async fn renew(&self) -> Result<(), Error> {
        let _turn = self.renewing.lock().await;
        self.read().await
    }

    async fn read(&self) -> Result<(), Error> {
        let since = {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            view.next.clone()
        };
        let began = Instant::now();
        let mut tx = self.db.platform_read(&self.ctx).await?;
        let (floors, next) = store::list_since(&mut tx, &since).await?;
        let keep_from = self.keep_from();
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        view.floors.learn(floors);
        view.floors.forget_before(keep_from);
        view.next = next;
        view.read_at = Some(began);
        Ok(())
    }

    /// Tells this process at once of what it has just revoked itself.
    pub(crate) fn note(&self, raised: &[(Uuid, i64)]) {
        let raised_at = self.db.ambient().now();
        let floors = raised.iter().map(|(subject, minimum)| Floor {
            subject: *subject,
            minimum: *minimum,
            raised_at,
        });
        self.view.write().unwrap_or_else(PoisonError::into_inner).floors.learn(floors);
    }

    /// Floors raised before this time are below every living token.
    pub(crate) fn keep_from(&self) -> Timestamp {
        let now = self.db.ambient().now();
        Timestamp::from_second(now.as_second() - self.token_s - MARGIN_S).unwrap_or(now)
    }
}
