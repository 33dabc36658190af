//! Room `store`: cache and documents are handed out for a context only.

use misy_core::{PlatformCtx, TenantId};
use misy_store::{Cache, Documents};

fn by_id(cache: &Cache, tenant: TenantId) {
    let _ = cache.of(&tenant);
}

fn by_the_platforms(documents: &Documents, ctx: &PlatformCtx) {
    let _ = documents.of(ctx);
}

fn at_once(cache: &Cache, documents: &Documents) {
    let _ = cache.get("key");
    let _ = documents.collection("notes");
}

fn main() {}
