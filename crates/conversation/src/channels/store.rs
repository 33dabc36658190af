//! Room `conversation`: rows of `channels` and `channel_routes`.

use misy_core::id::TypedId;
use misy_core::{ChannelId, Cursor, Limit};
use misy_store::{Error, Row, TenantTx, ToSql};
use serde_json::{Map, Value};

use super::model::{ChannelAccount, NewAccount, Status};

const INSERT: &str = "
    insert into channels (tenant_id, id, kind, name, external_id, settings, credentials,
        created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
    returning *";

const INSERT_ROUTE: &str = "
    insert into channel_routes (kind, external_id, tenant_id, channel_id, handshake_digest)
    values ($2, $3, $1, $4, $5)";

/// Routes that accounts may share: the first to come has it.
const INSERT_SHARED_ROUTES: &str = "
    insert into channel_routes (kind, external_id, tenant_id, channel_id)
    select $2, external_id, $1, $4 from unnest($3::text[]) as new (external_id)
    on conflict (kind, external_id) do nothing";

const SET_ROUTE_DIGEST: &str = "
    update channel_routes set handshake_digest = $4
    where tenant_id = $1 and channel_id = $2 and external_id = $3";

const DELETE_ROUTES: &str = "delete from channel_routes where tenant_id = $1 and channel_id = $2";

const FIND: &str = "
    select * from channels where tenant_id = $1 and id = $2 and status <> 'deleted'";

const LIST: &str = "
    select * from channels
    where tenant_id = $1 and status <> 'deleted' and id > $2
      and ($3::text is null or kind = $3)
    order by id limit $4";

const UPDATE: &str = "
    update channels set name = $4, settings = $5, credentials = $6, status = $7,
        version = version + 1, updated_at = $8
    where tenant_id = $1 and id = $2 and version = $3 and status <> 'deleted' returning *";

/// The row stays for the messages that name it; nothing secret stays with it.
const FIND_KIND: &str = "select kind from channels where tenant_id = $1 and id = $2";

const DELETE: &str = "
    update channels set status = 'deleted', credentials = '', settings = '{}',
        version = version + 1, updated_at = $3
    where tenant_id = $1 and id = $2 and status <> 'deleted'";

/// A row with its sealed credentials.
pub(crate) struct SealedAccount {
    pub(crate) account: ChannelAccount,
    pub(crate) credentials: Vec<u8>,
}

pub(crate) async fn insert(
    tx: &mut TenantTx,
    id: ChannelId,
    new: &NewAccount,
    credentials: &[u8],
) -> Result<ChannelAccount, Error> {
    let (settings, now) = (Value::Object(new.settings.clone()), tx.ambient().now());
    let (own, id) = (tx.tenant(), id.uuid());
    let params: [&(dyn ToSql + Sync); 8] =
        [&own, &id, &new.kind, &new.name, &new.external_id, &settings, &credentials, &now];
    account(&tx.query_opt(INSERT, &params).await?.ok_or(Error::Aborted)?)
}

pub(crate) async fn insert_route(
    tx: &mut TenantTx,
    id: ChannelId,
    kind: &str,
    external_id: &str,
    digest: Option<&[u8]>,
) -> Result<(), Error> {
    let own = tx.tenant();
    tx.execute(INSERT_ROUTE, &[&own, &kind, &external_id, &id.uuid(), &digest]).await.map(drop)
}

pub(crate) async fn insert_shared_routes(
    tx: &mut TenantTx,
    id: ChannelId,
    kind: &str,
    external_ids: &[String],
) -> Result<(), Error> {
    let own = tx.tenant();
    tx.execute(INSERT_SHARED_ROUTES, &[&own, &kind, &external_ids, &id.uuid()]).await.map(drop)
}

pub(crate) async fn set_route_digest(
    tx: &mut TenantTx,
    account: &ChannelAccount,
    digest: Option<&[u8]>,
) -> Result<(), Error> {
    let (own, id) = (tx.tenant(), account.id.uuid());
    tx.execute(SET_ROUTE_DIGEST, &[&own, &id, &account.external_id, &digest]).await.map(drop)
}

pub(crate) async fn find(tx: &mut TenantTx, id: ChannelId) -> Result<Option<SealedAccount>, Error> {
    let row = tx.query_opt(FIND, &[&tx.tenant(), &id.uuid()]).await?;
    row.as_ref().map(sealed).transpose()
}

pub(crate) async fn list(
    tx: &mut TenantTx,
    kind: Option<&str>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<ChannelAccount>, Error> {
    let after = Cursor::after(cursor);
    let rows = tx.query(LIST, &[&tx.tenant(), &after, &kind, &limit.fetch()]).await?;
    rows.iter().map(account).collect()
}

pub(crate) async fn update(
    tx: &mut TenantTx,
    new: &ChannelAccount,
    credentials: &[u8],
) -> Result<Option<ChannelAccount>, Error> {
    let (settings, now) = (Value::Object(new.settings.clone()), tx.ambient().now());
    let (own, id, status) = (tx.tenant(), new.id.uuid(), new.status.slug());
    let params: [&(dyn ToSql + Sync); 8] =
        [&own, &id, &new.version, &new.name, &settings, &credentials, &status, &now];
    tx.query_opt(UPDATE, &params).await?.as_ref().map(account).transpose()
}

/// The kind of an account, disconnected ones included.
pub(crate) async fn find_kind(tx: &mut TenantTx, id: ChannelId) -> Result<Option<String>, Error> {
    let row = tx.query_opt(FIND_KIND, &[&tx.tenant(), &id.uuid()]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Whether there was such an account.
pub(crate) async fn delete(tx: &mut TenantTx, id: ChannelId) -> Result<bool, Error> {
    let (own, now) = (tx.tenant(), tx.ambient().now());
    let deleted = tx.execute(DELETE, &[&own, &id.uuid(), &now]).await?;
    tx.execute(DELETE_ROUTES, &[&own, &id.uuid()]).await?;
    Ok(deleted > 0)
}

fn sealed(row: &Row) -> Result<SealedAccount, Error> {
    Ok(SealedAccount { account: account(row)?, credentials: row.get("credentials") })
}

fn account(row: &Row) -> Result<ChannelAccount, Error> {
    let settings: Map<String, Value> = match row.get("settings") {
        Value::Object(settings) => settings,
        _ => return Err(Error::Corrupt { column: "settings" }),
    };
    let status: &str = row.get("status");
    Ok(ChannelAccount {
        id: ChannelId::from_uuid(row.get("id")),
        kind: row.get("kind"),
        name: row.get("name"),
        external_id: row.get("external_id"),
        status: Status::parse(status).ok_or(Error::Corrupt { column: "status" })?,
        settings,
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

const COUNT: &str = "
    select count(*) from channels
    where tenant_id = $1 and status <> 'deleted' and kind <> all($2)";

/// How many accounts the tenant has connected, but for those of some kinds.
pub(crate) async fn count(tx: &mut TenantTx, besides: &[&str]) -> Result<i64, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(COUNT, &[&tenant, &besides]).await?.map_or(0, |row| row.get(0)))
}

/// One that the tenant has disconnected stays away: a kind is given once.
const GIVE: &str = "
    with made as (
        insert into channels (tenant_id, id, kind, name, external_id, settings, credentials,
            created_at, updated_at)
        select $1, new.id, new.kind, new.name, $2, '{}', '', $3, $3
        from unnest($4::uuid[], $5::text[], $6::text[]) as new (id, kind, name)
        where not exists (
            select from channels as old where old.tenant_id = $1 and old.kind = new.kind)
        returning id, kind)
    insert into channel_routes (kind, external_id, tenant_id, channel_id)
    select kind, $2, $1, id from made
    returning channel_id";

/// Makes accounts that need no credentials, each of a kind of which the tenant never had one; gives
/// the ids of those that are new.
pub(crate) async fn give(
    tx: &mut TenantTx,
    external_id: &str,
    kinds: &[&str],
    names: &[&str],
) -> Result<Vec<ChannelId>, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let ids: Vec<_> = kinds.iter().map(|_| tx.ambient().uuid()).collect();
    let params: [&(dyn ToSql + Sync); 6] = [&tenant, &external_id, &now, &ids, &kinds, &names];
    let rows = tx.query(GIVE, &params).await?;
    Ok(rows.iter().map(|row| ChannelId::from_uuid(row.get("channel_id"))).collect())
}

const COUNT_OF_KINDS: &str = "
    select kind, count(*) from channels where tenant_id = $1 and kind = any($2) group by kind";

/// How many accounts of these kinds the tenant has or had.
pub(crate) async fn count_of_kinds(
    tx: &mut TenantTx,
    kinds: &[&str],
) -> Result<Vec<(String, i64)>, Error> {
    let rows = tx.query(COUNT_OF_KINDS, &[&tx.tenant(), &kinds]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

const COUNT_WORKING: &str = "
    select count(*) from channels c
    where c.tenant_id = $1 and c.status = 'active' and (
        exists (select from inbox i where i.tenant_id = $1 and i.channel_id = c.id)
        or exists (select from messages m where m.tenant_id = $1 and m.channel_id = c.id
            and m.direction = 'inbound'))";

/// How many accounts work: something whose sender was verified has come in over each.
pub(crate) async fn count_working(tx: &mut TenantTx) -> Result<i64, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(COUNT_WORKING, &[&tenant]).await?.map_or(0, |row| row.get(0)))
}
