//! Room `jobs`: sagas: work in several steps, some of them in other stores, of which afterwards
//! either all has happened or nothing (H. Garcia-Molina, K. Salem, Sagas, 1987).
//!
//! A step that writes rows is entered as done in the transaction of those rows. A step elsewhere is
//! entered after it was done, gets the same key at every try, and is undone even if nobody knows
//! whether it had begun. Who works on a saga holds a lease; whoever takes it over raises the fence,
//! and from then on the former holder can enter nothing, and so commits none of its rows either.

mod log;
mod step;

use std::sync::Arc;
use std::time::Duration;

use misy_core::crypto::sha256;
use misy_core::error::Fault;
use misy_core::{Ctx, PlatformCtx, Role, TenantId, Timestamp};
use misy_store::{Db, Error, PlatformTx, TenantTx};
use serde::Serialize;
use uuid::Uuid;

use crate::outcome::later;
use step::within;

pub use log::{count_parked, find, list_open};
pub use step::{Step, StepError};

/// How long a holder may be silent before somebody else goes on. Every step's limit is shorter.
pub const LEASE: Duration = Duration::from_mins(1);

/// Where a saga is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Steps are done, one after another.
    Doing,
    /// All are done.
    Done,
    /// Steps are undone, the last one first.
    Undoing,
    /// Nothing is left of it.
    Undone,
    /// A step could not be undone; somebody has to look at it.
    Parked,
}

impl State {
    const ALL: [Self; 5] = [Self::Doing, Self::Done, Self::Undoing, Self::Undone, Self::Parked];

    /// Its name in the database and on the wire.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Doing => "doing",
            Self::Done => "done",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Parked => "parked",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.slug() == text)
    }
}

/// How far a saga is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Where it is.
    pub state: State,
    /// Its steps, in order.
    pub steps: Vec<StepProgress>,
    /// When it began.
    pub began_at: Timestamp,
    /// When anything of it changed last.
    pub changed_at: Timestamp,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepProgress {
    /// Its name.
    pub name: String,
    /// `waiting`, `failing`, `done`, `undone` or `stuck`.
    pub state: String,
    /// Tries that failed.
    pub attempts: i32,
    /// What the last of them said of itself.
    pub error: Option<String>,
    /// When it was done or undone.
    pub ended_at: Option<Timestamp>,
}

/// A saga in the hands of who works on it.
#[derive(Debug, Clone)]
pub struct Held {
    tenant: TenantId,
    name: &'static str,
    run: Uuid,
    fence: i64,
    place: i16,
    state: State,
}

impl Held {
    /// Whether it is on its way back.
    pub fn is_undoing(&self) -> bool {
        self.state == State::Undoing
    }

    /// The key of a step, the same at every try of this run.
    fn key(&self, number: i16) -> Uuid {
        let digest = sha256(&[self.run.as_bytes(), &number.to_be_bytes()[..]].concat());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// Why a saga stands still.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// A step failed for now.
    #[error("the step `{step}` failed for now")]
    Later {
        /// Its name.
        step: &'static str,
        /// When trying again makes sense.
        after: Duration,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A step cannot be done: the saga has to go back.
    #[error("the step `{step}` is impossible")]
    Impossible {
        /// Its name.
        step: &'static str,
        /// What is wrong with the seed.
        faults: Vec<Fault>,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A step could not be undone as often as may be tried.
    #[error("the step `{step}` cannot be undone; somebody has to look at it")]
    Parked {
        /// Its name.
        step: &'static str,
    },
    /// Somebody else works on it.
    #[error("somebody else works on it")]
    Succeeded,
    /// The database.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Named steps in the order in which they are done.
pub struct Saga<S> {
    name: &'static str,
    steps: Vec<Arc<dyn Step<S>>>,
}

impl<S> std::fmt::Debug for Saga<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Saga({})", self.name)
    }
}

impl<S: Send + Sync> Saga<S> {
    /// Its name never changes: rows carry it. Neither does the order of steps while any is open;
    /// new ones come last.
    pub fn new(name: &'static str, steps: Vec<Arc<dyn Step<S>>>) -> Self {
        assert!(steps.len() < 1_000, "a saga of so many steps is a queue of jobs");
        Self { name, steps }
    }

    fn len(&self) -> i16 {
        i16::try_from(self.steps.len()).expect("fewer than a thousand steps")
    }

    fn number(place: i16) -> usize {
        usize::try_from(place).unwrap_or_default()
    }

    fn until(db: &Db) -> Timestamp {
        later(db.ambient().now(), LEASE)
    }

    /// Enters it, in the transaction of what it is for. `None` if one of this name has not ended.
    pub async fn begin(
        &self,
        tx: &mut PlatformTx,
        tenant: TenantId,
    ) -> Result<Option<Held>, Error> {
        self.enter(tx, tenant, (State::Doing, 0), LEASE).await
    }

    /// The same to undo every step, whoever has done them, from the last to the first. Nobody
    /// begins with it before the rest is over, in which those who still work there come to an end.
    pub async fn begin_undo(
        &self,
        tx: &mut PlatformTx,
        tenant: TenantId,
        rest: Duration,
    ) -> Result<Option<Held>, Error> {
        self.enter(tx, tenant, (State::Undoing, self.len()), rest).await
    }

    async fn enter(
        &self,
        tx: &mut PlatformTx,
        tenant: TenantId,
        (state, place): (State, i16),
        lease: Duration,
    ) -> Result<Option<Held>, Error> {
        let steps: Vec<&'static str> = self.steps.iter().map(|step| step.name()).collect();
        let until = later(tx.ambient().now(), lease);
        let entry = log::Entry { tenant, name: self.name, state, place, steps: &steps, until };
        log::begin(tx, &entry).await
    }

    /// Takes it over, if it has not ended and nobody works on it.
    pub async fn take(
        &self,
        db: &Db,
        ctx: &PlatformCtx,
        tenant: TenantId,
    ) -> Result<Option<Held>, Error> {
        let mut tx = db.platform(ctx).await?;
        let held = log::take(&mut tx, tenant, self.name, Self::until(db)).await?;
        tx.commit().await?;
        Ok(held)
    }

    /// Has a parked one tried again, from the step that was stuck. Says whether there was one.
    pub async fn unpark(&self, tx: &mut PlatformTx, tenant: TenantId) -> Result<bool, Error> {
        log::unpark(tx, tenant, self.name).await
    }

    /// Does what is left to do. It is not over before [`Saga::close`].
    pub async fn run(
        &self,
        db: &Db,
        ctx: &PlatformCtx,
        held: &mut Held,
        seed: &S,
    ) -> Result<(), Halt> {
        let inside = ctx.enter(held.tenant, Role::Owner.grants());
        while held.place < self.len() {
            let number = held.place;
            let outcome = if self.steps[Self::number(number)].is_elsewhere() {
                self.act(db, &inside, held, seed).await
            } else {
                self.write(db, &inside, held, seed).await
            };
            if let Err(Stop::Failed { number, error }) = outcome {
                return Err(self.failed(db, ctx, held, number, error).await?);
            }
            outcome.map_err(Stop::halt)?;
        }
        Ok(())
    }

    async fn act(&self, db: &Db, ctx: &Ctx, held: &mut Held, seed: &S) -> Result<(), Stop> {
        let number = held.place;
        let step = &self.steps[Self::number(number)];
        let acted = within(step.limit(), step.act(ctx, held.key(number), seed)).await;
        acted.map_err(|error| Stop::Failed { number, error })?;
        self.enter_done(db.tenant(ctx).await?, db, held, number + 1).await
    }

    /// Rows that follow one another are written in one transaction. If they are the last step, what
    /// ends the saga is committed after them and takes them to the disk with it: were they lost
    /// with the server, they would be written again, and there is nothing elsewhere that would be
    /// left behind.
    async fn write(&self, db: &Db, ctx: &Ctx, held: &mut Held, seed: &S) -> Result<(), Stop> {
        let steps = self.steps[Self::number(held.place)..].iter();
        let group: Vec<_> =
            steps.take_while(|step| !step.is_elsewhere()).zip(held.place..).collect();
        let failed = |number| move |error| Stop::Failed { number, error };
        let mut prepared = Vec::with_capacity(group.len());
        for (step, number) in &group {
            let ready = within(step.limit(), step.prepare(seed)).await;
            prepared.push(ready.map_err(failed(*number))?);
        }
        let to = held.place + i16::try_from(group.len()).unwrap_or(i16::MAX);
        let is_last = held.place == 0 && to == self.len();
        let mut tx = if is_last { db.tenant_lightly(ctx).await? } else { db.tenant(ctx).await? };
        for ((step, number), prepared) in group.iter().zip(prepared) {
            let written = within(step.limit(), step.write(&mut tx, seed, prepared)).await;
            written.map_err(failed(*number))?;
        }
        self.enter_done(tx, db, held, to).await
    }

    async fn enter_done(
        &self,
        mut tx: TenantTx,
        db: &Db,
        held: &mut Held,
        to: i16,
    ) -> Result<(), Stop> {
        if !log::advance(&mut tx, held, to, Self::until(db)).await? {
            return Err(Stop::Succeeded);
        }
        tx.commit().await?;
        for step in &self.steps[Self::number(held.place)..Self::number(to)] {
            count(self.name, step.name(), "done");
        }
        held.place = to;
        Ok(())
    }

    /// Undoes what was done, the last step first, and the one that may have begun.
    pub async fn undo(&self, db: &Db, ctx: &PlatformCtx, held: &mut Held) -> Result<(), Halt> {
        let inside = ctx.enter(held.tenant, Role::Owner.grants());
        let mut tx = db.platform(ctx).await?;
        let turned = log::turn(&mut tx, held, self.len(), Self::until(db)).await?;
        tx.commit().await?;
        (held.place, held.state) = (turned.ok_or(Halt::Succeeded)?, State::Undoing);
        while held.place > 0 {
            let number = held.place - 1;
            let step = &self.steps[Self::number(number)];
            if let Err(error) = within(step.limit(), step.undo(&inside, held.key(number))).await {
                return Err(self.not_undone(db, ctx, held, number, error).await?);
            }
            let mut tx = db.platform(ctx).await?;
            if !log::retreat(&mut tx, held, number, Self::until(db)).await? {
                return Err(Halt::Succeeded);
            }
            tx.commit().await?;
            count(self.name, step.name(), "undone");
            held.place = number;
        }
        Ok(())
    }

    /// Ends it, in the transaction of what follows from its end. An error if somebody else works on
    /// it.
    pub async fn close(&self, tx: &mut PlatformTx, held: &Held) -> Result<(), Halt> {
        let state = if held.is_undoing() { State::Undone } else { State::Done };
        if log::close(tx, held, state).await? { Ok(()) } else { Err(Halt::Succeeded) }
    }

    /// Enters a failed try; tells tries that may be repeated from those that may not.
    async fn failed(
        &self,
        db: &Db,
        ctx: &PlatformCtx,
        held: &Held,
        number: i16,
        error: StepError,
    ) -> Result<Halt, Halt> {
        let step = &self.steps[Self::number(number)];
        let attempts = self.enter_failed(db, ctx, held, number, &error).await?;
        Ok(match error {
            StepError::Retry(source) if attempts < step.retry().attempts => {
                let after = pause(&**step, db, attempts);
                Halt::Later { step: step.name(), after, source }
            }
            StepError::Retry(source) => {
                Halt::Impossible { step: step.name(), faults: Vec::new(), source }
            }
            StepError::Impossible { faults, source } => {
                Halt::Impossible { step: step.name(), faults, source }
            }
        })
    }

    async fn not_undone(
        &self,
        db: &Db,
        ctx: &PlatformCtx,
        held: &Held,
        number: i16,
        error: StepError,
    ) -> Result<Halt, Halt> {
        let step = &self.steps[Self::number(number)];
        let attempts = self.enter_failed(db, ctx, held, number, &error).await?;
        if attempts < step.retry().attempts {
            let after = pause(&**step, db, attempts);
            let (StepError::Retry(source) | StepError::Impossible { source, .. }) = error;
            return Ok(Halt::Later { step: step.name(), after, source });
        }
        let mut tx = db.platform(ctx).await?;
        log::park(&mut tx, held, number).await?;
        tx.commit().await?;
        metrics::counter!("misy_sagas_parked_total", "saga" => self.name).increment(1);
        let (tenant, saga, step) = (held.tenant, self.name, step.name());
        tracing::error!(%tenant, saga, step, "a step cannot be undone; somebody has to look at it");
        Ok(Halt::Parked { step })
    }

    async fn enter_failed(
        &self,
        db: &Db,
        ctx: &PlatformCtx,
        held: &Held,
        number: i16,
        error: &StepError,
    ) -> Result<u32, Halt> {
        let step = self.steps[Self::number(number)].name();
        let (saga, tenant) = (self.name, held.tenant);
        let shown = error as &dyn std::error::Error;
        tracing::warn!(%tenant, saga, step, error = crate::run::chain(shown), "a step failed");
        count(saga, step, "failed");
        let mut tx = db.platform(ctx).await?;
        let attempts = log::fail(&mut tx, held, number, &error.told()).await?;
        tx.commit().await?;
        let attempts = attempts.ok_or(Halt::Succeeded)?;
        Ok(u32::try_from(attempts).unwrap_or(u32::MAX))
    }
}

/// Takes one step by itself, outside any saga: for tests of a part.
pub async fn take_alone<S: Sync>(
    db: &Db,
    ctx: &Ctx,
    step: &dyn Step<S>,
    seed: &S,
) -> Result<(), StepError> {
    if step.is_elsewhere() {
        return step.act(ctx, Uuid::nil(), seed).await;
    }
    let prepared = step.prepare(seed).await?;
    let mut tx = db.tenant(ctx).await?;
    step.write(&mut tx, seed, prepared).await?;
    Ok(tx.commit().await?)
}

fn pause<S: Sync>(step: &dyn Step<S>, db: &Db, attempts: u32) -> Duration {
    step.retry().pause(attempts, u32::from_le_bytes(db.ambient().bytes()))
}

fn count(saga: &'static str, step: &'static str, outcome: &'static str) {
    metrics::counter!("misy_saga_steps_total", "saga" => saga, "step" => step, "outcome" => outcome)
        .increment(1);
}

/// Why a step ended the run.
enum Stop {
    Failed { number: i16, error: StepError },
    Succeeded,
    Store(Error),
}

impl Stop {
    fn halt(self) -> Halt {
        match self {
            Self::Store(error) => Halt::Store(error),
            Self::Succeeded | Self::Failed { .. } => Halt::Succeeded,
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}
