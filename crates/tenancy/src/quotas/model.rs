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
    },
    /// There is no room in any.
    Full,
}

/// Uses `count` of slots that nobody else is at, and hands out anew what is left of the limit.
pub fn spread(slots: &[Slot], max_count: Option<i64>, count: i64) -> Spread {
    let max_count = max_count.unwrap_or(ENDLESS);
    let used: i64 = slots.iter().map(|slot| slot.used).sum();
    let allotted: i64 = slots.iter().map(|slot| slot.allotted).sum();
    if used + count > max_count || slots.is_empty() {
        return Spread::Full;
    }
    let mark = max_count / 100 * WARNED_AT + max_count % 100 * WARNED_AT / 100;
    let used_now = used + count;
    let handed_out = if used_now <= mark { mark } else { max_count };
    let left = handed_out - used_now;
    let number = i64::try_from(slots.len()).unwrap_or(1);
    let (each, mut rest) = (left / number, left % number);
    let share = |(at, slot): (usize, &Slot)| {
        let used = slot.used + if at == 0 { count } else { 0 };
        let extra = i64::from(rest > 0);
        rest -= extra;
        Slot { used, allotted: used + each + extra, ..*slot }
    };
    let is_warning = used_now > mark && allotted <= mark;
    Spread::Taken { slots: slots.iter().enumerate().map(share).collect(), is_warning }
}

/// What a tenant uses of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// What is limited.
    pub name: String,
    /// How much is used now.
    pub used: i64,
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

    fn sums(slots: &[Slot]) -> (i64, i64) {
        let used = slots.iter().map(|slot| slot.used).sum();
        (used, slots.iter().map(|slot| slot.allotted).sum())
    }

    #[test]
    fn slots_never_allow_more_than_the_limit_and_all_of_it() {
        let (mut slots, mut warnings, mut taken) = (empty(), 0, 0);
        while let Spread::Taken { slots: next, is_warning } = spread(&slots, Some(100), 1) {
            warnings += i32::from(is_warning);
            taken += 1;
            let (used, allotted) = sums(&next);
            assert!(used == taken && allotted <= 100, "{next:?}");
            assert!(next.iter().all(|slot| slot.used <= slot.allotted), "{next:?}");
            slots = next;
        }
        assert_eq!((taken, warnings), (100, 1));
    }

    #[test]
    fn a_limit_that_was_lowered_below_the_use_lets_nothing_through() {
        let Spread::Taken { slots, .. } = spread(&empty(), Some(50), 30) else { panic!("room") };
        assert_eq!(spread(&slots, Some(20), 1), Spread::Full);
        let Spread::Taken { slots, .. } = spread(&slots, None, 7) else { panic!("endless") };
        assert_eq!(sums(&slots).0, 37);
        assert_eq!(spread(&slots, Some(40), 4), Spread::Full, "a use is whole or not at all");
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
