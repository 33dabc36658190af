//! Room `store`: documents as rows of the database itself.

use misy_core::{Cursor, Limit};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Document, Written};
use crate::{Error, TenantTx};

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

const FIND: &str = "
    select id, body, version, created_at, updated_at from documents
    where tenant_id = $1 and kind = $2 and id = $3";

const DELETE: &str = "delete from documents where tenant_id = $1 and kind = $2 and id = $3";

const LIST: &str = "
    select id, body, version, created_at, updated_at from documents
    where tenant_id = $1 and kind = $2 and ($3::uuid is null or id > $3)
    order by id limit $4";

const FIND_BY: &str = "
    select d.id, d.body, d.version, d.created_at, d.updated_at
    from document_fields f
    join documents d on d.tenant_id = f.tenant_id and d.kind = f.kind and d.id = f.document_id
    where f.tenant_id = $1 and f.kind = $2 and f.name = $3 and f.value = $4
      and ($5::uuid is null or f.document_id > $5)
    order by f.document_id limit $6";

pub(super) async fn upsert(
    tx: &mut TenantTx,
    kind: &str,
    id: Uuid,
    written: &Written,
) -> Result<i64, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(UPSERT, &[&tenant, &kind, &id, &written.body]).await?;
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
    Ok(row.map(|row| row.get(0)))
}

pub(super) async fn set_fields(
    tx: &mut TenantTx,
    kind: &str,
    id: Uuid,
    written: &Written,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(SET_FIELDS, &[&tenant, &kind, &id, &written.names, &written.values]).await?;
    Ok(())
}

pub(super) async fn find(
    tx: &mut TenantTx,
    kind: &str,
    id: Uuid,
) -> Result<Option<Document<Value>>, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(FIND, &[&tenant, &kind, &id]).await?.map(read))
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
) -> Result<Vec<Document<Value>>, Error> {
    let tenant = tx.tenant();
    let after = after.map(|cursor| cursor.0);
    let rows = tx.query(LIST, &[&tenant, &kind, &after, &rows_of(limit)]).await?;
    Ok(rows.into_iter().map(read).collect())
}

pub(super) async fn find_by(
    tx: &mut TenantTx,
    kind: &str,
    (field, value): (&str, &str),
    after: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Document<Value>>, Error> {
    let tenant = tx.tenant();
    let after = after.map(|cursor| cursor.0);
    let rows =
        tx.query(FIND_BY, &[&tenant, &kind, &field, &value, &after, &rows_of(limit)]).await?;
    Ok(rows.into_iter().map(read).collect())
}

/// Exactly what is shown: the next page starts after the last document of this one.
fn rows_of(limit: Limit) -> i64 {
    limit.fetch() - 1
}

fn read(row: Row) -> Document<Value> {
    Document {
        id: row.get("id"),
        body: row.get("body"),
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}
