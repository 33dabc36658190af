//! Room `identity`: a decision, as it is written down.

use misy_core::{DecisionId, Timestamp};
use uuid::Uuid;

/// How long decisions are kept, in days.
pub(crate) const KEPT_DAYS: i64 = 90;

/// What was decided about whom, and by which policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) id: DecisionId,
    /// Who asked: an actor, or a subject of one of the tenant's own applications.
    pub(crate) principal: String,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) allowed: bool,
    pub(crate) policies: Vec<String>,
    pub(crate) policy_version: i64,
    pub(crate) reason: String,
    pub(crate) request_id: String,
    pub(crate) created_at: Timestamp,
}

/// The lowest id that a decision of this time can have: ids begin with their milliseconds
/// (RFC 9562 section 5.7).
pub(crate) fn lowest_id(time: Timestamp) -> Uuid {
    let milliseconds = u128::try_from(time.as_millisecond().max(0)).unwrap_or_default();
    Uuid::from_u128(milliseconds << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_id_of_a_time_is_below_every_id_made_then_and_above_those_before() {
        let at = |ms| Timestamp::from_millisecond(ms).expect("in range");
        let made = Uuid::new_v7_like(1_700_000_000_123);
        assert!(lowest_id(at(1_700_000_000_123)) <= made);
        assert!(lowest_id(at(1_700_000_000_124)) > made);
    }

    trait Like {
        fn new_v7_like(milliseconds: u128) -> Uuid;
    }
    impl Like for Uuid {
        fn new_v7_like(milliseconds: u128) -> Uuid {
            Uuid::from_u128(milliseconds << 80 | 0x7fff_bfff_ffff_ffff_ffff)
        }
    }
}
