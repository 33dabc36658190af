//! Room `identity`: names of domains and the proof that one is a tenant's.

use misy_core::error::Fault;
use misy_core::{Code, DomainId, Public, SsoConnectionId, Timestamp, crypto};

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
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
}

/// The label below which the proof is published; a name that no host has.
const LABEL: &str = "_misybot-challenge";
const PROOF: &str = "misybot-verification=";

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
    /// No name server answers.
    #[error("the record could not be looked up")]
    Unanswered,
    /// Fields are wrong.
    #[error("the domain's data is not valid")]
    Invalid(Vec<Fault>),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Taken | Self::Elsewhere | Self::NotPublished { .. } => Code::Conflict,
            Self::Unanswered => Code::Unavailable,
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
            Self::NotFound | Self::Unanswered | Self::Invalid(_) => None,
        }
    }
    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
            _ => Vec::new(),
        }
    }
    fn retry_after_s(&self) -> Option<u32> {
        matches!(self, Self::Unanswered).then_some(30)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
