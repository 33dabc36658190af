//! Room `store`: how a room that must keep a secret gets its tenant's key. The vertical that keeps
//! the keys implements it; `server` ties the two.

use async_trait::async_trait;
use misy_core::crypto::Key;

use crate::{Error, TenantTx};

/// A tenant's key of one version.
#[derive(Debug, Clone)]
pub struct TenantKey {
    /// Its version, which every value sealed with it names.
    pub version: u32,
    /// The key itself.
    pub key: Key,
}

/// Gives a tenant's keys to those who work inside the tenant.
#[async_trait]
pub trait Vault: Send + Sync {
    /// The key to seal with.
    async fn current(&self, tx: &mut TenantTx) -> Result<TenantKey, Error>;

    /// The key of a version, to open what was sealed earlier; `None` if it is gone or was revoked.
    async fn of_version(&self, tx: &mut TenantTx, version: u32)
    -> Result<Option<TenantKey>, Error>;
}
