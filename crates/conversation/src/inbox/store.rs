//! Room `conversation`: rows of `inbox` and `channel_events`.

use misy_core::id::TypedId;
use misy_core::{ChannelId, Ctx, InboxId, TenantId, Timestamp};
use misy_store::documents::DocumentError;
use misy_store::{Documents, Error, Kind, PlatformTx, TenantTx};
use serde_json::Value;
use uuid::Uuid;

use crate::hooks::model::Route;

use super::model::{Done, EARLY_EDIT, EARLY_REVOKE, Kept, Pending};

/// Payloads that were taken in, one document each under the id it had in the inbox.
pub(crate) const PAYLOADS: Kind = Kind::new("payloads", &["channel"]);

/// A payload that is there already was delivered twice.
const KEEP: &str = "select misy_keep_payloads($1, $2, $3, $4, $5, $6)";

/// Accounts with something that was stored before a time and still waits.
const LIST_WAITING: &str = "select tenant_id, channel_id from misy_find_waiting($1, $2)";

const LIST_PENDING: &str = "
    select id, body, attempts, received_at from inbox
    where tenant_id = $1 and channel_id = $2 and state = 'pending'
      and (due_at is null or due_at <= $4)
    order by id limit $3";

const MARK_DONE: &str = "
    update inbox set state = 'done', events = new.events, processed_at = $4
    from unnest($2::uuid[], $3::int4[]) as new (id, events)
    where inbox.tenant_id = $1 and inbox.id = new.id";

const MARK_UNREADABLE: &str = "
    update inbox set state = 'failed', error = new.error, processed_at = $4
    from unnest($2::uuid[], $3::text[]) as new (id, error)
    where inbox.tenant_id = $1 and inbox.id = new.id";

const COUNT_ATTEMPT: &str = "
    update inbox set attempts = attempts + 1, error = $3, due_at = $4,
        state = case when $4::timestamptz is null then 'failed' else 'pending' end
    where tenant_id = $1 and id = $2";

const INSERT_EVENTS: &str = "
    insert into channel_events (tenant_id, channel_id, id, inbox_id, name, raw)
    select $1, $2, id, inbox_id, name, raw
    from unnest($3::uuid[], $4::uuid[], $5::text[], $6::jsonb[]) as new (id, inbox_id, name, raw)";

const TAKE_EARLY: &str = "
    with taken as (
        delete from channel_events
        where tenant_id = $1 and channel_id = $2 and name = any($3)
          and raw ->> 'external_message_id' = any($4)
        returning id, inbox_id, name, raw)
    select inbox_id, name, raw from taken order by id";

const LIST_DONE: &str = "
    select id, digest, body, events, received_at from inbox
    where tenant_id = $1 and channel_id = $2 and state = 'done' and error is null
    order by id limit $3";

/// The digest stays, by which a second delivery is known.
const MARK_ARCHIVED: &str = "
    update inbox set state = 'archived', body = ''
    where tenant_id = $1 and id = any ($2) and state = 'done'";

const KEEP_HERE: &str = "
    update inbox set error = $3 where tenant_id = $1 and id = $2 and state = 'done'";

/// Payloads to be stored, column by column.
pub(crate) struct NewPayloads {
    pub(crate) routes: Vec<Route>,
    pub(crate) ids: Vec<Uuid>,
    pub(crate) digests: Vec<Vec<u8>>,
    pub(crate) bodies: Vec<Vec<u8>>,
}

/// Stores payloads of any accounts with the commit.
pub(crate) fn keep(tx: &mut PlatformTx, new: NewPayloads) {
    let now = tx.ambient().now();
    let tenants: Vec<Uuid> = new.routes.iter().map(|one| one.tenant.uuid()).collect();
    let channels: Vec<Uuid> = new.routes.iter().map(|one| one.channel.uuid()).collect();
    tx.defer(
        KEEP,
        vec![
            Box::new(tenants),
            Box::new(channels),
            Box::new(new.ids),
            Box::new(new.digests),
            Box::new(new.bodies),
            Box::new(now),
        ],
    );
}

/// Accounts whose oldest payload waits since before a time.
pub(crate) async fn list_waiting(
    tx: &mut PlatformTx,
    before: Timestamp,
    wanted: i32,
) -> Result<Vec<(ChannelId, TenantId)>, Error> {
    let rows = tx.query(LIST_WAITING, &[&before, &wanted]).await?;
    let account = |row: &misy_store::Row| {
        (ChannelId::from_uuid(row.get("channel_id")), TenantId::from_uuid(row.get("tenant_id")))
    };
    Ok(rows.iter().map(account).collect())
}

pub(crate) async fn list_pending(
    tx: &mut TenantTx,
    channel: ChannelId,
    limit: u16,
) -> Result<Vec<Pending>, Error> {
    let (own, now) = (tx.tenant(), tx.ambient().now());
    let rows = tx.query(LIST_PENDING, &[&own, &channel.uuid(), &i64::from(limit), &now]).await?;
    let pending = |row: &misy_store::Row| Pending {
        id: InboxId::from_uuid(row.get("id")),
        body: row.get("body"),
        attempts: row.get("attempts"),
        received_at: row.get("received_at"),
    };
    Ok(rows.iter().map(pending).collect())
}

/// Payloads that were taken in and are not archived yet, oldest first.
pub(crate) async fn list_done(
    tx: &mut TenantTx,
    channel: ChannelId,
    limit: i64,
) -> Result<Vec<Done>, Error> {
    let own = tx.tenant();
    let rows = tx.query(LIST_DONE, &[&own, &channel.uuid(), &limit]).await?;
    let done = |row: &misy_store::Row| Done {
        id: InboxId::from_uuid(row.get("id")),
        digest: row.get("digest"),
        body: row.get("body"),
        events: row.get("events"),
        received_at: row.get("received_at"),
    };
    Ok(rows.iter().map(done).collect())
}

/// Keeps a payload as a document; a second time changes nothing but its version.
pub(crate) async fn put_payload(
    documents: &Documents,
    ctx: &Ctx,
    channel: ChannelId,
    payload: &Done,
) -> Result<(), DocumentError> {
    let payloads = documents.of(ctx).collection(PAYLOADS);
    payloads.put(payload.id.uuid(), &payload.document(channel)).await.map(drop)
}

/// Empties payloads that are kept as documents.
pub(crate) async fn mark_archived(tx: &mut TenantTx, ids: &[Uuid]) -> Result<(), Error> {
    let own = tx.tenant();
    tx.execute(MARK_ARCHIVED, &[&own, &ids]).await.map(drop)
}

/// Leaves a payload where it is, because it cannot be a document.
pub(crate) async fn keep_here(tx: &mut TenantTx, id: InboxId, why: &str) -> Result<(), Error> {
    let own = tx.tenant();
    tx.execute(KEEP_HERE, &[&own, &id.uuid(), &why]).await.map(drop)
}

pub(crate) async fn mark_done(tx: &mut TenantTx, done: &[(InboxId, i32)]) -> Result<(), Error> {
    if done.is_empty() {
        return Ok(());
    }
    let (ids, events): (Vec<Uuid>, Vec<i32>) =
        done.iter().map(|(id, events)| (id.uuid(), *events)).unzip();
    let (own, now) = (tx.tenant(), tx.ambient().now());
    tx.execute(MARK_DONE, &[&own, &ids, &events, &now]).await.map(drop)
}

/// Sets payloads aside that no adapter can read.
pub(crate) async fn mark_unreadable(
    tx: &mut TenantTx,
    unreadable: &[(InboxId, String)],
) -> Result<(), Error> {
    if unreadable.is_empty() {
        return Ok(());
    }
    let (ids, errors): (Vec<Uuid>, Vec<&str>) =
        unreadable.iter().map(|(id, error)| (id.uuid(), error.as_str())).unzip();
    let (own, now) = (tx.tenant(), tx.ambient().now());
    tx.execute(MARK_UNREADABLE, &[&own, &ids, &errors, &now]).await.map(drop)
}

/// Counts a failed attempt; a payload that is not due again is set aside.
pub(crate) async fn count_attempt(
    tx: &mut TenantTx,
    id: InboxId,
    error: &str,
    due_at: Option<Timestamp>,
) -> Result<(), Error> {
    let own = tx.tenant();
    tx.execute(COUNT_ATTEMPT, &[&own, &id.uuid(), &error, &due_at]).await.map(drop)
}

/// Keeps events that have no place of their own, whole.
pub(crate) async fn insert_events(
    tx: &mut TenantTx,
    channel: ChannelId,
    events: &[Kept],
) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = events.iter().map(|_| tx.ambient().uuid()).collect();
    let payloads: Vec<Uuid> = events.iter().map(|(payload, ..)| payload.uuid()).collect();
    let names: Vec<&str> = events.iter().map(|(_, name, _)| name.as_str()).collect();
    let raws: Vec<Value> =
        events.iter().map(|(.., raw)| crate::storable_json(raw.clone())).collect();
    let own = tx.tenant();
    tx.execute(INSERT_EVENTS, &[&own, &channel.uuid(), &ids, &payloads, &names, &raws])
        .await
        .map(drop)
}

/// Takes out what was said of messages before they came, oldest first.
pub(crate) async fn take_early(
    tx: &mut TenantTx,
    channel: ChannelId,
    messages: &[String],
) -> Result<Vec<Kept>, Error> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let (own, names) = (tx.tenant(), [EARLY_EDIT, EARLY_REVOKE].as_slice());
    let rows = tx.query(TAKE_EARLY, &[&own, &channel.uuid(), &names, &messages]).await?;
    let kept = |row: &misy_store::Row| {
        (InboxId::from_uuid(row.get("inbox_id")), row.get("name"), row.get("raw"))
    };
    Ok(rows.iter().map(kept).collect())
}
