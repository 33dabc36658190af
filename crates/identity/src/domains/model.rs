//! Room `identity`: names of domains and the proof that one is a tenant's.

use misy_core::error::Fault;
use misy_core::{Code, DomainId, Public, SsoConnectionId, Timestamp, crypto};

use crate::impersonations::model::REASON_CHARS;

/// A domain of a tenant's people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Domain {
    pub(crate) id: DomainId,
    pub(crate) name: String,
    /// What its owner publishes.
    pub(crate) token: String,
    /// Where its people sign in.
    pub(crate) connection: Option<SsoConnectionId>,
    pub(crate) verified_at: Option<Timestamp>,
    pub(crate) checked_at: Option<Timestamp>,
    /// Since when the proof of a domain that counts is not there.
    pub(crate) missing_since: Option<Timestamp>,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
}

/// The label below which the proof is published; a name that no host has.
const LABEL: &str = "_misybot-challenge";
const PROOF: &str = "misybot-verification=";

/// How long a domain counts without its proof, in seconds: a name server that is moved must not
/// keep a whole company out, and whoever bought the domain must not be spoken for much longer.
pub(crate) const KEPT_WITHOUT_PROOF_S: i64 = 7 * 24 * 3_600;
/// After how long the proof is looked for again, in seconds.
pub(crate) const LOOKED_FOR_EVERY_S: i64 = 24 * 3_600;

/// What a look for the proof of a domain that counts has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is there as before, or is still missing.
    None,
    /// It is not there any more.
    Missing,
    /// It is there again.
    Found,
    /// It was missing for too long: the domain counts no more.
    Lost,
}

impl Domain {
    /// The name of the TXT record.
    pub(crate) fn record_name(&self) -> String {
        format!("{LABEL}.{}", self.name)
    }

    /// The text of the TXT record.
    pub(crate) fn record_value(&self) -> String {
        format!("{PROOF}{}", self.token)
    }

    /// Whether the texts that were found hold the proof.
    pub(crate) fn is_proved_by(&self, texts: &[String]) -> bool {
        let wanted = self.record_value();
        texts.iter().any(|text| crypto::equal(text.trim().as_bytes(), wanted.as_bytes()))
    }

    /// What it is after its proof was looked for again.
    pub(crate) fn looked_at(self, texts: &[String], now: Timestamp) -> (Self, Turn) {
        let checked_at = Some(now);
        if self.is_proved_by(texts) {
            let turn = if self.missing_since.is_some() { Turn::Found } else { Turn::None };
            return (Self { missing_since: None, checked_at, ..self }, turn);
        }
        let Some(since) = self.missing_since else {
            return (Self { missing_since: Some(now), checked_at, ..self }, Turn::Missing);
        };
        if now.as_second() - since.as_second() < KEPT_WITHOUT_PROOF_S {
            return (Self { checked_at, ..self }, Turn::None);
        }
        (Self { verified_at: None, missing_since: None, checked_at, ..self }, Turn::Lost)
    }
}

/// A domain's name in the one form it is stored in: lower case, in the letters of host names.
pub(crate) fn normalise(text: &str) -> Result<String, Error> {
    let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let labels: Vec<&str> = name.split('.').collect();
    let top = labels.last().is_some_and(|top| !top.bytes().all(|byte| byte.is_ascii_digit()));
    if name.len() <= 200 && labels.len() >= 2 && labels.iter().all(|one| label(one)) && top {
        return Ok(name);
    }
    let detail = "has to be a domain name, such as `acme.example` (`xn--..` for other letters)";
    Err(Error::Invalid(vec![Fault { pointer: "/name".to_owned(), detail: detail.to_owned() }]))
}

/// Where the people of a domain sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Realm {
    pub(crate) connection: SsoConnectionId,
    pub(crate) kind: String,
}

/// What fails around domains.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such domain in this tenant.
    #[error("no such domain")]
    NotFound,
    /// The tenant has it already.
    #[error("the domain is there already")]
    Taken,
    /// Another tenant has proved that it is theirs.
    #[error("another tenant has the domain")]
    Elsewhere,
    /// The record is not there, or not what it should be.
    #[error("the record is not published")]
    NotPublished {
        /// Where it should be.
        name: String,
        /// How many other texts are there.
        others: usize,
    },
    /// No name server answers. They are the domain's own, so it is not this service that is away.
    #[error("the record could not be looked up")]
    Unanswered {
        /// Where it should be.
        name: String,
    },
    /// Fields are wrong.
    #[error("the domain's data is not valid")]
    Invalid(Vec<Fault>),
}

/// The reason of an operator, without the blanks around it.
pub(crate) fn check_reason(reason: &str) -> Result<String, Error> {
    let reason = reason.trim();
    if REASON_CHARS.contains(&reason.chars().count()) {
        return Ok(reason.to_owned());
    }
    let detail = "has to say in 10 to 500 characters why; the tenant reads it".to_owned();
    Err(Error::Invalid(vec![Fault { pointer: "/reason".to_owned(), detail }]))
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Taken | Self::Elsewhere | Self::NotPublished { .. } | Self::Unanswered { .. } => {
                Code::Conflict
            }
            Self::Invalid(_) => Code::Invalid,
        }
    }
    fn detail(&self) -> Option<String> {
        match self {
            Self::Taken => Some("The tenant has this domain already.".to_owned()),
            Self::Elsewhere => Some(
                "This domain was verified elsewhere on this platform; ask its operator.".to_owned(),
            ),
            Self::NotPublished { name, others } => Some(format!(
                "No TXT record with the text of `record` was found at {name} ({others} others \
                 were). New records can take as long to appear as the old ones lived."
            )),
            Self::Unanswered { name } => Some(format!(
                "No name server said whether there is a TXT record at {name}. Look whether the \
                 domain's name servers answer, and try again."
            )),
            Self::NotFound | Self::Invalid(_) => None,
        }
    }
    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
            _ => Vec::new(),
        }
    }
    fn retry_after_s(&self) -> Option<u32> {
        matches!(self, Self::Unanswered { .. }).then_some(30)
    }
}

#[cfg(test)]
mod tests {
    use misy_core::id::TypedId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_proof_may_be_away_for_a_week_and_no_longer() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let domain = Domain {
            id: DomainId::from_uuid(Uuid::nil()),
            name: "acme.example".to_owned(),
            token: "t".to_owned(),
            connection: None,
            verified_at: Some(at(0)),
            checked_at: None,
            missing_since: None,
            version: 1,
            created_at: at(0),
        };
        let there = [domain.record_value()];
        let (same, turn) = domain.clone().looked_at(&there, at(1));
        assert_eq!((same.missing_since, same.checked_at, turn), (None, Some(at(1)), Turn::None));
        let (missing, turn) = domain.looked_at(&[], at(2));
        assert_eq!((missing.missing_since, turn), (Some(at(2)), Turn::Missing));
        let last = at(1 + KEPT_WITHOUT_PROOF_S);
        let (still, turn) = missing.clone().looked_at(&[], last);
        assert!(still.verified_at.is_some() && still.missing_since == Some(at(2)));
        assert_eq!(turn, Turn::None);
        let (found, turn) = missing.clone().looked_at(&there, last);
        assert_eq!((found.missing_since, turn), (None, Turn::Found));
        let (lost, turn) = missing.looked_at(&[], at(2 + KEPT_WITHOUT_PROOF_S));
        assert_eq!((lost.verified_at, lost.missing_since, turn), (None, None, Turn::Lost));
    }

    #[test]
    fn names_are_compared_in_one_form() {
        assert_eq!(normalise(" Acme.Example. "), Ok("acme.example".to_owned()));
        assert_eq!(normalise("xn--mnchen-3ya.example"), Ok("xn--mnchen-3ya.example".to_owned()));
        let long = format!("{}.example", "a".repeat(64));
        for text in
            ["", "localhost", "a..b", "-a.b", "a-.b", "a_b.c", "192.0.2.1", "m\u{fc}.de", &long]
        {
            assert!(normalise(text).is_err(), "{text}");
        }
    }
}
