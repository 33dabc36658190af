//! Room `tenancy`: wrapping a tenant's key under the root key.

use misy_core::crypto::{self, Key, OpenError, Place, SEAL_NONCE_BYTES};
use misy_core::id::TypedId;
use misy_core::{Secret, TenantId};
use uuid::Uuid;

/// Tenant, purpose and version are part of what is sealed, so a wrapped key put into another
/// tenant's row, or under another version, does not open.
fn place(tenant: TenantId, version: u32) -> Place<'static> {
    let row = Uuid::from_u128(tenant.uuid().as_u128() ^ u128::from(version));
    Place { tenant, table: "tenant_keys", column: "wrapped", row }
}

/// Seals a tenant's key under the root key.
pub fn wrap(
    root: &Key,
    tenant: TenantId,
    version: u32,
    nonce: [u8; SEAL_NONCE_BYTES],
    key: &Key,
) -> Vec<u8> {
    crypto::seal(root, 1, &place(tenant, version), nonce, key.expose())
}

/// Opens what [`wrap`] made for the same tenant and version.
pub fn unwrap(
    root: &Key,
    tenant: TenantId,
    version: u32,
    wrapped: &[u8],
) -> Result<Key, OpenError> {
    let bytes = crypto::open(root, &place(tenant, version), wrapped)?;
    Key::from_slice(&bytes).ok_or(OpenError)
}

fn secret_place(tenant: TenantId, name: &str) -> Place<'_> {
    Place { tenant, table: "tenant_secrets", column: name, row: tenant.uuid() }
}

/// Seals a secret of a tenant under the tenant's first key.
pub fn seal_secret(
    key: &Key,
    tenant: TenantId,
    name: &str,
    nonce: [u8; SEAL_NONCE_BYTES],
    secret: &Secret,
) -> Vec<u8> {
    crypto::seal(key, 1, &secret_place(tenant, name), nonce, secret.expose().as_bytes())
}

/// Opens what [`seal_secret`] made for the same tenant under the same name.
pub fn open_secret(
    key: &Key,
    tenant: TenantId,
    name: &str,
    sealed: &[u8],
) -> Result<Secret, OpenError> {
    let plain = crypto::open(key, &secret_place(tenant, name), sealed)?;
    std::str::from_utf8(&plain).map(Secret::new).map_err(|_| OpenError)
}

fn seed_place(tenant: TenantId) -> Place<'static> {
    Place { tenant, table: "provisionings", column: "seed", row: tenant.uuid() }
}

/// Seals what provisioning still needs to know, which holds a password.
pub fn seal_seed(
    root: &Key,
    tenant: TenantId,
    nonce: [u8; SEAL_NONCE_BYTES],
    seed: &Secret,
) -> Vec<u8> {
    crypto::seal(root, 1, &seed_place(tenant), nonce, seed.expose().as_bytes())
}

/// Opens what [`seal_seed`] made for the same tenant.
pub fn open_seed(root: &Key, tenant: TenantId, sealed: &[u8]) -> Result<Secret, OpenError> {
    let plain = crypto::open(root, &seed_place(tenant), sealed)?;
    std::str::from_utf8(&plain).map(Secret::new).map_err(|_| OpenError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_key_opens_for_its_tenant_and_version_only() {
        let (root, key) = (Key::new([1; 32]), Key::new([2; 32]));
        let wrapped = wrap(&root, tenant(1 << 64), 1, [3; 24], &key);
        let open = |tenant, version| unwrap(&root, tenant, version, &wrapped);
        assert_eq!(open(tenant(1 << 64), 1).expect("its own").expose(), key.expose());
        assert!(open(tenant(1 << 64), 2).is_err());
        assert!(open(tenant(1 << 65), 1).is_err());
        assert!(unwrap(&Key::new([9; 32]), tenant(1 << 64), 1, &wrapped).is_err());
    }

    #[test]
    fn a_secret_opens_for_its_tenant_and_name_only() {
        let (key, secret) = (Key::new([1; 32]), Secret::new("s"));
        let sealed = seal_secret(&key, tenant(1), "webhook_signing", [3; 24], &secret);
        let open = |of, name| open_secret(&key, tenant(of), name, &sealed);
        assert_eq!(open(1, "webhook_signing"), Ok(secret));
        assert!(open(2, "webhook_signing").is_err());
        assert!(open(1, "another").is_err());
    }

    #[test]
    fn a_seed_opens_for_its_tenant_only() {
        let (root, seed) = (Key::new([1; 32]), Secret::new("{}"));
        let sealed = seal_seed(&root, tenant(1), [3; 24], &seed);
        assert_eq!(open_seed(&root, tenant(1), &sealed), Ok(seed));
        assert!(open_seed(&root, tenant(2), &sealed).is_err());
        assert!(unwrap(&root, tenant(1), 1, &sealed).is_err(), "a seed is no key");
    }
}
