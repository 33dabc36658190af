//! Room `store`: a transaction is neither put together by hand nor moved to another context.

use misy_core::Ctx;
use misy_store::TenantTx;

fn other(tx: &mut TenantTx, ctx: Ctx) {
    tx.ctx = ctx;
}

fn twice(tx: &TenantTx) -> TenantTx {
    tx.clone()
}

async fn after_the_commit(tx: TenantTx) {
    drop(tx.commit().await);
    drop(tx.tenant());
}

fn main() {}
