//! Room `store`: the cache in a Redis of the operator's. What it promises stays true when Redis is
//! away: values are missing and never old, and counts go on in this process.

mod debts;
mod denials;
mod door;
mod identity;
mod keeper;
mod scripts;
mod share;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use misy_core::id::TypedId;
use misy_core::{Ambient, TenantId};
use redis::{Cmd, FromRedisValue, Value};
use tokio::sync::Notify;

use super::embedded::{Embedded, Key};
use super::{CacheConfig, CacheError, CachePasswords, Refusal, Space};
use debts::{Debt, Debts};
use denials::Denials;
use door::{Door, Slot, Trouble};
use identity::name;
use scripts::Scripts;
use share::Share;

pub(super) use identity::Identity;
pub use identity::{key_prefix, user_name, user_rules};
pub(super) use keeper::Down;
pub(super) use scripts::script_texts;

/// What an entry costs in Redis beside its value: key, ledger and both indexes; about, and rather
/// too much.
const OVERHEAD_BYTES: u64 = 500;
/// How often the name of a value stands in Redis: in its key, the ledger and both indexes.
const NAMED_TIMES: u64 = 4;
/// The longest count in decimal.
const COUNT_BYTES: u64 = 20;
/// A value begins so, a count with a digit or a sign.
const VALUE_MARK: u8 = b'=';
/// The mark and the tenant's id.
const SEAL_BYTES: usize = 1 + 16;
/// Longest life of a value: a year. It is a cache.
const TTL_MAX_MS: u128 = 366 * 24 * 3_600 * 1_000;
/// Tenants whose credentials are kept at hand.
const KNOWN_MAX: u64 = 100_000;
/// What one call of the script removes.
const CLEARED_AT_ONCE: i64 = 1_000;

/// The cache of all tenants in one Redis.
pub(super) struct Redis {
    server: redis::ConnectionInfo,
    /// Who signs the server's certificate, if not whom the system knows.
    authorities: Option<Vec<u8>>,
    doors: Vec<Door>,
    /// Signed in as the administrator of users; nobody's data goes here.
    admin: Slot,
    scripts: Scripts,
    passwords: CachePasswords,
    known: moka::sync::Cache<TenantId, Arc<Identity>>,
    debts: Debts,
    /// Counts of the time while Redis is away. Never emptied but by their own end and bounds: a
    /// Redis that comes and goes must not let a count begin anew each time.
    meanwhile: Mutex<Option<Arc<Embedded>>>,
    /// Counts starts of the server as we have seen them; users do not outlive one.
    starts: AtomicU64,
    health: Mutex<keeper::Health>,
    denials: Mutex<Denials>,
    turn: tokio::sync::Mutex<keeper::Turn>,
    trouble: Notify,
    config: CacheConfig,
    ambient: Ambient,
}

impl Redis {
    /// Connects to nothing yet.
    pub(super) fn new(
        config: &CacheConfig,
        url: &misy_core::Secret,
        passwords: CachePasswords,
        ambient: Ambient,
    ) -> Result<Arc<Self>, Refusal> {
        let server = super::config::parse(url)?;
        let authorities = config.authorities()?;
        let door = |_| Door::new(config.in_flight, config.wait());
        Ok(Arc::new(Self {
            server,
            authorities,
            doors: (0..config.connections.max(1)).map(door).collect(),
            admin: Slot::default(),
            scripts: Scripts::new(),
            passwords,
            known: moka::sync::Cache::new(KNOWN_MAX),
            debts: Debts::default(),
            meanwhile: Mutex::default(),
            starts: AtomicU64::new(1),
            health: Mutex::default(),
            denials: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            trouble: Notify::new(),
            config: config.clone(),
            ambient,
        }))
    }

    pub(super) async fn get(&self, who: &Identity, space: Space, key: &str) -> Option<Bytes> {
        let place = who.key(&["v:", space.name(), ":", key].concat());
        let command = || {
            let mut command = redis::cmd("GET");
            command.arg(&place);
            command
        };
        match self.run(who, command).await {
            Ok(Value::BulkString(found)) => self.unseal(who, found),
            Ok(_) => None,
            Err(trouble) => {
                self.note(&trouble);
                self.meanwhile()?.get(&Key::new(who.tenant(), space, key))
            }
        }
    }

    pub(super) async fn put(
        &self,
        who: &Identity,
        space: Space,
        key: &str,
        value: Bytes,
        ttl: Duration,
    ) {
        let (tenant, name) = (who.tenant(), name(space, key));
        let weight = weight(&name, (value.len() + SEAL_BYTES) as u64);
        let sealed = [&[VALUE_MARK], &tenant.uuid().as_bytes()[..], &value].concat();
        let command = || {
            let mut command = self.scripts.put.call(who);
            command.arg(&name).arg(&sealed).arg(milliseconds(ttl));
            command.arg(weight).arg(self.config.max_tenant_bytes);
            command
        };
        if let Err(trouble) = self.run(who, command).await {
            self.note(&trouble);
            // The value before this one may still be there, and it is not the value any more.
            self.debts.add(tenant, name);
        }
        if let Some(meanwhile) = self.meanwhile() {
            meanwhile.remove(&Key::new(tenant, space, key));
        }
    }

    pub(super) async fn remove(&self, who: &Identity, space: Space, key: &str) {
        let (tenant, name) = (who.tenant(), name(space, key));
        let command = || {
            let mut command = self.scripts.remove.call(who);
            command.arg(&name);
            command
        };
        if let Err(trouble) = self.run(who, command).await {
            self.note(&trouble);
            self.debts.add(tenant, name);
        }
        if let Some(meanwhile) = self.meanwhile() {
            meanwhile.remove(&Key::new(tenant, space, key));
        }
    }

    pub(super) async fn incr(
        &self,
        who: &Identity,
        space: Space,
        key: &str,
        by: i64,
        ttl: Duration,
    ) -> Result<i64, CacheError> {
        let (tenant, name) = (who.tenant(), name(space, key));
        let command = || {
            let mut command = self.scripts.incr.call(who);
            command.arg(&name).arg(by).arg(milliseconds(ttl));
            command.arg(weight(&name, COUNT_BYTES)).arg(self.config.max_tenant_bytes);
            command
        };
        match self.run(who, command).await {
            Ok(sum) => i64::from_redis_value(sum).map_err(|_| CacheError::NotACount),
            Err(Trouble::Refused(code)) if code == "NOTACOUNT" => Err(CacheError::NotACount),
            Err(trouble) => {
                self.note(&trouble);
                self.begin_meanwhile().incr(Key::new(tenant, space, key), by, ttl)
            }
        }
    }

    pub(super) async fn clear(&self, who: &Identity) {
        if let Err(trouble) = self.clear_there(who).await {
            self.note(&trouble);
            self.debts.add_all(who.tenant());
        }
        if let Some(meanwhile) = self.meanwhile() {
            meanwhile.clear(who.tenant());
        }
    }

    pub(super) async fn bytes(&self, who: &Identity) -> u64 {
        let answer = self.run(who, || self.scripts.bytes.call(who)).await;
        match answer.map(u64::from_redis_value) {
            Ok(bytes) => bytes.unwrap_or(0),
            Err(trouble) => {
                self.note(&trouble);
                self.meanwhile().map_or(0, |meanwhile| meanwhile.bytes(who.tenant()))
            }
        }
    }

    /// Makes the tenant's user, or finds that it is there.
    pub(super) async fn admit(&self, tenant: TenantId) -> Result<(), CacheError> {
        let made = self.make(&self.identity(tenant)).await;
        made.map_err(|trouble| self.away(&trouble))
    }

    /// Removes the tenant's values and its user.
    pub(super) async fn forget(&self, tenant: TenantId) -> Result<(), CacheError> {
        let who = self.identity(tenant);
        let gone = async {
            self.clear_there(&who).await?;
            self.ask_admin(who.unmake()).await
        };
        gone.await.map_err(|trouble| self.away(&trouble))?;
        self.known.invalidate(&tenant);
        Ok(())
    }

    /// Whether the tenant has a user, and what its values take. Makes none to find out.
    pub(super) async fn find(&self, tenant: TenantId) -> Result<(bool, u64), CacheError> {
        let mut command = redis::cmd("ACL");
        command.arg("GETUSER").arg(user_name(tenant));
        let user = self.ask_admin(command).await.map_err(|trouble| self.away(&trouble))?;
        if matches!(user, Value::Nil) {
            return Ok((false, 0));
        }
        Ok((true, self.bytes(&self.identity(tenant)).await))
    }

    fn away(&self, trouble: &Trouble) -> CacheError {
        self.note(trouble);
        CacheError::Away
    }

    /// A tenant's credentials, for as many calls as one likes.
    pub(super) fn identity(&self, tenant: TenantId) -> Arc<Identity> {
        self.known.get_with(tenant, || self.new_identity(tenant))
    }

    fn new_identity(&self, tenant: TenantId) -> Arc<Identity> {
        let CacheConfig { in_flight_per_tenant, waiting_per_tenant, .. } = self.config;
        let share = Share::new(in_flight_per_tenant.min(self.config.in_flight), waiting_per_tenant);
        Arc::new(Identity::new(tenant, &self.passwords, share))
    }

    /// All pipelines of a tenant go through the same door, so that they arrive in order.
    fn door(&self, tenant: TenantId) -> &Door {
        let number = tenant.uuid().as_u128() % self.doors.len() as u128;
        &self.doors[usize::try_from(number).unwrap_or(0)]
    }

    /// Runs a command of the tenant, once what it owes is settled.
    async fn run(&self, who: &Identity, command: impl Fn() -> Cmd) -> Result<Value, Trouble> {
        self.settle(who).await?;
        self.attempt(who, command).await
    }

    async fn attempt(&self, who: &Identity, command: impl Fn() -> Cmd) -> Result<Value, Trouble> {
        let door = self.door(who.tenant());
        if !door.slot.is_open() {
            return Err(Trouble::Away);
        }
        if !who.is_made(self.starts()) {
            self.make(who).await?;
        }
        let mut answers = match door.send(who, [command()]).await {
            Err(Trouble::User) => {
                self.make(who).await?;
                door.send(who, [command()]).await?
            }
            Err(Trouble::Script) => {
                self.load_scripts().await?;
                door.send(who, [command()]).await?
            }
            answers => answers?,
        };
        answers.pop().ok_or(Trouble::Away)
    }

    async fn settle(&self, who: &Identity) -> Result<(), Trouble> {
        let Some((debt, number)) = self.debts.of(who.tenant()) else { return Ok(()) };
        match debt {
            Debt::All => self.empty(who).await?,
            Debt::Names(names) => {
                let command = || {
                    let mut command = self.scripts.remove.call(who);
                    command.arg(names.iter().collect::<Vec<_>>());
                    command
                };
                self.attempt(who, command).await?;
            }
        }
        self.debts.settle(who.tenant(), number);
        Ok(())
    }

    async fn clear_there(&self, who: &Identity) -> Result<(), Trouble> {
        let number = self.debts.of(who.tenant()).map(|(_, number)| number);
        self.empty(who).await?;
        if let Some(number) = number {
            self.debts.settle(who.tenant(), number);
        }
        Ok(())
    }

    async fn empty(&self, who: &Identity) -> Result<(), Trouble> {
        while self.attempt(who, || self.scripts.clear.call(who)).await?
            == Value::Int(CLEARED_AT_ONCE)
        {}
        Ok(())
    }

    /// Takes the tenant's mark off a value. One with another's mark is the answer to another's
    /// question: nothing that comes after it on this connection can be believed.
    fn unseal(&self, who: &Identity, found: Vec<u8>) -> Option<Bytes> {
        if found.first() != Some(&VALUE_MARK) {
            return Some(found.into());
        }
        if found.get(1..SEAL_BYTES) == Some(&who.tenant().uuid().as_bytes()[..]) {
            return Some(Bytes::from(found).slice(SEAL_BYTES..));
        }
        self.door(who.tenant()).slot.shut();
        metrics::counter!("misy_cache_foreign_values_total").increment(1);
        tracing::error!(tenant = %who.tenant(), "a value of another came back and was dropped");
        self.trouble.notify_one();
        None
    }

    fn note(&self, trouble: &Trouble) {
        metrics::counter!("misy_cache_errors_total", "kind" => trouble.kind()).increment(1);
        if matches!(trouble, Trouble::Away) {
            self.trouble.notify_one();
        }
    }

    fn lock_meanwhile(&self) -> MutexGuard<'_, Option<Arc<Embedded>>> {
        self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meanwhile(&self) -> Option<Arc<Embedded>> {
        self.lock_meanwhile().clone()
    }

    fn begin_meanwhile(&self) -> Arc<Embedded> {
        let begin = || Embedded::new(&self.config, self.ambient.clone());
        Arc::clone(self.lock_meanwhile().get_or_insert_with(begin))
    }
}

fn weight(name: &str, value_bytes: u64) -> u64 {
    OVERHEAD_BYTES + NAMED_TIMES * name.len() as u64 + value_bytes
}

/// At least one: Redis refuses a life of nothing.
fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis().clamp(1, TTL_MAX_MS)).unwrap_or(u64::MAX)
}
