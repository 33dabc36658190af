//! Room `store`: what a mover does while the tenant writes: it sees changed documents again,
//! compares both homes, and turns the tenant over in a moment when nobody writes.

use std::collections::HashMap;

use uuid::Uuid;

use super::{MoveError, Step, Whole, Work};
use crate::documents::homes::{self, Change};
use crate::documents::{Kind, Phase};

/// Documents by id, each as its digest.
pub(super) fn digests(documents: Vec<Whole>) -> HashMap<Uuid, [u8; 32]> {
    documents.into_iter().map(|whole| (whole.document.id, whole.digest())).collect()
}

impl Work<'_> {
    /// Brings over what has changed by now. Whoever goes on writing leaves more, which the next
    /// round or the one under the writers' lock brings over.
    pub(super) async fn follow(&mut self) -> Result<(), MoveError> {
        let mut tx = self.mover.db.read(self.ctx).await?;
        let mut left = homes::count_changes(&mut tx).await?;
        drop(tx);
        while left > 0 {
            // Writers that have noted a change but not yet made it are waited for, so that what is
            // copied is what they wrote.
            left = left.saturating_sub(self.bring_some_over(true).await?.max(1));
        }
        Ok(())
    }

    /// Brings over some of what has changed; gives the number of documents.
    async fn bring_some_over(&mut self, waits: bool) -> Result<u64, MoveError> {
        let mut tx = self.mover.db.read(self.ctx).await?;
        let changes = homes::changes(&mut tx, self.mover.batch).await?;
        drop(tx);
        if changes.is_empty() {
            return Ok(0);
        }
        self.hold.still().await?;
        if waits {
            homes::alone(&self.mover.db, self.ctx, true).await?.0.commit().await?;
        }
        self.bring_over(&changes).await?;
        let mut tx = self.mover.db.tenant_apart(self.ctx).await?;
        homes::forget(&mut tx, &changes).await?;
        tx.commit().await?;
        let count = changes.len() as u64;
        self.done.followed += count;
        (self.watch)(Step::Followed(self.done.followed));
        Ok(count)
    }

    async fn bring_over(&self, changes: &[Change]) -> Result<(), MoveError> {
        for kind in &self.mover.kinds {
            let of_kind = changes.iter().filter(|change| change.kind == kind.name());
            let ids: Vec<Uuid> = of_kind.map(|change| change.id).collect();
            if ids.is_empty() {
                continue;
            }
            let there = self.from.fetch(*kind, &ids).await?;
            let is_there = |id: &Uuid| there.iter().any(|whole| whole.document.id == *id);
            let gone: Vec<Uuid> = ids.iter().copied().filter(|id| !is_there(id)).collect();
            self.to.remove(*kind, &gone).await?;
            self.write_and_compare(*kind, &there).await?;
        }
        Ok(())
    }

    /// Reads both homes from end to end and notes every document that differs; gives the number of
    /// those that should not: whoever wrote meanwhile has noted it.
    pub(super) async fn compare(&mut self) -> Result<u64, MoveError> {
        let (total, mut compared, mut differing) = (self.total().await?, 0, 0);
        for kind in self.mover.kinds.clone() {
            for backwards in [false, true] {
                let mut after = None;
                loop {
                    let side = if backwards { &self.to } else { &self.from };
                    let batch = side.page(kind, after, self.mover.batch).await?;
                    let Some(last) = batch.last() else { break };
                    after = Some(last.document.id);
                    self.hold.still().await?;
                    let count = batch.len() as u64;
                    differing += self.note_differing(kind, batch, backwards).await?;
                    if !backwards {
                        compared += count;
                        (self.watch)(Step::Compared(compared, total));
                    }
                }
            }
        }
        self.done.compared = compared;
        Ok(differing)
    }

    async fn note_differing(
        &self,
        kind: Kind,
        batch: Vec<Whole>,
        backwards: bool,
    ) -> Result<u64, MoveError> {
        let ids: Vec<Uuid> = batch.iter().map(|whole| whole.document.id).collect();
        let opposite = if backwards { &self.from } else { &self.to };
        let (here, there) = (digests(batch), digests(opposite.fetch(kind, &ids).await?));
        let differs = |id: &Uuid| here.get(id) != there.get(id);
        let differing: Vec<Uuid> = ids.into_iter().filter(differs).collect();
        if differing.is_empty() {
            return Ok(0);
        }
        let mut tx = self.mover.db.tenant_apart(self.ctx).await?;
        let unknown = homes::note_unknown(&mut tx, kind.name(), &differing).await?;
        tx.commit().await?;
        Ok(unknown)
    }

    /// The one moment in which nobody writes: the last changes, the counts, and the new home. It
    /// happens whole or not at all, because the state is committed last.
    pub(super) async fn turn_over(&mut self) -> Result<(), MoveError> {
        let (mut tx, state) = homes::alone(&self.mover.db, self.ctx, true).await?;
        while self.bring_some_over(false).await? > 0 {}
        for kind in self.mover.kinds.clone() {
            let (from, to) = (self.from.count(kind).await?, self.to.count(kind).await?);
            if from != to {
                return Err(MoveError::Counts { kind: kind.name(), from, to });
            }
        }
        homes::set(&mut tx, state.home.opposite(), Some(state.home), Phase::Open).await?;
        Ok(tx.commit().await?)
    }
}
