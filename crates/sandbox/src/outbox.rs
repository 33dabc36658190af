//! Room `sandbox`: webhooks that wait for delivery, in lanes whose order is kept.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::model::Hook;

/// Webhooks of one lane, handed out together; no other of the lane goes out before they are done.
pub(crate) struct Parcel {
    pub(crate) lane: String,
    pub(crate) hooks: Vec<Arc<Hook>>,
}

/// The webhooks of one account that nobody has acknowledged yet.
#[derive(Default)]
pub(crate) struct Outbox {
    pending: BTreeMap<u64, Arc<Hook>>,
    lanes: HashMap<String, VecDeque<u64>>,
    ready: VecDeque<String>,
    busy: HashMap<String, HashSet<u64>>,
    /// A lane for each chat, instead of one for all.
    wide: bool,
}

impl Outbox {
    /// Takes a webhook in; one that is in already is left out.
    pub(crate) fn push(&mut self, hook: Hook) {
        let (serial, hook) = (hook.serial, Arc::new(hook));
        if self.pending.insert(serial, Arc::clone(&hook)).is_none() {
            self.line_up(serial, &hook);
        }
    }

    /// Forgets a webhook that was acknowledged or given up.
    pub(crate) fn remove(&mut self, serial: u64) -> bool {
        self.pending.remove(&serial).is_some()
    }

    /// How many wait or are under way.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether this webhook is still to be acknowledged.
    pub(crate) fn contains(&self, serial: u64) -> bool {
        self.pending.contains_key(&serial)
    }

    /// All that wait or are under way, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Hook> {
        self.pending.values().map(AsRef::as_ref)
    }

    /// Whether a lane could be served now.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Up to `most` webhooks of the lane that has waited longest; `None` if all are busy or empty.
    pub(crate) fn take(&mut self, most: usize) -> Option<Parcel> {
        let lane = self.ready.pop_front()?;
        let queue = self.lanes.get_mut(&lane)?;
        let serials: Vec<u64> = queue.drain(..queue.len().min(most.max(1))).collect();
        let hooks = serials.iter().filter_map(|serial| self.pending.get(serial).cloned()).collect();
        self.busy.insert(lane.clone(), serials.into_iter().collect());
        Some(Parcel { lane, hooks })
    }

    /// Opens a lane again after its parcel is done.
    pub(crate) fn release(&mut self, lane: &str) {
        self.busy.remove(lane);
        match self.lanes.get(lane) {
            Some(queue) if !queue.is_empty() => self.ready.push_back(lane.to_owned()),
            _ => {
                self.lanes.remove(lane);
            }
        }
    }

    /// Chooses between one lane for all and one for each chat, and lines up anew what waits.
    pub(crate) fn widen(&mut self, wide: bool) {
        if self.wide == wide {
            return;
        }
        self.wide = wide;
        self.lanes.clear();
        self.ready.clear();
        let flying: HashSet<u64> = self.busy.values().flatten().copied().collect();
        let waiting: Vec<(u64, Arc<Hook>)> = self
            .pending
            .iter()
            .filter(|(serial, _)| !flying.contains(serial))
            .map(|(serial, hook)| (*serial, Arc::clone(hook)))
            .collect();
        for (serial, hook) in waiting {
            self.line_up(serial, &hook);
        }
    }

    /// Puts a webhook at the end of its lane.
    fn line_up(&mut self, serial: u64, hook: &Hook) {
        let lane = if self.wide { hook.chat.clone() } else { String::new() };
        let queue = self.lanes.entry(lane.clone()).or_default();
        queue.push_back(serial);
        if queue.len() == 1 && !self.busy.contains_key(&lane) {
            self.ready.push_back(lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    fn hook(serial: u64, chat: &str) -> Hook {
        let change = RawValue::from_string("{}".to_owned()).expect("valid JSON");
        Hook { serial, chat: chat.to_owned(), change }
    }

    fn serials(parcel: &Parcel) -> Vec<u64> {
        parcel.hooks.iter().map(|hook| hook.serial).collect()
    }

    #[test]
    fn one_lane_keeps_the_order_of_the_account() {
        let mut outbox = Outbox::default();
        outbox.push(hook(1, "a"));
        outbox.push(hook(2, "b"));
        let first = outbox.take(1).expect("one waits");
        assert_eq!(serials(&first), [1]);
        assert!(outbox.take(1).is_none());
        outbox.remove(1);
        outbox.release(&first.lane);
        assert_eq!(serials(&outbox.take(1).expect("the second")), [2]);
    }

    #[test]
    fn chats_overtake_each_other_but_not_themselves_when_wide() {
        let mut outbox = Outbox::default();
        outbox.widen(true);
        for (serial, chat) in [(1, "a"), (2, "a"), (3, "b")] {
            outbox.push(hook(serial, chat));
        }
        let a = outbox.take(1).expect("chat a");
        let b = outbox.take(1).expect("chat b");
        assert_eq!((serials(&a), serials(&b)), (vec![1], vec![3]));
        assert!(outbox.take(1).is_none());
        outbox.release(&a.lane);
        assert_eq!(serials(&outbox.take(1).expect("chat a again")), [2]);
    }

    /// Pushes, takes and settles at random; gives the serials in the order they went out.
    fn play(turns: &[(u8, u8, bool)]) -> (u64, Vec<(u64, String)>) {
        let (mut outbox, mut pushed, mut gone) = (Outbox::default(), 0, Vec::new());
        outbox.widen(true);
        let mut flying: Vec<Parcel> = Vec::new();
        for (turn, chat, most) in turns {
            match turn % 3 {
                0 => {
                    pushed += 1;
                    outbox.push(hook(pushed, &chat.to_string()));
                }
                1 => flying.extend(outbox.take(if *most { 3 } else { 1 })),
                _ if flying.is_empty() => {}
                _ => settle(&mut outbox, flying.remove(0), &mut gone),
            }
        }
        loop {
            flying.extend(outbox.take(1));
            if flying.is_empty() {
                return (pushed, gone);
            }
            settle(&mut outbox, flying.remove(0), &mut gone);
        }
    }

    fn settle(outbox: &mut Outbox, parcel: Parcel, gone: &mut Vec<(u64, String)>) {
        for hook in &parcel.hooks {
            gone.push((hook.serial, hook.chat.clone()));
            outbox.remove(hook.serial);
        }
        outbox.release(&parcel.lane);
    }

    proptest::proptest! {
        #[test]
        fn each_webhook_goes_out_once_and_in_the_order_of_its_chat(
            turns in proptest::collection::vec((0..6_u8, 0..3_u8, proptest::bool::ANY), 0..200),
        ) {
            let (pushed, gone) = play(&turns);
            let mut serials: Vec<u64> = gone.iter().map(|(serial, _)| *serial).collect();
            for chat in ["0", "1", "2"] {
                let of_chat = gone.iter().filter(|(_, of)| of == chat);
                proptest::prop_assert!(of_chat.map(|(serial, _)| serial).is_sorted());
            }
            serials.sort_unstable();
            proptest::prop_assert_eq!(serials, (1..=pushed).collect::<Vec<_>>());
        }
    }

    #[test]
    fn widening_loses_nothing_that_waits() {
        let mut outbox = Outbox::default();
        for serial in 1..=4 {
            outbox.push(hook(serial, if serial % 2 == 0 { "a" } else { "b" }));
        }
        let flying = outbox.take(1).expect("the first");
        outbox.widen(true);
        outbox.release(&flying.lane);
        let mut seen = serials(&flying);
        while let Some(parcel) = outbox.take(10) {
            seen.extend(serials(&parcel));
            outbox.release(&parcel.lane);
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4]);
    }
}
