//! Room `store`: how a tenant's collections are named, what the server itself demands of every
//! document in them, and which indexes they have.

use std::sync::LazyLock;

use bson::{Document, doc};
use misy_core::TenantId;
use misy_core::crypto::{Key, hmac_sha256};
use misy_core::id::TypedId;
use mongodb::IndexModel;

use crate::documents::Kind;

/// Characters of a name that stand for the tenant: 160 bits, so that no two tenants meet.
const TENANT_CHARS: usize = 32;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The name of a collection: only made here, from a tenant and a kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::documents) struct Name(String);

impl Name {
    /// `t_<tenant, opaque without the installation's key>__<kind>`.
    pub(in crate::documents) fn new(names: &Key, tenant: TenantId, kind: &str) -> Self {
        Self(format!("{}{kind}", prefix(names, tenant)))
    }

    pub(in crate::documents) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the names of a tenant's collections begin with.
pub(in crate::documents) fn prefix(names: &Key, tenant: TenantId) -> String {
    let tag = hmac_sha256(names.expose(), tenant.uuid().as_bytes());
    format!("t_{}__", base32(&tag))
}

/// RFC 4648 in lower case, as many characters as stand for a tenant.
fn base32(bytes: &[u8]) -> String {
    let bit = |at: usize| usize::from(bytes[at / 8] >> (7 - at % 8) & 1);
    let digit = |at: usize| (at * 5..at * 5 + 5).fold(0, |sum, at| sum * 2 + bit(at));
    (0..TENANT_CHARS).map(|at| char::from(ALPHABET[digit(at)])).collect()
}

/// Text by which a tenant is named inside its documents.
pub(in crate::documents) fn mark(tenant: TenantId) -> String {
    tenant.uuid().hyphenated().to_string()
}

/// The second wall: the server refuses a document of any other tenant, and one without its parts.
pub(in crate::documents) fn validator(tenant: TenantId) -> Document {
    doc! { "$jsonSchema": {
        "bsonType": "object",
        "required": ["tenant_id", "body", "fields", "version", "created_at", "updated_at"],
        "properties": {
            "tenant_id": { "enum": [mark(tenant)] },
            "body": { "bsonType": "object" },
            "fields": { "bsonType": "object" },
            "version": { "bsonType": "long" },
            "created_at": { "bsonType": "long" },
            "updated_at": { "bsonType": "long" },
        },
    } }
}

/// One index a declared field; the one on `_id` is there by itself and unique.
pub(in crate::documents) fn indexes(kind: Kind) -> Vec<IndexModel> {
    let of = |field: &&str| {
        let mut keys = Document::new();
        keys.insert(format!("fields.{field}"), 1);
        keys.insert("_id", 1);
        IndexModel::builder().keys(keys).build()
    };
    kind.fields().iter().map(of).collect()
}

/// All that a collection's name may be, for those who look at foreign names.
pub(in crate::documents) fn is_ours(name: &str) -> bool {
    static LENGTH: LazyLock<usize> = LazyLock::new(|| "t_".len() + TENANT_CHARS + "__".len());
    let head = name.strip_prefix("t_").and_then(|rest| rest.get(..TENANT_CHARS));
    let opaque = head.is_some_and(|head| head.bytes().all(|byte| ALPHABET.contains(&byte)));
    let kind = name.get(*LENGTH..).unwrap_or_default();
    opaque && name[..*LENGTH].ends_with("__") && crate::cache::is_plain_name(kind)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn name(key: u8, tenant: u128, kind: &'static str) -> String {
        let tenant = TenantId::from_uuid(Uuid::from_u128(tenant));
        Name::new(&Key::new([key; 32]), tenant, kind).0
    }

    #[test]
    fn base32_is_that_of_the_standard() {
        let text = base32(b"foobarfoobarfoobarfoobar");
        assert_eq!(text, "mzxw6ytbojtg633cmfzgm33pmjqxeztp");
    }

    #[test]
    fn a_name_tells_nothing_and_differs_by_key_tenant_and_kind() {
        let one = name(1, 1, "contexts");
        assert_eq!(one.len(), 2 + 32 + 2 + 8);
        assert!(is_ours(&one));
        assert_eq!(one, name(1, 1, "contexts"));
        let others = [name(2, 1, "contexts"), name(1, 2, "contexts"), name(1, 1, "payloads")];
        assert!(others.iter().all(|other| *other != one));
    }

    #[test]
    fn foreign_names_are_not_taken_for_ours() {
        for foreign in ["", "t_", "users", "t_short__contexts", &name(1, 1, "")] {
            assert!(!is_ours(foreign), "{foreign}");
        }
        assert!(!is_ours(&name(1, 1, "contexts").to_uppercase()));
    }
}
