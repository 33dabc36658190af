//! Room `store`: documents, which nobody reaches but through a tenant: bodies whose form is their
//! owner's own, kept by id and found by the few fields that their kind declares.
//!
//! Every operation is final when it returns. What must happen together with rows of tables belongs
//! into a table. Bodies live in tables of the database itself or in a document server, by tenant; a
//! tenant's can be moved from one to the other while they are in use ([`moves`]).

mod body;
mod embedded;
mod homes;
pub mod mongo;
pub mod moves;
pub mod shared;
mod sides;

use std::sync::Arc;
use std::time::Duration;

use misy_core::{Code, Ctx, Cursor, Limit, Public, TenantId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::cache::is_plain_name;
use crate::tenant_data::{self, Sink, TenantTable};
use crate::{Db, Error, TenantTx};
use body::Written;
use mongo::{Mongo, ServerError};

pub use homes::{Home, Phase, State};

/// The largest body, as compact JSON.
pub const MAX_BODY_BYTES: usize = 8 << 20;
/// The largest body as a document server keeps it: such servers stop at 16 MiB, and the fields that
/// are kept beside a body need room too.
pub const MAX_STORED_BYTES: usize = (16 << 20) - (64 << 10);
/// How deep objects and arrays may lie in each other; document servers stop at 100.
pub const MAX_DEPTH: usize = 64;
/// The longest value of a declared field; an index entry must fit into a page.
pub const MAX_FIELD_BYTES: usize = 1_000;

/// A kind of documents and the fields by which they are found. Only from the program's own text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    name: &'static str,
    fields: &'static [&'static str],
}

impl Kind {
    /// A kind by its name and at most four fields of the body's top level: each name 1 to 40 of
    /// `a-z` and `_`. Called in a `const`, a wrong name does not compile.
    pub const fn new(name: &'static str, fields: &'static [&'static str]) -> Self {
        assert!(is_plain_name(name), "a name is 1 to 40 of a-z and _");
        assert!(fields.len() <= 4, "an index costs each write and a place in the server's memory");
        let mut at = 0;
        while at < fields.len() {
            assert!(is_plain_name(fields[at]), "a name is 1 to 40 of a-z and _");
            at += 1;
        }
        Self { name, fields }
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The fields by which its documents are found.
    pub const fn fields(self) -> &'static [&'static str] {
        self.fields
    }
}

/// A document as it was last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<T> {
    /// Its id, chosen by its owner.
    pub id: Uuid,
    /// What it says.
    pub body: T,
    /// Counts its writes, from 1.
    pub version: i64,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// Why a document could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// The body cannot be written as JSON, or what is kept is not of the wanted form.
    #[error("the document does not have the form of its kind")]
    Form(#[from] serde_json::Error),
    /// The document server failed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The tenant's documents live in a document server, and this process knows of none.
    #[error("the documents live in a document server, but `documents.url` is not set")]
    Elsewhere,
    /// The body is not a JSON object.
    #[error("a document must be an object")]
    NotAnObject,
    /// The body is larger than [`MAX_BODY_BYTES`], or a declared field than [`MAX_FIELD_BYTES`].
    #[error("the document is too large")]
    TooLarge,
    /// Objects and arrays lie deeper than [`MAX_DEPTH`].
    #[error("the document is nested too deep")]
    TooDeep,
    /// A text in the body holds U+0000, which PostgreSQL cannot store.
    #[error("the document holds the character U+0000")]
    NulCharacter,
    /// The kind does not declare the field that was asked for.
    #[error("documents of this kind are not found by `{0}`")]
    UndeclaredField(&'static str),
}

impl Public for DocumentError {
    fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Server(error) => error.code(),
            Self::Elsewhere => Code::Unavailable,
            Self::TooLarge => Code::TooLarge,
            Self::NulCharacter | Self::TooDeep => Code::Invalid,
            Self::Form(_) | Self::NotAnObject | Self::UndeclaredField(_) => Code::Internal,
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Store(error) => error.retry_after_s(),
            _ => (self.code() == Code::Unavailable).then_some(1),
        }
    }
}

/// Why documents could not be taken along.
#[derive(Debug, thiserror::Error)]
pub enum ExportFailure {
    /// They could not be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The other side.
    #[error("the documents could not be written")]
    Sink(#[from] std::io::Error),
}

fn exported(one: &Document<Value>) -> Value {
    serde_json::json!({
        "id": one.id, "body": one.body, "version": one.version,
        "created_at": one.created_at, "updated_at": one.updated_at,
    })
}

/// Where documents and what is known of them lie in the database.
pub const TABLES: [TenantTable; 4] = [
    TenantTable::new("document_fields"),
    TenantTable::new("documents"),
    TenantTable::new("document_changes"),
    TenantTable::new("document_homes"),
];

/// The documents of all tenants. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Documents {
    db: Db,
    mongo: Option<Mongo>,
    /// A write that is noted for a second home takes a second connection while it holds one: so few
    /// at once that they never wait for each other with all there are.
    noting: Arc<Semaphore>,
}

/// Writes at once that hold two connections.
const NOTING: usize = 2;

impl Documents {
    /// Documents in tables of the database itself, under the same policy as every other table.
    pub fn embedded(db: Db) -> Self {
        Self::new(db, None)
    }

    /// Documents in a document server, but for those of tenants that had documents before; these
    /// stay in the database until they are moved.
    pub fn mongo(db: Db, mongo: Mongo) -> Self {
        Self::new(db, Some(mongo))
    }

    fn new(db: Db, mongo: Option<Mongo>) -> Self {
        Self { db, mongo, noting: Arc::new(Semaphore::new(NOTING)) }
    }

    /// The documents of the context's tenant.
    pub fn of(&self, ctx: &Ctx) -> TenantDocuments {
        TenantDocuments { all: self.clone(), ctx: ctx.clone() }
    }
}

/// The documents of one tenant.
#[derive(Debug, Clone)]
pub struct TenantDocuments {
    all: Documents,
    ctx: Ctx,
}

impl TenantDocuments {
    /// Those of one kind.
    pub fn collection(&self, kind: Kind) -> Collection {
        Collection { all: self.all.clone(), ctx: self.ctx.clone(), kind }
    }

    /// Makes what the tenant's documents of these kinds need, so that their first write need not;
    /// a second time does nothing.
    pub async fn prepare(&self, kinds: &[Kind]) -> Result<(), DocumentError> {
        let (tx, state) = homes::entered(&self.all.db, &self.ctx, self.all.mongo.is_some()).await?;
        if state.home == Home::Mongo {
            self.all.server()?.prepare(self.ctx.tenant(), kinds).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Removes every document of the tenant, wherever it lives, and what was made for them.
    pub async fn remove(&self) -> Result<(), DocumentError> {
        let is_elsewhere = self
            .state()
            .await?
            .is_some_and(|state| state.home == Home::Mongo || state.other == Some(Home::Mongo));
        if is_elsewhere && self.all.mongo.is_none() {
            return Err(DocumentError::Elsewhere);
        }
        if let Some(server) = &self.all.mongo {
            for kind in server.kinds(self.ctx.tenant()).await? {
                server.drop_collection(self.ctx.tenant(), &kind).await?;
            }
        }
        tenant_data::erase(&self.all.db, &self.ctx, &TABLES).await?;
        Ok(())
    }

    /// What is kept of the tenant: collections of the document server by the names of their kinds,
    /// and rows of the database by table.
    pub async fn inventory(&self) -> Result<Vec<(String, i64)>, DocumentError> {
        let rows = tenant_data::count(&self.all.db, &self.ctx, &TABLES).await?;
        let mut found: Vec<(String, i64)> =
            rows.into_iter().map(|(table, rows)| (table.name().to_owned(), rows)).collect();
        if let Some(server) = &self.all.mongo {
            let kinds = server.kinds(self.ctx.tenant()).await?;
            found.extend(kinds.into_iter().map(|kind| (format!("collection {kind}"), 1)));
        }
        Ok(found)
    }

    /// Gives every document of these kinds to the sink, as it is read anywhere.
    pub async fn export(&self, kinds: &[Kind], sink: &mut dyn Sink) -> Result<(), ExportFailure> {
        // As many as fit into memory even if each is as large as it may be.
        let limit = Limit::new(10).unwrap_or(Limit::DEFAULT);
        for kind in kinds {
            let (collection, mut after) = (self.collection(*kind), None);
            loop {
                let mut page: Vec<Document<Value>> = collection.list(after, limit).await?;
                let is_last = page.len() <= limit.show();
                page.truncate(limit.show());
                after = page.last().map(|last| Cursor(last.id));
                let rows = page.into_iter().map(|one| exported(&one)).collect();
                sink.rows(kind.name, rows).await?;
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Where the tenant's documents live and whether they are being moved; `None` before the first
    /// write.
    pub async fn state(&self) -> Result<Option<State>, DocumentError> {
        let mut tx = self.all.db.read(&self.ctx).await?;
        Ok(homes::find(&mut tx).await?)
    }
}

/// How often a document server is asked whether it answers, for the metric.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Documents {
    /// What [`TenantDocuments::prepare`] makes of a tenant whose documents live in the database, in
    /// the transaction that makes the rest of it. Where there is a server, it is not enough.
    pub async fn settle(&self, tx: &mut TenantTx) -> Result<(), Error> {
        homes::settle(tx).await
    }

    /// Whether documents live in a server of their own, for those tenants whose home it is.
    pub fn has_server(&self) -> bool {
        self.mongo.is_some()
    }

    /// Whether the document server answers, if there is one. Asks it.
    pub async fn ready(&self) -> Result<(), DocumentError> {
        match &self.mongo {
            Some(mongo) => Ok(mongo.ping().await?),
            None => Ok(()),
        }
    }

    /// Looks again and again whether the document server answers, so that the metric is true; never
    /// ends. Drop it to stop.
    pub async fn keep(&self) -> crate::db::Never {
        if self.mongo.is_none() {
            return std::future::pending().await;
        }
        let mut was_up = true;
        loop {
            let found = self.ready().await;
            if let Err(error) = &found
                && was_up
            {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "the document server does not answer");
            }
            if found.is_ok() && !was_up {
                tracing::info!("the document server answers again");
            }
            was_up = found.is_ok();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn server(&self) -> Result<&Mongo, DocumentError> {
        self.mongo.as_ref().ok_or(DocumentError::Elsewhere)
    }
}

/// The documents of one kind of one tenant.
#[derive(Debug, Clone)]
pub struct Collection {
    all: Documents,
    ctx: Ctx,
    kind: Kind,
}

impl Collection {
    /// Writes a document, whether it is there or not; gives its version.
    pub async fn put(
        &self,
        id: Uuid,
        body: &(impl Serialize + Sync),
    ) -> Result<i64, DocumentError> {
        let written = Written::new(self.kind, body)?;
        let Entry { mut tx, home, _turn } = self.enter(id).await?;
        let version = match home {
            Home::Embedded => embedded::upsert(&mut tx, self.kind.name, id, &written).await?,
            Home::Mongo => {
                let now = tx.ambient().now();
                self.all.server()?.put(self.place(id), &written, now).await?
            }
        };
        tx.commit().await?;
        Ok(version)
    }

    /// Writes a document if its version is still the one that was seen; gives the new version, or
    /// `None` if somebody else was faster or it is gone.
    pub async fn replace(
        &self,
        id: Uuid,
        seen_version: i64,
        body: &(impl Serialize + Sync),
    ) -> Result<Option<i64>, DocumentError> {
        let written = Written::new(self.kind, body)?;
        let Entry { mut tx, home, _turn } = self.enter(id).await?;
        let replaced = match home {
            Home::Embedded => {
                embedded::replace(&mut tx, self.kind.name, id, seen_version, &written).await?
            }
            Home::Mongo => {
                let (server, now) = (self.all.server()?, tx.ambient().now());
                server.replace(self.place(id), seen_version, &written, now).await?
            }
        };
        tx.commit().await?;
        Ok(replaced)
    }

    /// The document of an id.
    pub async fn get<T: DeserializeOwned>(
        &self,
        id: Uuid,
    ) -> Result<Option<Document<T>>, DocumentError> {
        let mut tx = self.all.db.read(&self.ctx).await?;
        let found = match embedded::find(&mut tx, self.kind.name, id).await? {
            Ok(found) => found.into_iter().next(),
            Err(_) => self.all.server()?.find(self.place(id)).await?,
        };
        found.map(formed).transpose()
    }

    /// Removes a document; says whether it was there.
    pub async fn delete(&self, id: Uuid) -> Result<bool, DocumentError> {
        let Entry { mut tx, home, _turn } = self.enter(id).await?;
        let deleted = match home {
            Home::Embedded => embedded::delete(&mut tx, self.kind.name, id).await?,
            Home::Mongo => self.all.server()?.delete(self.place(id)).await?,
        };
        tx.commit().await?;
        Ok(deleted)
    }

    /// Documents in the order of their ids, after the cursor.
    pub async fn list<T: DeserializeOwned>(
        &self,
        after: Option<Cursor>,
        limit: Limit,
    ) -> Result<Vec<Document<T>>, DocumentError> {
        let mut tx = self.all.db.read(&self.ctx).await?;
        let found = match embedded::list(&mut tx, self.kind.name, after, limit).await? {
            Ok(found) => found,
            Err(_) => self.all.server()?.list(self.all_of(), None, after, limit).await?,
        };
        found.into_iter().map(formed).collect()
    }

    /// Documents whose declared field has this value, in the order of their ids, after the cursor.
    pub async fn find_by<T: DeserializeOwned>(
        &self,
        field: &'static str,
        value: &str,
        after: Option<Cursor>,
        limit: Limit,
    ) -> Result<Vec<Document<T>>, DocumentError> {
        if !self.kind.fields.contains(&field) {
            return Err(DocumentError::UndeclaredField(field));
        }
        let (by, kind) = ((field, value), self.kind.name);
        let mut tx = self.all.db.read(&self.ctx).await?;
        let found = match embedded::find_by(&mut tx, kind, by, after, limit).await? {
            Ok(found) => found,
            Err(_) => self.all.server()?.list(self.all_of(), Some(by), after, limit).await?,
        };
        found.into_iter().map(formed).collect()
    }

    /// Begins a write: while the transaction lasts, the tenant's home stays what it is. If a second
    /// home is kept, the change is noted for it; where the body itself is not written by this
    /// transaction, the note is durable before it.
    async fn enter(&self, id: Uuid) -> Result<Entry<'_>, DocumentError> {
        let (db, has_mongo) = (&self.all.db, self.all.mongo.is_some());
        let (mut tx, mut state) = homes::entered(db, &self.ctx, has_mongo).await?;
        let mut turn = None;
        if state.other.is_some() && state.home == Home::Mongo {
            tx.commit().await?;
            turn = self.all.noting.acquire().await.ok();
            (tx, state) = homes::entered(db, &self.ctx, has_mongo).await?;
        }
        match (state.other, state.home) {
            (None, _) => {}
            (Some(_), Home::Embedded) => homes::note(&mut tx, self.kind.name, &[id]).await?,
            (Some(_), Home::Mongo) => homes::note_first(db, &self.ctx, self.kind.name, id).await?,
        }
        Ok(Entry { tx, home: state.home, _turn: turn })
    }

    fn all_of(&self) -> (TenantId, Kind) {
        (self.ctx.tenant(), self.kind)
    }

    fn place(&self, id: Uuid) -> (TenantId, Kind, Uuid) {
        (self.ctx.tenant(), self.kind, id)
    }
}

/// A write that has begun.
struct Entry<'a> {
    tx: TenantTx,
    home: Home,
    _turn: Option<SemaphorePermit<'a>>,
}

fn formed<T: DeserializeOwned>(found: Document<Value>) -> Result<Document<T>, DocumentError> {
    let Document { id, body, version, created_at, updated_at } = found;
    Ok(Document { id, body: serde_json::from_value(body)?, version, created_at, updated_at })
}
