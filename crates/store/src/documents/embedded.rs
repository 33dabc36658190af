//! Room `store`: documents as rows of the database itself.

use misy_core::{Cursor, Limit};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::body::Written;
use super::{Document, Home};
use crate::{Error, TenantTx, ToSql};

const UPSERT: &str = "
    insert into documents (tenant_id, kind, id, body) values ($1, $2, $3, $4)
    on conflict (tenant_id, kind, id) do update
        set body = excluded.body, version = documents.version + 1, updated_at = now()
    returning version";

const REPLACE: &str = "
    update documents set body = $4, version = version + 1, updated_at = now()
    where tenant_id = $1 and kind = $2 and id = $3 and version = $5
    returning version";

/// Fields that stay are changed in place, so that the statement never meets a key twice.
const SET_FIELDS: &str = "
    with gone as (
        delete from document_fields
        where tenant_id = $1 and kind = $2 and document_id = $3 and name <> all ($4::text[]))
    insert into document_fields (tenant_id, kind, document_id, name, value)
    select $1, $2, $3, name, value from unnest($4::text[], $5::text[]) as new (name, value)
    on conflict (tenant_id, kind, document_id, name) do update set value = excluded.value
        where document_fields.value <> excluded.value";

const DELETE: &str = "delete from documents where tenant_id = $1 and kind = $2 and id = $3";

/// Where the tenant's documents live is read in the same statement and so of the same moment; they
/// are looked for only if they live here.
const FIND: &str = "
    select p.home, d.id, d.body, d.version, d.created_at, d.updated_at
    from (select coalesce((select home from document_homes where tenant_id = $1), 'embedded')
          as home) p
    left join documents d
        on p.home = 'embedded' and d.tenant_id = $1 and d.kind = $2 and d.id = $3";

/// Ids are the caller's, so one may be all zeros, and nothing is less: a page begins with the
/// document before it, which is left out.
const LIST: &str = "
    select p.home, d.id, d.body, d.version, d.created_at, d.updated_at
    from (select coalesce((select home from document_homes where tenant_id = $1), 'embedded')
          as home) p
    left join lateral (
        select id, body, version, created_at, updated_at from documents
        where p.home = 'embedded' and tenant_id = $1 and kind = $2
          and id >= $3 and id is distinct from $5
        order by id limit $4) d on true
    order by d.id";

const FIND_BY: &str = "
    select p.home, d.id, d.body, d.version, d.created_at, d.updated_at
    from (select coalesce((select home from document_homes where tenant_id = $1), 'embedded')
          as home) p
    left join lateral (
        select d.id, d.body, d.version, d.created_at, d.updated_at
        from document_fields f
        join documents d
            on d.tenant_id = f.tenant_id and d.kind = f.kind and d.id = f.document_id
        where p.home = 'embedded' and f.tenant_id = $1 and f.kind = $2 and f.name = $3
          and f.value = $4 and f.document_id >= $5 and f.document_id is distinct from $7
        order by f.document_id limit $6) d on true
    order by d.id";

/// What was found, if the tenant's documents live here.
pub(super) type Found = Result<Vec<Document<Value>>, Home>;

pub(super) async fn upsert(
    tx: &mut TenantTx,
    kind: &str,
    id: Uuid,
    written: &Written,
) -> Result<i64, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(UPSERT, &[&tenant, &kind, &id, &written.body]).await?;
    set_fields(tx, kind, id, written).await?;
    row.map(|row| row.get(0)).ok_or(Error::Corrupt { column: "version" })
}

pub(super) async fn replace(
    tx: &mut TenantTx,
    kind: &str,
    id: Uuid,
    seen_version: i64,
    written: &Written,
) -> Result<Option<i64>, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(REPLACE, &[&tenant, &kind, &id, &written.body, &seen_version]).await?;
    if row.is_some() {
        set_fields(tx, kind, id, written).await?;
    }
    Ok(row.map(|row| row.get(0)))
}

async fn set_fields(
    tx: &mut TenantTx,
    kind: &str,
    id: Uuid,
    written: &Written,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(SET_FIELDS, &[&tenant, &kind, &id, &written.names, &written.values]).await?;
    Ok(())
}

pub(super) async fn find(tx: &mut TenantTx, kind: &str, id: Uuid) -> Result<Found, Error> {
    let tenant = tx.tenant();
    found(&tx.query(FIND, &[&tenant, &kind, &id]).await?)
}

pub(super) async fn delete(tx: &mut TenantTx, kind: &str, id: Uuid) -> Result<bool, Error> {
    let tenant = tx.tenant();
    Ok(tx.execute(DELETE, &[&tenant, &kind, &id]).await? == 1)
}

pub(super) async fn list(
    tx: &mut TenantTx,
    kind: &str,
    after: Option<Cursor>,
    limit: Limit,
) -> Result<Found, Error> {
    let tenant = tx.tenant();
    let (from, without) = (Cursor::after(after), after.map(|cursor| cursor.0));
    let rows = tx.query(LIST, &[&tenant, &kind, &from, &rows_of(limit), &without]).await?;
    found(&rows)
}

pub(super) async fn find_by(
    tx: &mut TenantTx,
    kind: &str,
    (field, value): (&str, &str),
    after: Option<Cursor>,
    limit: Limit,
) -> Result<Found, Error> {
    let tenant = tx.tenant();
    let (from, without) = (Cursor::after(after), after.map(|cursor| cursor.0));
    let parameters: [&(dyn ToSql + Sync); 7] =
        [&tenant, &kind, &field, &value, &from, &rows_of(limit), &without];
    found(&tx.query(FIND_BY, &parameters).await?)
}

/// Exactly what is shown: the next page starts after the last document of this one.
fn rows_of(limit: Limit) -> i64 {
    limit.fetch() - 1
}

/// There is always a row that names the home; without a document the rest of it is empty.
fn found(rows: &[Row]) -> Result<Found, Error> {
    let corrupt = Error::Corrupt { column: "home" };
    let Some(first) = rows.first() else { return Err(corrupt) };
    match Home::parse(first.get("home")).ok_or(corrupt)? {
        Home::Embedded => Ok(Ok(rows.iter().filter_map(read).collect())),
        home @ Home::Mongo => Ok(Err(home)),
    }
}

fn read(row: &Row) -> Option<Document<Value>> {
    let id = row.get::<_, Option<Uuid>>("id")?;
    Some(Document {
        id,
        body: row.get("body"),
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}
