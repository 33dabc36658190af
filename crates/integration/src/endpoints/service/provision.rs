//! Room `integration`: the removal of all that a tenant had. A new one begins with nothing.

use std::sync::Arc;

use async_trait::async_trait;
use misy_core::Ctx;
use misy_jobs::provision::{Found, Provision, Step, StepError, TenantSeed};
use misy_store::{TenantData, TenantTable};
use uuid::Uuid;

use crate::Deps;

/// What this room keeps of each tenant.
pub const TABLES: [TenantTable; 12] = [
    TenantTable::new("source_marks"),
    TenantTable::new("source_receipts"),
    TenantTable::new("source_refusals"),
    TenantTable::new("source_routes"),
    TenantTable::new("webhook_sources").without(&["sealed"]),
    TenantTable::new("parcels"),
    TenantTable::new("webhook_replays"),
    TenantTable::new("webhook_dead_letters"),
    TenantTable::new("webhook_attempts"),
    TenantTable::new("webhook_deliveries"),
    TenantTable::new("webhook_events"),
    TenantTable::new("webhook_endpoints").without(&["sealed"]),
];

/// Takes all endpoints, events and deliveries from a tenant that is gone.
pub struct Provisioner(pub Arc<Deps>);

impl TenantData for Provisioner {
    fn tables(&self) -> &'static [TenantTable] {
        &TABLES
    }
}

#[async_trait]
impl Step<TenantSeed> for Provisioner {
    fn name(&self) -> &'static str {
        "integration.webhooks"
    }

    async fn undo(&self, ctx: &Ctx, _: Uuid) -> Result<(), StepError> {
        self.erase(&self.0.db, ctx).await?;
        Ok(())
    }
}

#[async_trait]
impl Provision for Provisioner {
    async fn find(&self, ctx: &Ctx) -> Result<Vec<Found>, StepError> {
        let rows = self.count(&self.0.db, ctx).await?;
        let found =
            |(table, rows): (TenantTable, i64)| Found::new("postgresql", table.name(), rows);
        Ok(rows.into_iter().map(found).collect())
    }
}
