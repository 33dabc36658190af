//! Room `tenancy`: what is there, and whether it should be.

use misy_core::TenantId;
use serde::{Deserialize, Serialize};

use crate::tenants::model::Status;

/// Everything that is there of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Whose.
    pub tenant: TenantId,
    /// Where the tenant stands.
    pub status: Status,
    /// What was found and what is missing.
    pub items: Vec<Item>,
}

impl Inventory {
    /// Whether nothing is missing and nothing left over.
    pub fn is_sound(&self) -> bool {
        let bad = |item: &Item| matches!(item.verdict, Verdict::Missing | Verdict::LeftOver);
        !self.items.iter().any(bad)
    }
}

/// Things of one kind in one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Which part of a tenant it belongs to, for example `identity.people`.
    pub part: &'static str,
    /// In which store.
    pub store: &'static str,
    /// A table, a collection, a user.
    pub what: String,
    /// How many.
    pub count: i64,
    /// What to think of it.
    pub verdict: Verdict,
}

/// What to think of what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = InventoryVerdict)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as it should be.
    Fine,
    /// It should be there and is not.
    Missing,
    /// It should be gone and is not.
    LeftOver,
    /// It stays when the tenant is gone.
    Retained,
    /// The tenant is being made or removed: nothing can be said yet.
    Underway,
}

/// The verdict about things of one kind.
pub fn judge(status: Status, count: i64, is_wanted: bool, is_kept: bool) -> Verdict {
    match (status, count > 0) {
        (one, true) if one.is_gone() && is_kept => Verdict::Retained,
        (one, true) if one.is_gone() => Verdict::LeftOver,
        (one, false) if one.is_whole() && is_wanted => Verdict::Missing,
        (Status::Requested | Status::Provisioning | Status::Purging, _) => Verdict::Underway,
        _ => Verdict::Fine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_judges_what_is_there_and_what_is_not() {
        use Verdict::{Fine, LeftOver, Missing, Retained, Underway};
        for status in Status::ALL {
            let verdicts = [
                judge(status, 1, true, false),
                judge(status, 0, true, false),
                judge(status, 0, false, false),
                judge(status, 1, false, true),
            ];
            let expected = match status {
                Status::Active | Status::Suspended | Status::Closing => [Fine, Missing, Fine, Fine],
                Status::Purged | Status::Failed => [LeftOver, Fine, Fine, Retained],
                Status::Requested | Status::Provisioning | Status::Purging => [Underway; 4],
            };
            assert_eq!(verdicts, expected, "{status:?}");
        }
    }
}
