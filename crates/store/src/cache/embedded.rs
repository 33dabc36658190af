//! Room `store`: the cache in the memory of this process. All tenants share one bounded map;
//! beside it a ledger says what each of them takes, and in which order its values came.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use misy_core::{Ambient, TenantId, Timestamp};
use moka::Expiry;
use moka::ops::compute::{CompResult, Op};
use moka::policy::EvictionPolicy;

use super::{CacheConfig, CacheError, Space};

/// What an entry costs beside its key and value: the map's and the ledger's own nodes, about.
const OVERHEAD_BYTES: u64 = 200;
/// The longest count in decimal.
const COUNT_BYTES: u64 = 20;

/// A tenant's key. There is no other way to make one than with a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tenant: TenantId,
    space: Space,
    name: Arc<str>,
}

impl Key {
    pub(super) fn new(tenant: TenantId, space: Space, key: &str) -> Self {
        Self { tenant, space, name: key.into() }
    }

    fn weight(&self, value_bytes: u64) -> u64 {
        OVERHEAD_BYTES + self.name.len() as u64 + value_bytes
    }
}

#[derive(Clone)]
enum Value {
    Bytes(Bytes),
    Count(i64),
}

#[derive(Clone)]
struct Entry {
    value: Value,
    expires_at: Timestamp,
    /// How long from the last change until its memory is freed.
    ttl: Duration,
    weight: u64,
    /// Tells an entry from an earlier one of the same key.
    number: u64,
}

/// Frees the memory of what has expired; whether it has is decided by our own clock.
struct ByTtl;

impl Expiry<Key, Entry> for ByTtl {
    fn expire_after_create(&self, _: &Key, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

#[derive(Default)]
struct Account {
    bytes: u64,
    /// Keys in the order in which they came; may name entries that are gone.
    order: VecDeque<(Key, u64)>,
    live: usize,
}

/// What each tenant takes. Held only for moments, and never while the map is called.
#[derive(Default)]
struct Ledger(Mutex<HashMap<TenantId, Account>>);

impl Ledger {
    fn accounts(&self) -> MutexGuard<'_, HashMap<TenantId, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, key: &Key, entry: &Entry) {
        let mut accounts = self.accounts();
        let account = accounts.entry(key.tenant).or_default();
        account.bytes += entry.weight;
        account.live += 1;
        account.order.push_back((key.clone(), entry.number));
    }

    /// Counts the replacement of an entry by itself with another value.
    fn renew(&self, key: &Key, entry: &Entry) {
        let mut accounts = self.accounts();
        let account = accounts.entry(key.tenant).or_default();
        account.bytes += entry.weight;
        account.live += 1;
    }

    fn subtract(&self, key: &Key, entry: &Entry) {
        let mut accounts = self.accounts();
        let Some(account) = accounts.get_mut(&key.tenant) else { return };
        account.bytes = account.bytes.saturating_sub(entry.weight);
        account.live = account.live.saturating_sub(1);
        if account.live == 0 {
            accounts.remove(&key.tenant);
        }
    }

    /// The oldest entry, if the tenant takes more than it may.
    fn oldest_beyond(&self, tenant: TenantId, max_bytes: u64) -> Option<(Key, u64)> {
        let mut accounts = self.accounts();
        let account = accounts.get_mut(&tenant)?;
        if account.bytes <= max_bytes { None } else { account.order.pop_front() }
    }

    /// All keys of a tenant, if most of those that are kept in order are of entries that are gone.
    fn take_stale(&self, tenant: TenantId) -> Option<VecDeque<(Key, u64)>> {
        let mut accounts = self.accounts();
        let account = accounts.get_mut(&tenant)?;
        let stale = account.order.len() > 64 + 2 * account.live;
        stale.then(|| std::mem::take(&mut account.order))
    }

    fn give_back(&self, tenant: TenantId, mut live: VecDeque<(Key, u64)>) {
        let mut accounts = self.accounts();
        if let Some(account) = accounts.get_mut(&tenant) {
            live.append(&mut account.order);
            account.order = live;
        }
    }

    fn take_order(&self, tenant: TenantId) -> VecDeque<(Key, u64)> {
        let mut accounts = self.accounts();
        accounts
            .get_mut(&tenant)
            .map(|account| std::mem::take(&mut account.order))
            .unwrap_or_default()
    }
}

pub(super) struct Embedded {
    map: moka::sync::Cache<Key, Entry>,
    ledger: Arc<Ledger>,
    numbers: AtomicU64,
    /// Held by whoever has taken keys out of the ledger to look at them all.
    sweep: Mutex<()>,
    max_tenant_bytes: u64,
    ambient: Ambient,
}

impl Embedded {
    pub(super) fn new(config: &CacheConfig, ambient: Ambient) -> Arc<Self> {
        let ledger = Arc::new(Ledger::default());
        let listening = Arc::clone(&ledger);
        let map = moka::sync::Cache::builder()
            .max_capacity(config.max_bytes)
            .weigher(|_, entry: &Entry| u32::try_from(entry.weight).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(ByTtl)
            .eviction_listener(move |key: Arc<Key>, entry, _| listening.subtract(&key, &entry))
            .build();
        let max_tenant_bytes = config.max_tenant_bytes.min(config.max_bytes);
        let numbers = AtomicU64::new(0);
        Arc::new(Self { map, ledger, numbers, sweep: Mutex::default(), max_tenant_bytes, ambient })
    }

    pub(super) fn get(&self, key: &Key) -> Option<Bytes> {
        let entry = self.map.get(key)?;
        if self.has_expired(&entry) {
            self.remove_if_still(key, entry.number);
            return None;
        }
        Some(match entry.value {
            Value::Bytes(bytes) => bytes,
            Value::Count(count) => count.to_string().into(),
        })
    }

    pub(super) fn put(&self, key: Key, value: Bytes, ttl: Duration) {
        let weight = key.weight(value.len() as u64);
        if weight > self.max_tenant_bytes {
            self.remove(&key);
            return;
        }
        let entry = self.entry(Value::Bytes(value), ttl, weight);
        self.ledger.add(&key, &entry);
        let tenant = key.tenant;
        self.map.insert(key, entry);
        self.make_room(tenant);
    }

    pub(super) fn remove(&self, key: &Key) {
        self.map.invalidate(key);
    }

    pub(super) fn incr(&self, key: Key, by: i64, ttl: Duration) -> Result<i64, CacheError> {
        let tenant = key.tenant;
        let changed = self.map.entry_by_ref(&key).and_compute_with(|found| {
            let found = found.map(moka::Entry::into_value);
            match found.filter(|entry| !self.has_expired(entry)) {
                Some(Entry { value: Value::Bytes(_), .. }) => Op::Nop,
                Some(entry @ Entry { value: Value::Count(count), .. }) => {
                    self.ledger.renew(&key, &entry);
                    let left = entry.expires_at.duration_since(self.ambient.now()).unsigned_abs();
                    let value = Value::Count(count.saturating_add(by));
                    Op::Put(Entry { value, ttl: left, ..entry })
                }
                None => {
                    let entry = self.entry(Value::Count(by), ttl, key.weight(COUNT_BYTES));
                    self.ledger.add(&key, &entry);
                    Op::Put(entry)
                }
            }
        });
        let (CompResult::Inserted(entry) | CompResult::ReplacedWith(entry)) = changed else {
            return Err(CacheError::NotACount);
        };
        self.make_room(tenant);
        match entry.into_value().value {
            Value::Count(count) => Ok(count),
            Value::Bytes(_) => Err(CacheError::NotACount),
        }
    }

    pub(super) fn clear(&self, tenant: TenantId) {
        let _sweeping = self.sweep.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in self.ledger.take_order(tenant) {
            self.map.invalidate(&key);
        }
    }

    pub(super) fn bytes(&self, tenant: TenantId) -> u64 {
        self.map.run_pending_tasks();
        self.ledger.accounts().get(&tenant).map_or(0, |account| account.bytes)
    }

    fn entry(&self, value: Value, ttl: Duration, weight: u64) -> Entry {
        let expires_at = self.ambient.now().saturating_add(ttl).unwrap_or(Timestamp::MAX);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        Entry { value, expires_at, ttl, weight, number }
    }

    fn has_expired(&self, entry: &Entry) -> bool {
        entry.expires_at <= self.ambient.now()
    }

    fn make_room(&self, tenant: TenantId) {
        while let Some((key, number)) = self.ledger.oldest_beyond(tenant, self.max_tenant_bytes) {
            self.remove_if_still(&key, number);
        }
        let Ok(_sweeping) = self.sweep.try_lock() else { return };
        if let Some(mut order) = self.ledger.take_stale(tenant) {
            order.retain(|(key, number)| {
                self.map.get(key).is_some_and(|entry| entry.number == *number)
            });
            self.ledger.give_back(tenant, order);
        }
    }

    fn remove_if_still(&self, key: &Key, number: u64) {
        self.map.entry_by_ref(key).and_compute_with(|found| match found {
            Some(entry) if entry.value().number == number => Op::Remove,
            _ => Op::Nop,
        });
    }
}
