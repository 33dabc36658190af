//! Room `conversation`: tests of what may be sent, what follows from a failure, and how far a
//! message has come.

use std::time::Duration;

use jiff::SignedDuration;
use misy_channel::capability::{TextLimit, Unit};
use misy_channel::content::{EventContent, Template};
use misy_channel::{FailureKind, SendError};
use misy_testkit::ambient;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn capability(window_hours: Option<u32>, template: bool) -> Capability {
    Capability {
        text: TextLimit { max: 100, unit: Unit::Chars },
        caption_max: None,
        buttons: None,
        list: None,
        carousel_cards_max: None,
        media: Vec::new(),
        location: false,
        contact: false,
        template,
        reaction: false,
        reply: true,
        typing: false,
        delivered: true,
        read: true,
        window_hours,
    }
}

fn route(last_inbound_at: Option<Timestamp>) -> Route {
    let ambient = ambient();
    Route {
        conversation: ambient.id(),
        channel: ambient.id(),
        kind: "paper".to_owned(),
        active: true,
        closed: false,
        last_inbound_at,
        reply_found: false,
    }
}

fn draft(text: &str) -> Draft {
    Draft { content: Content::text(text), reply_to: None }
}

fn template() -> Draft {
    let (name, language) = ("hello".to_owned(), "de".to_owned());
    let content = Content::Template(Template { name, language, components: Vec::new() });
    Draft { content, reply_to: None }
}

#[test]
fn the_window_closes_24_hours_after_the_last_message_and_not_before() {
    let (channel, now) = (capability(Some(24), true), ambient().now());
    let ago = |seconds: i64| Some(now - SignedDuration::from_secs(seconds));
    assert!(parts(&draft("hi"), &route(ago(86_399)), &channel, now).is_ok());
    for last in [ago(86_400), None] {
        let refused = parts(&draft("hi"), &route(last), &channel, now);
        assert!(matches!(refused, Err(Error::WindowClosed { templates: true })), "{refused:?}");
        assert!(parts(&template(), &route(last), &channel, now).is_ok());
    }
    assert!(parts(&draft("hi"), &route(None), &capability(None, false), now).is_ok());
}

#[test]
fn what_stands_in_the_way_is_told_apart() {
    let (channel, now) = (capability(None, false), ambient().now());
    let closed = Route { closed: true, ..route(None) };
    assert!(matches!(parts(&draft("x"), &closed, &channel, now), Err(Error::ConversationClosed)));
    let off = Route { active: false, ..route(None) };
    assert!(matches!(parts(&draft("x"), &off, &channel, now), Err(Error::ChannelInactive)));
    assert!(matches!(parts(&template(), &route(None), &channel, now), Err(Error::NoForm)));
    let (name, data) = ("order".to_owned(), Map::new());
    let content = Content::Event(EventContent { name, text: Some("x".to_owned()), data });
    let event = Draft { content, reply_to: None };
    assert!(matches!(parts(&event, &route(None), &channel, now), Err(Error::Invalid(_))));
    let book = draft(&"A sentence of thirty letters. ".repeat(100));
    assert!(matches!(parts(&book, &route(None), &channel, now), Err(Error::Invalid(_))));
}

const WAIT_MS: u64 = 60_000;

#[test]
fn a_try_without_an_end_waits_for_its_status_and_then_goes_again() {
    let (now, attempt) = (ambient().now(), Uuid::from_u128(7));
    let open = Some((attempt, now - SignedDuration::from_secs(59)));
    let wait = next(Status::Queued, None, open, 0, WAIT_MS, now);
    assert_eq!(wait, Some(Next::Wait { until: now + SignedDuration::from_secs(1) }));
    let open = Some((attempt, now - SignedDuration::from_secs(60)));
    assert_eq!(next(Status::Queued, None, open, 0, WAIT_MS, now), Some(Next::Again { attempt }));
    assert_eq!(next(Status::Queued, None, open, 4, WAIT_MS, now), Some(Next::GiveUp { attempt }));
    assert_eq!(next(Status::Sent, None, open, 0, WAIT_MS, now), Some(Next::Done));
    let begun = Some(attempt);
    assert_eq!(next(Status::Queued, begun, None, 0, WAIT_MS, now), Some(Next::Send { attempt }));
    assert_eq!(next(Status::Queued, None, None, 0, WAIT_MS, now), None);
}

#[test]
fn what_follows_from_each_kind_of_failure() {
    let now = ambient().now();
    let follows =
        |kind, tried| after_failure(&SendError::new(kind, "1", "x"), tried, now, WAIT_MS, now);
    let pauses: Vec<Ending> = (0..4).map(|tried| follows(FailureKind::Transient, tried)).collect();
    let expected = [4, 16, 64, 256].map(|s| Ending::Retry { after: Duration::from_secs(s) });
    assert_eq!(pauses, expected);
    assert_eq!(follows(FailureKind::Transient, 4), Ending::Failed { unhealthy: false });
    assert_eq!(follows(FailureKind::Account, 0), Ending::Failed { unhealthy: true });
    assert_eq!(follows(FailureKind::Recipient, 0), Ending::Failed { unhealthy: false });
    let minute = now + SignedDuration::from_secs(60);
    assert_eq!(follows(FailureKind::UnknownOutcome, 0), Ending::Unknown { until: minute });
    let slow = SendError::new(FailureKind::Throttled, "1", "x").after_ms(9_000);
    let until = now + SignedDuration::from_secs(9);
    assert_eq!(after_failure(&slow, 99, now, WAIT_MS, now), Ending::Park { until });
}

fn any_reports() -> impl Strategy<Value = Vec<Report>> {
    let statuses = vec![Status::Sent, Status::Delivered, Status::Read, Status::Failed];
    let report = (prop::sample::select(statuses), 0..100_i64).prop_map(|(status, second)| Report {
        external_id: "x".to_owned(),
        status,
        at: Timestamp::from_second(second).expect("in range"),
        failure: (status == Status::Failed).then(|| failure("131047")),
        extra: Map::new(),
    });
    prop::collection::vec(report, 0..8)
}

fn failure(code: &str) -> Failure {
    let (code, detail) = (code.to_owned(), String::new());
    Failure { kind: FailureKind::WindowClosed, code, detail }
}

fn queued() -> Progress {
    Progress {
        id: ambient().id(),
        conversation: ambient().id(),
        status: Status::Queued,
        status_at: BTreeMap::new(),
        external_id: None,
        failure: None,
        report: Map::new(),
    }
}

fn after(reports: &[Report]) -> Progress {
    let mut progress = queued();
    for report in reports {
        hear(&mut progress, report);
    }
    progress
}

proptest! {
    #[test]
    fn the_order_of_reports_does_not_matter(reports in any_reports()) {
        let mut backward = reports.clone();
        backward.reverse();
        prop_assert_eq!(after(&reports), after(&backward));
    }

    #[test]
    fn a_report_heard_twice_changes_nothing(reports in any_reports()) {
        let mut progress = after(&reports);
        for report in &reports {
            prop_assert!(!hear(&mut progress, report));
        }
    }

    #[test]
    fn only_a_failed_message_has_a_reason(reports in any_reports()) {
        let progress = after(&reports);
        prop_assert_eq!(progress.failure.is_some(), progress.status == Status::Failed);
    }

    #[test]
    fn no_word_is_lost_in_parts(text in "[a-z]{1,12}( [a-z]{1,12}){0,80}") {
        let now = ambient().now();
        let sent = parts(&draft(&text), &route(None), &capability(None, false), now);
        let sent = sent.expect("at most twenty parts");
        let words = sent.iter().filter_map(Content::words).flat_map(str::split_whitespace);
        prop_assert!(words.eq(text.split_whitespace()));
    }
}
