//! Room `store`: brings in what an earlier deployment kept in one collection for all tenants, and
//! gives it back.
//!
//! A document that was brought in has version 0 until it is first written here, so another run
//! knows what it may bring in anew, and the way back knows what was written since. A run may be
//! repeated and interrupted at will: what is there and the same is only compared.

mod values;

use std::collections::BTreeMap;

use bson::{Bson, Document as Fields, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use misy_core::{Ctx, Secret};
use mongodb::options::{Acknowledgment, ClientOptions, WriteConcern};
use mongodb::{Client, Collection};
use uuid::Uuid;

use super::body::same;
use super::mongo::{Mongo, ServerError};
use super::moves::MoveError;
use super::sides::{Side, Whole};
use super::{DocumentError, Home, Kind, Phase, homes};
use crate::{Db, TenantTx};

/// Where an earlier deployment keeps the documents of all tenants.
#[derive(Debug, Clone)]
pub struct Shared {
    collection: Collection<RawDocumentBuf>,
    tenant_field: String,
}

/// What a run did with a tenant's documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Brought {
    /// Documents of the tenant in the source.
    pub found: u64,
    /// Written here, and read back the same.
    pub written: u64,
    /// There and the same already.
    pub same: u64,
    /// Written here since they were brought in, and therefore left as they are.
    pub newer: u64,
}

/// What the way back did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Returned {
    /// Documents written here since they were brought in, or made here: now in the source.
    pub written: u64,
    /// Documents that the source has as they are.
    pub same: u64,
}

impl Shared {
    /// The collection `name` of the database that the address names; `tenant_field` says of each
    /// document whose it is. Connects to nothing yet.
    pub async fn open(url: &Secret, name: &str, tenant_field: &str) -> Result<Self, DocumentError> {
        let open = async {
            let mut options = ClientOptions::parse(url.expose()).await?;
            let majority = WriteConcern::builder().w(Acknowledgment::Majority).build();
            options.write_concern = Some(majority);
            let client = Client::with_options(options)?;
            let database = client.default_database();
            Ok::<_, mongodb::error::Error>(database.map(|database| database.collection(name)))
        };
        let collection = open.await.map_err(ServerError::from)?;
        let collection = collection.ok_or(ServerError::Corrupt { field: "database" })?;
        Ok(Self { collection, tenant_field: tenant_field.to_owned() })
    }

    /// Whose documents there are and how many: the field's values as text, as extended JSON where
    /// they are no text.
    pub async fn tenants(&self) -> Result<BTreeMap<String, u64>, DocumentError> {
        let counting = async {
            let mut counts = BTreeMap::new();
            for value in self.collection.distinct(&self.tenant_field, doc! {}).await? {
                let query = doc! { &self.tenant_field: value.clone() };
                let count = self.collection.count_documents(query).await?;
                *counts.entry(values::text(value)).or_default() += count;
            }
            let nameless = doc! { &self.tenant_field: { "$exists": false } };
            let count = self.collection.count_documents(nameless).await?;
            if count > 0 {
                counts.insert("(none)".to_owned(), count);
            }
            Ok::<_, mongodb::error::Error>(counts)
        };
        Ok(counting.await.map_err(ServerError::from)?)
    }

    /// How the source writes a tenant's name: as it does already, else as text.
    async fn value_of(&self, name: &str) -> Result<Bson, ServerError> {
        for value in values::of_names(&[name.to_owned()]) {
            let query = doc! { &self.tenant_field: value.clone() };
            if self.collection.count_documents(query).limit(1).await? > 0 {
                return Ok(value);
            }
        }
        Ok(name.into())
    }

    async fn page(
        &self,
        tenant: &[Bson],
        after: Option<&Bson>,
        limit: i64,
    ) -> Result<Vec<Fields>, ServerError> {
        let mut query = doc! { &self.tenant_field: { "$in": tenant } };
        if let Some(after) = after {
            query.insert("_id", doc! { "$gt": after });
        }
        let finding = self.collection.find(query).sort(doc! { "_id": 1 }).limit(limit);
        let found: Vec<RawDocumentBuf> = finding.await?.try_collect().await?;
        let read = |raw: &RawDocumentBuf| Fields::try_from(raw);
        let read: Result<Vec<_>, _> = found.iter().map(read).collect();
        read.map_err(|_| ServerError::Corrupt { field: "body" })
    }
}

/// Brings documents of one kind from a shared collection.
#[derive(Debug, Clone)]
pub struct Importer {
    db: Db,
    mongo: Option<Mongo>,
    source: Shared,
    kind: Kind,
    batch: i64,
}

impl Importer {
    /// Brings in documents as those of `kind`, in batches of 1 to
    /// [`MAX_BATCH`](super::moves::MAX_BATCH).
    pub fn new(db: Db, mongo: Option<Mongo>, source: Shared, kind: Kind, batch: i64) -> Self {
        Self { db, mongo, source, kind, batch: batch.clamp(1, super::moves::MAX_BATCH) }
    }

    /// Brings in a tenant's documents, which are those whose field has one of the `names`. Nobody
    /// else writes the tenant's documents while a batch is compared and written.
    pub async fn run(
        &self,
        ctx: &Ctx,
        names: &[String],
        to: Home,
        watch: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Brought, MoveError> {
        let (tenant, mut done, mut after) = (values::of_names(names), Brought::default(), None);
        loop {
            let page = self.source.page(&tenant, after.as_ref(), self.batch).await;
            let page = page.map_err(DocumentError::from)?;
            let Some(last) = page.last() else { return Ok(done) };
            after = last.get("_id").cloned();
            let made = page.iter().map(|fields| {
                values::whole(fields, &self.source.tenant_field, self.kind, self.db.ambient())
            });
            let made = made.collect::<Result<Vec<_>, DocumentError>>()?;
            self.bring(ctx, to, made, &mut done).await?;
            watch(done.found);
        }
    }

    /// Keeps the tenant's writers out while it looks and writes.
    async fn bring(
        &self,
        ctx: &Ctx,
        to: Home,
        made: Vec<Whole>,
        done: &mut Brought,
    ) -> Result<(), MoveError> {
        let tx = self.alone_in(ctx, to).await?;
        let target = Side::new(&self.db, self.mongo.as_ref(), ctx, to);
        let ids: Vec<Uuid> = made.iter().map(|whole| whole.document.id).collect();
        let there = target.fetch(self.kind, &ids).await?;
        let mut missing = Vec::new();
        for whole in made {
            let known = there.iter().find(|known| known.document.id == whole.document.id);
            done.found += 1;
            match known {
                Some(known) if same(&known.document.body, &whole.document.body) => done.same += 1,
                Some(known) if known.document.version > 0 => done.newer += 1,
                _ => missing.push(whole),
            }
        }
        target.write(self.kind, &missing).await?;
        let ids: Vec<Uuid> = missing.iter().map(|whole| whole.document.id).collect();
        let written = target.fetch(self.kind, &ids).await?;
        for whole in &missing {
            let id = whole.document.id;
            let equal = |other: &&Whole| other.digest() == whole.digest();
            if !written.iter().filter(|other| other.document.id == id).any(|it| equal(&it)) {
                return Err(MoveError::Differs { kind: self.kind.name(), id });
            }
        }
        done.written += missing.len() as u64;
        Ok(tx.commit().await?)
    }

    /// A tenant whose documents live elsewhere, or are being moved, is refused.
    async fn alone_in(&self, ctx: &Ctx, home: Home) -> Result<TenantTx, MoveError> {
        let (tx, state) = homes::alone(&self.db, ctx, home == Home::Mongo).await?;
        if state.home != home || state.phase != Phase::Settled {
            return Err(MoveError::UnderWay { home: state.home });
        }
        Ok(tx)
    }

    /// Writes into the source what was written here since, under the name `name` of the tenant, and
    /// removes the kind's documents here. Nobody writes the tenant's documents meanwhile. What was
    /// removed here stays in the source.
    pub async fn roll_back(
        &self,
        ctx: &Ctx,
        name: &str,
        from: Home,
        watch: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Returned, MoveError> {
        let mut tx = self.alone_in(ctx, from).await?;
        let tenant = self.source.value_of(name).await.map_err(DocumentError::from)?;
        let here = Side::new(&self.db, self.mongo.as_ref(), ctx, from);
        let (mut done, mut after) = (Returned::default(), None);
        loop {
            let page = here.page(self.kind, after, self.batch).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.document.id);
            for whole in &page {
                if whole.document.version == 0 {
                    done.same += 1;
                    continue;
                }
                self.give_back(whole, &tenant).await?;
                done.written += 1;
            }
            tx.query("select 1", &[]).await?;
            watch(done.same + done.written);
        }
        here.clear(self.kind).await?;
        tx.commit().await?;
        Ok(done)
    }

    async fn give_back(&self, whole: &Whole, tenant: &Bson) -> Result<(), MoveError> {
        let kind = self.kind.name();
        let id = whole.document.id;
        let differs = || MoveError::Differs { kind, id };
        let fields =
            values::fields(whole, &self.source.tenant_field, tenant).ok_or_else(differs)?;
        let key = fields.get("_id").cloned().ok_or_else(differs)?;
        let giving = async {
            let raw = RawDocumentBuf::try_from(&fields)?;
            let query = doc! { "_id": key };
            self.source.collection.replace_one(query.clone(), raw).upsert(true).await?;
            let found = self.source.collection.find_one(query).await?;
            Ok::<_, mongodb::error::Error>(found)
        };
        let found = giving.await.map_err(ServerError::from).map_err(DocumentError::from)?;
        let found = found.and_then(|raw| Fields::try_from(&raw).ok());
        if found.as_ref() == Some(&fields) { Ok(()) } else { Err(differs()) }
    }
}
