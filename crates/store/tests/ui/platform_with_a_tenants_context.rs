//! Room `store`: a tenant's context opens no transaction across tenants.

use misy_core::Ctx;
use misy_store::Db;

async fn across(db: &Db, ctx: &Ctx) {
    drop(db.platform(ctx).await); //~ E0308
}

fn main() {}
