//! Room `adapters`: errors as the Graph API tells them, and what its general codes mean.
//! (<https://developers.facebook.com/docs/graph-api/guides/error-handling>)

use misy_channel::outbound::{FailureKind, SendError};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::values::{Fields, Id};

/// What one error code means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// The provider's number.
    pub(crate) code: i64,
    /// What follows from it.
    pub(crate) kind: FailureKind,
    /// How long to wait at least before the next try.
    pub(crate) retry_after_ms: Option<u64>,
}

/// A rule without a time to wait.
pub(crate) const fn rule(code: i64, kind: FailureKind) -> Rule {
    Rule { code, kind, retry_after_ms: None }
}

/// A rule with a time to wait.
pub(crate) const fn later(code: i64, kind: FailureKind, retry_after_ms: u64) -> Rule {
    Rule { code, kind, retry_after_ms: Some(retry_after_ms) }
}

/// The codes that all of Meta's APIs share.
const SHARED: [Rule; 14] = [
    rule(0, FailureKind::Account),
    later(1, FailureKind::Transient, 2_000),
    later(2, FailureKind::Transient, 5_000),
    rule(3, FailureKind::Account),
    // Limits of the app as a whole: they count by the hour.
    later(4, FailureKind::Throttled, 60_000),
    later(17, FailureKind::Throttled, 60_000),
    later(32, FailureKind::Throttled, 60_000),
    later(613, FailureKind::Throttled, 60_000),
    later(80_006, FailureKind::Throttled, 60_000),
    later(80_007, FailureKind::Throttled, 60_000),
    rule(10, FailureKind::Account),
    rule(100, FailureKind::Payload),
    rule(190, FailureKind::Account),
    rule(368, FailureKind::Account),
];

/// Code 100 with this subcode: the object of the URL is gone or not ours, so it is the account.
const OBJECT_UNKNOWN: i64 = 33;

/// The rule of a general code.
pub(crate) fn find_shared(code: i64, subcode: Option<i64>) -> Option<Rule> {
    if (200..=299).contains(&code) || (code == 100 && subcode == Some(OBJECT_UNKNOWN)) {
        return Some(rule(code, FailureKind::Account));
    }
    SHARED.iter().find(|one| one.code == code).copied()
}

/// An error in an answer or in a `failed` status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct GraphError {
    pub(crate) code: Option<i64>,
    pub(crate) subcode: Option<i64>,
    text: String,
}

#[derive(Deserialize)]
struct ErrorData {
    details: Option<String>,
}

impl GraphError {
    /// Reads an error object; any field may be absent or odd.
    pub(crate) fn read(raw: &RawValue) -> Option<Self> {
        let fields = Fields::read(raw)?;
        let number = |name| fields.find::<Id>(name).and_then(|id| id.0.parse().ok());
        let details = fields.find::<ErrorData>("error_data").and_then(|data| data.details);
        let text = details
            .or_else(|| fields.find_text("details"))
            .or_else(|| fields.find_text("error_user_msg"))
            .or_else(|| fields.find_text("message"))
            .or_else(|| fields.find_text("title"))
            .unwrap_or_default();
        Some(Self { code: number("code"), subcode: number("error_subcode"), text })
    }

    /// The `error` of an answer's body, if it has one.
    pub(crate) fn in_body(body: &[u8]) -> Option<Self> {
        let raw = serde_json::from_slice(body).ok()?;
        Fields::read(raw)?.find_raw("error").and_then(Self::read)
    }

    /// What it is called in records: `100` or `100/33`.
    pub(crate) fn name(&self) -> String {
        match (self.code, self.subcode) {
            (Some(code), Some(subcode)) => format!("{code}/{subcode}"),
            (Some(code), None) => code.to_string(),
            _ => "none".to_owned(),
        }
    }

    /// The provider's best sentence about it; may be empty.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The failure that a rule makes of it.
    pub(crate) fn under(&self, rule: Rule) -> SendError {
        let mut error = SendError::new(rule.kind, self.name(), self.text.as_str());
        error.retry_after_ms = rule.retry_after_ms;
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_sentence_is_taken() {
        let body =
            br#"{"error":{"message":"(#100) Invalid parameter","code":"100","error_subcode":33,
            "error_data":{"details":"The phone number is gone"}}}"#;
        let error = GraphError::in_body(body).expect("an error");
        assert_eq!(
            (error.name().as_str(), error.text.as_str()),
            ("100/33", "The phone number is gone")
        );
        let kind = find_shared(100, error.subcode).map(|rule| rule.kind);
        assert_eq!(kind, Some(FailureKind::Account));
    }

    #[test]
    fn what_is_no_error_is_none() {
        for body in [&b"{}"[..], b"", b"[]", b"{\"error\":null}", b"{\"error\":1}"] {
            assert_eq!(GraphError::in_body(body), None);
        }
    }

    #[test]
    fn every_permission_code_is_the_accounts() {
        assert!((200..300).all(|code| find_shared(code, None).is_some()));
        assert!(find_shared(300, None).is_none());
    }
}
