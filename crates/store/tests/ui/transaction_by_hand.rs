//! Room `store`: a transaction is neither put together by hand nor moved to another context.

use misy_core::Ctx;
use misy_store::TenantTx;

fn other(tx: &mut TenantTx, ctx: Ctx) {
    tx.ctx = ctx; //~ E0616
}

fn twice(tx: &TenantTx) -> TenantTx {
    tx.clone() //~ E0308
}

async fn after_the_commit(tx: TenantTx) {
    drop(tx.commit().await);
    drop(tx.tenant()); //~ E0382
}

fn main() {}
