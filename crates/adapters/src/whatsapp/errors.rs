//! Room `adapters`: one table: what an error code of the Cloud API means for a message
//! (<https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes>).

use http::StatusCode;
use misy_channel::outbound::{Failure, FailureKind, SendError};
use misy_egress::Answer;

use crate::meta::errors::{GraphError, Rule, find_shared, later, rule};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

const RULES: [Rule; 60] = [
    // Shared by all Graph APIs, but here the phone number itself is gone.
    rule(33, FailureKind::Account),
    // The throughput of the number, 80 a second: over within a second.
    later(130_429, FailureKind::Throttled, SECOND),
    // Too many people blocked or reported the number; a quick retry makes it worse.
    later(131_048, FailureKind::Throttled, HOUR),
    // More than one message in six seconds to the same person, after a burst of 45.
    later(131_056, FailureKind::Throttled, 6 * SECOND),
    // Too many registrations of the number within 72 hours.
    later(133_016, FailureKind::Throttled, 72 * HOUR),
    later(131_000, FailureKind::Transient, 2 * SECOND),
    later(131_016, FailureKind::Transient, 10 * SECOND),
    // The file could not be taken: usually its host was slow.
    later(131_053, FailureKind::Transient, 10 * SECOND),
    // The number is being upgraded; takes about a minute.
    later(131_057, FailureKind::Transient, MINUTE),
    later(133_004, FailureKind::Transient, MINUTE),
    rule(131_047, FailureKind::WindowClosed),
    rule(131_021, FailureKind::Recipient),
    rule(131_026, FailureKind::Recipient),
    // Only in test mode: the number is not on the list of allowed recipients.
    rule(131_030, FailureKind::Recipient),
    // Meta kept it back for the sake of the person; again not before a day, and not at once.
    later(131_049, FailureKind::Recipient, 24 * HOUR),
    // The person is in an experiment without marketing messages.
    rule(130_472, FailureKind::Recipient),
    // A business-scoped user id where only a phone number is possible.
    rule(131_062, FailureKind::Recipient),
    // Stopped marketing messages: consent, not reachability.
    rule(131_050, FailureKind::OptedOut),
    rule(132_000, FailureKind::Template),
    rule(132_001, FailureKind::Template),
    rule(132_005, FailureKind::Template),
    rule(132_007, FailureKind::Template),
    rule(132_008, FailureKind::Template),
    rule(132_012, FailureKind::Template),
    rule(132_015, FailureKind::Template),
    rule(132_016, FailureKind::Template),
    rule(132_018, FailureKind::Template),
    rule(132_068, FailureKind::Template),
    rule(132_069, FailureKind::Template),
    rule(131_008, FailureKind::Payload),
    rule(131_009, FailureKind::Payload),
    rule(131_051, FailureKind::Payload),
    rule(131_052, FailureKind::Payload),
    rule(131_055, FailureKind::Payload),
    rule(131_005, FailureKind::Account),
    rule(131_031, FailureKind::Account),
    rule(131_037, FailureKind::Account),
    rule(131_042, FailureKind::Account),
    rule(131_044, FailureKind::Account),
    rule(131_045, FailureKind::Account),
    // The country of the recipient is closed to this business.
    rule(130_497, FailureKind::Account),
    rule(133_000, FailureKind::Account),
    rule(133_005, FailureKind::Account),
    rule(133_006, FailureKind::Account),
    rule(133_008, FailureKind::Account),
    rule(133_009, FailureKind::Account),
    rule(133_010, FailureKind::Account),
    later(133_015, FailureKind::Account, 5 * MINUTE),
    rule(134_011, FailureKind::Account),
    rule(134_100, FailureKind::Account),
    rule(134_101, FailureKind::Account),
    rule(134_102, FailureKind::Account),
    rule(135_000, FailureKind::Account),
    rule(2_494_100, FailureKind::Account),
    rule(2_593_107, FailureKind::Throttled),
    rule(2_593_108, FailureKind::Throttled),
    rule(1_752_041, FailureKind::Payload),
    rule(139_000, FailureKind::Account),
    rule(139_001, FailureKind::Payload),
    rule(139_100, FailureKind::Payload),
];

/// The rule of a code, the narrower table first.
pub(crate) fn find(code: i64, subcode: Option<i64>) -> Option<Rule> {
    let own = RULES.iter().find(|one| one.code == code).copied();
    own.or_else(|| find_shared(code, subcode))
}

/// The failure that a `failed` status tells. A code nobody knows cannot be mended by repeating.
pub(crate) fn failure(error: &GraphError) -> Failure {
    let known = error.code.and_then(|code| find(code, error.subcode));
    error.under(known.unwrap_or(rule(0, FailureKind::Payload))).failure
}

/// The failure that an answer tells, whatever its status: errors come with 200 as well.
pub(crate) fn refusal(answer: &Answer, error: &GraphError) -> SendError {
    let known = error.code.and_then(|code| find(code, error.subcode));
    let mut failure = error.under(known.unwrap_or_else(|| by_status(answer.status)));
    failure.retry_after_ms = failure.retry_after_ms.max(answer.retry_after_ms);
    failure
}

/// The failure of an answer that says nothing readable. A gateway that gave up may have passed the
/// message on before.
pub(crate) fn unreadable(answer: &Answer) -> SendError {
    let status = answer.status;
    let kind = match status.as_u16() {
        200..=399 | 502 | 504 => FailureKind::UnknownOutcome,
        _ => by_status(status).kind,
    };
    let mut failure =
        SendError::new(kind, format!("http_{}", status.as_u16()), "an answer without an error");
    failure.retry_after_ms = answer.retry_after_ms;
    failure
}

fn by_status(status: StatusCode) -> Rule {
    let kind = match status.as_u16() {
        429 => FailureKind::Throttled,
        401 | 403 | 404 => FailureKind::Account,
        408 | 500..=599 => FailureKind::Transient,
        _ => FailureKind::Payload,
    };
    rule(0, kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: http::HeaderMap::new(),
            body: body.into(),
            elapsed_ms: 1,
            retry_after_ms: None,
        }
    }

    #[test]
    fn every_code_has_one_rule() {
        let codes: HashSet<i64> = RULES.iter().map(|one| one.code).collect();
        assert_eq!(codes.len(), RULES.len());
    }

    #[test]
    fn an_error_with_a_status_of_success_is_an_error() {
        let answer = answer(200, r#"{"error":{"code":131056,"message":"pair rate"}}"#);
        let error = GraphError::in_body(&answer.body).expect("an error");
        let failure = refusal(&answer, &error);
        assert_eq!(failure.failure.kind, FailureKind::Throttled);
        assert_eq!(failure.retry_after_ms, Some(6_000));
    }

    #[test]
    fn an_unknown_code_is_judged_by_its_status() {
        let kind = |status, body: &'static str| {
            let answer = answer(status, body);
            let error = GraphError::in_body(&answer.body).unwrap_or_default();
            refusal(&answer, &error).failure.kind
        };
        assert_eq!(kind(500, r#"{"error":{"code":99999}}"#), FailureKind::Transient);
        assert_eq!(kind(401, r#"{"error":{}}"#), FailureKind::Account);
        assert_eq!(kind(400, r#"{"error":{"code":99999}}"#), FailureKind::Payload);
    }

    #[test]
    fn a_gateway_that_gave_up_leaves_the_outcome_open() {
        for status in [200, 502, 504] {
            assert_eq!(unreadable(&answer(status, "")).failure.kind, FailureKind::UnknownOutcome);
        }
        assert_eq!(unreadable(&answer(503, "")).failure.kind, FailureKind::Transient);
        assert_eq!(unreadable(&answer(429, "")).failure.kind, FailureKind::Throttled);
    }
}
