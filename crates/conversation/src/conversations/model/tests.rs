//! Room `conversation`: tests of who leads a conversation.

use misy_testkit::ambient;

use super::*;

fn conversation() -> Conversation {
    let ambient = ambient();
    Conversation {
        id: ambient.id(),
        contact: ambient.id(),
        channel: ambient.id(),
        status: Status::Open,
        assignee: None,
        handed_over_at: None,
        taken_over_at: None,
        last_inbound_at: None,
        last_message_at: ambient.now(),
        version: 1,
        created_at: ambient.now(),
        updated_at: ambient.now(),
    }
}

fn status(status: Status) -> Change {
    Change { status: Some(status), ..Change::default() }
}

#[test]
fn assigning_takes_it_from_the_responder_and_unassigning_does_not_give_it_back() {
    let (user, now) = (ambient().id(), ambient().now());
    let assigned = Change { assignee: Some(Some(user)), ..Change::default() };
    let assigned = assigned.apply(conversation(), now);
    assert_eq!((assigned.assignee, assigned.taken_over_at), (Some(user), Some(now)));
    let freed = Change { assignee: Some(None), ..Change::default() }.apply(assigned, now);
    assert_eq!((freed.assignee, freed.taken_over_at), (None, Some(now)));
}

#[test]
fn opening_gives_it_back_unless_somebody_looks_after_it() {
    let now = ambient().now();
    let led = Conversation {
        status: Status::Waiting,
        handed_over_at: Some(now),
        taken_over_at: Some(now),
        ..conversation()
    };
    let open = status(Status::Open).apply(led.clone(), now);
    assert_eq!((open.handed_over_at, open.taken_over_at), (None, None));
    let assigned = Conversation { assignee: Some(ambient().id()), ..led };
    let open = status(Status::Open).apply(assigned, now);
    assert_eq!((open.handed_over_at, open.taken_over_at), (None, Some(now)));
}

#[test]
fn waiting_keeps_the_time_since_when_the_customer_waits() {
    let earlier = ambient().now();
    let waiting =
        Conversation { status: Status::Waiting, handed_over_at: Some(earlier), ..conversation() };
    let later = earlier + jiff::SignedDuration::from_mins(5);
    let still = status(Status::Waiting).apply(waiting, later);
    assert_eq!(still.handed_over_at, Some(earlier));
}

#[test]
fn a_change_of_nothing_changes_nothing() {
    let before = conversation();
    assert_eq!(Change::default().apply(before.clone(), ambient().now()), before);
}

#[test]
fn every_status_reads_back() {
    for one in [Status::Open, Status::Waiting, Status::Closed] {
        assert_eq!(Status::parse(one.slug()), Some(one));
    }
    assert_eq!(Status::parse("lost"), None);
}
