//! Room `tenancy`: a limit and where it comes from.

use std::collections::BTreeMap;

use serde_json::Value;

/// One limit of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// What is limited, for example `messages_per_month`.
    pub name: String,
    /// How many.
    pub max_count: i64,
    /// `plan` or `operator`.
    pub source: String,
}

/// A part of what is allowed in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Which.
    pub number: i16,
    /// Used of it.
    pub used: i64,
    /// Allowed of it.
    pub allotted: i64,
}

/// More than anybody uses: what a tenant without a limit is allotted.
pub const ENDLESS: i64 = i64::MAX / 4;

/// A limit is first handed out up to here, in parts of a hundred; when that is used up, it is told.
pub const WARNED_AT: i64 = 80;

/// What becomes of the slots when one more use finds no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spread {
    /// The slots after the use.
    Taken {
        /// All of them.
        slots: Vec<Slot>,
        /// Whether this use passes the mark at which it is told.
        is_warning: bool,
        /// Whether it is the one with which all is used.
        is_last: bool,
        /// How much is used with it.
        used: i64,
    },
    /// There is no room in any.
    Full,
}

/// From where on a limit is told to be used for the most part.
pub const fn mark(max_count: i64) -> i64 {
    max_count / 100 * WARNED_AT + max_count % 100 * WARNED_AT / 100
}

/// A limit as it is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    /// How much may be; `None` if as much as one likes.
    pub max_count: Option<i64>,
    /// Whether more than that is told and not refused.
    pub is_soft: bool,
}

impl Ceiling {
    /// How much is handed out once so much is used: up to the mark, then all but the last, so that
    /// whoever takes that comes here and is seen.
    fn step(self, used: i64) -> i64 {
        let Some(max_count) = self.max_count else { return ENDLESS };
        let steps = [mark(max_count), max_count - 1, max_count];
        steps.into_iter().find(|step| used <= *step).unwrap_or(ENDLESS)
    }
}

/// Uses `count` of slots that nobody else is at, and hands out anew what is left of the limit.
pub fn spread(slots: &[Slot], ceiling: Ceiling, count: i64) -> Spread {
    let max_count = ceiling.max_count.unwrap_or(ENDLESS);
    let used: i64 = slots.iter().map(|slot| slot.used).sum();
    let allotted: i64 = slots.iter().map(|slot| slot.allotted).sum();
    let used_now = used + count;
    if slots.is_empty() || used_now > max_count && !ceiling.is_soft {
        return Spread::Full;
    }
    let left = ceiling.step(used_now) - used_now;
    let number = i64::try_from(slots.len()).unwrap_or(1);
    let (each, mut rest) = (left / number, left % number);
    let share = |(at, slot): (usize, &Slot)| {
        let used = slot.used + if at == 0 { count } else { 0 };
        let extra = i64::from(rest > 0);
        rest -= extra;
        Slot { used, allotted: used + each + extra, ..*slot }
    };
    Spread::Taken {
        slots: slots.iter().enumerate().map(share).collect(),
        is_warning: used_now > mark(max_count) && allotted <= mark(max_count),
        is_last: used < max_count && used_now >= max_count,
        used: used_now,
    }
}

/// Gives back `count`, from the fullest slots first; never more than was used.
pub fn give_back(slots: &[Slot], count: i64) -> Vec<Slot> {
    let mut left = count;
    let mut slots = slots.to_vec();
    slots.sort_by_key(|slot| std::cmp::Reverse(slot.used));
    for slot in &mut slots {
        let part = left.min(slot.used);
        slot.used -= part;
        left -= part;
    }
    slots
}

/// What a tenant uses of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// What is limited.
    pub name: String,
    /// How much is used now; `None` of what is a rate or a ceiling and not counted.
    pub used: Option<i64>,
    /// From where on it is told: `quota.warning`.
    pub warned_at: Option<i64>,
    /// How much may be; `None` if as much as one likes.
    pub max_count: Option<i64>,
    /// How much it will be at the end of the period if it goes on like this; only of what renews.
    pub forecast: Option<i64>,
}

/// What a use of so much by now comes to at the end of a period of so many seconds.
pub fn forecast(used: i64, elapsed_s: i64, whole_s: i64) -> i64 {
    let elapsed_s = elapsed_s.clamp(1, whole_s.max(1));
    let sum = i128::from(used) * i128::from(whole_s) / i128::from(elapsed_s);
    i64::try_from(sum).unwrap_or(i64::MAX)
}

/// The limits of a plan, read from its data; anything that is no count is left out.
pub fn of_plan(limits: &Value) -> (Vec<String>, Vec<i64>) {
    let Some(limits) = limits.as_object() else { return (Vec::new(), Vec::new()) };
    limits
        .iter()
        .filter_map(|(name, count)| {
            Some((name.clone(), count.as_i64().filter(|count| *count >= 0)?))
        })
        .unzip()
}

/// Whether these can be limits: at most 50, of plain names, none below zero.
pub fn check(limits: &BTreeMap<String, i64>) -> Result<(), &'static str> {
    let plain = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    if limits.len() > 50 || !limits.keys().all(|name| plain(name)) {
        return Err("expected at most 50 names of a-z and underscores");
    }
    if limits.values().any(|count| *count < 0) {
        return Err("expected counts of at least 0");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Vec<Slot> {
        (0..8).map(|number| Slot { number, used: 0, allotted: 0 }).collect()
    }

    fn of(max_count: Option<i64>) -> Ceiling {
        Ceiling { max_count, is_soft: false }
    }

    fn sums(slots: &[Slot]) -> (i64, i64) {
        let used = slots.iter().map(|slot| slot.used).sum();
        (used, slots.iter().map(|slot| slot.allotted).sum())
    }

    #[test]
    fn slots_never_allow_more_than_the_limit_and_all_of_it() {
        let (mut slots, mut warnings, mut taken) = (empty(), 0, 0);
        let mut lasts = 0;
        while let Spread::Taken { slots: next, is_warning, is_last, .. } =
            spread(&slots, of(Some(100)), 1)
        {
            warnings += i32::from(is_warning);
            lasts += i32::from(is_last);
            taken += 1;
            let (used, allotted) = sums(&next);
            assert!(used == taken && allotted <= 100, "{next:?}");
            assert!(next.iter().all(|slot| slot.used <= slot.allotted), "{next:?}");
            slots = next;
        }
        assert_eq!((taken, warnings, lasts), (100, 1, 1));
    }

    #[test]
    fn a_limit_that_was_lowered_below_the_use_lets_nothing_through() {
        let Spread::Taken { slots, .. } = spread(&empty(), of(Some(50)), 30) else {
            panic!("room")
        };
        assert_eq!(spread(&slots, of(Some(20)), 1), Spread::Full);
        let Spread::Taken { slots, .. } = spread(&slots, of(None), 7) else { panic!("endless") };
        assert_eq!(sums(&slots).0, 37);
        assert_eq!(spread(&slots, of(Some(40)), 4), Spread::Full, "a use is whole or not at all");
    }

    #[test]
    fn a_soft_limit_is_told_once_and_refuses_nothing() {
        let soft = Ceiling { max_count: Some(3), is_soft: true };
        let (mut slots, mut lasts) = (empty(), 0);
        for taken in 1..=9 {
            let Spread::Taken { slots: next, is_last, used, .. } = spread(&slots, soft, 1) else {
                panic!("refused at {taken}")
            };
            assert_eq!(used, taken);
            lasts += i32::from(is_last);
            slots = next;
        }
        assert_eq!((lasts, sums(&slots).0), (1, 9));
    }

    #[test]
    fn what_is_given_back_is_taken_from_where_it_is_and_never_below_nothing() {
        let Spread::Taken { slots, .. } = spread(&empty(), of(None), 30) else { panic!("endless") };
        assert_eq!(sums(&give_back(&slots, 12)).0, 18);
        assert_eq!(sums(&give_back(&slots, 99)).0, 0);
    }

    #[test]
    fn a_forecast_goes_on_like_this() {
        assert_eq!(forecast(100, 10, 30), 300);
        assert_eq!(forecast(100, 0, 30), 3_000, "the first second counts as one");
        assert_eq!(forecast(5, 90, 30), 5);
    }

    #[test]
    fn what_is_no_count_is_no_limit() {
        let limits = serde_json::json!({"users": 3, "channels": "many", "contacts": -1});
        assert_eq!(of_plan(&limits), (vec!["users".to_owned()], vec![3]));
        assert_eq!(of_plan(&Value::Null), (vec![], vec![]));
    }
}
