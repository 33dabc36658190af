//! Room `store`: the cache, which nobody reaches but through a tenant.
//!
//! [`Cache::of`] gives a [`TenantCache`], and the tenant's id is part of every key it makes, so a
//! key of one tenant cannot name a value of another. What is in it may be gone at any moment: it
//! is never the only place of anything.

mod embedded;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use misy_core::{Ambient, Code, Ctx, Public, TenantId};
use serde::{Deserialize, Serialize};

use embedded::Embedded;

/// How much the cache of this process may hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// All tenants together, in bytes.
    pub max_bytes: u64,
    /// One tenant, in bytes; its oldest values make room for new ones.
    pub max_tenant_bytes: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { max_bytes: 32 << 20, max_tenant_bytes: 4 << 20 }
    }
}

/// One use of the cache: keys of different spaces never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Space(&'static str);

impl Space {
    /// A space by its name: 1 to 40 of `a-z` and `_`. Called in a `const`, a wrong name does not
    /// compile.
    pub const fn new(name: &'static str) -> Self {
        assert!(is_plain_name(name), "a name is 1 to 40 of a-z and _");
        Self(name)
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// Whether a name is safe in any store's keys, table columns and collection names.
pub(crate) const fn is_plain_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_lowercase() || bytes[at] == b'_') {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty() && bytes.len() <= 40
}

/// Why the cache did not do as told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// The key holds a value that is not a count.
    #[error("the value in the cache is not a count")]
    NotACount,
}

impl Public for CacheError {
    fn code(&self) -> Code {
        Code::Internal
    }
}

/// The cache of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Cache(Arc<Embedded>);

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cache")
    }
}

impl Cache {
    /// A cache in the memory of this process, bounded as configured.
    pub fn embedded(config: &CacheConfig, ambient: Ambient) -> Self {
        Self(Embedded::new(config, ambient))
    }

    /// The part of the context's tenant.
    pub fn of(&self, ctx: &Ctx) -> TenantCache {
        TenantCache { cache: Arc::clone(&self.0), tenant: ctx.tenant() }
    }
}

/// The cache of one tenant.
#[derive(Clone)]
pub struct TenantCache {
    cache: Arc<Embedded>,
    tenant: TenantId,
}

impl std::fmt::Debug for TenantCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TenantCache")
    }
}

#[expect(
    clippy::unused_async,
    reason = "a cache server answers later, and callers are written for that from the start"
)]
impl TenantCache {
    /// The value of a key, unless it has expired or made room for others.
    pub async fn get(&self, space: Space, key: &str) -> Result<Option<Bytes>, CacheError> {
        Ok(self.cache.get(&embedded::Key::new(self.tenant, space, key)))
    }

    /// Sets the value of a key for `ttl`. A value that is larger than the tenant's whole part is
    /// not kept, and neither is the one it would have replaced.
    pub async fn put(
        &self,
        space: Space,
        key: &str,
        value: impl Into<Bytes>,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        self.cache.put(embedded::Key::new(self.tenant, space, key), value.into(), ttl);
        Ok(())
    }

    /// Forgets a key.
    pub async fn remove(&self, space: Space, key: &str) -> Result<(), CacheError> {
        self.cache.remove(&embedded::Key::new(self.tenant, space, key));
        Ok(())
    }

    /// Adds to the count of a key and gives the sum. A count that is not there begins at zero and
    /// lives for `ttl`; adding does not prolong it. Concurrent calls each count.
    pub async fn incr(
        &self,
        space: Space,
        key: &str,
        by: i64,
        ttl: Duration,
    ) -> Result<i64, CacheError> {
        self.cache.incr(embedded::Key::new(self.tenant, space, key), by, ttl)
    }

    /// Forgets all of this tenant, and of no other.
    pub async fn clear(&self) -> Result<(), CacheError> {
        self.cache.clear(self.tenant);
        Ok(())
    }

    /// What this tenant's values take now, in bytes, keys and bookkeeping included.
    pub async fn bytes(&self) -> Result<u64, CacheError> {
        Ok(self.cache.bytes(self.tenant))
    }
}
