//! Room `server`: ties the cache to what makes tenants and to what says whether the program is
//! ready.

use async_trait::async_trait;
use misy_core::Ctx;
use misy_jobs::provision::{Provision, ProvisionError, TenantSeed};
use misy_store::Cache;
use misy_web::Readiness;

/// Makes the user of a new tenant in the cache's server.
pub struct CacheUsers(pub Cache);

#[async_trait]
impl Provision for CacheUsers {
    fn name(&self) -> &'static str {
        "cache.users"
    }

    /// A tenant is made without its cache too: the first use makes the user then.
    async fn provision(&self, ctx: &Ctx, _: &TenantSeed) -> Result<(), ProvisionError> {
        if let Err(error) = self.0.admit(ctx).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(tenant = %ctx.tenant(), error, "the user in the cache is made later");
        }
        Ok(())
    }
}

/// Says that the cache is away, and that the program goes on without it.
pub fn watch(readiness: Readiness, cache: &Cache) -> Readiness {
    let cache = cache.clone();
    readiness.with_optional("cache", move || std::future::ready(cache.ready()))
}
