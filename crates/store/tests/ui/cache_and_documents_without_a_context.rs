//! Room `store`: cache and documents are handed out for a context only.

use misy_core::{PlatformCtx, TenantId};
use misy_store::{Cache, Documents};

fn by_id(cache: &Cache, tenant: TenantId) {
    let _ = cache.of(&tenant); //~ E0308
}

fn by_the_platforms(documents: &Documents, ctx: &PlatformCtx) {
    let _ = documents.of(ctx); //~ E0308
}

fn at_once(cache: &Cache, documents: &Documents) {
    let _ = cache.get("key"); //~ E0599
    let _ = documents.collection("notes"); //~ E0599
}

fn main() {}
