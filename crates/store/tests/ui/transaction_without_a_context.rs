//! Room `store`: neither a tenant's id nor a platform's context opens a tenant's transaction.

use misy_core::{PlatformCtx, TenantId};
use misy_store::Db;

async fn by_nothing(db: &Db) {
    drop(db.tenant().await); //~ E0061
}

async fn by_id(db: &Db, tenant: TenantId) {
    drop(db.tenant(&tenant).await); //~ E0308
}

async fn by_the_platforms(db: &Db, ctx: &PlatformCtx) {
    drop(db.read(ctx).await); //~ E0308
}

fn main() {}
