//! Room `conversation`: how far messages have come, and `early_statuses`.

use misy_channel::event::Status;
use misy_core::id::TypedId;
use misy_core::{ChannelId, ConversationId, MessageId, Timestamp};
use misy_store::{Error, Row, TenantTx, ToSql};
use uuid::Uuid;

use super::{first_id, read, read_opt, status, value};
use crate::messages::model::{Progress, Report};

/// In the order of ids, so that two transactions never wait for each other.
const LOCK: &str = "
    select id, conversation_id, status, status_at, external_id, failure,
        coalesce(extra -> 'report', '{}') as report
    from messages
    where tenant_id = $1 and channel_id = $2 and direction = 'outbound'
        and (external_id = any($3) or id = any($4))
    order by id for no key update";

/// A report on a message proves that its provider has it: that settles a try without an end. An
/// external id that another row has taken (an echo of the same message) stays there for now.
const UPDATE: &str = "
    with new as (
        select * from unnest(
            $3::uuid[], $4::text[], $5::jsonb[], $6::text[], $7::jsonb[], $8::jsonb[])
            as new (id, status, status_at, external_id, failure, report)),
    settled as (
        update message_attempts set ended_at = $2, failure = new.failure,
            state = case when new.status = 'failed' then 'failed' else 'sent' end
        from new
        where message_attempts.tenant_id = $1 and message_attempts.message_id = new.id
            and message_attempts.state in ('sending', 'unknown'))
    update messages set status = new.status, status_at = new.status_at, failure = new.failure,
        external_id = coalesce(messages.external_id, case when not exists (
            select from messages as other
            where other.tenant_id = $1 and other.channel_id = messages.channel_id
                and other.external_id = new.external_id) then new.external_id end),
        extra = case when new.report = '{}' then extra
            else extra || jsonb_build_object('report', new.report) end,
        version = version + 1, updated_at = $2
    from new
    where messages.tenant_id = $1 and messages.id = new.id";

const INSERT_EARLY: &str = "
    insert into early_statuses
        (tenant_id, id, channel_id, external_id, status, at, failure, created_at)
    select $1, new.id, $2, new.external_id, new.status, new.at, new.failure, $3
    from unnest($4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $8::jsonb[])
        as new (id, external_id, status, at, failure)";

const TAKE_EARLY: &str = "
    delete from early_statuses as early using messages as message
    where early.tenant_id = $1 and early.channel_id = $2 and early.id >= $3
        and message.tenant_id = $1 and message.channel_id = $2
        and message.external_id = early.external_id
    returning early.external_id, early.status, early.at, early.failure";

const SWEEP_EARLY: &str = "
    delete from early_statuses where tenant_id = $1 and channel_id = $2 and id < $3";

/// The messages that are meant, locked until the transaction ends.
pub(crate) async fn lock_progress(
    tx: &mut TenantTx,
    channel: ChannelId,
    external_ids: &[&str],
    ids: &[MessageId],
) -> Result<Vec<Progress>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = tx.query(LOCK, &[&tx.tenant(), &channel.uuid(), &external_ids, &ids]).await?;
    let progress = |row: &Row| {
        Ok(Progress {
            id: MessageId::from_uuid(row.get("id")),
            conversation: ConversationId::from_uuid(row.get("conversation_id")),
            status: status(row)?,
            status_at: read(row, "status_at")?,
            external_id: row.get("external_id"),
            failure: read_opt(row, "failure")?,
            report: read(row, "report")?,
        })
    };
    rows.iter().map(progress).collect()
}

/// Writes how far the messages have come.
pub(crate) async fn update_progress(tx: &mut TenantTx, changed: &[Progress]) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let params: [&(dyn ToSql + Sync); 8] = [
        &tenant,
        &now,
        &changed.iter().map(|one| one.id.uuid()).collect::<Vec<_>>(),
        &changed.iter().map(|one| one.status.slug()).collect::<Vec<_>>(),
        &changed.iter().map(|one| value(&one.status_at)).collect::<Vec<_>>(),
        &changed.iter().map(|one| one.external_id.as_deref()).collect::<Vec<_>>(),
        &changed.iter().map(|one| one.failure.as_ref().map(value)).collect::<Vec<_>>(),
        &changed.iter().map(|one| value(&one.report)).collect::<Vec<_>>(),
    ];
    tx.execute(UPDATE, &params).await.map(drop)
}

/// Keeps reports on messages that are not known yet.
pub(crate) async fn insert_early(
    tx: &mut TenantTx,
    channel: ChannelId,
    reports: &[Report],
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let params: [&(dyn ToSql + Sync); 8] = [
        &tenant,
        &channel.uuid(),
        &now,
        &reports.iter().map(|_| tx.ambient().uuid()).collect::<Vec<_>>(),
        &reports.iter().map(|one| one.external_id.as_str()).collect::<Vec<_>>(),
        &reports.iter().map(|one| one.status.slug()).collect::<Vec<_>>(),
        &reports.iter().map(|one| one.at).collect::<Vec<_>>(),
        &reports.iter().map(|one| one.failure.as_ref().map(value)).collect::<Vec<_>>(),
    ];
    tx.execute(INSERT_EARLY, &params).await.map(drop)
}

/// Takes out the reports kept since then whose messages are known by now.
pub(crate) async fn take_early(
    tx: &mut TenantTx,
    channel: ChannelId,
    since: Timestamp,
) -> Result<Vec<Report>, Error> {
    let rows = tx.query(TAKE_EARLY, &[&tx.tenant(), &channel.uuid(), &first_id(since)]).await?;
    let report = |row: &Row| {
        let status = Status::parse(row.get("status"));
        Ok(Report {
            external_id: row.get("external_id"),
            status: status.ok_or(Error::Corrupt { column: "status" })?,
            at: row.get("at"),
            failure: read_opt(row, "failure")?,
            extra: serde_json::Map::new(),
        })
    };
    rows.iter().map(report).collect()
}

/// Removes reports kept before then: they are on messages of other programs.
pub(crate) async fn sweep_early(
    tx: &mut TenantTx,
    channel: ChannelId,
    before: Timestamp,
) -> Result<(), Error> {
    tx.execute(SWEEP_EARLY, &[&tx.tenant(), &channel.uuid(), &first_id(before)]).await.map(drop)
}
