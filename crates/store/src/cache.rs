//! Room `store`: the cache, which nobody reaches but through a tenant.
//!
//! [`Cache::of`] gives a [`TenantCache`], and the tenant's id is part of every key it makes, so a
//! key of one tenant cannot name a value of another. What is in it may be gone at any moment: it
//! is never the only place of anything.

pub mod attack;
mod config;
mod embedded;
pub mod private;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use misy_core::crypto::Key as RootKey;
use misy_core::{Ambient, Code, Ctx, PlatformCtx, Public, TenantId};

use self::redis::{Down, Identity, Redis};
use embedded::{Embedded, Key};

pub use self::redis::{key_prefix, user_name, user_rules};
pub use config::{ADMIN_RULES, CacheConfig, CachePasswords, Refusal};

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
    /// What must reach the cache's server could not; only told where going on without it would
    /// leave something behind.
    #[error("the cache's server does not answer")]
    Away,
}

impl Public for CacheError {
    fn code(&self) -> Code {
        match self {
            Self::NotACount => Code::Internal,
            Self::Away => Code::Unavailable,
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        (*self == Self::Away).then_some(1)
    }
}

#[derive(Clone)]
enum Backend {
    Embedded(Arc<Embedded>),
    Redis(Arc<Redis>),
}

/// The cache of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Cache(Backend);

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cache")
    }
}

impl Cache {
    /// A cache in the memory of this process, bounded as configured.
    pub fn embedded(config: &CacheConfig, ambient: Ambient) -> Self {
        Self(Backend::Embedded(Embedded::new(config, ambient)))
    }

    /// The cache that the configuration names. A Redis that does not answer now is used as soon as
    /// it does, if somebody [keeps](Self::keep) it; one that is not safe to use is refused.
    pub async fn open(
        config: &CacheConfig,
        root: &RootKey,
        ambient: Ambient,
    ) -> Result<Self, Refusal> {
        let Some(url) = config.address()? else {
            metrics::gauge!("misy_cache_up").set(1.0);
            return Ok(Self::embedded(config, ambient));
        };
        let redis = Redis::new(config, &url, CachePasswords::derive(root), ambient)?;
        match Box::pin(redis.tend()).await {
            Err(Down::Refused(refusal)) => Err(refusal),
            // It was logged, and it heals.
            Ok(()) | Err(Down::Away(_)) => Ok(Self(Backend::Redis(redis))),
        }
    }

    /// The part of the context's tenant.
    pub fn of(&self, ctx: &Ctx) -> TenantCache {
        let tenant = ctx.tenant();
        TenantCache(match &self.0 {
            Backend::Embedded(cache) => Part::Embedded(Arc::clone(cache), tenant),
            Backend::Redis(redis) => Part::Redis(Arc::clone(redis), redis.identity(tenant)),
        })
    }

    /// Prepares the cache for a new tenant. Without it the first use does.
    pub async fn admit(&self, ctx: &Ctx) -> Result<(), CacheError> {
        match &self.0 {
            Backend::Embedded(_) => Ok(()),
            Backend::Redis(redis) => redis.admit(ctx.tenant()).await,
        }
    }

    /// Removes all of a tenant and its credentials. To be called when no context of the tenant is
    /// given out any more, and again if the server was away.
    pub async fn forget(&self, _: &PlatformCtx, tenant: TenantId) -> Result<(), CacheError> {
        match &self.0 {
            Backend::Embedded(cache) => {
                cache.clear(tenant);
                Ok(())
            }
            Backend::Redis(redis) => redis.forget(tenant).await,
        }
    }

    /// What is there of a tenant: whether it has a user, and the bytes of its values. An error if
    /// the server is away.
    pub async fn find(&self, _: &PlatformCtx, tenant: TenantId) -> Result<(bool, u64), CacheError> {
        match &self.0 {
            Backend::Embedded(cache) => Ok((false, cache.bytes(tenant))),
            Backend::Redis(redis) => redis.find(tenant).await,
        }
    }

    /// Whether tenants have users of their own in it.
    pub fn has_users(&self) -> bool {
        matches!(self.0, Backend::Redis(_))
    }

    /// Looks after the connections again and again; never ends. Drop it to stop.
    pub async fn keep(&self) -> crate::db::Never {
        match &self.0 {
            Backend::Embedded(_) => std::future::pending().await,
            Backend::Redis(redis) => redis.keep().await,
        }
    }

    /// Looks after the connections once, and says why the cache does not work if it does not.
    pub async fn tend(&self) -> Result<(), Idle> {
        match &self.0 {
            Backend::Embedded(_) => Ok(()),
            Backend::Redis(redis) => redis.tend().await.map_err(|down| Idle(down.to_string())),
        }
    }

    /// Whether it works, as far as is known without asking.
    pub fn ready(&self) -> Result<(), Idle> {
        let Backend::Redis(redis) = &self.0 else { return Ok(()) };
        let health = redis.health();
        if health.up { Ok(()) } else { Err(Idle(health.why_not.clone())) }
    }

    /// What it is. Asks its server.
    pub async fn inspect(&self) -> Result<CacheReport, Idle> {
        let Backend::Redis(redis) = &self.0 else {
            return Ok(CacheReport { name: "in the process".to_owned(), notes: Vec::new() });
        };
        let notes = redis.inspect().await.map_err(|down| Idle(down.to_string()))?;
        let name = format!("Redis {}", redis.health().version);
        Ok(CacheReport { name, notes })
    }

    /// How often the server has refused a tenant's user since this process began: not once, unless
    /// somebody has a tenant's password or the program is wrong.
    pub fn denials(&self, tenant: TenantId) -> u64 {
        let Backend::Redis(redis) = &self.0 else { return 0 };
        redis.health().denied.get(&tenant).copied().unwrap_or(0)
    }
}

/// What a cache is and what an operator should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheReport {
    /// Its kind, and its version if it is a server.
    pub name: String,
    /// What could be better, each with what to do.
    pub notes: Vec<String>,
}

/// Why the program goes on without cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Idle(String);

#[derive(Clone)]
enum Part {
    Embedded(Arc<Embedded>, TenantId),
    Redis(Arc<Redis>, Arc<Identity>),
}

/// The cache of one tenant.
#[derive(Clone)]
pub struct TenantCache(Part);

impl std::fmt::Debug for TenantCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TenantCache")
    }
}

impl TenantCache {
    /// The value of a key, unless it has expired or made room for others, or the cache's server is
    /// away.
    pub async fn get(&self, space: Space, key: &str) -> Result<Option<Bytes>, CacheError> {
        Ok(match &self.0 {
            Part::Embedded(cache, tenant) => cache.get(&Key::new(*tenant, space, key)),
            Part::Redis(redis, who) => redis.get(who, space, key).await,
        })
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
        let value = value.into();
        match &self.0 {
            Part::Embedded(cache, tenant) => cache.put(Key::new(*tenant, space, key), value, ttl),
            Part::Redis(redis, who) => redis.put(who, space, key, value, ttl).await,
        }
        Ok(())
    }

    /// Forgets a key.
    pub async fn remove(&self, space: Space, key: &str) -> Result<(), CacheError> {
        match &self.0 {
            Part::Embedded(cache, tenant) => cache.remove(&Key::new(*tenant, space, key)),
            Part::Redis(redis, who) => redis.remove(who, space, key).await,
        }
        Ok(())
    }

    /// Adds to the count of a key and gives the sum. A count that is not there begins at zero and
    /// lives for `ttl`; adding does not prolong it. Concurrent calls each count. While the cache's
    /// server is away each process counts for itself, from zero.
    pub async fn incr(
        &self,
        space: Space,
        key: &str,
        by: i64,
        ttl: Duration,
    ) -> Result<i64, CacheError> {
        match &self.0 {
            Part::Embedded(cache, tenant) => cache.incr(Key::new(*tenant, space, key), by, ttl),
            Part::Redis(redis, who) => redis.incr(who, space, key, by, ttl).await,
        }
    }

    /// Forgets all of this tenant, and of no other.
    pub async fn clear(&self) -> Result<(), CacheError> {
        match &self.0 {
            Part::Embedded(cache, tenant) => cache.clear(*tenant),
            Part::Redis(redis, who) => redis.clear(who).await,
        }
        Ok(())
    }

    /// What this tenant's values take now, in bytes, keys and bookkeeping included.
    pub async fn bytes(&self) -> Result<u64, CacheError> {
        Ok(match &self.0 {
            Part::Embedded(cache, tenant) => cache.bytes(*tenant),
            Part::Redis(redis, who) => redis.bytes(who).await,
        })
    }
}
