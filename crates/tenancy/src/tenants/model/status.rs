//! Room `tenancy`: the life of a tenant, as a table.

use serde::{Deserialize, Serialize};

/// Where a tenant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TenantStatus)]
pub enum Status {
    /// Asked for, not yet approved.
    Requested,
    /// Its resources are being made.
    Provisioning,
    /// It works.
    Active,
    /// Stopped for a reason that can end.
    Suspended,
    /// On its way out, data still there.
    Closing,
    /// Its data is being removed.
    Purging,
    /// Nothing is left but a tombstone.
    Purged,
    /// Its resources could not be made.
    Failed,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Requested,
        Self::Provisioning,
        Self::Active,
        Self::Suspended,
        Self::Closing,
        Self::Purging,
        Self::Purged,
        Self::Failed,
    ];

    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closing => "closing",
            Self::Purging => "purging",
            Self::Purged => "purged",
            Self::Failed => "failed",
        }
    }

    /// Reads [`Status::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.slug() == text)
    }

    /// Where an event leads from here, if it may happen here.
    pub fn after(self, event: Event) -> Option<Self> {
        let found = TRANSITIONS.iter().find(|(from, one, _)| (*from, *one) == (self, event));
        found.map(|(_, _, to)| *to)
    }

    /// Whether a tenant that stands here has all that tenants have.
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Active | Self::Suspended | Self::Closing)
    }

    /// Whether nothing may be left of a tenant that stands here.
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::Purged | Self::Failed)
    }
}

/// What moves a tenant from one status to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// All it needs was made.
    Provisioned,
    /// Something it needs cannot be made, and what was made is gone again.
    GivenUp,
    /// An operator lets it work.
    Activate,
    /// An operator stops it for a while.
    Suspend,
    /// An operator ends it, with time to think again.
    Close,
    /// An operator has thought again.
    Restore,
    /// The same for one that was suspended before.
    RestoreSuspended,
    /// The time is over, or an operator does not want to wait for that.
    Purge,
    /// Nothing is left.
    Purged,
}

/// Everything that can happen, and where it leads. What is not here cannot.
pub const TRANSITIONS: [(Status, Event, Status); 12] = [
    (Status::Provisioning, Event::Provisioned, Status::Active),
    (Status::Provisioning, Event::GivenUp, Status::Failed),
    // Provisioning that was interrupted is finished first.
    (Status::Provisioning, Event::Activate, Status::Active),
    (Status::Active, Event::Suspend, Status::Suspended),
    (Status::Suspended, Event::Activate, Status::Active),
    (Status::Active, Event::Close, Status::Closing),
    (Status::Suspended, Event::Close, Status::Closing),
    (Status::Closing, Event::Restore, Status::Active),
    (Status::Closing, Event::RestoreSuspended, Status::Suspended),
    (Status::Closing, Event::Purge, Status::Purging),
    (Status::Failed, Event::Purge, Status::Purging),
    (Status::Purging, Event::Purged, Status::Purged),
];

/// The name of each event in the audit log and for webhooks, and whether operators cause it; the
/// others are the program's own.
pub const ACTIONS: [(Event, &str, bool); 9] = [
    (Event::Provisioned, "tenant.provisioned", false),
    (Event::GivenUp, "tenant.failed", false),
    (Event::Activate, "tenant.activated", true),
    (Event::Suspend, "tenant.suspended", true),
    (Event::Close, "tenant.closed", true),
    (Event::Restore, "tenant.restored", true),
    (Event::RestoreSuspended, "tenant.restored", true),
    (Event::Purge, "tenant.purging", true),
    (Event::Purged, "tenant.purged", false),
];

impl Event {
    /// The action's name in the audit log.
    pub fn action(self) -> &'static str {
        let found = ACTIONS.iter().find(|(event, ..)| *event == self);
        found.map_or("tenant.changed", |(_, action, _)| action)
    }
}

/// Why an operator stops a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = SuspensionReason)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It has not paid.
    Billing,
    /// It has misused the platform.
    Abuse,
    /// The operator needs it to be quiet.
    Admin,
    /// A court or an authority wants it.
    Legal,
}

impl Reason {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Billing => "billing",
            Self::Abuse => "abuse",
            Self::Admin => "admin",
            Self::Legal => "legal",
        }
    }
}
