//! Room `store`: what an operator can set about the cache, and how its server's address is read.

use std::path::PathBuf;
use std::time::Duration;

use misy_core::Secret;
use misy_core::crypto::{self, Key};
use misy_core::id::TypedId;
use misy_core::{Code, Public, TenantId};
use redis::{ConnectionInfo, IntoConnectionInfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the cache is, and how much it may hold.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// `redis://user:password@host` or `rediss://..` (TLS) of a Redis of your own, version 7 or
    /// newer, or `redis+unix:///path?user=..&pass=..`. Without it the cache is in the process.
    #[serde(skip_serializing)]
    pub url: Option<Secret>,
    /// A file that holds the address, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// Certificate authorities in PEM that sign Redis' certificate, instead of the system's; for
    /// `rediss://`.
    pub ca_file: Option<PathBuf>,
    /// All tenants together in the memory of a process, in bytes; a Redis has `maxmemory`.
    pub max_bytes: u64,
    /// One tenant, in bytes; its oldest values make room for new ones.
    pub max_tenant_bytes: u64,
    /// Connections of a process to Redis.
    pub connections: usize,
    /// Pipelines under way on one connection.
    pub in_flight: usize,
    /// How many of them one tenant may have under way; the rest is always there for others.
    pub in_flight_per_tenant: usize,
    /// Pipelines of one tenant that may wait for their turn; one more goes without cache at once.
    pub waiting_per_tenant: usize,
    /// How long a pipeline waits for its turn before it goes without cache, in milliseconds.
    pub wait_ms: u64,
    /// How long an answer may take before its connection is not used any more, in milliseconds.
    pub answer_ms: u64,
    /// How long a connection may take to be made, in milliseconds.
    pub connect_ms: u64,
    /// How often `ACL LOG` is read, in milliseconds.
    pub denials_ms: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            ca_file: None,
            max_bytes: 32 << 20,
            max_tenant_bytes: 4 << 20,
            connections: 4,
            in_flight: 64,
            in_flight_per_tenant: 16,
            waiting_per_tenant: 256,
            wait_ms: 20,
            answer_ms: 200,
            connect_ms: 1_000,
            denials_ms: 15_000,
        }
    }
}

impl CacheConfig {
    /// The address of a Redis, from wherever it was given.
    pub fn address(&self) -> Result<Option<Secret>, Refusal> {
        match (&self.url, &self.url_file) {
            (Some(_), Some(_)) => Err(Refusal::TwoAddresses),
            (Some(url), None) => Ok(Some(url.clone())),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| Refusal::UrlFile { path: file.clone(), error })?;
                Ok(Some(Secret::new(text.trim())))
            }
            (None, None) => Ok(None),
        }
    }

    /// The certificate authorities of the server, if they are not the system's.
    pub(super) fn authorities(&self) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let read = std::fs::read(path);
        read.map(Some).map_err(|error| Refusal::CaFile { path: path.clone(), error })
    }

    pub(super) fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }

    pub(super) fn answer(&self) -> Duration {
        Duration::from_millis(self.answer_ms)
    }
}

/// Why a Redis is not used although it is there. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Both ways to name it were used.
    #[error("set `cache.url` or `cache.url_file`, not both")]
    TwoAddresses,
    /// The file with the address.
    #[error("cannot read cache.url_file {}", path.display())]
    UrlFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The file with authorities.
    #[error("cannot read the certificate authorities of cache.ca_file {}", path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The address has no form that is known.
    #[error(
        "`cache.url` cannot be read: it is redis://USER:PASSWORD@HOST[:PORT], rediss:// for \
         TLS, or redis+unix:///PATH?user=USER&pass=PASSWORD"
    )]
    Url,
    /// Nobody signs in.
    #[error(
        "`cache.url` names no user and password. As Redis' administrator: ACL SETUSER \
         misy_admin on '>PASSWORD' {ADMIN_RULES}; then redis://misy_admin:PASSWORD@HOST"
    )]
    NoUser,
    /// Databases are no wall: `RESET` goes back to the first.
    #[error("`cache.url` names a database number: tenants are walled by keys, leave it out")]
    Numbered,
    /// Too old.
    #[error(
        "Redis is {0}, and 7.0 or newer is needed (permissions on keys inside scripts): run a \
         newer redis-server or Valkey, or remove `cache.url`"
    )]
    Version(String),
    /// Everybody is let in.
    #[error(
        "Redis lets in whoever connects: its user `default` is on and has no password. Switch \
         it off (ACL SETUSER default off, and in the aclfile or redis.conf: user default off)"
    )]
    DefaultUser,
    /// The user of the address is not let in.
    #[error(
        "Redis does not let in the user of `cache.url`: wrong name or password, or Redis was \
         restarted without the aclfile that made it"
    )]
    SignIn,
    /// The user of the address may not do what it must.
    #[error(
        "the user of `cache.url` may not {0}. As Redis' administrator: ACL SETUSER misy_admin \
         {rules}",
        rules = ADMIN_RULES
    )]
    AdminRights(String),
}

/// What the administrator of the cache's users needs, and no key.
pub const ADMIN_RULES: &str = "resetkeys resetchannels -@all +acl|setuser +acl|deluser \
                               +acl|getuser +acl|log +script|load +info +ping";

impl Public for Refusal {
    fn code(&self) -> Code {
        Code::Internal
    }
}

/// The address in the driver's form.
pub(super) fn parse(url: &Secret) -> Result<ConnectionInfo, Refusal> {
    let info = url.expose().into_connection_info().map_err(|_| Refusal::Url)?;
    let settings = info.redis_settings();
    if settings.username().is_none() || settings.password().is_none() {
        return Err(Refusal::NoUser);
    }
    if settings.db() != 0 {
        return Err(Refusal::Numbered);
    }
    Ok(info)
}

/// The passwords of the tenants' users in the cache's server, derived from the root key: nothing
/// is stored, and every process comes to the same.
#[derive(Debug, Clone)]
pub struct CachePasswords(Key);

impl CachePasswords {
    /// Derives from the installation's root key.
    pub fn derive(root: &Key) -> Self {
        Self(root.derive("cache-users"))
    }

    /// The password of one tenant's user: 256 bits in 43 characters, which are one block of the
    /// hash that Redis makes of them at each sign-in, and not two.
    pub fn of(&self, tenant: TenantId) -> Secret {
        let key = self.0.derive(&tenant.uuid().hyphenated().to_string());
        Secret::new(crypto::to_base64url(key.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> Refusal {
        parse(&Secret::new(url)).expect_err("refused")
    }

    #[test]
    fn an_address_without_a_user_or_with_a_database_is_refused() {
        assert!(matches!(refused("http://localhost"), Refusal::Url));
        assert!(matches!(refused("redis://localhost"), Refusal::NoUser));
        assert!(matches!(refused("redis://:password@localhost"), Refusal::NoUser));
        assert!(matches!(refused("redis://a:b@localhost/3"), Refusal::Numbered));
        for url in ["redis://a:b@localhost", "rediss://a:b@localhost:6380"] {
            assert!(parse(&Secret::new(url)).is_ok(), "{url}");
        }
        assert!(parse(&Secret::new("redis+unix:///run/r.sock?user=a&pass=b")).is_ok());
    }

    #[test]
    fn passwords_differ_between_tenants_and_between_installations() {
        let tenant = |number| TenantId::from_uuid(uuid::Uuid::from_u128(number));
        let passwords = |byte| CachePasswords::derive(&Key::new([byte; 32]));
        let one = passwords(1).of(tenant(1));
        assert_eq!(one.expose().len(), 43);
        assert_eq!(one, passwords(1).of(tenant(1)));
        assert_ne!(one, passwords(1).of(tenant(2)));
        assert_ne!(one, passwords(2).of(tenant(1)));
    }

    #[test]
    fn neither_the_address_nor_a_password_is_ever_printed() {
        let url = Some(Secret::new("redis://a:hunter2@b"));
        let config = CacheConfig { url, ..CacheConfig::default() };
        let json = serde_json::to_string(&config).expect("it serialises");
        assert!(!format!("{config:?}{json}").contains("hunter2"));
    }
}
