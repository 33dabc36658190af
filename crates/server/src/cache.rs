//! Room `server`: ties the cache to what says whether the program is ready.

use misy_store::Cache;
use misy_web::Readiness;

/// Says that the cache is away, and that the program goes on without it.
pub fn watch(readiness: Readiness, cache: &Cache) -> Readiness {
    let cache = cache.clone();
    readiness.with_optional("cache", move || std::future::ready(cache.ready()))
}
