//! Room `identity`: when a refresh token is good, and what its reuse means.

use std::time::Duration;

use misy_core::error::Fault;
use misy_core::{Code, Public, Secret, SessionId, Timestamp, crypto};
use uuid::Uuid;

use crate::accounts::model::Standing;
use crate::exchanges::model::Reach;

/// What fails around sessions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Address, password or tenant is wrong; which, is not told.
    #[error("wrong address or password")]
    InvalidLogin,
    /// The password is right in several tenants.
    #[error("several tenants to choose from")]
    TenantChoiceNeeded(Vec<String>),
    /// The refresh token is unknown, used, or its session is over.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// The current password is wrong.
    #[error("the current password is wrong")]
    WrongPassword,
    /// No such session of this person.
    #[error("no such session")]
    NotFound,
    /// An API key has no session.
    #[error("the credential is not of a session")]
    NoSession,
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::InvalidLogin => Code::InvalidLogin,
            Self::TenantChoiceNeeded(_) => Code::TenantChoiceNeeded,
            Self::InvalidRefreshToken => Code::InvalidRefreshToken,
            Self::WrongPassword => Code::Invalid,
            Self::NotFound => Code::NotFound,
            Self::NoSession => Code::PermissionDenied,
        }
    }
    fn detail(&self) -> Option<String> {
        match self {
            Self::TenantChoiceNeeded(slugs) => Some(format!(
                "Repeat the sign-in with `tenant` set to one of: {}.",
                slugs.join(", ")
            )),
            Self::NoSession => {
                Some("This is about the session of a person; an API key has none.".to_owned())
            }
            _ => None,
        }
    }
    fn faults(&self) -> Vec<Fault> {
        if *self != Self::WrongPassword {
            return Vec::new();
        }
        let detail = "is not the present password".to_owned();
        vec![Fault { pointer: "/current_password".to_owned(), detail }]
    }
}

/// How somebody signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SignInMethod)]
pub(crate) enum Method {
    /// With a password.
    Password,
    /// With the link of an invitation.
    Link,
    /// At a provider of `OpenID` Connect.
    Oidc,
    /// At a SAML provider.
    Saml,
    /// With the token of another session.
    Exchange,
}

impl Method {
    const ALL: [Self; 5] = [Self::Password, Self::Link, Self::Oidc, Self::Saml, Self::Exchange];

    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Link => "link",
            Self::Oidc => "oidc",
            Self::Saml => "saml",
            Self::Exchange => "exchange",
        }
    }

    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.slug() == slug)
    }
}

/// Where a session comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) method: Method,
    /// What the program that signed in calls itself.
    pub(crate) device: Option<String>,
    /// The address it signed in from.
    pub(crate) address: Option<String>,
    /// When a second factor was last shown.
    pub(crate) second_factor_at: Option<Timestamp>,
}

/// A name for a program and its system that people recognise: `Firefox on Linux`.
pub(crate) fn summary(device: &str) -> String {
    const PROGRAMS: [(&str, &str); 8] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iPadOS"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let find = |table: &[(&str, &'static str)]| {
        table.iter().find(|(mark, _)| device.contains(mark)).map(|(_, name)| *name)
    };
    let first = device.split(['/', ' ']).next().unwrap_or_default();
    match (find(&PROGRAMS), find(&SYSTEMS)) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program.to_owned(),
        (None, Some(system)) => format!("{first} on {system}"),
        (None, None) => first.to_owned(),
    }
}

/// A sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// Whose it is.
    pub(crate) standing: Standing,
    /// Carried by its access tokens; its end raises it.
    pub(crate) sv: i64,
    pub(crate) origin: Origin,
    pub(crate) created_at: Timestamp,
    pub(crate) used_at: Timestamp,
    /// Over unless refreshed before.
    pub(crate) idle_until: Timestamp,
    /// Over in any case.
    pub(crate) expires_at: Timestamp,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// Its person signed out.
    Logout,
    /// Its person ended it from another one.
    Revoked,
    /// The password was changed.
    Password,
    /// A refresh token came back that had been used.
    Reuse,
    /// A forgotten password was replaced.
    Recovery,
    /// Its provider of identity ended it.
    Provider,
}

impl EndReason {
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Revoked => "revoked",
            Self::Password => "password",
            Self::Reuse => "reuse",
            Self::Recovery => "recovery",
            Self::Provider => "provider",
        }
    }
}

/// A refresh token as it is stored, with the state of what was given for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    pub(crate) hash: Vec<u8>,
    /// It was exchanged for another pair.
    pub(crate) spent: bool,
    /// Its pair was given a second time because the first answer was lost; this is the lost one.
    pub(crate) superseded: bool,
    /// One of the pair given for it has been used: the answer was not lost.
    pub(crate) answer_arrived: bool,
}

/// What a refresh token deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A new pair.
    Exchange,
    /// A new pair in place of the one that never arrived.
    ExchangeAgain,
    /// The end of its session: somebody else has it too.
    Reuse,
    /// Nothing.
    Refuse,
}

/// Judges a refresh token. `alive` says whether the session and its person still are. The tolerance
/// for a lost answer is that of
/// [matrix-authentication-service](https://github.com/element-hq/matrix-authentication-service):
/// whoever stole the token and comes second meets a pair that was used, whoever comes first is
/// found out by the second.
pub(crate) fn judge(token: &RefreshToken, alive: bool) -> Verdict {
    match (alive, token.superseded, token.spent, token.answer_arrived) {
        (false, ..) => Verdict::Refuse,
        (true, true, ..) | (true, false, true, true) => Verdict::Reuse,
        (true, false, false, _) => Verdict::Exchange,
        (true, false, true, false) => Verdict::ExchangeAgain,
    }
}

/// How long sessions last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) token: Duration,
    pub(crate) idle: Duration,
    pub(crate) absolute: Duration,
}

impl Lifetimes {
    /// When a session ends that is used now: never later than `expires_at`.
    pub(crate) fn idle_until(self, now: Timestamp, expires_at: Timestamp) -> Timestamp {
        later(now, self.idle).min(expires_at)
    }

    /// When a session that begins now ends in any case.
    pub(crate) fn expires_at(self, now: Timestamp) -> Timestamp {
        later(now, self.absolute)
    }

    /// When an access token of now ends.
    pub(crate) fn token_until(self, now: Timestamp) -> Timestamp {
        later(now, self.token)
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A sign-in whose password was right and whose second factor is awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) hash: Vec<u8>,
    pub(crate) account: Uuid,
    pub(crate) realm: Uuid,
    pub(crate) device: Option<String>,
    pub(crate) address: Option<String>,
    /// Where else the password leads.
    pub(crate) reach: Reach,
    pub(crate) expires_at: Timestamp,
}

/// Codes that one challenge takes before it is over.
pub(crate) const CHALLENGE_TRIES: i32 = 5;

const CHALLENGE_PREFIX: &str = "mbc_";

/// The text of a challenge of these random bytes.
pub(crate) fn challenge_text(bytes: [u8; 32]) -> Secret {
    Secret::new(format!("{CHALLENGE_PREFIX}{}", crypto::to_base64url(&bytes)))
}

/// What is stored of a challenge's text.
pub(crate) fn challenge_hash(text: &Secret) -> Option<Vec<u8>> {
    hash_of(text, CHALLENGE_PREFIX)
}

const REFRESH_PREFIX: &str = "mbr_";

/// The text of a refresh token of these random bytes.
pub(crate) fn refresh_text(bytes: [u8; 32]) -> Secret {
    Secret::new(format!("{REFRESH_PREFIX}{}", crypto::to_base64url(&bytes)))
}

/// What is stored of a refresh token. 256 random bits need no slow hash.
pub(crate) fn refresh_hash(text: &Secret) -> Option<Vec<u8>> {
    hash_of(text, REFRESH_PREFIX)
}

fn hash_of(text: &Secret, prefix: &str) -> Option<Vec<u8>> {
    let bytes = crypto::from_base64url(text.expose().strip_prefix(prefix)?)?;
    (bytes.len() == 32).then(|| crypto::sha256(&bytes).to_vec())
}

/// A pair of tokens, as it is handed out once.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) access: Secret,
    pub(crate) refresh: Secret,
    pub(crate) session: SessionId,
    pub(crate) expires_in_s: u64,
    /// When the refresh token ends at the latest, in seconds from now.
    pub(crate) refresh_in_s: u64,
    /// Whether the role needs a second factor that this session has not shown.
    pub(crate) limited: bool,
    /// The tenant's slug at sign-in; not told again later.
    pub(crate) slug: Option<String>,
}

/// The hash of a new refresh token and what goes with it.
#[derive(Debug)]
pub(crate) struct NewRefreshToken {
    pub(crate) hash: Vec<u8>,
    /// The token it was exchanged for; `None` for the first of a session.
    pub(crate) parent: Option<Vec<u8>>,
    /// The `jti` of the access token given with it: once that is seen, the answer has arrived.
    pub(crate) access_id: Uuid,
}

#[cfg(test)]
mod tests;
