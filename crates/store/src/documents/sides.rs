//! Room `store`: the two homes of documents as a move sees them: whole documents by kind and id,
//! with times and versions, whoever is reading and writing them meanwhile.

use bson::doc;
use misy_core::Ctx;
use serde_json::Value;
use uuid::Uuid;

use super::body::digest;
use super::mongo::Mongo;
use super::{Document, DocumentError, Home, Kind};
use crate::{Db, Error, Row, TenantTx};

const KINDS: &str = "select distinct kind from documents where tenant_id = $1 order by kind";

const PAGE: &str = "
    select d.id, d.body, d.version, d.created_at, d.updated_at, f.names, f.values
    from documents d
    cross join lateral (
        select coalesce(array_agg(name order by name), '{}') as names,
               coalesce(array_agg(value order by name), '{}') as values
        from document_fields
        where tenant_id = $1 and kind = $2 and document_id = d.id) f
    where d.tenant_id = $1 and d.kind = $2 and d.id >= $3 and d.id is distinct from $5
    order by d.id limit $4";

const FETCH: &str = "
    select d.id, d.body, d.version, d.created_at, d.updated_at, f.names, f.values
    from documents d
    cross join lateral (
        select coalesce(array_agg(name order by name), '{}') as names,
               coalesce(array_agg(value order by name), '{}') as values
        from document_fields
        where tenant_id = $1 and kind = $2 and document_id = d.id) f
    where d.tenant_id = $1 and d.kind = $2 and d.id = any ($3)";

const WRITE: &str = "
    insert into documents (tenant_id, kind, id, body, version, created_at, updated_at)
    select $1, $2, id, body, version, created_at, updated_at
    from unnest($3::uuid[], $4::jsonb[], $5::bigint[], $6::timestamptz[], $7::timestamptz[])
        as new (id, body, version, created_at, updated_at)
    on conflict (tenant_id, kind, id) do update
        set body = excluded.body, version = excluded.version,
            created_at = excluded.created_at, updated_at = excluded.updated_at";

const DROP_FIELDS: &str = "
    delete from document_fields where tenant_id = $1 and kind = $2 and document_id = any ($3)";

const WRITE_FIELDS: &str = "
    insert into document_fields (tenant_id, kind, document_id, name, value)
    select $1, $2, id, name, value
    from unnest($3::uuid[], $4::text[], $5::text[]) as new (id, name, value)";

const REMOVE: &str = "delete from documents where tenant_id = $1 and kind = $2 and id = any ($3)";
const CLEAR: &str = "delete from documents where tenant_id = $1 and kind = $2";
const COUNT: &str = "select count(*) from documents where tenant_id = $1 and kind = $2";

/// A document with everything that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) document: Document<Value>,
    pub(super) names: Vec<String>,
    pub(super) values: Vec<String>,
}

impl Whole {
    /// Equal for equal documents, wherever they are; fields follow from the body.
    pub(super) fn digest(&self) -> [u8; 32] {
        digest(&self.document)
    }
}

/// A home of one tenant's documents.
pub(super) struct Side<'a> {
    db: &'a Db,
    mongo: Option<&'a Mongo>,
    ctx: &'a Ctx,
    home: Home,
}

impl<'a> Side<'a> {
    pub(super) fn new(db: &'a Db, mongo: Option<&'a Mongo>, ctx: &'a Ctx, home: Home) -> Self {
        Self { db, mongo, ctx, home }
    }

    fn server(&self) -> Result<&'a Mongo, DocumentError> {
        self.mongo.ok_or(DocumentError::Elsewhere)
    }

    pub(super) async fn kinds(&self) -> Result<Vec<String>, DocumentError> {
        match self.home {
            Home::Mongo => Ok(self.server()?.kinds(self.ctx.tenant()).await?),
            Home::Embedded => {
                let mut tx = self.db.read(self.ctx).await?;
                let tenant = tx.tenant();
                let rows = tx.query(KINDS, &[&tenant]).await?;
                Ok(rows.iter().map(|row| row.get(0)).collect())
            }
        }
    }

    pub(super) async fn count(&self, kind: Kind) -> Result<u64, DocumentError> {
        if self.home == Home::Mongo {
            return Ok(self.server()?.count((self.ctx.tenant(), kind.name())).await?);
        }
        let mut tx = self.db.read(self.ctx).await?;
        let tenant = tx.tenant();
        let row = tx.query_opt(COUNT, &[&tenant, &kind.name()]).await?;
        let count = row.and_then(|row| u64::try_from(row.get::<_, i64>(0)).ok());
        Ok(count.ok_or(Error::Corrupt { column: "count" })?)
    }

    /// Documents in the order of their ids.
    pub(super) async fn page(
        &self,
        kind: Kind,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Whole>, DocumentError> {
        if self.home == Home::Mongo {
            let place = (self.ctx.tenant(), kind.name());
            return Ok(self.server()?.page(place, doc! {}, after, limit).await?);
        }
        let mut tx = self.db.read(self.ctx).await?;
        let tenant = tx.tenant();
        let from = after.unwrap_or_default();
        let rows = tx.query(PAGE, &[&tenant, &kind.name(), &from, &limit, &after]).await?;
        Ok(rows.iter().map(read).collect())
    }

    /// Those of the ids that are there, in no order.
    pub(super) async fn fetch(
        &self,
        kind: Kind,
        ids: &[Uuid],
    ) -> Result<Vec<Whole>, DocumentError> {
        if self.home == Home::Mongo {
            return Ok(self.server()?.fetch((self.ctx.tenant(), kind.name()), ids).await?);
        }
        let mut tx = self.db.read(self.ctx).await?;
        let tenant = tx.tenant();
        let rows = tx.query(FETCH, &[&tenant, &kind.name(), &ids]).await?;
        Ok(rows.iter().map(read).collect())
    }

    /// Writes documents as they are, over whatever is there.
    pub(super) async fn write(&self, kind: Kind, whole: &[Whole]) -> Result<(), DocumentError> {
        if whole.is_empty() {
            return Ok(());
        }
        if self.home == Home::Mongo {
            return Ok(self.server()?.write_whole(self.ctx.tenant(), kind, whole).await?);
        }
        let mut tx = self.db.tenant_apart(self.ctx).await?;
        write(&mut tx, kind, whole).await?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn remove(&self, kind: Kind, ids: &[Uuid]) -> Result<(), DocumentError> {
        if ids.is_empty() {
            return Ok(());
        }
        if self.home == Home::Mongo {
            return Ok(self.server()?.remove((self.ctx.tenant(), kind.name()), ids).await?);
        }
        let mut tx = self.db.tenant_apart(self.ctx).await?;
        let tenant = tx.tenant();
        tx.execute(REMOVE, &[&tenant, &kind.name(), &ids]).await?;
        Ok(tx.commit().await?)
    }

    /// Removes all documents of a kind.
    pub(super) async fn clear(&self, kind: Kind) -> Result<(), DocumentError> {
        if self.home == Home::Mongo {
            return Ok(self.server()?.drop_collection(self.ctx.tenant(), kind.name()).await?);
        }
        let mut tx = self.db.tenant_apart(self.ctx).await?;
        let tenant = tx.tenant();
        tx.execute(CLEAR, &[&tenant, &kind.name()]).await?;
        Ok(tx.commit().await?)
    }
}

async fn write(tx: &mut TenantTx, kind: Kind, whole: &[Whole]) -> Result<(), Error> {
    let (tenant, kind) = (tx.tenant(), kind.name());
    let documents = || whole.iter().map(|whole| &whole.document);
    let ids: Vec<Uuid> = documents().map(|document| document.id).collect();
    let bodies: Vec<&Value> = documents().map(|document| &document.body).collect();
    let versions: Vec<i64> = documents().map(|document| document.version).collect();
    let made: Vec<_> = documents().map(|document| document.created_at).collect();
    let changed: Vec<_> = documents().map(|document| document.updated_at).collect();
    tx.execute(WRITE, &[&tenant, &kind, &ids, &bodies, &versions, &made, &changed]).await?;
    tx.execute(DROP_FIELDS, &[&tenant, &kind, &ids]).await?;
    let owners = whole.iter().flat_map(|whole| whole.names.iter().map(|_| whole.document.id));
    let owners: Vec<Uuid> = owners.collect();
    let names: Vec<&String> = whole.iter().flat_map(|whole| &whole.names).collect();
    let values: Vec<&String> = whole.iter().flat_map(|whole| &whole.values).collect();
    tx.execute(WRITE_FIELDS, &[&tenant, &kind, &owners, &names, &values]).await.map(drop)
}

fn read(row: &Row) -> Whole {
    let document = Document {
        id: row.get("id"),
        body: row.get("body"),
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    };
    Whole { document, names: row.get("names"), values: row.get("values") }
}
