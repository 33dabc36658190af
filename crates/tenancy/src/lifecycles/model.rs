//! Room `tenancy`: what is told of a tenant's life, and what is left of it.

use misy_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::tenants::model::Tenant;

/// How long a closed tenant can be restored if the operator does not say, in days.
pub const GRACE_DAYS: u16 = 30;

/// Where a tenant stands and how it came there.
#[derive(Debug, Clone, PartialEq)]
pub struct Lifecycle {
    /// The tenant.
    pub tenant: Tenant,
    /// What was decided about it, newest first.
    pub history: Vec<Decided>,
    /// What was destroyed, once that began.
    pub tombstone: Option<Tombstone>,
}

/// Something that was decided about a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What.
    pub action: String,
    /// By whom.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// What is left of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// When its data was gone; `None` while it is being removed.
    pub purged_at: Option<Timestamp>,
    /// What was found and what remains.
    pub report: Report,
}

/// What was found of a tenant before it was removed, and what remains on purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = DestructionReport)]
pub struct Report {
    /// What was destroyed, by store.
    pub destroyed: Vec<Holding>,
    /// What stays: the audit log, the log of the removal itself.
    pub retained: Vec<Holding>,
}

/// Things of one kind in one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Holding {
    /// `postgresql`, `queue`, `cache`, `documents` or `files`.
    pub store: String,
    /// A table, a collection, a user.
    #[schema(example = "messages")]
    pub what: String,
    /// How many.
    pub count: i64,
}
