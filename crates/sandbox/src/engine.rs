//! Room `sandbox`: the engine. Everything that happens goes through [`Engine::change`]: decided on
//! the world, written to the journal, applied, and only then told.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use misy_core::{Ambient, Timestamp};
use tokio::sync::Notify;

use crate::graph::templates;
use crate::journal::Journal;
use crate::model::{Account, Behaviour, Hook, Phone, Status};
use crate::sinks::Sinks;
use crate::tasks::Tasks;
use crate::timeline::{self, Timeline};
use crate::world::{Record, Room, World};
use crate::{Config, Error, courier, names, wire};

/// The world and its journal, behind one lock so that neither is ahead of the other.
struct Store {
    world: World,
    journal: Option<Journal>,
}

/// The running emulator, shared by all handlers and tasks.
pub(crate) struct Engine {
    pub(crate) ambient: Ambient,
    pub(crate) config: Config,
    pub(crate) timeline: Timeline,
    pub(crate) tasks: Tasks,
    pub(crate) sinks: Sinks,
    pub(crate) http: reqwest::Client,
    /// The address it listens on, for the links it hands out without knowing who asks.
    pub(crate) base: String,
    store: Mutex<Store>,
    bells: Mutex<HashMap<String, Arc<Notify>>>,
    /// Rings whenever webhooks were acknowledged or given up.
    pub(crate) settled: Notify,
    /// Bytes of media when there is no data directory.
    blobs: Mutex<HashMap<String, Bytes>>,
}

impl Engine {
    /// Replays the journal, seeds the first accounts and starts the tasks.
    pub(crate) fn open(config: Config, ambient: Ambient, base: String) -> Result<Arc<Self>, Error> {
        let (journal, world) = match &config.data {
            Some(directory) => {
                Journal::open(directory).map(|(journal, world)| (Some(journal), world))?
            }
            None => (None, World::default()),
        };
        let http = client(&config).map_err(|source| Error::Client { source })?;
        let engine = Arc::new(Self {
            ambient,
            config,
            timeline: Timeline::default(),
            tasks: Tasks::default(),
            sinks: Sinks::default(),
            http,
            base,
            store: Mutex::new(Store { world, journal }),
            bells: Mutex::new(HashMap::new()),
            settled: Notify::new(),
            blobs: Mutex::new(HashMap::new()),
        });
        engine.seed()?;
        engine.resume();
        engine.tasks.start(timeline::run(Arc::clone(&engine)));
        Ok(engine)
    }

    /// The first accounts, so that a newcomer needs no call to begin.
    fn seed(self: &Arc<Self>) -> Result<(), Error> {
        if !self.read(World::is_empty) {
            return Ok(());
        }
        for number in 1..=self.config.seed_accounts {
            let wanted = NewAccount {
                verified_name: Some(format!("Sandbox shop {number}")),
                display_phone_number: Some(format!("+1 555-010-{number:04}")),
                ..NewAccount::default()
            };
            let path = self.config.data.clone().unwrap_or_default();
            self.create_account(wanted).map_err(|source| Error::Data { path, source })?;
        }
        Ok(())
    }

    /// Takes up what was under way when the last process ended.
    fn resume(self: &Arc<Self>) {
        let (accounts, unfinished) = self.read(|world| {
            let accounts: Vec<String> =
                world.rooms().map(|room| room.account.phone_number_id.clone()).collect();
            let unfinished: Vec<(String, String)> = world
                .rooms()
                .flat_map(|room| {
                    let of = &room.account.phone_number_id;
                    let open = room.messages.iter().filter(|it| next_status(room, it).is_some());
                    open.map(|message| (of.clone(), message.id.clone()))
                })
                .collect();
            (accounts, unfinished)
        });
        for account in accounts {
            self.start_courier(&account);
        }
        for (account, message) in unfinished {
            self.timeline.schedule(&account, &message, Duration::ZERO);
        }
    }

    /// A panic under the lock leaves the world as it was before the change, so it may go on.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the world.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.store().world)
    }

    /// Changes what is not journalled: limits, lanes, the log.
    pub(crate) fn touch<T>(&self, touch: impl FnOnce(&mut World) -> T) -> T {
        touch(&mut self.store().world)
    }

    /// Decides, writes the journal, applies. Nobody sees the world between.
    pub(crate) fn change<T, E: From<io::Error>>(
        &self,
        decide: impl FnOnce(&mut World) -> Result<(Vec<Record>, T), E>,
    ) -> Result<T, E> {
        let mut store = self.store();
        let (records, told) = decide(&mut store.world)?;
        if let Some(journal) = &mut store.journal {
            journal.append(&records)?;
        }
        for record in records {
            store.world.apply(record);
        }
        Ok(told)
    }

    /// Wakes the courier of an account.
    pub(crate) fn ring(&self, account: &str) {
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(account) {
            bell.notify_one();
        }
    }

    /// Each account has a courier of its own: a receiver that hangs holds up nobody else.
    fn start_courier(self: &Arc<Self>, account: &str) {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Vacant(place) = bells.entry(account.to_owned()) {
            let bell = Arc::clone(place.insert(Arc::new(Notify::new())));
            self.tasks.start(courier::run(Arc::clone(self), account.to_owned(), bell));
        }
    }

    /// Makes an account, with whatever is not given made up.
    pub(crate) fn create_account(self: &Arc<Self>, wanted: NewAccount) -> io::Result<Account> {
        let ambient = &self.ambient;
        let account = Account {
            phone_number_id: wanted.phone_number_id.unwrap_or_else(|| names::number(ambient, 15)),
            waba_id: wanted.waba_id.unwrap_or_else(|| names::number(ambient, 15)),
            app_id: names::number(ambient, 15),
            display_phone_number: wanted
                .display_phone_number
                .unwrap_or_else(|| format!("+1 555-{}", names::number(ambient, 7))),
            verified_name: wanted.verified_name.unwrap_or_else(|| "Sandbox shop".to_owned()),
            access_token: wanted.access_token.unwrap_or_else(|| names::access_token(ambient)),
            app_secret: wanted.app_secret.unwrap_or_else(|| names::secret(ambient)),
            verify_token: wanted.verify_token.unwrap_or_else(|| names::secret(ambient)),
            webhook_url: None,
            subscribed: true,
            created_at: ambient.now(),
            behaviour: Behaviour::default(),
        };
        let name = account.phone_number_id.clone();
        self.change(|world| {
            if world.find(&name).is_some() {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists));
            }
            let template = templates::hello_world(ambient);
            let records = vec![
                Record::Account(Box::new(account.clone())),
                Record::Template { account: name.clone(), template },
            ];
            Ok((records, ()))
        })?;
        self.start_courier(&name);
        Ok(account)
    }

    /// Changes an account's own data; `None` if there is no such account.
    pub(crate) fn edit_account(
        &self,
        account: &str,
        edit: impl FnOnce(&mut Account),
    ) -> io::Result<Option<Account>> {
        let edited = self.change(|world| -> io::Result<_> {
            let Some(room) = world.find(account) else { return Ok((vec![], None)) };
            let mut edited = room.account.clone();
            edit(&mut edited);
            Ok((vec![Record::Account(Box::new(edited.clone()))], Some(edited)))
        })?;
        self.wake_messages(account);
        self.ring(account);
        Ok(edited)
    }

    /// Lets every message take its next step that has one now: a phone came back, or reads again.
    pub(crate) fn wake_messages(&self, account: &str) {
        let open: Vec<String> = self.read(|world| {
            let room = world.find(account);
            let messages =
                room.iter().flat_map(|room| room.messages.iter().map(move |it| (room, it)));
            messages
                .filter(|(room, message)| next_status(room, message).is_some())
                .map(|(_, message)| message.id.clone())
                .collect()
        });
        for message in open {
            self.timeline.schedule(account, &message, Duration::ZERO);
        }
    }

    /// Lets a message take its next step and says when the one after it is due, if any.
    pub(crate) fn advance(&self, account: &str, id: &str) -> io::Result<Option<Duration>> {
        let now = self.ambient.now();
        let pause = self.change(|world| -> io::Result<_> {
            let step = world.find(account).and_then(|room| {
                let message = room.find_message(id)?;
                let status = next_status(room, message)?;
                let record = status_record(room, id, status, now)?;
                Some((record, pause_after(&room.account.behaviour, status)))
            });
            Ok(step.map_or((vec![], None), |(record, pause)| (vec![record], pause)))
        })?;
        self.ring(account);
        Ok(pause)
    }

    /// Stores the bytes of a file, before its record is written.
    pub(crate) async fn put_blob(&self, id: &str, bytes: Bytes) -> io::Result<()> {
        if let Some(path) = self.blob_path(id) {
            return tokio::fs::write(path, bytes).await;
        }
        self.blobs().insert(id.to_owned(), bytes);
        Ok(())
    }

    /// The bytes of a file.
    pub(crate) async fn find_blob(&self, id: &str) -> Option<Bytes> {
        match self.blob_path(id) {
            Some(path) => tokio::fs::read(path).await.ok().map(Bytes::from),
            None => self.blobs().get(id).cloned(),
        }
    }

    /// Forgets the bytes of a file.
    pub(crate) async fn drop_blob(&self, id: &str) {
        match self.blob_path(id) {
            Some(path) => drop(tokio::fs::remove_file(path).await),
            None => drop(self.blobs().remove(id)),
        }
    }

    fn blobs(&self) -> MutexGuard<'_, HashMap<String, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` without a data directory.
    fn blob_path(&self, id: &str) -> Option<PathBuf> {
        self.store().journal.as_ref().map(|journal| journal.media_path(id))
    }
}

/// The client that plays Meta's webhook sender.
fn client(config: &Config) -> reqwest::Result<reqwest::Client> {
    #[expect(clippy::disallowed_methods, reason = "the sandbox is a stranger to our egress")]
    let builder = reqwest::Client::builder();
    builder
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(courier::CONNECTIONS_MAX as usize)
        .timeout(Duration::from_millis(config.webhook_timeout_ms))
        .user_agent("facebookexternalua")
        .build()
}

/// What a script may give for a new account.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewAccount {
    pub(crate) phone_number_id: Option<String>,
    pub(crate) waba_id: Option<String>,
    pub(crate) display_phone_number: Option<String>,
    pub(crate) verified_name: Option<String>,
    pub(crate) access_token: Option<String>,
    pub(crate) app_secret: Option<String>,
    pub(crate) verify_token: Option<String>,
}

/// The status that a message of the business reaches next, if it can.
fn next_status(room: &Room, message: &crate::model::Message) -> Option<Status> {
    if message.direction == names::Direction::In {
        return None;
    }
    let behaviour = &room.account.behaviour;
    let is_online = || {
        let is_it = |name: &String| {
            *name == message.chat || names::phone_digits(name).as_ref() == Some(&message.chat)
        };
        !behaviour.offline.iter().any(is_it)
    };
    match message.status() {
        Status::Accepted if message.fate.is_some() => Some(Status::Failed),
        Status::Accepted => Some(Status::Sent),
        Status::Sent => is_online().then_some(Status::Delivered),
        Status::Delivered => (behaviour.read && is_online()).then_some(Status::Read),
        Status::Read | Status::Failed => None,
    }
}

/// When the status after this one is due; `None` if there is none.
fn pause_after(behaviour: &Behaviour, status: Status) -> Option<Duration> {
    match status {
        Status::Sent => Some(Duration::from_millis(behaviour.deliver_delay_ms)),
        Status::Delivered => Some(Duration::from_millis(behaviour.read_delay_ms)),
        _ => None,
    }
}

/// The step as a record, with its webhook if somebody listens.
fn status_record(room: &Room, id: &str, status: Status, at: Timestamp) -> Option<Record> {
    let message = room.find_message(id)?;
    let phone = room.phones.get(&message.chat)?;
    let hook = room.is_listening().then(|| Hook {
        serial: room.next_hook(),
        chat: message.chat.clone(),
        change: wire::status_change(&room.account, phone, message, status, at),
    });
    let account = room.account.phone_number_id.clone();
    Some(Record::Status { account, id: id.to_owned(), status, at, hook })
}

/// A phone that nobody has met before.
pub(crate) fn fresh_phone(account: &Account, chat: &str) -> Phone {
    let hidden = names::is_user_id(chat);
    Phone {
        chat: chat.to_owned(),
        name: if hidden { chat.to_owned() } else { format!("+{chat}") },
        user_id: if hidden { chat.to_owned() } else { names::user_id(&account.waba_id, chat) },
        bsuid_only: hidden,
        on_whatsapp: true,
        window_closed: false,
        last_wrote_at: None,
        typing_until: None,
    }
}
