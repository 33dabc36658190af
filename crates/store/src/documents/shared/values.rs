//! Room `store`: a document of a shared collection as one of ours, and back.

use bson::{Binary, Bson, Document as Fields, Uuid as Id};
use misy_core::crypto::sha256;
use misy_core::{Ambient, Timestamp};
use serde_json::Value;
use uuid::{Builder, Uuid};

use crate::documents::body::Written;
use crate::documents::sides::Whole;
use crate::documents::{Document, DocumentError, Kind};

/// The values by which a tenant may be named: each name as text, and as a UUID if it is one.
pub(super) fn of_names(names: &[String]) -> Vec<Bson> {
    let uuid = |name: &String| Uuid::parse_str(name).ok().map(|id| binary(id).into());
    let texts = names.iter().map(|name| Bson::String(name.clone()));
    texts.chain(names.iter().filter_map(uuid)).collect()
}

/// A tenant's name as text.
pub(super) fn text(value: Bson) -> String {
    match value {
        Bson::String(text) => text,
        Bson::Binary(bytes) => match bytes.to_uuid() {
            Ok(id) => id.to_string(),
            Err(_) => Bson::Binary(bytes).into_relaxed_extjson().to_string(),
        },
        other => other.into_relaxed_extjson().to_string(),
    }
}

fn binary(id: Uuid) -> Binary {
    Id::from_bytes(id.into_bytes()).into()
}

/// One of ours: types that JSON lacks become extended JSON, an id that is no UUID stays in the body
/// and gives one that is always the same.
pub(super) fn whole(
    fields: &Fields,
    tenant_field: &str,
    kind: Kind,
    ambient: &Ambient,
) -> Result<Whole, DocumentError> {
    let mut fields = fields.clone();
    fields.remove(tenant_field);
    let key = fields.get("_id").cloned().unwrap_or(Bson::Null);
    let id = match uuid_of(&key) {
        Some(id) => {
            fields.remove("_id");
            id
        }
        None => derived(&key),
    };
    let made = match &key {
        Bson::ObjectId(id) => Some(id.timestamp().timestamp_millis()),
        _ => None,
    };
    let made = made.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let now = ambient.now();
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    let created_at = made.unwrap_or(now);
    let body = Bson::Document(fields).into_relaxed_extjson();
    let Written { body, names, values } = Written::new(kind, &body)?;
    let names = names.into_iter().map(str::to_owned).collect();
    let document = Document { id, body, version: 0, created_at, updated_at: created_at };
    Ok(Whole { document, names, values })
}

fn uuid_of(key: &Bson) -> Option<Uuid> {
    match key {
        Bson::Binary(bytes) => Some(Uuid::from_bytes(bytes.to_uuid().ok()?.bytes())),
        _ => None,
    }
}

/// RFC 9562 version 8, from the key as canonical extended JSON.
fn derived(key: &Bson) -> Uuid {
    let digest = sha256(key.clone().into_canonical_extjson().to_string().as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// The document as the source keeps it; `None` if the body's extended JSON is not well formed.
pub(super) fn fields(whole: &Whole, tenant_field: &str, tenant: &Bson) -> Option<Fields> {
    let body: Value = whole.document.body.clone();
    let Bson::Document(mut fields) = Bson::try_from(body).ok()? else { return None };
    if !fields.contains_key("_id") {
        fields.insert("_id", binary(whole.document.id));
    }
    fields.insert(tenant_field, tenant.clone());
    Some(fields)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bson::doc;
    use bson::oid::ObjectId;
    use misy_core::{Clock, Entropy};

    use super::*;

    struct Still;
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }
    impl Entropy for Still {
        fn fill(&self, _: &mut [u8]) {}
    }

    const KIND: Kind = Kind::new("things", &["name"]);

    fn brought(fields: &Fields) -> Whole {
        let ambient = Ambient::new(Arc::new(Still), Arc::new(Still));
        whole(fields, "owner", KIND, &ambient).expect("it can be kept")
    }

    #[test]
    fn a_document_that_came_in_goes_back_as_it_was() {
        let key = ObjectId::parse_str("65a000000000000000000001").expect("an id");
        let source = doc! {
            "_id": key, "name": "x", "at": bson::DateTime::from_millis(5), "big": i64::MAX,
            "list": [1.5, { "deep": true }], "owner": "acme",
        };
        let came = brought(&source);
        assert_eq!(
            (came.document.version, came.values.as_slice()),
            (0, ["x".to_owned()].as_slice())
        );
        assert_eq!(came.document.created_at.as_second(), 0x65a0_0000, "when the id was made");
        let back = fields(&came, "owner", &"acme".into()).expect("well formed");
        let sorted = |fields: Fields| {
            let mut pairs: Vec<_> = fields.into_iter().collect();
            pairs.sort_by(|one, other| one.0.cmp(&other.0));
            pairs
        };
        assert_eq!(sorted(back), sorted(source));
    }

    #[test]
    fn the_same_key_gives_the_same_id_and_another_another() {
        let id = |key: Bson| brought(&doc! { "_id": key }).document.id;
        assert_eq!(id("a".into()), id("a".into()));
        assert_ne!(id("1".into()), id(1.into()));
        let uuid = Uuid::from_u128(9);
        assert_eq!(id(binary(uuid).into()), uuid);
        assert_eq!(id("a".into()).get_version_num(), 8);
    }

    #[test]
    fn a_tenant_is_found_by_its_name_as_text_and_as_a_uuid() {
        let uuid = Uuid::from_u128(3);
        let values = of_names(&["acme".to_owned(), uuid.to_string()]);
        assert_eq!(values.len(), 3);
        let texts: Vec<_> = values.into_iter().map(text).collect();
        assert_eq!(texts, ["acme".to_owned(), uuid.to_string(), uuid.to_string()]);
        assert_eq!(text(Bson::Int64(5)), "5");
    }
}
