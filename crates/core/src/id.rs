//! Room `core`: typed identifiers, so that a contact's id can never be passed where a tenant's is
//! wanted.
//!
//! On the wire an id is `<prefix>_<26 characters of Crockford base32>` in lower case, the shape of
//! [TypeID](https://github.com/jetify-com/typeid/tree/main/spec); the hyphenated UUID is read as
//! well.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 128 bits in groups of five, the first group holding only three.
const ENCODED_CHARS: usize = 26;

/// Why a text is not an id of the wanted kind. Says what was wanted, never repeats the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an id of the form `{prefix}_...`")]
pub struct ParseIdError {
    /// The prefix that was wanted, without its underscore.
    pub prefix: &'static str,
}

/// The 26-character Crockford base32 text of a UUID.
pub fn encode(uuid: Uuid) -> String {
    let bits = uuid.as_u128();
    (0..ENCODED_CHARS)
        .rev()
        .map(|group| char::from(ALPHABET[((bits >> (group * 5)) & 31) as usize]))
        .collect()
}

/// Reads the 26-character form. `None` if a character is foreign or the value exceeds 128 bits.
pub fn decode(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    if bytes.len() != ENCODED_CHARS || bytes[0] > b'7' {
        return None;
    }
    let mut bits = 0u128;
    for byte in bytes {
        let lower = byte.to_ascii_lowercase();
        let value = ALPHABET.iter().position(|known| *known == lower)?;
        bits = (bits << 5) | value as u128;
    }
    Some(Uuid::from_u128(bits))
}

fn parse(prefix: &'static str, text: &str) -> Result<Uuid, ParseIdError> {
    let rest = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or(ParseIdError { prefix })?;
    decode(rest)
        .or_else(|| (rest.len() == 36).then(|| Uuid::try_parse(rest).ok()).flatten())
        .ok_or(ParseIdError { prefix })
}

/// What every typed id can do; lets generic code (path extractors, tests) name the prefix.
pub trait TypedId: Copy + FromStr<Err = ParseIdError> + fmt::Display {
    /// The text before the underscore.
    const PREFIX: &'static str;
    /// Wraps a UUID that is known to be of this kind, for example one read from this kind's table.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The bare UUID, for SQL parameters.
    fn uuid(self) -> Uuid;
}

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl TypedId for $name {
            const PREFIX: &'static str = $prefix;
            fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
            fn uuid(self) -> Uuid {
                self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse($prefix, text).map(Self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                id_schema($prefix)
            }
        }
        impl utoipa::ToSchema for $name {}
    )*};
}

fn id_schema(prefix: &str) -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
    utoipa::openapi::schema::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .pattern(Some(format!("^{prefix}_[0-9a-zA-Z-]{{26,36}}$")))
        .examples([serde_json::json!(format!("{prefix}_01k8zq5m3ge0r8v0w1x2y3z4a5"))])
        .into()
}

typed_ids! {
    /// One client business.
    TenantId = "ten";
    /// A person who signs in to a tenant.
    UserId = "usr";
    /// A person who runs the platform.
    OperatorId = "opr";
    /// A role of a tenant, built in or its own.
    RoleId = "rol";
    /// A key of a program.
    ApiKeyId = "key";
    /// A sign-in; the family of its refresh tokens.
    SessionId = "ses";
    /// An invitation of a person into a tenant.
    InvitationId = "inv";
    /// A customer of a tenant.
    ContactId = "con";
    /// One way to reach a contact.
    IdentityId = "idn";
    /// A conversation with a contact.
    ConversationId = "cnv";
    /// A message of a conversation.
    MessageId = "msg";
    /// A channel account of a tenant.
    ChannelId = "cha";
    /// A question and its answer.
    KnowledgeEntryId = "kno";
    /// A document of a tenant from which answers are taken.
    KnowledgeDocumentId = "kdo";
    /// A raw payload that a provider delivered.
    InboxId = "inb";
    /// A unit of queued work.
    JobId = "job";
    /// A record of the audit log.
    AuditId = "aud";
    /// A group of people that a directory keeps.
    ScimGroupId = "grp";
    /// A connection to an identity provider.
    SsoConnectionId = "sso";
    /// A domain of a tenant's people.
    DomainId = "dom";
    /// A visit of an operator inside a tenant.
    ImpersonationId = "imp";
    /// A program of a tenant that keys belong to.
    ServiceAccountId = "sva";
    /// A policy of a tenant.
    PolicyId = "pol";
    /// A decision that was written down.
    DecisionId = "dec";
    /// Something that happened, as it is told to the outside.
    EventId = "evt";
    /// Where a tenant wants to be told.
    EndpointId = "whe";
    /// One event on its way to one endpoint.
    DeliveryId = "dlv";
    /// Long work that is followed by polling.
    OperationId = "opn";
    /// Somebody's wish for a tenant of their own.
    SignupId = "sgn";
    /// What new tenants are led through.
    OnboardingWorkflowId = "owf";
    /// Another service that a tenant hears from.
    SourceId = "src";
    /// Something that was received from a source.
    ReceiptId = "rcp";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let contact = ContactId::from_uuid(Uuid::from_u128(7)).to_string();
        assert_eq!(contact.parse::<TenantId>(), Err(ParseIdError { prefix: "ten" }));
    }

    #[test]
    fn a_value_over_128_bits_is_refused() {
        assert!(decode("8zzzzzzzzzzzzzzzzzzzzzzzzz").is_none());
        assert_eq!(decode("7zzzzzzzzzzzzzzzzzzzzzzzzz"), Some(Uuid::max()));
    }

    proptest! {
        #[test]
        fn every_id_reads_back(bits: u128) {
            let id = MessageId::from_uuid(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let hyphenated = format!("msg_{}", Uuid::from_u128(bits));
            prop_assert_eq!(hyphenated.parse(), Ok(id));
        }

        #[test]
        fn the_text_sorts_as_the_number_does(a: u128, b: u128) {
            let (x, y) = (Uuid::from_u128(a), Uuid::from_u128(b));
            prop_assert_eq!(encode(x).cmp(&encode(y)), a.cmp(&b));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,60}") {
            let _ = text.parse::<ContactId>();
            let _ = format!("con_{text}").parse::<ContactId>();
        }
    }
}
