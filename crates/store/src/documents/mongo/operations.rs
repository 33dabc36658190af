//! Room `store`: the statements that are sent to a document server. Each names the tenant, though
//! its collection holds no other.

use bson::{Bson, Document as Fields, RawDocumentBuf, Uuid as Id, doc};
use futures_util::TryStreamExt;
use misy_core::{Cursor, Limit, TenantId, Timestamp};
use mongodb::Collection;
use mongodb::options::ReturnDocument;
use serde_json::Value;
use uuid::Uuid;

use super::Mongo;
use super::failures::ServerError;
use super::values::{from_bson, to_bson};
use super::walls::mark;
use crate::documents::body::{Written, stored_bytes};
use crate::documents::sides::Whole;
use crate::documents::{Document, Kind, MAX_STORED_BYTES};

/// Two writers of one new document meet at most this often before one of them finds it.
const UPSERT_TRIES: usize = 4;

impl Mongo {
    /// Writes a document, whether it is there or not; gives its version.
    pub(in crate::documents) async fn put(
        &self,
        (tenant, kind, id): (TenantId, Kind, Uuid),
        written: &Written,
        now: Timestamp,
    ) -> Result<i64, ServerError> {
        let collection = self.walled(tenant, kind).await?;
        let query = doc! { "_id": key(id), "tenant_id": mark(tenant) };
        let mut update = changes(written, now);
        update.insert("$setOnInsert", doc! { "created_at": now.as_microsecond() });
        let mut tries = 0;
        loop {
            tries += 1;
            let writing = collection
                .find_one_and_update(query.clone(), update.clone())
                .upsert(true)
                .return_document(ReturnDocument::After)
                .projection(doc! { "version": 1 });
            match self.patiently(async { writing.await }).await {
                Err(error) if error.is_duplicate() && tries < UPSERT_TRIES => {}
                done => return version_of(done?.as_ref()),
            }
        }
    }

    /// Writes a document if its version is still the one that was seen.
    pub(in crate::documents) async fn replace(
        &self,
        (tenant, kind, id): (TenantId, Kind, Uuid),
        seen_version: i64,
        written: &Written,
        now: Timestamp,
    ) -> Result<Option<i64>, ServerError> {
        let collection = self.collection(tenant, kind.name());
        let query = doc! { "_id": key(id), "tenant_id": mark(tenant), "version": seen_version };
        let writing = collection
            .find_one_and_update(query, changes(written, now))
            .return_document(ReturnDocument::After)
            .projection(doc! { "version": 1 });
        let found = self.patiently(async { writing.await }).await?;
        found.as_ref().map(|found| version_of(Some(found))).transpose()
    }

    /// The document of an id.
    pub(in crate::documents) async fn find(
        &self,
        (tenant, kind, id): (TenantId, Kind, Uuid),
    ) -> Result<Option<Document<Value>>, ServerError> {
        let collection = self.collection(tenant, kind.name());
        let query = doc! { "_id": key(id), "tenant_id": mark(tenant) };
        let found = self.patiently(async { collection.find_one(query).await }).await?;
        Ok(found.map(whole).transpose()?.map(|whole| whole.document))
    }

    /// Removes a document; says whether it was there.
    pub(in crate::documents) async fn delete(
        &self,
        (tenant, kind, id): (TenantId, Kind, Uuid),
    ) -> Result<bool, ServerError> {
        let collection = self.collection(tenant, kind.name());
        let query = doc! { "_id": key(id), "tenant_id": mark(tenant) };
        let done = self.patiently(async { collection.delete_one(query).await }).await?;
        Ok(done.deleted_count == 1)
    }

    /// Documents in the order of their ids, those with a field's value or all.
    pub(in crate::documents) async fn list(
        &self,
        (tenant, kind): (TenantId, Kind),
        by: Option<(&str, &str)>,
        after: Option<Cursor>,
        limit: Limit,
    ) -> Result<Vec<Document<Value>>, ServerError> {
        let mut query = doc! {};
        if let Some((field, value)) = by {
            query.insert(format!("fields.{field}"), value);
        }
        let after = after.map(|cursor| cursor.0);
        let found = self.page((tenant, kind.name()), query, after, limit.fetch() - 1).await?;
        Ok(found.into_iter().map(|whole| whole.document).collect())
    }

    /// Documents with all that is kept of them, in the order of their ids.
    pub(in crate::documents) async fn page(
        &self,
        (tenant, kind): (TenantId, &str),
        mut query: Fields,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Whole>, ServerError> {
        query.insert("tenant_id", mark(tenant));
        if let Some(after) = after {
            query.insert("_id", doc! { "$gt": key(after) });
        }
        let collection = self.collection(tenant, kind);
        let finding = collection.find(query).sort(doc! { "_id": 1 }).limit(limit);
        let found = self.patiently(async { finding.await?.try_collect::<Vec<_>>().await });
        found.await?.into_iter().map(whole).collect()
    }

    /// Those of the ids that are there.
    pub(in crate::documents) async fn fetch(
        &self,
        (tenant, kind): (TenantId, &str),
        ids: &[Uuid],
    ) -> Result<Vec<Whole>, ServerError> {
        let ids: Vec<Bson> = ids.iter().map(|id| key(*id).into()).collect();
        let query = doc! { "_id": { "$in": ids }, "tenant_id": mark(tenant) };
        let collection = self.collection(tenant, kind);
        let finding = collection.find(query);
        let found = self.patiently(async { finding.await?.try_collect::<Vec<_>>().await });
        found.await?.into_iter().map(whole).collect()
    }

    /// Writes documents as they are, times and versions included, in as few round trips as their
    /// sizes allow.
    pub(in crate::documents) async fn write_whole(
        &self,
        tenant: TenantId,
        kind: Kind,
        documents: &[Whole],
    ) -> Result<(), ServerError> {
        let collection = self.walled(tenant, kind).await?;
        let mut left = documents;
        while !left.is_empty() {
            let (now, later) = left.split_at(fitting(left));
            left = later;
            let updates = now.iter().map(|whole| {
                let id = key(whole.document.id);
                doc! { "q": { "_id": id }, "u": entire(tenant, whole), "upsert": true }
            });
            let updates: Vec<_> = updates.collect();
            self.batch(doc! { "update": collection.name(), "updates": updates }).await?;
        }
        Ok(())
    }

    /// Removes documents in one round trip.
    pub(in crate::documents) async fn remove(
        &self,
        (tenant, kind): (TenantId, &str),
        ids: &[Uuid],
    ) -> Result<(), ServerError> {
        let ids: Vec<Bson> = ids.iter().map(|id| key(*id).into()).collect();
        let query = doc! { "_id": { "$in": ids }, "tenant_id": mark(tenant) };
        let collection = self.collection(tenant, kind);
        self.patiently(async { collection.delete_many(query).await }).await.map(drop)
    }

    /// How many there are.
    pub(in crate::documents) async fn count(
        &self,
        (tenant, kind): (TenantId, &str),
    ) -> Result<u64, ServerError> {
        let collection: Collection<RawDocumentBuf> = self.collection(tenant, kind);
        let counting = collection.count_documents(doc! { "tenant_id": mark(tenant) });
        match self.patiently(async { counting.await }).await {
            Err(error) if error.is_namespace_missing() => Ok(0),
            count => count,
        }
    }

    async fn batch(&self, mut command: Fields) -> Result<(), ServerError> {
        command.insert("ordered", false);
        command.insert("writeConcern", doc! { "w": "majority", "j": true });
        let running = self.0.everyday.run_command(command);
        let answer = self.patiently(async { running.await }).await?;
        match answer.get_array("writeErrors").ok().and_then(|errors| errors.first()) {
            None => Ok(()),
            Some(first) => {
                let error = first.as_document();
                let number = error.and_then(|error| error.get_i32("code").ok()).unwrap_or(0);
                Err(ServerError::Refused(format!("code {number}")))
            }
        }
    }
}

/// How many of the first documents go into one message: at least one.
fn fitting(documents: &[Whole]) -> usize {
    let mut bytes = 0;
    let fits = documents.iter().take_while(|whole| {
        bytes += stored_bytes(&whole.document.body);
        bytes <= MAX_STORED_BYTES
    });
    fits.count().max(1)
}

fn key(id: Uuid) -> Id {
    Id::from_bytes(id.into_bytes())
}

fn changes(written: &Written, now: Timestamp) -> Fields {
    doc! {
        "$set": { "body": to_bson(&written.body), "fields": fields(&written.names, &written.values),
            "updated_at": now.as_microsecond() },
        "$inc": { "version": 1_i64 },
    }
}

fn entire(tenant: TenantId, whole: &Whole) -> Fields {
    let Whole { document, names, values } = whole;
    doc! {
        "_id": key(document.id), "tenant_id": mark(tenant), "body": to_bson(&document.body),
        "fields": fields(names, values), "version": document.version,
        "created_at": document.created_at.as_microsecond(),
        "updated_at": document.updated_at.as_microsecond(),
    }
}

fn fields(names: &[impl AsRef<str>], values: &[String]) -> Fields {
    let fields = names.iter().zip(values);
    fields.map(|(name, value)| (name.as_ref().to_owned(), value.as_str().into())).collect()
}

fn version_of(found: Option<&RawDocumentBuf>) -> Result<i64, ServerError> {
    let version = found.and_then(|found| found.get_i64("version").ok());
    version.ok_or(ServerError::Corrupt { field: "version" })
}

/// Read from the bytes and not through serde, which would take a body's `{"$oid": ..}` for a type
/// of the server's.
fn whole(raw: RawDocumentBuf) -> Result<Whole, ServerError> {
    let corrupt = |field| ServerError::Corrupt { field };
    let version = version_of(Some(&raw))?;
    let mut found = Fields::try_from(&raw).map_err(|_| corrupt("body"))?;
    let time = |field| {
        let micros = found.get_i64(field).ok();
        micros.and_then(|us| Timestamp::from_microsecond(us).ok()).ok_or(corrupt(field))
    };
    let (created_at, updated_at) = (time("created_at")?, time("updated_at")?);
    let id = match found.remove("_id") {
        Some(Bson::Binary(id)) => id.to_uuid().map_err(|_| corrupt("_id"))?,
        _ => return Err(corrupt("_id")),
    };
    let fields = found.remove("fields").unwrap_or(Bson::Document(Fields::new()));
    let Bson::Document(fields) = fields else { return Err(corrupt("fields")) };
    let text = |value: Bson| value.as_str().map(str::to_owned);
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?)));
    let (names, values) = fields.unzip();
    let body = from_bson(found.remove("body").ok_or(corrupt("body"))?);
    let id = Uuid::from_bytes(id.bytes());
    let document = Document { id, body, version, created_at, updated_at };
    Ok(Whole { document, names, values })
}

#[cfg(test)]
mod tests {
    use misy_core::id::TypedId;
    use serde_json::json;

    use super::*;

    fn document(text: usize) -> Whole {
        let now = Timestamp::UNIX_EPOCH;
        let document = Document {
            id: Uuid::from_u128(1),
            body: json!({"text": "x".repeat(text)}),
            version: 3,
            created_at: now,
            updated_at: now,
        };
        Whole { document, names: vec!["name".to_owned()], values: vec!["n".to_owned()] }
    }

    #[test]
    fn a_message_holds_what_the_server_takes_and_at_least_one_document() {
        let small: Vec<Whole> = (0..5).map(|_| document(10)).collect();
        assert_eq!(fitting(&small), 5);
        let large: Vec<Whole> = (0..5).map(|_| document(MAX_STORED_BYTES / 2 - 100)).collect();
        assert_eq!(fitting(&large), 2);
        assert_eq!(fitting(&[document(MAX_STORED_BYTES), document(1)]), 1);
    }

    #[test]
    fn what_is_sent_is_read_back_the_same_and_what_a_foreign_hand_spoils_is_refused() {
        let tenant = TenantId::from_uuid(Uuid::from_u128(7));
        let sent = document(3);
        let raw = |fields: &Fields| RawDocumentBuf::try_from(fields).expect("small");
        let fields = entire(tenant, &sent);
        assert_eq!(whole(raw(&fields)).expect("well formed"), sent);
        for field in ["_id", "body", "version", "created_at", "updated_at"] {
            let mut spoilt = fields.clone();
            spoilt.remove(field);
            assert!(
                matches!(whole(raw(&spoilt)), Err(ServerError::Corrupt { field: it }) if it == field)
            );
        }
        let mut spoilt = fields;
        spoilt.insert("version", "three");
        assert!(whole(raw(&spoilt)).is_err());
    }
}
