//! Room `jobs`: the hook by which each vertical prepares a new tenant, and takes away everything of
//! one that is gone.
//!
//! `tenancy` drives: the registered parts are the steps of the sagas that make and remove tenants,
//! and what they find is the inventory of a tenant. `server` ties them together.

use async_trait::async_trait;
use misy_core::{Ctx, Personal, Secret, TenantId};
use serde_json::Value;

pub use crate::sagas::{Step, StepError};

/// What a tenant starts from.
#[derive(Debug, Clone)]
pub struct TenantSeed {
    /// The tenant.
    pub id: TenantId,
    /// Its short name in addresses and sign-ins.
    pub slug: String,
    /// Under which its pages are known.
    pub site_id: String,
    /// Its name as people write it.
    pub name: String,
    /// Language and region, BCP 47.
    pub locale: String,
    /// IANA time zone.
    pub time_zone: String,
    /// The plan it has booked.
    pub plan: String,
    /// The plan's limits: a number by name.
    pub limits: Value,
    /// What the plan gives a new tenant to begin with, by the name of the part that makes it.
    pub starter: Value,
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

/// What a tenant that was made is known by and has been promised, for whoever looks after it.
#[derive(Debug, Clone)]
pub struct Promise {
    /// Under which its pages are known.
    pub site_id: String,
    /// What its plan gives a tenant to begin with, by the name of the part that makes it.
    pub starter: Value,
}

/// Things of one kind that a store holds of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which store: `postgresql`, `queue`, `cache`, `documents`, `files`.
    pub store: &'static str,
    /// What they are: a table, a user, a collection.
    pub what: String,
    /// How many.
    pub count: i64,
    /// Whether they stay when the tenant is gone.
    pub is_kept: bool,
}

impl Found {
    /// Things that go with the tenant.
    pub fn new(store: &'static str, what: impl Into<String>, count: i64) -> Self {
        Self { store, what: what.into(), count, is_kept: false }
    }
}

/// One vertical's part in making a tenant and in removing it. All of it is idempotent.
#[async_trait]
pub trait Provision: Step<TenantSeed> {
    /// What is there of the tenant, whoever has made it. What is not there is left out or zero.
    async fn find(&self, ctx: &Ctx) -> Result<Vec<Found>, StepError>;

    /// What a tenant with this promise has while it works, by the names that [`Provision::find`]
    /// uses.
    fn wanted(&self, _promise: &Promise) -> Vec<&'static str> {
        Vec::new()
    }

    /// Makes again what is missing of a tenant that works. `false` if that takes more than is
    /// known of it now, so that somebody has to look.
    async fn repair(&self, _ctx: &Ctx, _promise: &Promise) -> Result<bool, StepError> {
        Ok(false)
    }
}
