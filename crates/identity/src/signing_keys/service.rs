//! Room `identity`: the key ring of this process.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use misy_core::crypto::{self, Key, Place};
use misy_core::id::TypedId;
use misy_core::{Permission, PlatformCtx, TenantId, Timestamp};
use misy_store::{Audit, Db, PlatformTx};
use uuid::Uuid;

use super::model::{Ring, SigningKey};
use super::store;
use crate::tokens::{PublicKey, Sealer};
use crate::{Config, Error};

/// A token with an unknown `kid` makes us look for new keys, at most this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a retired key verifies after the last token it signed, for clocks that differ.
const MARGIN_S: i64 = 60;

/// The keys in force. Cheap to read; reloaded when another process has made a new one.
pub struct KeyRing {
    db: Db,
    ctx: PlatformCtx,
    wrapping: Key,
    lead_s: i64,
    token_s: i64,
    ring: RwLock<Arc<Ring>>,
    looked_at: Mutex<Option<Instant>>,
}

impl KeyRing {
    /// Loads the keys; makes the first one of a new installation. `root` is the key of this room.
    pub async fn open(
        db: Db,
        ctx: PlatformCtx,
        root: &Key,
        config: &Config,
    ) -> Result<Self, Error> {
        let keys = Self {
            db,
            ctx,
            wrapping: root.derive("signing-keys"),
            lead_s: config.key_lead_s.into(),
            token_s: config.access_token_s.into(),
            ring: RwLock::default(),
            looked_at: Mutex::new(None),
        };
        keys.reload().await?;
        if keys.ring().is_empty() {
            keys.make_first().await?;
        }
        Ok(keys)
    }

    /// Reads the keys in force from the database.
    pub async fn reload(&self) -> Result<(), Error> {
        let mut tx = self.db.platform_read(&self.ctx).await?;
        let stored = store::list(&mut tx, self.db.ambient().now()).await?;
        self.replace(&stored)
    }

    async fn make_first(&self) -> Result<(), Error> {
        let mut tx = self.db.platform(&self.ctx).await?;
        store::lock(&mut tx).await?;
        let now = self.db.ambient().now();
        if store::list(&mut tx, now).await?.is_empty() {
            self.add(&mut tx, now).await?;
        }
        let stored = store::list(&mut tx, now).await?;
        tx.commit().await?;
        self.replace(&stored)
    }

    /// Makes a new key. It is published at once, signs after the configured lead, and the keys
    /// before it verify for as long as a token of theirs may live: nobody has to sign in again.
    pub async fn rotate(&self, ctx: &PlatformCtx) -> Result<(), Error> {
        ctx.require(Permission::PlatformTenantManage)?;
        let mut tx = self.db.platform(ctx).await?;
        store::lock(&mut tx).await?;
        let now = self.db.ambient().now();
        let signs_from = later(now, self.lead_s);
        let key = self.add(&mut tx, signs_from).await?;
        let retired_at = later(signs_from, self.token_s + MARGIN_S);
        store::retire_others(&mut tx, &key, retired_at).await?;
        let stored = store::list(&mut tx, now).await?;
        tx.commit().await?;
        self.replace(&stored)
    }

    async fn add(&self, tx: &mut PlatformTx, signs_from: Timestamp) -> Result<SigningKey, Error> {
        let ambient = self.db.ambient();
        let (id, seed) = (ambient.uuid(), zeroize::Zeroizing::new(ambient.bytes::<32>()));
        let public = Sealer::new(id, &seed).public();
        let sealed_seed = crypto::seal(&self.wrapping, 1, &place(id), ambient.bytes(), &seed[..]);
        let key = SigningKey { id, public, sealed_seed, signs_from };
        store::insert(tx, &key).await?;
        tx.audit(Audit::new("signing_key.created", "signing_key", id));
        Ok(key)
    }

    fn replace(&self, stored: &[SigningKey]) -> Result<(), Error> {
        let keys = stored.iter().map(|key| Ok((self.unseal(key)?, key.signs_from)));
        let ring = Arc::new(Ring::new(keys.collect::<Result<_, Error>>()?));
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    fn unseal(&self, key: &SigningKey) -> Result<Arc<Sealer>, Error> {
        let unreadable = || Error::SigningKey(crypto::OpenError);
        let seed = crypto::open(&self.wrapping, &place(key.id), &key.sealed_seed)
            .map_err(Error::SigningKey)?;
        let seed = seed.as_slice().try_into().map_err(|_| unreadable())?;
        let sealer = Sealer::new(key.id, seed);
        if sealer.public() == key.public { Ok(Arc::new(sealer)) } else { Err(unreadable()) }
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key that signs now.
    pub(crate) fn signer(&self) -> Result<Arc<Sealer>, Error> {
        let ring = self.ring();
        let signer = ring.signer(self.db.ambient().now()).cloned();
        signer.ok_or(Error::SigningKey(crypto::OpenError))
    }

    /// The key of a token.
    pub(crate) fn find(&self, kid: &str) -> Option<PublicKey> {
        self.ring().find(kid)
    }

    /// Looks for a key that another process may have made; not more often than once a second, so
    /// that invented names cost nothing.
    pub(crate) async fn look_for(&self, kid: &str) -> Result<(), Error> {
        if self.find(kid).is_some() || !self.may_look() {
            return Ok(());
        }
        self.reload().await
    }

    fn may_look(&self) -> bool {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let may = looked_at.is_none_or(|looked_at| looked_at.elapsed() >= LOOK_EVERY);
        if may {
            *looked_at = Some(Instant::now());
        }
        may
    }

    /// Every key that verifies, for publication.
    pub(crate) fn public_keys(&self) -> Vec<(String, PublicKey)> {
        self.ring().public_keys()
    }
}

fn later(time: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(time.as_second().saturating_add(seconds)).unwrap_or(time)
}

/// The installation's own keys belong to no tenant.
fn place(id: Uuid) -> Place<'static> {
    let tenant = TenantId::from_uuid(Uuid::nil());
    Place { tenant, table: "signing_keys", column: "sealed_seed", row: id }
}
