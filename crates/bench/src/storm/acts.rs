//! Room `bench`: what one operation of the storm does, and how it is cut short.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use misy_core::id::TypedId;
use misy_core::{Code, Ctx, Grants, PlatformCtx, Public, TenantId};
use misy_store::idempotency::{self, Begun, Scope};
use misy_store::{Db, Error, Row, TenantTx};

use super::canaries::{self, NEVER};
use super::{PATIENCE_MS, Tally};
use crate::dice::Dice;

/// Only the policy says whose rows these are.
const READ: &str = "
    select tenant_id, display_name, current_setting('misy.tenant') as context
    from contacts order by tenant_id, id limit 12";
const TOUCH: &str = "
    update contacts set version = version + 1
    where (tenant_id, id) in (select tenant_id, id from contacts limit 2)
    returning tenant_id, display_name, current_setting('misy.tenant') as context";
const ADD: &str = "
    insert into contacts (tenant_id, id, display_name) values ($1, $2, $3)
    returning tenant_id, display_name, current_setting('misy.tenant') as context";
const REMOVE: &str = "
    delete from contacts where (tenant_id, id) in
        (select tenant_id, id from contacts order by id desc offset 8 limit 4)
    returning tenant_id, display_name, current_setting('misy.tenant') as context";
const STEAL: &str = "update contacts set version = 0 where tenant_id = $1";
const SLOW: &str = "select pg_sleep(10)";
const WRONG: &str = "select 1 / (select 0 from contacts limit 1)";

/// In whose name, on what, against whom.
pub(super) struct Scene<'a> {
    pub(super) db: &'a Db,
    pub(super) tally: &'a Tally,
    pub(super) ctx: &'a PlatformCtx,
    pub(super) own: TenantId,
    pub(super) other: TenantId,
}

/// What is done between begin and end.
#[derive(Clone, Copy)]
enum Plot {
    /// Reads, each statement on its own.
    Read,
    /// Several statements and a commit.
    Write,
    /// The same, dropped at the end.
    Forget,
    /// The same inside a request with an idempotency key, which is given up.
    Keyed,
    /// Reaches for the other tenant's rows.
    Steal,
    /// A statement that fails.
    Fail,
    /// A statement that takes too long.
    TooSlow,
    /// A transaction that idles too long.
    Idle,
}

/// One operation: what happens, and whether it is let go on to its end.
pub(super) async fn one(scene: &Scene<'_>, dice: &mut Dice) {
    let plot = match dice.below(10_000) {
        0..4_000 => Plot::Read,
        4_000..7_000 => Plot::Write,
        7_000..8_400 => Plot::Forget,
        8_400..8_900 => Plot::Keyed,
        8_900..9_450 => Plot::Steal,
        9_450..9_994 => Plot::Fail,
        9_994..9_997 => Plot::TooSlow,
        _ => Plot::Idle,
    };
    let steps = usize::try_from(dice.below(12)).unwrap_or(0);
    let work = scene.play(plot, dice.next());
    match dice.below(10) {
        0 | 1 => {
            if !Box::pin(cut_short(work, steps)).await {
                Tally::count(&scene.tally.cancelled);
            }
        }
        2 => {
            if Box::pin(AssertUnwindSafe(panicking(work, steps)).catch_unwind()).await.is_err() {
                Tally::count(&scene.tally.panicked);
            }
        }
        _ => work.await,
    }
}

/// Lets a future go on so many times and drops it. Says whether it was done by then.
async fn cut_short(work: impl Future<Output = ()>, polls: usize) -> bool {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        work.as_mut().poll(cx).map(|()| true)
    })
    .await
}

/// The same, but it panics where the other drops. Without the hook that prints: it is meant.
async fn panicking(work: impl Future<Output = ()>, polls: usize) {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        left -= 1;
        work.as_mut().poll(cx)
    })
    .await;
}

impl Scene<'_> {
    fn inside(&self) -> Ctx {
        self.ctx.enter(self.own, Grants::NONE)
    }

    async fn play(&self, plot: Plot, chance: u64) {
        let played = match plot {
            Plot::Read => self.read().await,
            Plot::Write => self.write(chance).await,
            Plot::Forget => self.forget(chance).await,
            Plot::Keyed => self.keyed(chance).await,
            Plot::Steal => self.steal().await,
            Plot::Fail => self.fail().await,
            Plot::TooSlow => self.be_too_slow().await,
            Plot::Idle => self.idle().await,
        };
        // On a busy machine whatever is under way may become too slow.
        let Err(error) = played else { return };
        if matches!(error.code(), Code::Timeout | Code::Unavailable) {
            return Tally::count(&self.tally.timed_out);
        }
        eprintln!("unexpected: {error}: {:?}", std::error::Error::source(&error));
        Tally::count(&self.tally.unexpected);
    }

    /// Every row says whose it is, in two ways, and the connection whom it serves.
    fn judge(&self, rows: &[Row]) {
        let (own, canary) = (self.own.uuid(), canaries::of(self.own));
        for row in rows {
            Tally::count(&self.tally.canaries);
            let text: &str = row.get("display_name");
            let tenant: uuid::Uuid = row.get("tenant_id");
            let context: &str = row.get("context");
            let of_own = text.strip_prefix(NEVER).unwrap_or(text) == canary;
            if !of_own || tenant != own || context != own.to_string() {
                Tally::count(&self.tally.foreign);
            }
        }
    }

    async fn read(&self) -> Result<(), Error> {
        let mut tx = self.db.read(&self.inside()).await?;
        for _ in 0..2 {
            self.judge(&tx.query(READ, &[]).await?);
        }
        Ok(())
    }

    async fn add(&self, tx: &mut TenantTx, prefix: &str) -> Result<(), Error> {
        let text = format!("{prefix}{}", canaries::of(self.own));
        let (tenant, id) = (self.own.uuid(), tx.ambient().uuid());
        self.judge(&tx.query(ADD, &[&tenant, &id, &text]).await?);
        Ok(())
    }

    async fn write(&self, chance: u64) -> Result<(), Error> {
        let mut tx = self.db.tenant(&self.inside()).await?;
        if chance.is_multiple_of(3) {
            self.judge(&tx.query(REMOVE, &[]).await?);
        }
        if chance.is_multiple_of(2) {
            self.add(&mut tx, "").await?;
        }
        self.judge(&tx.query(TOUCH, &[]).await?);
        tx.commit().await?;
        Tally::count(&self.tally.committed);
        Ok(())
    }

    async fn forget(&self, chance: u64) -> Result<(), Error> {
        let mut tx = self.db.tenant(&self.inside()).await?;
        self.add(&mut tx, NEVER).await?;
        if chance.is_multiple_of(2) {
            self.judge(&tx.query(READ, &[]).await?);
        }
        drop(tx);
        Ok(())
    }

    /// The commit is held back for the answer, and the answer never comes.
    async fn keyed(&self, chance: u64) -> Result<(), Error> {
        let scope = Scope::Tenant(self.inside());
        let key = format!("{chance:x}");
        let begun = idempotency::begin(self.db, scope, &key, [1; 32]).await?;
        let Begun::Fresh(pending) = begun else { return Ok(()) };
        let work = async {
            let mut tx = self.db.tenant(&self.inside()).await?;
            self.add(&mut tx, NEVER).await?;
            tx.commit().await
        };
        pending.run(work).await
    }

    async fn steal(&self) -> Result<(), Error> {
        let other = self.other.uuid();
        let mut tx = self.db.tenant(&self.inside()).await?;
        let changed = tx.execute(STEAL, &[&other]).await?;
        let text = canaries::of(self.own);
        let given = tx.query(ADD, &[&other, &tx.ambient().uuid(), &text]).await;
        if self.other != self.own && (changed > 0 || given.is_ok()) {
            Tally::count(&self.tally.foreign);
        }
        Tally::count(&self.tally.failed);
        Ok(())
    }

    async fn fail(&self) -> Result<(), Error> {
        let mut tx = self.db.tenant(&self.inside()).await?;
        self.add(&mut tx, NEVER).await?;
        let failed = tx.query(WRONG, &[]).await.is_err();
        let kept = tx.commit().await.is_ok();
        Tally::count(&self.tally.failed);
        if failed && !kept { Ok(()) } else { Err(Error::Aborted) }
    }

    async fn be_too_slow(&self) -> Result<(), Error> {
        let mut tx = self.db.tenant(&self.inside()).await?;
        self.add(&mut tx, NEVER).await?;
        let ended = tx.query(SLOW, &[]).await;
        Tally::count(&self.tally.timed_out);
        match ended {
            Err(error) if error.code() == Code::Timeout => Ok(()),
            other => other.map(drop),
        }
    }

    async fn idle(&self) -> Result<(), Error> {
        let mut tx = self.db.tenant(&self.inside()).await?;
        self.add(&mut tx, NEVER).await?;
        tokio::time::sleep(Duration::from_millis(PATIENCE_MS * 3)).await;
        let ended = tx.query(READ, &[]).await;
        Tally::count(&self.tally.timed_out);
        match ended {
            Err(error) if error.code() == Code::Unavailable => Ok(()),
            other => other.map(|rows| self.judge(&rows)),
        }
    }
}
