//! Room `jobs`: which of the claimed jobs runs next, so that no tenant's slow jobs use up the
//! process.
//!
//! While `n` tenants hold something, each may have at most 1/(n+1) of the places: one tenant alone
//! gets half, and there is always room for one more that comes. What waits is started in rotation.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

/// What one tenant holds.
#[derive(Debug)]
struct Share<T> {
    running: usize,
    waiting: VecDeque<T>,
}

impl<T> Share<T> {
    fn held(&self) -> usize {
        self.running + self.waiting.len()
    }
}

/// The places of a worker.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    concurrency: usize,
    prefetch: usize,
    shares: HashMap<Uuid, Share<T>>,
    /// Tenants with waiting jobs, next first.
    ring: VecDeque<Uuid>,
    running: usize,
    waiting: usize,
}

impl<T> Slots<T> {
    pub(crate) fn new(concurrency: usize, prefetch: usize) -> Self {
        Self {
            concurrency: concurrency.max(1),
            prefetch,
            shares: HashMap::new(),
            ring: VecDeque::new(),
            running: 0,
            waiting: 0,
        }
    }

    /// Jobs that run.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Jobs that may be claimed now. While every place is taken, none until half of what was
    /// claimed ahead is used up: few at a time would make each claim dear. While a place is free,
    /// always: what waits then belongs to tenants that have their share, and somebody else may
    /// come.
    pub(crate) fn wanted(&self) -> usize {
        let free = (self.concurrency + self.prefetch).saturating_sub(self.running + self.waiting);
        let busy = self.running >= self.concurrency && self.waiting > self.prefetch / 2;
        if busy { 0 } else { free }
    }

    /// How many more each tenant may have claimed that has some, and how many any other may.
    pub(crate) fn rooms(&self) -> (Vec<(Uuid, usize)>, usize) {
        let holders = self.shares.len();
        let rooms = self.shares.iter().map(|(owner, share)| (*owner, self.room(share, holders)));
        (rooms.collect(), share(self.concurrency + self.prefetch, holders + 1))
    }

    /// How many more a tenant may have: again none until half of what waits is used up.
    fn room(&self, held: &Share<T>, holders: usize) -> usize {
        let most = share(self.concurrency + self.prefetch, holders);
        let ahead = most - share(self.concurrency, holders).min(most);
        if held.waiting.len() > ahead / 2 { 0 } else { most.saturating_sub(held.held()) }
    }

    /// The jobs that wait for a place.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &T> {
        self.shares.values().flat_map(|share| &share.waiting)
    }

    /// Takes in a claimed job.
    pub(crate) fn put(&mut self, owner: Uuid, job: T) {
        let share = self
            .shares
            .entry(owner)
            .or_insert_with(|| Share { running: 0, waiting: VecDeque::new() });
        if share.waiting.is_empty() {
            self.ring.push_back(owner);
        }
        share.waiting.push_back(job);
        self.waiting += 1;
    }

    /// The next job to start, if a place is free and a tenant below its share has one waiting. Its
    /// place is taken until [`Slots::finish`].
    pub(crate) fn start(&mut self) -> Option<T> {
        if self.running >= self.concurrency {
            return None;
        }
        let most = share(self.concurrency, self.shares.len());
        for _ in 0..self.ring.len() {
            let owner = self.ring.pop_front()?;
            let Some(share) = self.shares.get_mut(&owner) else { continue };
            if share.running >= most {
                self.ring.push_back(owner);
                continue;
            }
            let Some(job) = share.waiting.pop_front() else { continue };
            if !share.waiting.is_empty() {
                self.ring.push_back(owner);
            }
            share.running += 1;
            self.running += 1;
            self.waiting -= 1;
            return Some(job);
        }
        None
    }

    /// Frees the place of a job that ran. Says whether its tenant may have more claimed than
    /// before, so that a claim which found nothing may find something now.
    pub(crate) fn finish(&mut self, owner: Uuid) -> bool {
        let Some(share) = self.shares.get_mut(&owner) else { return false };
        share.running -= 1;
        self.running -= 1;
        if share.held() == 0 {
            self.shares.remove(&owner);
            return true;
        }
        let holders = self.shares.len();
        self.shares.get(&owner).is_some_and(|share| self.room(share, holders) > 0)
    }

    /// Gives up all waiting jobs that are not to be kept.
    pub(crate) fn give_up(&mut self, keep: impl Fn(&T) -> bool) -> Vec<T> {
        let mut given_up = Vec::new();
        for share in self.shares.values_mut() {
            let (kept, dropped): (VecDeque<T>, VecDeque<T>) =
                std::mem::take(&mut share.waiting).into_iter().partition(&keep);
            share.waiting = kept;
            given_up.extend(dropped);
        }
        self.waiting -= given_up.len();
        self.shares.retain(|_, share| share.held() > 0);
        let shares = &self.shares;
        self.ring.retain(|owner| shares.get(owner).is_some_and(|one| !one.waiting.is_empty()));
        given_up
    }
}

fn share(places: usize, holders: usize) -> usize {
    places.div_ceil(holders + 1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tenant(number: u8) -> Uuid {
        Uuid::from_u128(u128::from(number) + 1)
    }

    fn start_all(slots: &mut Slots<u8>) -> Vec<u8> {
        std::iter::from_fn(|| slots.start()).collect()
    }

    #[test]
    fn one_tenant_alone_runs_in_half_of_the_places() {
        let mut slots = Slots::new(8, 8);
        for _ in 0..8 {
            slots.put(tenant(0), 0);
        }
        assert_eq!(start_all(&mut slots).len(), 4);
        assert_eq!(slots.rooms(), (vec![(tenant(0), 0)], 6));
        assert!(!slots.finish(tenant(0)), "it has as much ahead as it may");
    }

    #[test]
    fn a_newcomer_starts_at_once_beside_slow_jobs() {
        let mut slots = Slots::new(8, 8);
        for _ in 0..8 {
            slots.put(tenant(0), 0);
        }
        start_all(&mut slots);
        slots.put(tenant(1), 1);
        assert_eq!(start_all(&mut slots), [1]);
    }

    #[test]
    fn a_newcomer_is_claimed_and_started_beside_many_slow_tenants() {
        let mut slots = Slots::new(12, 12);
        for slow in 0..4 {
            let (rooms, other) = slots.rooms();
            let room = rooms.iter().find(|(owner, _)| *owner == tenant(slow));
            for _ in 0..room.map_or(other, |(_, room)| *room).min(slots.wanted()) {
                slots.put(tenant(slow), slow);
            }
            start_all(&mut slots);
            if slots.running() < 12 {
                assert!(slots.wanted() > 0, "no claim beside {slow} slow tenants");
            }
        }
    }

    #[test]
    fn a_single_tenant_is_claimed_for_in_large_portions() {
        let mut slots = Slots::new(10, 100);
        let mut portions = Vec::new();
        for _ in 0..500 {
            let (rooms, other) = slots.rooms();
            let portion = rooms.first().map_or(other, |(_, room)| *room).min(slots.wanted());
            portions.extend((portion > 0).then_some(portion));
            for _ in 0..portion {
                slots.put(tenant(0), 0);
            }
            if !start_all(&mut slots).is_empty() {
                slots.finish(tenant(0));
            }
        }
        assert!(portions.len() > 10 && portions.iter().all(|one| *one >= 20), "{portions:?}");
    }

    #[test]
    fn tenants_take_turns() {
        let mut slots = Slots::new(9, 9);
        for job in [0, 0, 0, 1, 1, 1] {
            slots.put(tenant(job), job);
        }
        assert_eq!(start_all(&mut slots), [0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn a_single_place_is_used() {
        let mut slots = Slots::new(1, 0);
        assert_eq!(slots.wanted(), 1);
        slots.put(tenant(0), 7);
        assert_eq!(slots.start(), Some(7));
        assert_eq!((slots.start(), slots.wanted()), (None, 0));
        slots.finish(tenant(0));
        assert_eq!(slots.wanted(), 1);
    }

    #[test]
    fn what_is_given_up_no_longer_waits() {
        let mut slots = Slots::new(4, 4);
        for job in [1, 2, 3] {
            slots.put(tenant(0), job);
        }
        assert_eq!(slots.give_up(|job| *job == 2), [1, 3]);
        assert_eq!(start_all(&mut slots), [2]);
        slots.finish(tenant(0));
        assert_eq!(slots.rooms().0, []);
    }

    proptest! {
        #[test]
        fn nobody_waits_while_their_share_is_free(
            steps in prop::collection::vec((0..6u8, 0..3u8), 1..200),
        ) {
            let mut slots = Slots::new(10, 10);
            let mut running: Vec<u8> = Vec::new();
            for (owner, what) in steps {
                match what {
                    0 | 1 => slots.put(tenant(owner), owner),
                    _ => if let Some(at) = running.iter().position(|one| *one == owner) {
                        running.swap_remove(at);
                        slots.finish(tenant(owner));
                    }
                }
                running.extend(start_all(&mut slots));
                prop_assert_eq!(slots.running(), running.len());
                prop_assert!(running.len() <= 10);
                let most = share(10, slots.shares.len());
                for (id, share) in &slots.shares {
                    let startable = running.len() < 10 && share.running < most;
                    prop_assert!(share.waiting.is_empty() || !startable, "{} waits in vain", id);
                }
            }
        }
    }
}
