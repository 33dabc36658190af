//! Room `identity`: what may be exchanged for what.

use std::collections::BTreeMap;

use misy_core::{Code, Public, Secret, TenantId, UserId, crypto};

use crate::accounts::model::Credential;
use crate::impersonations::model::{LONGEST_S, REASON_CHARS, USUAL_S};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// What is given (RFC 8693 section 3).
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// An exchange that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) subject: Secret,
    /// A tenant's id or slug.
    pub(crate) audience: String,
    /// As whom an operator comes.
    pub(crate) user: Option<UserId>,
    /// Why an operator comes.
    pub(crate) reason: Option<String>,
    /// Whether an operator only looks.
    pub(crate) read_only: bool,
    /// How long an operator stays, in seconds.
    pub(crate) lasts_s: u32,
}

/// Reads the parameters (RFC 8693 section 2.1; `reason`, `requested_subject` and `expires_in` are
/// ours). One that is not known is refused, so that nobody believes it was heeded.
pub(crate) fn read(mut sent: BTreeMap<String, String>) -> Result<Exchange, Error> {
    let mut take = |name: &str| sent.remove(name).filter(|value| !value.is_empty());
    let grant = take("grant_type").ok_or(Error::Missing("grant_type"))?;
    if grant != GRANT_TYPE {
        return Err(Error::GrantType);
    }
    let subject = take("subject_token").ok_or(Error::Missing("subject_token"))?;
    let kind = take("subject_token_type").ok_or(Error::Missing("subject_token_type"))?;
    if ![ACCESS_TOKEN, JWT].contains(&kind.as_str()) {
        return Err(Error::Unsupported("subject_token_type"));
    }
    if take("requested_token_type").is_some_and(|kind| kind != ACCESS_TOKEN) {
        return Err(Error::Unsupported("requested_token_type"));
    }
    if take("resource").is_some() {
        return Err(Error::Target);
    }
    let audience = take("audience").ok_or(Error::Missing("audience"))?;
    let read_only = match take("scope").as_deref() {
        None => false,
        Some("read") => true,
        Some(_) => return Err(Error::Scope),
    };
    let user = take("requested_subject").map(|text| text.parse());
    let user = user.transpose().map_err(|_| Error::Unsupported("requested_subject"))?;
    let reason = take("reason").map(|text| text.trim().to_owned());
    let lasts_s = take("expires_in").map_or(Ok(USUAL_S), |text| text.parse());
    let lasts_s = lasts_s.ok().filter(|seconds| (1..=LONGEST_S).contains(seconds));
    let lasts_s = lasts_s.ok_or(Error::Lasting)?;
    if sent.values().any(|value| !value.is_empty()) {
        return Err(Error::Unknown);
    }
    let subject = Secret::new(subject);
    Ok(Exchange { subject, audience, user, reason, read_only, lasts_s })
}

/// The reason of a visit, if it is one.
pub(crate) fn check_reason(reason: Option<String>) -> Result<String, Error> {
    let good = |text: &String| REASON_CHARS.contains(&text.chars().count());
    reason.filter(good).ok_or(Error::Reason)
}

/// A tenant that a sign-in may be switched to, and what tells that its password is still the same.
pub(crate) type Reach = Vec<(TenantId, Vec<u8>)>;

/// The tenants whose passwords were proved with one password.
pub(crate) fn reach_of(proved: &[Credential]) -> Reach {
    let tenant = |one: &Credential| {
        let tenant = one.opens?.person.tenant()?;
        Some((tenant, proof_of(&one.hash)))
    };
    proved.iter().filter_map(tenant).collect()
}

/// Tells whether a password was changed, and nothing of the password.
pub(crate) fn proof_of(password_hash: &str) -> Vec<u8> {
    crypto::sha256(password_hash.as_bytes()).to_vec()
}

/// Why nothing is exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A parameter has to be there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A parameter has a value that is not supported.
    #[error("`{0}` is not supported")]
    Unsupported(&'static str),
    /// A parameter that is not known, or twice.
    #[error("a parameter is not known or comes twice")]
    Unknown,
    /// Another grant.
    #[error("another grant type")]
    GrantType,
    /// The token is not good, or not of a kind that is exchanged.
    #[error("the subject token is not exchanged")]
    Subject,
    /// No such tenant that the subject may enter.
    #[error("no such target")]
    Target,
    /// Another scope than `read`.
    #[error("no such scope")]
    Scope,
    /// No reason, or too short a one.
    #[error("no reason is given")]
    Reason,
    /// Longer than a visit may be.
    #[error("the visit would be too long")]
    Lasting,
    /// The person has a second factor there, which this sign-in has not shown.
    #[error("a second factor is asked for there")]
    SecondFactor,
    /// The subject may not do that.
    #[error("the subject may not")]
    NotAllowed,
}

impl Error {
    /// The code of RFC 6749 section 5.2 and RFC 8693 section 2.2.2.
    pub(crate) const fn oauth(self) -> &'static str {
        match self {
            Self::GrantType => "unsupported_grant_type",
            Self::Target | Self::SecondFactor => "invalid_target",
            Self::Scope => "invalid_scope",
            Self::NotAllowed => "unauthorized_client",
            Self::Missing(_)
            | Self::Unsupported(_)
            | Self::Unknown
            | Self::Subject
            | Self::Reason
            | Self::Lasting => "invalid_request",
        }
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        Code::TokenExchangeFailed
    }
    fn detail(&self) -> Option<String> {
        Some(match self {
            Self::Missing(name) => format!("`{name}` is missing."),
            Self::Unsupported(name) => format!("`{name}` has a value that is not supported."),
            Self::Unknown => "A parameter is not known here, comes twice or is no text.".to_owned(),
            Self::GrantType => format!("`grant_type` has to be `{GRANT_TYPE}`."),
            Self::Subject => {
                "`subject_token` has to be a valid access token of a person's own sign-in."
                    .to_owned()
            }
            Self::Target => {
                "`audience` has to be a tenant that this sign-in has proved to belong to; sign in \
                 there instead."
                    .to_owned()
            }
            Self::SecondFactor => {
                "You have a second factor in that tenant: sign in there instead.".to_owned()
            }
            Self::Scope => "`scope` has to be `read`, or absent.".to_owned(),
            Self::Reason => {
                "`reason` has to say in 10 to 500 characters why; the tenant reads it.".to_owned()
            }
            Self::Lasting => format!("`expires_in` has to be from 1 to {LONGEST_S} seconds."),
            Self::NotAllowed => {
                "This operator may only look: send `scope=read`, or may not enter tenants."
                    .to_owned()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(other: &[(&str, &str)]) -> BTreeMap<String, String> {
        let usual = [
            ("grant_type", GRANT_TYPE),
            ("subject_token", "eyJ"),
            ("subject_token_type", ACCESS_TOKEN),
            ("audience", "acme"),
        ];
        let all = usual.iter().chain(other);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_least_there_has_to_be_is_enough() {
        let read = read(sent(&[])).expect("valid");
        assert_eq!((read.audience.as_str(), read.lasts_s, read.read_only), ("acme", 900, false));
    }

    #[test]
    fn each_fault_has_the_code_of_the_standard() {
        let cases: [(&[(&str, &str)], &str); 11] = [
            (&[("grant_type", "")], "invalid_request"),
            (&[("grant_type", "password")], "unsupported_grant_type"),
            (&[("subject_token", "")], "invalid_request"),
            (
                &[("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")],
                "invalid_request",
            ),
            (&[("requested_token_type", JWT)], "invalid_request"),
            (&[("resource", "https://api.example")], "invalid_target"),
            (&[("audience", "")], "invalid_request"),
            (&[("scope", "write")], "invalid_scope"),
            (&[("requested_subject", "ana")], "invalid_request"),
            (&[("expires_in", "3601")], "invalid_request"),
            (&[("actor_token", "eyJ")], "invalid_request"),
        ];
        for (other, code) in cases {
            let refused = read(sent(other)).expect_err("refused");
            assert_eq!(refused.oauth(), code, "{other:?}");
        }
    }

    #[test]
    fn a_reason_takes_some_words() {
        for reason in [None, Some(String::new()), Some("because".into()), Some("x".repeat(501))] {
            assert_eq!(check_reason(reason), Err(Error::Reason));
        }
        assert!(check_reason(Some("ticket 4711: no messages".to_owned())).is_ok());
    }
}
