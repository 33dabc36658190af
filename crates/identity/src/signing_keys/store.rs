//! Room `identity`: signing keys in the database.

use misy_core::Timestamp;
use misy_store::{Error, PlatformTx};

use super::model::SigningKey;
use crate::tokens::PublicKey;

const LIST: &str = "
    select id, public_key, sealed_seed, signs_from from signing_keys
    where retired_at is null or retired_at > $1 order by signs_from, id";

/// Keys in force at this time.
pub(super) async fn list(tx: &mut PlatformTx, now: Timestamp) -> Result<Vec<SigningKey>, Error> {
    let rows = tx.query(LIST, &[&now]).await?;
    let key = |row: &misy_store::Row| {
        let public: Vec<u8> = row.get("public_key");
        let public = public.try_into().map_err(|_| Error::Corrupt { column: "public_key" })?;
        Ok(SigningKey {
            id: row.get("id"),
            public: PublicKey(public),
            sealed_seed: row.get("sealed_seed"),
            signs_from: row.get("signs_from"),
        })
    };
    rows.iter().map(key).collect()
}

const INSERT: &str = "
    insert into signing_keys (id, public_key, sealed_seed, signs_from) values ($1, $2, $3, $4)";

/// Adds a key.
pub(super) async fn insert(tx: &mut PlatformTx, key: &SigningKey) -> Result<(), Error> {
    let public = key.public.0.as_slice();
    tx.execute(INSERT, &[&key.id, &public, &key.sealed_seed, &key.signs_from]).await.map(drop)
}

const RETIRE: &str = "
    update signing_keys set retired_at = $2 where id <> $1 and retired_at is null";

/// Lets every other key verify until the given time only.
pub(super) async fn retire_others(
    tx: &mut PlatformTx,
    key: &SigningKey,
    at: Timestamp,
) -> Result<(), Error> {
    tx.execute(RETIRE, &[&key.id, &at]).await.map(drop)
}

const LOCK: &str = "select pg_advisory_xact_lock(hashtextextended('misy.signing_keys', 0))";

/// Lets one process at a time make keys, until the transaction ends.
pub(super) async fn lock(tx: &mut PlatformTx) -> Result<(), Error> {
    tx.query(LOCK, &[]).await.map(drop)
}
