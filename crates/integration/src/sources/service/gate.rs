//! Room `integration`: how fast requests of sources may come, and how many refusals are written
//! down. Kept in memory, for each process by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use misy_core::{SourceId, TenantId, Timestamp};
use moka::sync::Cache;
use uuid::Uuid;

use misy_core::id::TypedId;

const KEPT: Duration = Duration::from_mins(10);
const KEPT_MAX: u64 = 50_000;

/// Seconds of a rate that may come at once.
const BURST_S: i64 = 2;

/// Refusals of a source that are written down at once, and those a second after that.
const NOTED_AT_ONCE: i64 = 20;
const NOTED_PER_S: u32 = 1;

/// Certificates are kept for so long.
const CERTIFICATES_KEPT: Duration = Duration::from_hours(1);

/// What is remembered of sources between requests.
#[derive(Clone)]
pub struct Gate {
    paces: Cache<Uuid, Arc<Mutex<Timestamp>>>,
    notes: Cache<SourceId, Arc<Mutex<Notes>>>,
    pub(super) certificates: Cache<String, Arc<Vec<u8>>>,
}

#[derive(Debug, Default)]
struct Notes {
    arrival: Option<Timestamp>,
    refusals: i64,
    repetitions: i64,
}

impl Default for Gate {
    fn default() -> Self {
        let certificates = Cache::builder().max_capacity(100).time_to_live(CERTIFICATES_KEPT);
        Self {
            paces: Cache::builder().max_capacity(KEPT_MAX).time_to_idle(KEPT).build(),
            notes: Cache::builder().max_capacity(KEPT_MAX).time_to_idle(KEPT).build(),
            certificates: certificates.build(),
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

/// GCRA: whether one more fits now, given when the next is expected.
fn fits(arrival: &mut Timestamp, now: Timestamp, rate_per_s: u32, burst: i64) -> bool {
    let interval_us = 1_000_000 / i64::from(rate_per_s.max(1));
    let ahead_us = (*arrival).max(now).as_microsecond() - now.as_microsecond();
    let fits = ahead_us < interval_us.saturating_mul(burst);
    if fits {
        let next = now.as_microsecond() + ahead_us + interval_us;
        *arrival = Timestamp::from_microsecond(next).unwrap_or(Timestamp::MAX);
    }
    fits
}

impl Gate {
    /// Whether one more of the source, and of its tenant, may be taken now.
    pub(super) fn admits(
        &self,
        (tenant, of_tenant_per_s): (TenantId, u32),
        (source, of_source_per_s): (SourceId, u32),
        now: Timestamp,
    ) -> bool {
        let admits = |key: Uuid, rate: u32| {
            let pace = self.paces.get_with(key, || Arc::new(Mutex::new(now)));
            let mut arrival = pace.lock().unwrap_or_else(PoisonError::into_inner);
            fits(&mut arrival, now, rate, BURST_S * i64::from(rate))
        };
        admits(source.uuid(), of_source_per_s) && admits(tenant.uuid(), of_tenant_per_s)
    }

    /// Counts one that was not taken. Gives how many refusals and repetitions are to be written
    /// down now; `None` if they wait for the next, because a flood must cost little.
    pub(super) fn note(
        &self,
        source: SourceId,
        (refusals, repetitions): (i64, i64),
        now: Timestamp,
    ) -> Option<(i64, i64)> {
        let notes = self.notes.get_with(source, Arc::default);
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.refusals += refusals;
        notes.repetitions += repetitions;
        let mut arrival = notes.arrival.unwrap_or(now);
        let noted = fits(&mut arrival, now, NOTED_PER_S, NOTED_AT_ONCE);
        notes.arrival = Some(arrival);
        noted.then(|| (std::mem::take(&mut notes.refusals), std::mem::take(&mut notes.repetitions)))
    }

    /// Refusals and repetitions that this process has counted and not written down yet.
    pub(super) fn waiting(&self, source: SourceId) -> (i64, i64) {
        let Some(notes) = self.notes.get(&source) else { return (0, 0) };
        let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        (notes.refusals, notes.repetitions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_rate() {
        let gate = Gate::default();
        let (tenant, source) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (tenant, source) = (TenantId::from_uuid(tenant), SourceId::from_uuid(source));
        let at = |ms: i64| Timestamp::from_millisecond(1_000_000 + ms).expect("in range");
        let taken = |ms: i64| gate.admits((tenant, 1_000), (source, 10), at(ms));
        assert_eq!((0..100).filter(|_| taken(0)).count(), 20);
        assert_eq!((0..100).filter(|_| taken(1_000)).count(), 10);
        let other = SourceId::from_uuid(Uuid::from_u128(3));
        assert!(gate.admits((tenant, 1_000), (other, 10), at(1_000)), "each by itself");
    }

    #[test]
    fn of_a_flood_few_are_written_down_and_all_are_counted() {
        let gate = Gate::default();
        let source = SourceId::from_uuid(Uuid::from_u128(2));
        let at = |ms: i64| Timestamp::from_millisecond(1_000_000 + ms).expect("in range");
        let noted: Vec<_> = (0..1_000).filter_map(|_| gate.note(source, (1, 0), at(0))).collect();
        assert_eq!(noted, [(1, 0); 20]);
        assert_eq!(gate.waiting(source), (980, 0));
        assert_eq!(gate.note(source, (0, 1), at(1_000)), Some((980, 1)));
        assert_eq!(gate.waiting(source), (0, 0));
    }
}
