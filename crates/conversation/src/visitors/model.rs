//! Room `conversation`: who visits a page, the token that says so, and what a visit may be refused
//! for.

use jiff::SignedDuration;
use misy_core::crypto::{self, Key};
use misy_core::id::TypedId;
use misy_core::{Code, Ctx, Misplaced, Public, Secret, Timestamp};
use uuid::Uuid;

use crate::hooks::model::Route;
use crate::{Below, channels, hooks, messages};

/// How long a session lasts; continuing it begins the time anew.
pub(crate) const LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What a token begins with, so that one that was lost is known for what it is.
const PREFIX: &str = "mbv_";

/// The purpose of the key, derived from the tenant's, under which tokens are made.
const PURPOSE: &str = "visitor-tokens";

const VERSION_BYTES: usize = 4;
const VISITOR_BYTES: usize = 16;
const TIME_BYTES: usize = 8;
const TAG_BYTES: usize = 32;

/// Somebody on a page, known by a token.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Which one.
    pub(crate) id: Uuid,
    /// The tenant, entered with no right but the visitor's own.
    pub(crate) ctx: Ctx,
    /// Which channel.
    pub(crate) kind: &'static str,
    /// The account.
    pub(crate) route: Route,
    /// The account's external id.
    pub(crate) site: String,
}

impl Visitor {
    /// As identities hold it.
    pub(crate) fn name(&self) -> String {
        self.id.simple().to_string()
    }

    /// The id under which a message of theirs is stored: no other visitor can have it.
    pub(crate) fn external_id(&self, client_id: &str) -> String {
        format!("{}:{client_id}", self.id.simple())
    }

    /// What the visitor's page called a message of theirs; `None` if it is not theirs.
    pub(crate) fn client_id(&self, external_id: &str) -> Option<String> {
        let (visitor, client_id) = external_id.split_once(':')?;
        (visitor == self.name()).then(|| client_id.to_owned())
    }
}

/// A session as its visitor is told of it.
pub(crate) struct Session {
    pub(crate) token: Secret,
    pub(crate) expires_at: Timestamp,
    /// Whether it goes on with an earlier one.
    pub(crate) continued: bool,
    /// What the page calls itself.
    pub(crate) title: Option<String>,
    /// What it says before anybody has said anything.
    pub(crate) greeting: Option<String>,
}

/// What a visitor's browser holds: who they are, until when, and a tag (HMAC-SHA256 under a key of
/// the tenant's) over that, the tenant and the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Which of the tenant's keys it was made with.
    pub(crate) version: u32,
    /// Who.
    pub(crate) visitor: Uuid,
    expires_at_s: i64,
    tag: [u8; TAG_BYTES],
}

impl Token {
    /// Makes one.
    pub(crate) fn make(
        key: &Key,
        version: u32,
        route: Route,
        visitor: Uuid,
        expires_at: Timestamp,
    ) -> Secret {
        let head = head(version, visitor, expires_at.as_second());
        let tag = crypto::hmac_sha256(key.derive(PURPOSE).expose(), &signed(&head, route));
        Secret::new(format!("{PREFIX}{}", crypto::to_base64url(&[&head[..], &tag].concat())))
    }

    /// Reads one, unverified.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let bytes = crypto::from_base64url(text.strip_prefix(PREFIX)?)?;
        let (version, rest) = bytes.split_first_chunk::<VERSION_BYTES>()?;
        let (visitor, rest) = rest.split_first_chunk::<VISITOR_BYTES>()?;
        let (expires_at_s, rest) = rest.split_first_chunk::<TIME_BYTES>()?;
        Some(Self {
            version: u32::from_be_bytes(*version),
            visitor: Uuid::from_bytes(*visitor),
            expires_at_s: i64::from_be_bytes(*expires_at_s),
            tag: rest.try_into().ok()?,
        })
    }

    /// Whether it was made with this key for this account, and its time is not over.
    pub(crate) fn is_good(&self, key: &Key, route: Route, now: Timestamp) -> bool {
        let head = head(self.version, self.visitor, self.expires_at_s);
        let signed = signed(&head, route);
        crypto::verify_hmac_sha256(key.derive(PURPOSE).expose(), &signed, &self.tag)
            && now.as_second() < self.expires_at_s
    }
}

fn head(version: u32, visitor: Uuid, expires_at_s: i64) -> Vec<u8> {
    [&version.to_be_bytes()[..], visitor.as_bytes(), &expires_at_s.to_be_bytes()].concat()
}

/// Everything that a tag binds.
fn signed(head: &[u8], route: Route) -> Vec<u8> {
    let (tenant, channel) = (route.tenant.uuid(), route.channel.uuid());
    [head, tenant.as_bytes(), channel.as_bytes()].concat()
}

/// Why a visit is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such site, or nothing on it, or no such message of the visitor's.
    #[error("no such site or message")]
    NotFound,
    /// The page is not one of the tenant's.
    #[error("the page is not one of the tenant's")]
    Origin,
    /// The token is not good for this site, or its time is over.
    #[error("the visitor's token is not good")]
    Token,
    /// It names another tenant than the one whose site it is.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    /// The account.
    #[error(transparent)]
    Channel(#[from] channels::Error),
    /// The inbox.
    #[error(transparent)]
    Hook(#[from] hooks::Error),
    /// The messages.
    #[error(transparent)]
    Message(#[from] messages::Error),
    /// The database.
    #[error(transparent)]
    Below(Below),
}

impl<E: Into<Below>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Below(error.into())
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Origin => Code::OriginNotAllowed,
            Self::Token => Code::Unauthenticated,
            Self::Misplaced(refusal) => refusal.code(),
            Self::Channel(error) => error.code(),
            Self::Hook(error) => error.code(),
            Self::Message(error) => error.code(),
            Self::Below(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Token => Some(
                "The visitor's token is missing, of another site, or has expired; begin a session \
                 without one."
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Hook(error) => error.retry_after_s(),
            Self::Below(error) => error.retry_after_s(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_core::{ChannelId, TenantId};

    fn route(tenant: u128, channel: u128) -> Route {
        Route {
            tenant: TenantId::from_uuid(Uuid::from_u128(tenant)),
            channel: ChannelId::from_uuid(Uuid::from_u128(channel)),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_token_is_good_for_its_visitor_tenant_and_account_until_its_time_is_over() {
        let (key, who) = (Key::new([3; 32]), Uuid::from_u128(77));
        let made = Token::make(&key, 2, route(1, 1), who, at(1_000));
        let token = Token::read(made.expose()).expect("ours");
        assert_eq!((token.version, token.visitor), (2, who));
        assert!(token.is_good(&key, route(1, 1), at(999)));
        assert!(!token.is_good(&key, route(1, 1), at(1_000)), "its time is over");
        assert!(!token.is_good(&key, route(2, 1), at(1)), "another tenant");
        assert!(!token.is_good(&key, route(1, 2), at(1)), "another account");
        assert!(!token.is_good(&Key::new([4; 32]), route(1, 1), at(1)), "another key");
    }

    #[test]
    fn a_changed_byte_makes_another_token() {
        let key = Key::new([3; 32]);
        let made = Token::make(&key, 1, route(1, 1), Uuid::from_u128(7), at(1_000));
        let bytes = crypto::from_base64url(&made.expose()[PREFIX.len()..]).expect("base64url");
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let text = format!("{PREFIX}{}", crypto::to_base64url(&changed));
            let token = Token::read(&text).expect("of the right length");
            assert!(!token.is_good(&key, route(1, 1), at(1)), "byte {index}");
        }
    }

    #[test]
    fn what_is_no_token_is_not_read() {
        let good = Token::make(&Key::new([3; 32]), 1, route(1, 1), Uuid::nil(), at(1));
        let good = good.expose();
        let long = format!("{good}AAAA");
        for text in ["", "mbv_", "mbr_AAAA", &good[4..], &good[..good.len() - 4], &long] {
            assert_eq!(Token::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_visitors_ids_are_their_own() {
        let visitor = |id| Visitor {
            id: Uuid::from_u128(id),
            ctx: misy_testkit::ctx(route(1, 1).tenant, misy_core::Role::Viewer),
            kind: "paper",
            route: route(1, 1),
            site: "site_1".to_owned(),
        };
        let (one, other) = (visitor(1), visitor(2));
        assert_ne!(one.external_id("7"), other.external_id("7"));
        assert_eq!(one.client_id(&one.external_id("a:b")), Some("a:b".to_owned()));
        assert_eq!(other.client_id(&one.external_id("7")), None);
    }
}
