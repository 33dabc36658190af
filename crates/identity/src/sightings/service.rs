//! Room `identity`: notes the first use of each access token and, once a minute, that of API keys.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use misy_core::Timestamp;
use moka::sync::Cache;
use uuid::Uuid;

use super::model::Batch;
use crate::{Deps, Error, api_keys, sessions};

const REMEMBERED_MAX: u64 = 200_000;
/// An API key's last use is exact to this.
const KEYS_EVERY: Duration = Duration::from_mins(1);

/// What this process has seen in use.
pub struct Sightings {
    tokens: Cache<Uuid, ()>,
    keys: Cache<Uuid, ()>,
    waiting: Mutex<Batch>,
}

impl Sightings {
    /// Has seen nothing yet. An access token is remembered for as long as it lives.
    pub fn new(access_token_s: u32) -> Self {
        let remember =
            |time| Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(time).build();
        Self {
            tokens: remember(Duration::from_secs(access_token_s.into())),
            keys: remember(KEYS_EVERY),
            waiting: Mutex::default(),
        }
    }

    /// An access token was used.
    pub(crate) fn saw_token(&self, access_id: Uuid) {
        if self.tokens.get(&access_id).is_none() {
            self.tokens.insert(access_id, ());
            self.waiting().saw_token(access_id);
        }
    }

    /// An API key was used.
    pub(crate) fn saw_key(&self, key: Uuid, now: Timestamp) {
        if self.keys.get(&key).is_none() {
            self.keys.insert(key, ());
            self.waiting().saw_key(key, now);
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Batch> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what was seen: two statements, however much it is.
pub(crate) async fn flush(deps: &Deps) -> Result<(), Error> {
    let batch = std::mem::take(&mut *deps.sightings.waiting());
    if batch.is_empty() {
        return Ok(());
    }
    let mut tx = deps.db.platform(&deps.system).await?;
    if !batch.access_ids.is_empty() {
        let now = deps.ambient.now();
        sessions::store::note_used(&mut tx, &batch.access_ids, now).await?;
    }
    if !batch.keys.is_empty() {
        api_keys::store::note_used(&mut tx, &batch.keys).await?;
    }
    tx.commit().await?;
    Ok(())
}
