//! Room `sandbox`: the emulated world as the sum of its records. What happens is decided elsewhere,
//! written as records, and only applied here, so that a replay of the journal gives the same world.

use std::collections::{BTreeMap, HashMap, VecDeque};

use misy_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limiters::{Bucket, HourlyCount};
use crate::model::{Account, Counters, Direction, Hook, Media, Message, Phone, Status, Template};
use crate::outbox::Outbox;

/// One thing that happened. Each is written to the journal before anybody is told.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Record {
    /// An account was made or changed.
    Account(Box<Account>),
    /// A phone was met or changed.
    Phone { account: String, phone: Phone },
    /// A message was accepted, with the webhook that tells of it.
    Message { account: String, message: Box<Message>, hook: Option<Hook> },
    /// A message of the business came one step further.
    Status { account: String, id: String, status: Status, at: Timestamp, hook: Option<Hook> },
    /// The business read up to this message.
    Read { account: String, id: String, typing_until: Option<Timestamp> },
    /// A file was stored.
    Media { account: String, media: Media },
    /// A file was deleted.
    MediaGone { account: String, id: String },
    /// A template was approved.
    Template { account: String, template: Template },
    /// A change that belongs to no message.
    Hook { account: String, hook: Hook },
    /// The receiver acknowledged these webhooks, or they were given up.
    Settled { account: String, serials: Vec<u64>, delivered: bool },
    /// Counts of before a compaction.
    Counters { account: String, counters: Counters },
}

/// All accounts.
#[derive(Default)]
pub(crate) struct World {
    rooms: BTreeMap<String, Room>,
}

/// One account with all that belongs to it.
pub(crate) struct Room {
    pub(crate) account: Account,
    pub(crate) phones: BTreeMap<String, Phone>,
    pub(crate) messages: Vec<Message>,
    pub(crate) media: HashMap<String, Media>,
    pub(crate) templates: Vec<Template>,
    pub(crate) outbox: Outbox,
    pub(crate) counters: Counters,
    pub(crate) limits: Limits,
    /// The last deliveries, for people to look at; not kept over a restart.
    pub(crate) log: VecDeque<LogLine>,
    /// Grows with every change, so that a page knows when to draw anew.
    pub(crate) revision: u64,
    by_id: HashMap<String, usize>,
    by_chat: HashMap<String, Vec<usize>>,
    by_user: HashMap<String, String>,
    next_hook: u64,
}

/// What is spent of the limits; forgotten at a restart.
#[derive(Default)]
pub(crate) struct Limits {
    pub(crate) throughput: Option<Bucket>,
    pub(crate) pairs: HashMap<String, Bucket>,
    pub(crate) management: Option<HourlyCount>,
}

/// One attempt to deliver.
#[derive(Clone, Serialize)]
pub(crate) struct LogLine {
    pub(crate) at: Timestamp,
    pub(crate) serials: Vec<u64>,
    pub(crate) summary: String,
    pub(crate) attempt: u32,
    /// The receiver's status; absent if it did not answer.
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) elapsed_ms: u64,
}

/// Attempts that the log keeps.
const LOG_LINES: usize = 200;

impl Room {
    fn new(account: Account) -> Self {
        Self {
            account,
            phones: BTreeMap::new(),
            messages: Vec::new(),
            media: HashMap::new(),
            templates: Vec::new(),
            outbox: Outbox::default(),
            counters: Counters::default(),
            limits: Limits::default(),
            log: VecDeque::new(),
            revision: 0,
            by_id: HashMap::new(),
            by_chat: HashMap::new(),
            by_user: HashMap::new(),
            next_hook: 1,
        }
    }

    /// The message of this id.
    pub(crate) fn find_message(&self, id: &str) -> Option<&Message> {
        self.by_id.get(id).and_then(|at| self.messages.get(*at))
    }

    /// The messages of a chat, oldest first.
    pub(crate) fn chat(&self, chat: &str) -> impl Iterator<Item = &Message> {
        let places = self.by_chat.get(chat).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|at| self.messages.get(*at))
    }

    /// The phone of a number or user id.
    pub(crate) fn find_phone(&self, name: &str) -> Option<&Phone> {
        self.phones
            .get(name)
            .or_else(|| self.by_user.get(name).and_then(|chat| self.phones.get(chat)))
    }

    /// The serial that the next webhook will have.
    pub(crate) fn next_hook(&self) -> u64 {
        self.next_hook
    }

    /// Whether webhooks have somewhere to go.
    pub(crate) fn is_listening(&self) -> bool {
        self.account.subscribed && self.account.webhook_url.is_some()
    }

    /// Notes an attempt, and forgets the oldest.
    pub(crate) fn note(&mut self, line: LogLine) {
        self.revision += 1;
        self.counters.webhook_attempts += 1;
        self.counters.webhook_failures += u64::from(line.status != Some(200));
        self.log.push_back(line);
        if self.log.len() > LOG_LINES {
            self.log.pop_front();
        }
    }

    /// Takes webhooks in and keeps their serials from being given again.
    fn push_hooks(&mut self, hooks: impl IntoIterator<Item = Hook>) {
        for hook in hooks {
            self.next_hook = self.next_hook.max(hook.serial + 1);
            self.outbox.push(hook);
        }
    }

    /// A message that is known already is left out: a journal may repeat itself.
    fn put_message(&mut self, message: Message) {
        if self.by_id.contains_key(&message.id) {
            return;
        }
        match message.direction {
            Direction::In => {
                self.counters.inbound += 1;
                if let Some(phone) = self.phones.get_mut(&message.chat) {
                    phone.last_wrote_at = phone.last_wrote_at.max(Some(message.at));
                }
            }
            Direction::Out => {
                self.counters.outbound += 1;
                if let Some(phone) = self.phones.get_mut(&message.chat) {
                    phone.typing_until = None;
                }
            }
        }
        let place = self.messages.len();
        self.by_id.insert(message.id.clone(), place);
        self.by_chat.entry(message.chat.clone()).or_default().push(place);
        self.messages.push(message);
    }

    /// As on a phone, a read mark covers everything before it in its chat.
    fn read_up_to(&mut self, id: &str, typing_until: Option<Timestamp>) {
        let Some(last) = self.by_id.get(id).copied() else { return };
        let chat = self.messages[last].chat.clone();
        let places = self.by_chat.get(&chat).map(Vec::as_slice).unwrap_or_default();
        for place in places.iter().rev().filter(|place| **place <= last) {
            let message = &mut self.messages[*place];
            if message.direction == Direction::In {
                if message.read {
                    break;
                }
                message.read = true;
            }
        }
        if let (Some(phone), Some(_)) = (self.phones.get_mut(&chat), typing_until) {
            phone.typing_until = typing_until;
        }
    }

    fn apply(&mut self, record: Record) {
        self.revision += 1;
        match record {
            Record::Account(account) => {
                self.outbox.widen(account.behaviour.connections > 1);
                self.account = *account;
            }
            Record::Phone { phone, .. } => {
                self.by_user.insert(phone.user_id.clone(), phone.chat.clone());
                self.phones.insert(phone.chat.clone(), phone);
            }
            Record::Message { message, hook, .. } => {
                self.put_message(*message);
                self.push_hooks(hook);
            }
            Record::Status { id, status, at, hook, .. } => {
                if let Some(place) = self.by_id.get(&id) {
                    self.messages[*place].statuses.insert(status, at);
                }
                self.push_hooks(hook);
            }
            Record::Read { id, typing_until, .. } => self.read_up_to(&id, typing_until),
            Record::Media { media, .. } => {
                self.media.insert(media.id.clone(), media);
            }
            Record::MediaGone { id, .. } => {
                self.media.remove(&id);
            }
            Record::Template { template, .. } => self.templates.push(template),
            Record::Hook { hook, .. } => self.push_hooks(Some(hook)),
            Record::Settled { serials, delivered, .. } => self.settle(&serials, delivered),
            Record::Counters { counters, .. } => self.counters = counters,
        }
    }

    /// Webhooks that nobody waits for any more.
    fn settle(&mut self, serials: &[u64], delivered: bool) {
        for serial in serials {
            self.next_hook = self.next_hook.max(serial + 1);
            self.outbox.remove(*serial);
            if delivered {
                self.counters.webhooks_delivered += 1;
            } else {
                self.counters.webhooks_dropped += 1;
            }
        }
    }

    /// The fewest records that give this room again.
    fn snapshot(&self) -> Vec<Record> {
        let account = self.account.phone_number_id.clone();
        let mut records = vec![Record::Account(Box::new(self.account.clone()))];
        let of = || account.clone();
        records.extend(
            self.templates
                .iter()
                .map(|template| Record::Template { account: of(), template: template.clone() }),
        );
        records.extend(
            self.media.values().map(|media| Record::Media { account: of(), media: media.clone() }),
        );
        records.extend(self.messages.iter().map(|message| Record::Message {
            account: of(),
            message: Box::new(message.clone()),
            hook: None,
        }));
        // After the messages, which would change them once more.
        records.extend(
            self.phones.values().map(|phone| Record::Phone { account: of(), phone: phone.clone() }),
        );
        records.extend(
            self.outbox.iter().map(|hook| Record::Hook { account: of(), hook: hook.clone() }),
        );
        let newest = self.next_hook - 1;
        if newest > 0 && !self.outbox.contains(newest) {
            // Serials must not begin anew, or an old webhook would look like a new one.
            records.push(Record::Settled { account: of(), serials: vec![newest], delivered: true });
        }
        records.push(Record::Counters { account: of(), counters: self.counters });
        records
    }
}

impl World {
    /// Makes it so. A record of an account that does not exist is left out.
    pub(crate) fn apply(&mut self, record: Record) {
        let account = match &record {
            Record::Account(account) => {
                let fresh = || Room::new(account.as_ref().clone());
                self.rooms.entry(account.phone_number_id.clone()).or_insert_with(fresh);
                account.phone_number_id.clone()
            }
            Record::Phone { account, .. }
            | Record::Message { account, .. }
            | Record::Status { account, .. }
            | Record::Read { account, .. }
            | Record::Media { account, .. }
            | Record::MediaGone { account, .. }
            | Record::Template { account, .. }
            | Record::Hook { account, .. }
            | Record::Settled { account, .. }
            | Record::Counters { account, .. } => account.clone(),
        };
        if let Some(room) = self.rooms.get_mut(&account) {
            room.apply(record);
        }
    }

    /// The account of this phone-number id.
    pub(crate) fn find(&self, phone_number_id: &str) -> Option<&Room> {
        self.rooms.get(phone_number_id)
    }

    /// As [`World::find`], to change what is not journalled.
    pub(crate) fn find_mut(&mut self, phone_number_id: &str) -> Option<&mut Room> {
        self.rooms.get_mut(phone_number_id)
    }

    /// All accounts by phone-number id.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values()
    }

    /// Whether there is no account yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// The fewest records that give this world again.
    pub(crate) fn snapshot(&self) -> impl Iterator<Item = Record> {
        self.rooms.values().flat_map(Room::snapshot)
    }
}

#[cfg(test)]
mod tests;
