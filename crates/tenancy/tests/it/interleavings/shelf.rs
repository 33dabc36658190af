//! Room `tenancy`: a store elsewhere that holds one thing of every tenant, loses it now and then,
//! and takes note of what nobody may do to it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use misy_core::{Ctx, TenantId};
use misy_jobs::provision::{Found, Promise, Provision, Step, StepError, TenantSeed};
use tokio::sync::Notify;
use uuid::Uuid;

#[derive(Default)]
struct Things {
    here: HashSet<TenantId>,
    /// Those whose thing was removed on purpose.
    gone: HashSet<TenantId>,
    lost: i64,
    repaired: i64,
    looks: Option<Arc<Looks>>,
}

/// One look that lasts until it is let go on.
#[derive(Default)]
pub(super) struct Looks {
    began: Notify,
    goes_on: Notify,
}

impl Looks {
    pub(super) async fn began(&self) {
        self.began.notified().await;
    }

    pub(super) fn go_on(&self) {
        self.goes_on.notify_one();
    }
}

#[derive(Default)]
pub(super) struct Shelf(Mutex<Things>);

impl Shelf {
    fn things(&self) -> MutexGuard<'_, Things> {
        self.0.lock().expect("no panic")
    }

    pub(super) fn has(&self, tenant: TenantId) -> bool {
        self.things().here.contains(&tenant)
    }

    pub(super) fn lose(&self, tenant: TenantId) {
        let mut things = self.things();
        things.lost += i64::from(things.here.remove(&tenant));
    }

    /// Puts down what nobody should have.
    pub(super) fn leave(&self, tenant: TenantId) {
        self.things().here.insert(tenant);
    }

    pub(super) fn losses_and_repairs(&self) -> (i64, i64) {
        let things = self.things();
        (things.lost, things.repaired)
    }

    /// The next look waits.
    pub(super) fn hold_looks(&self) -> Arc<Looks> {
        let looks = Arc::<Looks>::default();
        self.things().looks = Some(looks.clone());
        looks
    }

    /// The way there takes a while, in which others get on.
    async fn way(&self) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[async_trait]
impl Step<TenantSeed> for Shelf {
    fn name(&self) -> &'static str {
        "tests.shelf"
    }

    fn is_elsewhere(&self) -> bool {
        true
    }

    async fn act(&self, ctx: &Ctx, _: Uuid, _: &TenantSeed) -> Result<(), StepError> {
        self.way().await;
        self.things().here.insert(ctx.tenant());
        Ok(())
    }

    async fn undo(&self, ctx: &Ctx, _: Uuid) -> Result<(), StepError> {
        self.way().await;
        let mut things = self.things();
        things.here.remove(&ctx.tenant());
        things.gone.insert(ctx.tenant());
        Ok(())
    }
}

#[async_trait]
impl Provision for Shelf {
    async fn find(&self, ctx: &Ctx) -> Result<Vec<Found>, StepError> {
        let count = i64::from(self.has(ctx.tenant()));
        let looks = self.things().looks.take();
        if let Some(looks) = looks {
            looks.began.notify_one();
            looks.goes_on.notified().await;
        }
        self.way().await;
        Ok(vec![Found::new("elsewhere", "thing", count)])
    }

    fn wanted(&self, _: &Promise) -> Vec<&'static str> {
        vec!["thing"]
    }

    async fn repair(&self, ctx: &Ctx, _: &Promise) -> Result<bool, StepError> {
        self.way().await;
        let mut things = self.things();
        assert!(!things.gone.contains(&ctx.tenant()), "what was removed comes back");
        assert!(things.here.insert(ctx.tenant()), "it is made twice");
        things.repaired += 1;
        Ok(true)
    }
}
