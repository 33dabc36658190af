//! Room `identity`: minimum versions of sessions and users.

use std::collections::HashMap;

use misy_core::Timestamp;
use uuid::Uuid;

/// A subject whose tokens with a lower version are dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Floor {
    /// A session, user or operator.
    pub(crate) subject: Uuid,
    /// The lowest version that is still believed.
    pub(crate) minimum: i64,
    /// When it was raised.
    pub(crate) raised_at: Timestamp,
}

/// A version that no token has: nothing of the subject is believed any more.
pub(crate) const NEVER: i64 = i64::MAX;

/// All floors that a token which has not expired could be below.
#[derive(Debug, Default)]
pub(crate) struct Floors(HashMap<Uuid, (i64, Timestamp)>);

impl Floors {
    /// Whether a token with this version of the subject is still believed.
    pub(crate) fn allow(&self, subject: Uuid, version: i64) -> bool {
        self.0.get(&subject).is_none_or(|(minimum, _)| version >= *minimum)
    }

    /// Learns floors, in any order and any number of times; a floor never sinks.
    pub(crate) fn learn(&mut self, floors: impl IntoIterator<Item = Floor>) {
        for floor in floors {
            let known = self.0.entry(floor.subject).or_insert((floor.minimum, floor.raised_at));
            known.0 = known.0.max(floor.minimum);
            known.1 = known.1.max(floor.raised_at);
        }
    }

    /// Forgets floors that every token they killed has outlived by now.
    pub(crate) fn forget_before(&mut self, time: Timestamp) {
        self.0.retain(|_, (_, raised_at)| *raised_at >= time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn floor(subject: u128, minimum: i64, second: i64) -> Floor {
        let raised_at = Timestamp::from_second(second).expect("in range");
        Floor { subject: Uuid::from_u128(subject), minimum, raised_at }
    }

    #[test]
    fn lower_versions_die_and_others_live() {
        let mut floors = Floors::default();
        floors.learn([floor(1, 3, 10), floor(2, NEVER, 10)]);
        let allow = |subject, version| floors.allow(Uuid::from_u128(subject), version);
        assert!(!allow(1, 2) && allow(1, 3));
        assert!(!allow(2, i64::MAX - 1));
        assert!(allow(3, 1));
    }

    #[test]
    fn a_floor_is_forgotten_only_when_it_is_old() {
        let mut floors = Floors::default();
        floors.learn([floor(1, 2, 10), floor(2, 2, 20)]);
        floors.forget_before(Timestamp::from_second(20).expect("in range"));
        assert!(floors.allow(Uuid::from_u128(1), 1));
        assert!(!floors.allow(Uuid::from_u128(2), 1));
    }

    proptest! {
        #[test]
        fn the_order_of_news_does_not_matter(
            news in prop::collection::vec((0u128..4, 0i64..9, 0i64..9), 0..30),
        ) {
            let all: Vec<Floor> = news.iter().map(|(s, m, t)| floor(*s, *m, *t)).collect();
            let (mut forward, mut twice_backward) = (Floors::default(), Floors::default());
            forward.learn(all.clone());
            twice_backward.learn(all.iter().rev().copied());
            twice_backward.learn(all);
            for subject in 0..4 {
                for version in 0..9 {
                    let subject = Uuid::from_u128(subject);
                    let expected = forward.allow(subject, version);
                    prop_assert_eq!(twice_backward.allow(subject, version), expected);
                }
            }
        }
    }
}
