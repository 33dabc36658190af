//! Room `store`: what compiles, so that the files beside it fail for the reason they give.

use misy_core::{Ctx, PlatformCtx};
use misy_store::{Cache, Db, Documents};

async fn inside(db: &Db, cache: &Cache, documents: &Documents, ctx: &Ctx) {
    let mut tx = db.tenant(ctx).await.expect("a transaction");
    drop(tx.query("select 1", &[]).await);
    drop(tx.commit().await);
    drop(db.read(ctx).await);
    let _ = (cache.of(ctx), documents.of(ctx));
}

async fn across(db: &Db, ctx: &PlatformCtx) {
    drop(db.platform(ctx).await);
}

fn main() {}
