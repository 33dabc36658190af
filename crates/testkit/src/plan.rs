//! Room `testkit`: a plan that allows so many of everything that is counted by its rows.

use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use misy_store::{Error, Limited, Quota, QuotaError, TenantTx};

const LOCK: &str = "select pg_advisory_xact_lock(hashtextextended($1::uuid::text || $2, 0))";

/// As many as one likes until a test says how many.
#[derive(Debug)]
pub struct Plan(AtomicI64);

impl Default for Plan {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MAX))
    }
}

impl Plan {
    /// From now on there may be so many of each.
    pub fn allow(&self, count: i64) {
        self.0.store(count, Ordering::SeqCst);
    }
}

#[async_trait]
impl Quota for Plan {
    async fn take(&self, _: &mut TenantTx, _: Limited, _: u32) -> Result<(), QuotaError> {
        Ok(())
    }

    async fn ceiling(&self, tx: &mut TenantTx, what: Limited) -> Result<Option<i64>, Error> {
        let tenant = tx.tenant();
        tx.query(LOCK, &[&tenant, &what.name()]).await?;
        Ok(Some(self.0.load(Ordering::SeqCst)))
    }
}
