//! Room `jobs`: the hook by which each vertical prepares a new tenant.
//!
//! `tenancy` drives: it calls every registered [`Provision`] in turn, again after a crash, until
//! all have succeeded. `server` ties them together.

use async_trait::async_trait;
use misy_core::error::Fault;
use misy_core::{Ctx, Personal, Public, Secret, TenantId};

/// What a tenant starts from.
#[derive(Debug, Clone)]
pub struct TenantSeed {
    /// The tenant.
    pub id: TenantId,
    /// Its short name in addresses and sign-ins.
    pub slug: String,
    /// Its name as people write it.
    pub name: String,
    /// Language and region, BCP 47.
    pub locale: String,
    /// IANA time zone.
    pub time_zone: String,
    /// The plan it has booked.
    pub plan: String,
    /// Who owns it.
    pub owner: Owner,
}

/// The first person of a tenant.
#[derive(Debug, Clone)]
pub struct Owner {
    /// Normalised e-mail address.
    pub email: Personal<String>,
    /// Name as shown.
    pub name: Personal<String>,
    /// A password chosen for them; without one they are invited.
    pub password: Option<Secret>,
}

/// A step that could not be done now.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// Trying again later may help.
    #[error("provisioning failed for now")]
    Retry(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Trying again cannot help.
    #[error("provisioning is impossible")]
    Impossible {
        /// What is wrong with the seed, pointing into it: `/owner/password`.
        faults: Vec<Fault>,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl<E: Public> From<E> for ProvisionError {
    /// What the server is to blame for may pass; what the request is to blame for stays.
    fn from(error: E) -> Self {
        if error.code().status() >= 500 {
            Self::Retry(Box::new(error))
        } else {
            Self::Impossible { faults: error.faults(), source: Box::new(error) }
        }
    }
}

/// One vertical's part in making a tenant. It must be idempotent: after a crash it runs again.
#[async_trait]
pub trait Provision: Send + Sync {
    /// Its name in logs and in the step log, for example `identity.roles`.
    fn name(&self) -> &'static str;

    /// Makes what the tenant needs, or finds that it is there already.
    async fn provision(&self, ctx: &Ctx, seed: &TenantSeed) -> Result<(), ProvisionError>;
}
