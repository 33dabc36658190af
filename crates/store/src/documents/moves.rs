//! Room `store`: moves a tenant's documents to another home while they are in use, and back.
//!
//! From its start to the closing of the way back, every write notes the id of its document in the
//! database, before or together with the write itself. The mover copies in batches, sees changed
//! documents again, compares both homes by digest, and then takes the writers' lock for itself: it
//! copies the last changes and turns the tenant over. Whoever reads or writes next does so in the
//! new home. The old one is kept, and followed by the same notes, until the way back is closed.
//!
//! A mover that is killed leaves nothing but what its next run goes on with.

mod following;

use misy_core::Ctx;
use uuid::Uuid;

use super::homes::Hold;
use super::mongo::Mongo;
use super::sides::{Side, Whole};
use super::{DocumentError, Home, Kind, Phase, State, homes};
use crate::Db;

/// Documents that are copied at once, at most.
pub const MAX_BATCH: i64 = 1_000;
/// How often both homes are compared anew before a move gives up on a tenant that never rests.
const ROUNDS: usize = 10;

/// Why a move stopped. What was done so far stays and is gone on with by the next run.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// A home failed.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Another process is moving this tenant's documents.
    #[error("another process is moving this tenant's documents")]
    Busy,
    /// A move to the other side is under way or its way back is open.
    #[error("the documents are being moved from {home} already; roll that back or finish it first")]
    UnderWay {
        /// Where they live.
        home: Home,
    },
    /// There is no move to roll back or to finish.
    #[error("no move of this tenant's documents is under way or can be undone")]
    NothingToUndo,
    /// The home holds documents of a kind that the program does not know.
    #[error("there are documents of the unknown kind `{0}`")]
    UnknownKind(String),
    /// A document reads differently from what was written.
    #[error("document {id} of kind `{kind}` differs after it was copied")]
    Differs {
        /// Its kind.
        kind: &'static str,
        /// Its id.
        id: Uuid,
    },
    /// The homes hold different numbers of documents though none differs.
    #[error("{from} documents of kind `{kind}` became {to}")]
    Counts {
        /// The kind.
        kind: &'static str,
        /// How many there are.
        from: u64,
        /// How many the new home holds.
        to: u64,
    },
    /// The homes never became equal.
    #[error("the homes still differed after {ROUNDS} rounds")]
    Restless,
}

impl From<crate::Error> for MoveError {
    fn from(error: crate::Error) -> Self {
        Self::Document(error.into())
    }
}

/// What a mover is doing, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many documents are copied, of so many.
    Copied(u64, u64),
    /// So many changed documents were seen again.
    Followed(u64),
    /// So many documents were compared, of so many.
    Compared(u64, u64),
    /// The tenant was turned over.
    CutOver,
}

/// What a move did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// Documents copied by this run.
    pub copied: u64,
    /// Changed documents that were seen again.
    pub followed: u64,
    /// Documents whose digests were compared in both homes.
    pub compared: u64,
    /// Whether the tenant was turned over by this run.
    pub cut_over: bool,
}

/// Moves documents between the database and a document server.
#[derive(Debug, Clone)]
pub struct Mover {
    db: Db,
    mongo: Mongo,
    kinds: Vec<Kind>,
    batch: i64,
}

/// One move of one tenant's documents.
struct Work<'a> {
    mover: &'a Mover,
    ctx: &'a Ctx,
    from: Side<'a>,
    to: Side<'a>,
    hold: Hold,
    done: Moved,
    watch: &'a mut (dyn FnMut(Step) + Send),
}

impl Mover {
    /// Moves documents of the kinds that the program knows, in batches of 1 to [`MAX_BATCH`].
    pub fn new(db: Db, mongo: Mongo, kinds: &[Kind], batch: i64) -> Self {
        Self { db, mongo, kinds: kinds.to_vec(), batch: batch.clamp(1, MAX_BATCH) }
    }

    fn side<'a>(&'a self, ctx: &'a Ctx, home: Home) -> Side<'a> {
        Side::new(&self.db, Some(&self.mongo), ctx, home)
    }

    /// How many documents of each kind a home holds for the tenant. Changes nothing.
    pub async fn count(
        &self,
        ctx: &Ctx,
        home: Home,
    ) -> Result<Vec<(&'static str, u64)>, MoveError> {
        let side = self.side(ctx, home);
        self.refuse_unknown_kinds(&side).await?;
        let mut counts = Vec::with_capacity(self.kinds.len());
        for kind in &self.kinds {
            counts.push((kind.name(), side.count(*kind).await?));
        }
        Ok(counts)
    }

    /// The tenant's state as every writer sees it; decides it if nobody has written yet.
    pub async fn state(&self, ctx: &Ctx) -> Result<State, MoveError> {
        let (tx, state) = homes::entered(&self.db, ctx, true).await?;
        tx.commit().await?;
        Ok(state)
    }

    /// Moves the tenant's documents, or goes on with a move that was interrupted. A tenant whose
    /// documents are there already is left alone.
    pub async fn run(
        &self,
        ctx: &Ctx,
        to: Home,
        watch: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Moved, MoveError> {
        let hold = self.hold(ctx).await?;
        self.refuse_unknown_kinds(&self.side(ctx, to.opposite())).await?;
        let (mut tx, state) = homes::alone(&self.db, ctx, true).await?;
        match (state.home == to, state.phase) {
            (true, Phase::Copying) => return Err(MoveError::UnderWay { home: to }),
            (true, _) => {
                hold.release().await?;
                return Ok(Moved::default());
            }
            (false, Phase::Settled) => {
                homes::set(&mut tx, state.home, Some(to), Phase::Copying).await?;
            }
            (false, _) => {}
        }
        tx.commit().await?;
        self.work(ctx, to, hold, watch).complete(&state).await
    }

    /// Undoes a move: one that is under way is given up; one that is done is turned back, with all
    /// that was written since.
    pub async fn roll_back(
        &self,
        ctx: &Ctx,
        watch: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Moved, MoveError> {
        let hold = self.hold(ctx).await?;
        let state = self.state(ctx).await?;
        let Some(other) = state.other else { return Err(MoveError::NothingToUndo) };
        if state.phase == Phase::Copying {
            self.close(ctx, other, hold).await?;
            return Ok(Moved::default());
        }
        self.work(ctx, other, hold, watch).complete(&state).await
    }

    /// Closes the way back of a move that is done: what the old home still holds is removed.
    pub async fn finish(&self, ctx: &Ctx) -> Result<(), MoveError> {
        let hold = self.hold(ctx).await?;
        let state = self.state(ctx).await?;
        match (state.phase, state.other) {
            (Phase::Open, Some(other)) => self.close(ctx, other, hold).await,
            _ => Err(MoveError::NothingToUndo),
        }
    }

    /// From here on there is one home. The other is emptied after nobody follows it any more; what
    /// an interruption leaves there is written over by the next move, and compared.
    async fn close(&self, ctx: &Ctx, other: Home, hold: Hold) -> Result<(), MoveError> {
        let (mut tx, state) = homes::alone(&self.db, ctx, true).await?;
        homes::set(&mut tx, state.home, None, Phase::Settled).await?;
        homes::forget_all(&mut tx).await?;
        tx.commit().await?;
        let side = self.side(ctx, other);
        for kind in &self.kinds {
            side.clear(*kind).await?;
        }
        Ok(hold.release().await?)
    }

    /// Two movers of one tenant would copy over each other.
    async fn hold(&self, ctx: &Ctx) -> Result<Hold, MoveError> {
        homes::hold(&self.db, ctx, "documents: moving").await?.ok_or(MoveError::Busy)
    }

    async fn refuse_unknown_kinds(&self, side: &Side<'_>) -> Result<(), MoveError> {
        let known = |name: &String| self.kinds.iter().any(|kind| kind.name() == name);
        let unknown = side.kinds().await?.into_iter().find(|name| !known(name));
        unknown.map_or(Ok(()), |name| Err(MoveError::UnknownKind(name)))
    }

    fn work<'a>(
        &'a self,
        ctx: &'a Ctx,
        to: Home,
        hold: Hold,
        watch: &'a mut (dyn FnMut(Step) + Send),
    ) -> Work<'a> {
        let (from, to) = (self.side(ctx, to.opposite()), self.side(ctx, to));
        Work { mover: self, ctx, from, to, hold, done: Moved::default(), watch }
    }
}

impl Work<'_> {
    /// Copies what is not copied yet, follows, compares, turns over.
    async fn complete(mut self, state: &State) -> Result<Moved, MoveError> {
        let outcome = self.attempt(state).await;
        self.hold.release().await?;
        outcome
    }

    async fn attempt(&mut self, state: &State) -> Result<Moved, MoveError> {
        if state.phase != Phase::Open {
            self.copy(state).await?;
        }
        for _ in 0..ROUNDS {
            self.follow().await?;
            if self.compare().await? == 0 {
                self.follow().await?;
                self.turn_over().await?;
                (self.watch)(Step::CutOver);
                self.done.cut_over = true;
                return Ok(self.done);
            }
        }
        Err(MoveError::Restless)
    }

    async fn total(&self) -> Result<u64, MoveError> {
        let mut total = 0;
        for kind in &self.mover.kinds {
            total += self.from.count(*kind).await?;
        }
        Ok(total)
    }

    async fn copy(&mut self, state: &State) -> Result<(), MoveError> {
        let total = self.total().await?;
        let mut kinds = self.mover.kinds.clone();
        kinds.sort_unstable_by_key(|kind| kind.name());
        let left = kinds.into_iter().filter(|kind| kind.name() >= state.at_kind.as_str());
        let before = u64::try_from(state.copied).unwrap_or(0);
        for kind in left {
            let mut after = state.at_id.filter(|_| kind.name() == state.at_kind);
            loop {
                let batch = self.from.page(kind, after, self.mover.batch).await?;
                let Some(last) = batch.last() else { break };
                after = Some(last.document.id);
                self.hold.still().await?;
                self.write_and_compare(kind, &batch).await?;
                self.note_progress(kind, after, batch.len()).await?;
                self.done.copied += batch.len() as u64;
                (self.watch)(Step::Copied(before + self.done.copied, total));
            }
        }
        Ok(())
    }

    async fn note_progress(
        &self,
        kind: Kind,
        after: Option<Uuid>,
        copied: usize,
    ) -> Result<(), MoveError> {
        let mut tx = self.mover.db.tenant_apart(self.ctx).await?;
        homes::advance(&mut tx, kind.name(), after, copied).await?;
        Ok(tx.commit().await?)
    }

    /// Nobody else writes into the new home, so what is there now must be what was just written.
    async fn write_and_compare(&self, kind: Kind, batch: &[Whole]) -> Result<(), MoveError> {
        self.to.write(kind, batch).await?;
        let ids: Vec<Uuid> = batch.iter().map(|whole| whole.document.id).collect();
        let written = following::digests(self.to.fetch(kind, &ids).await?);
        for whole in batch {
            let id = whole.document.id;
            if written.get(&id) != Some(&whole.digest()) {
                return Err(MoveError::Differs { kind: kind.name(), id });
            }
        }
        Ok(())
    }
}
