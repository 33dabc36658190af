//! Room `store`: documents, which nobody reaches but through a tenant: bodies whose form is their
//! owner's own, kept by id and found by the few fields that their kind declares.
//!
//! Every operation is final when it returns. What must happen together with rows of tables belongs
//! into a table.

mod embedded;

use misy_core::{Code, Ctx, Cursor, Limit, Public, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::cache::is_plain_name;
use crate::{Db, Error};

/// The largest body, as compact JSON. Document servers stop at 16 MiB.
pub const MAX_BODY_BYTES: usize = 8 << 20;
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
    /// The body is not a JSON object.
    #[error("a document must be an object")]
    NotAnObject,
    /// The body is larger than [`MAX_BODY_BYTES`], or a declared field than [`MAX_FIELD_BYTES`].
    #[error("the document is too large")]
    TooLarge,
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
            Self::TooLarge => Code::TooLarge,
            Self::NulCharacter => Code::Invalid,
            Self::Form(_) | Self::NotAnObject | Self::UndeclaredField(_) => Code::Internal,
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Store(error) => error.retry_after_s(),
            _ => None,
        }
    }
}

/// The documents of all tenants. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Documents(Db);

impl Documents {
    /// Documents in tables of the database itself, under the same policy as every other table.
    pub fn embedded(db: Db) -> Self {
        Self(db)
    }

    /// The documents of the context's tenant.
    pub fn of(&self, ctx: &Ctx) -> TenantDocuments {
        TenantDocuments { db: self.0.clone(), ctx: ctx.clone() }
    }
}

/// The documents of one tenant.
#[derive(Debug, Clone)]
pub struct TenantDocuments {
    db: Db,
    ctx: Ctx,
}

impl TenantDocuments {
    /// Those of one kind.
    pub fn collection(&self, kind: Kind) -> Collection {
        Collection { db: self.db.clone(), ctx: self.ctx.clone(), kind }
    }
}

/// The documents of one kind of one tenant.
#[derive(Debug, Clone)]
pub struct Collection {
    db: Db,
    ctx: Ctx,
    kind: Kind,
}

/// What is written of a document: its body and its declared fields.
struct Written {
    body: Value,
    names: Vec<&'static str>,
    values: Vec<String>,
}

impl Collection {
    /// Writes a document, whether it is there or not; gives its version.
    pub async fn put(
        &self,
        id: Uuid,
        body: &(impl Serialize + Sync),
    ) -> Result<i64, DocumentError> {
        let written = self.written(body)?;
        let mut tx = self.db.tenant(&self.ctx).await?;
        let version = embedded::upsert(&mut tx, self.kind.name, id, &written).await?;
        embedded::set_fields(&mut tx, self.kind.name, id, &written).await?;
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
        let written = self.written(body)?;
        let mut tx = self.db.tenant(&self.ctx).await?;
        let replaced =
            embedded::replace(&mut tx, self.kind.name, id, seen_version, &written).await?;
        if replaced.is_some() {
            embedded::set_fields(&mut tx, self.kind.name, id, &written).await?;
        }
        tx.commit().await?;
        Ok(replaced)
    }

    /// The document of an id.
    pub async fn get<T: DeserializeOwned>(
        &self,
        id: Uuid,
    ) -> Result<Option<Document<T>>, DocumentError> {
        let mut tx = self.db.read(&self.ctx).await?;
        embedded::find(&mut tx, self.kind.name, id).await?.map(formed).transpose()
    }

    /// Removes a document; says whether it was there.
    pub async fn delete(&self, id: Uuid) -> Result<bool, DocumentError> {
        let mut tx = self.db.tenant(&self.ctx).await?;
        let deleted = embedded::delete(&mut tx, self.kind.name, id).await?;
        tx.commit().await?;
        Ok(deleted)
    }

    /// Documents in the order of their ids, after the cursor.
    pub async fn list<T: DeserializeOwned>(
        &self,
        after: Option<Cursor>,
        limit: Limit,
    ) -> Result<Vec<Document<T>>, DocumentError> {
        let mut tx = self.db.read(&self.ctx).await?;
        let found = embedded::list(&mut tx, self.kind.name, after, limit).await?;
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
        let mut tx = self.db.read(&self.ctx).await?;
        let found =
            embedded::find_by(&mut tx, self.kind.name, (field, value), after, limit).await?;
        found.into_iter().map(formed).collect()
    }

    fn written(&self, body: &impl Serialize) -> Result<Written, DocumentError> {
        let text = serde_json::to_string(body)?;
        if text.len() > MAX_BODY_BYTES {
            return Err(DocumentError::TooLarge);
        }
        let body: Value = serde_json::from_str(&text)?;
        let Value::Object(object) = &body else { return Err(DocumentError::NotAnObject) };
        let fields = self.kind.fields.iter();
        let (names, values): (Vec<_>, Vec<_>) =
            fields.filter_map(|name| Some((*name, scalar(object.get(*name)?)?))).unzip();
        if values.iter().any(|value| value.len() > MAX_FIELD_BYTES) {
            return Err(DocumentError::TooLarge);
        }
        if text.contains("\\u0000") && has_nul(&body) {
            return Err(DocumentError::NulCharacter);
        }
        Ok(Written { body, names, values })
    }
}

/// A field's value as text; what is not a scalar is not indexed.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn formed<T: DeserializeOwned>(found: Document<Value>) -> Result<Document<T>, DocumentError> {
    let Document { id, body, version, created_at, updated_at } = found;
    Ok(Document { id, body: serde_json::from_value(body)?, version, created_at, updated_at })
}
