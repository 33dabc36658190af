//! Room `tenancy`: making and opening tenants' keys, and keeping what waits for provisioning.

use std::time::Duration;

use async_trait::async_trait;
use misy_core::crypto::Key;
use misy_core::{Ambient, Secret, TenantId};
use misy_store::{Audit, Error, TenantKey, TenantTx, Vault};
use moka::sync::Cache;

use super::{model, store};

/// How long an opened key stays in memory; a revoked one is refused after that at the latest.
const KEPT: Duration = Duration::from_mins(1);
const KEPT_MAX: u64 = 10_000;

/// Opens tenants' keys.
pub struct Keys {
    root: Key,
    ambient: Ambient,
    opened: Cache<(TenantId, Option<u32>), TenantKey>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// Keys wrapped under this root key.
    pub fn new(root: &Key, ambient: Ambient) -> Self {
        let opened = Cache::builder().max_capacity(KEPT_MAX).time_to_live(KEPT).build();
        Self { root: root.derive("tenant-keys"), ambient, opened }
    }

    /// Makes the tenant's first key, unless it has one; gives it if it was made. It counts once the
    /// transaction is committed, so it is not remembered here.
    pub async fn ensure_first(&self, tx: &mut TenantTx) -> Result<Option<Key>, Error> {
        let key = Key::new(self.ambient.bytes());
        let tenant = tx.ctx().tenant();
        let wrapped = model::wrap(&self.root, tenant, 1, self.ambient.bytes(), &key);
        if !store::insert(tx, 1, &wrapped).await? {
            return Ok(None);
        }
        tx.audit(Audit::new("key.created", "key", 1));
        Ok(Some(key))
    }

    /// A new secret of 256 bits in text form, sealed with the tenant's first key.
    pub(crate) fn seal_secret(&self, tx: &TenantTx, key: &Key, name: &str) -> Vec<u8> {
        let secret = Secret::new(misy_core::crypto::to_base64url(&self.ambient.bytes::<32>()));
        model::seal_secret(key, tx.ctx().tenant(), name, self.ambient.bytes(), &secret)
    }

    /// Forgets the opened keys of a tenant whose keys are destroyed.
    pub(crate) fn forget(&self, tenant: TenantId) {
        let of_tenant: Vec<_> =
            self.opened.iter().map(|(key, _)| *key).filter(|(one, _)| *one == tenant).collect();
        for key in of_tenant {
            self.opened.invalidate(&key);
        }
    }

    /// Seals what a tenant that is being made needs later, before it has a key of its own.
    pub(crate) fn seal_seed(&self, tenant: TenantId, seed: &Secret) -> Vec<u8> {
        model::seal_seed(&self.root, tenant, self.ambient.bytes(), seed)
    }

    /// Opens what [`Keys::seal_seed`] sealed for the same tenant.
    pub(crate) fn open_seed(&self, tenant: TenantId, sealed: &[u8]) -> Result<Secret, Error> {
        model::open_seed(&self.root, tenant, sealed).map_err(|_| Error::Corrupt { column: "seed" })
    }

    async fn load(
        &self,
        tx: &mut TenantTx,
        version: Option<u32>,
    ) -> Result<Option<TenantKey>, Error> {
        let tenant = tx.ctx().tenant();
        if let Some(known) = self.opened.get(&(tenant, version)) {
            return Ok(Some(known));
        }
        let Some((version_found, wrapped)) = store::find(tx, version).await? else {
            return Ok(None);
        };
        let key = model::unwrap(&self.root, tenant, version_found, &wrapped)
            .map_err(|_| Error::Corrupt { column: "wrapped" })?;
        let found = TenantKey { version: version_found, key };
        self.opened.insert((tenant, version), found.clone());
        Ok(Some(found))
    }
}

#[async_trait]
impl Vault for Keys {
    async fn current(&self, tx: &mut TenantTx) -> Result<TenantKey, Error> {
        self.load(tx, None).await?.ok_or(Error::Corrupt { column: "tenant_keys" })
    }

    async fn of_version(
        &self,
        tx: &mut TenantTx,
        version: u32,
    ) -> Result<Option<TenantKey>, Error> {
        self.load(tx, Some(version)).await
    }
}
