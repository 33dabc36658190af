//! Room `tenancy`: two operators, the reconciler and the program itself decide about a tenant at
//! once, in any order. Whatever comes of it is a walk through the table, and at its end every store
//! has what the tenant should have.

mod shelf;

use std::collections::HashSet;
use std::sync::Arc;

use http::StatusCode;
use misy_core::TenantId;
use misy_tenancy::inventories::service::{Outcome, mend};
use misy_tenancy::tenants::model::{ACTIONS, Event, Status};
use misy_testkit::platform_ctx;
use serde_json::json;

use crate::house::{Answer, House, Operator, OtherOperator, User};
use crate::lifecycles::{ENDPOINTS, ask};
use shelf::Shelf;

/// A walk of its own for each number; the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).expect("few")]
    }
}

/// Every status in which a tenant may be that may have been in any of these.
type Statuses = HashSet<Status>;

/// What operators call one thing may be two in the table.
fn events_of(event: Event) -> Vec<Event> {
    match event {
        Event::Restore => vec![Event::Restore, Event::RestoreSuspended],
        other => vec![other],
    }
}

fn after(from: &Statuses, events: &[Event]) -> Statuses {
    let all = from.iter().flat_map(|status| events.iter().map(move |event| (status, event)));
    all.filter_map(|(status, event)| status.after(*event)).collect()
}

/// The program may at any time begin to remove what is closed, and finish that.
fn meanwhile(from: Statuses) -> Statuses {
    let closing = from.iter().filter(|status| **status == Status::Closing).copied().collect();
    let purging = after(&closing, &[Event::Purge]);
    let from: Statuses = from.union(&purging).copied().collect();
    let purged = after(&from, &[Event::Purged]);
    from.union(&purged).copied().collect()
}

/// Where a step may have led, by what was answered to it.
fn step(from: &Statuses, event: Event, answer: &Answer) -> Statuses {
    let events = events_of(event);
    let next = match answer.status {
        StatusCode::OK | StatusCode::ACCEPTED => after(from, &events),
        // Refused by the table: somewhere from where it does not lead.
        StatusCode::CONFLICT => {
            let leads = |status: &Status| events.iter().any(|one| status.after(*one).is_some());
            from.iter().filter(|status| !leads(status)).copied().collect()
        }
        // Somebody else was at it, or was faster.
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::PRECONDITION_FAILED => from.clone(),
        other => panic!("{event:?} was answered {other}: {}", answer.body),
    };
    meanwhile(next)
}

async fn status(house: &House, tenant: TenantId) -> Status {
    let answer = house.get(&Operator, &format!("/v1/tenants/{tenant}")).await;
    Status::parse(answer.text("status")).expect("a status")
}

/// One draw of an operator, with its answer. Half of the closings leave no time to think again.
async fn decide(
    house: &House,
    user: &impl User,
    tenant: TenantId,
    (name, event): (&'static str, Event),
    at_once: bool,
) -> (Event, Answer) {
    if name == "close" && at_once {
        let path = format!("/v1/tenants/{tenant}/close");
        return (event, house.post(user, &path, json!({ "grace_days": 0 })).await);
    }
    (event, ask(house, user, tenant, name).await)
}

/// What the program does by itself: the sweep, what is due, and the look over all tenants.
async fn tend(house: &House, seconds: i64) {
    house.run_schedules().await;
    house.run_jobs_after_s(seconds).await;
}

/// The third player: what a store elsewhere has lost is made again, by so many at once.
async fn reconcile(house: &House, shelf: &Shelf, tenant: TenantId, (loses, times): (bool, u64)) {
    if loses {
        shelf.lose(tenant);
    }
    let once = async |_| mend(&house.deps, &platform_ctx(), tenant).await.expect("it looks");
    let outcomes = futures_util::future::join_all((0..times).map(once)).await;
    assert!(!outcomes.contains(&Outcome::Drifted), "a person is needed for nothing here");
}

/// The log, read from its beginning, is a walk through the table that ends where the tenant is.
async fn assert_walked(house: &House, tenant: TenantId) {
    let life = house.get(&Operator, &format!("/v1/tenants/{tenant}/lifecycle")).await;
    let history = life.body["history"].as_array().expect("a list");
    let mut at: Statuses = [Status::Provisioning].into();
    for decided in history.iter().rev() {
        let action = decided["action"].as_str().expect("a name");
        let events: Vec<Event> =
            ACTIONS.iter().filter(|(_, name, _)| *name == action).map(|one| one.0).collect();
        if !events.is_empty() {
            at = after(&at, &events);
            assert!(!at.is_empty(), "{action} leads nowhere: {history:?}");
        }
    }
    assert!(at.contains(&status(house, tenant).await), "{at:?} {history:?}");
}

/// Some rounds with one tenant, until it is gone.
async fn walk(house: &House, shelf: &Shelf, dice: &mut Dice) {
    let tenant = house.tenant("acme").await;
    let mut before = Status::Active;
    for _ in 0..14 {
        // Purging ends the walk, so it is drawn less often than what can be taken back.
        let sides = if dice.below(4) == 0 { 5 } else { 4 };
        let (one, other) = (dice.pick(&ENDPOINTS[..sides]), dice.pick(&ENDPOINTS[..4]));
        let (at_once, seconds) = (dice.below(4) == 0, dice.pick(&[0, 0, 1, 3]));
        let drift = (dice.below(2) == 0, dice.below(3));
        let ((first, answer), (second, other_answer), (), ()) = tokio::join!(
            decide(house, &Operator, tenant, one, at_once),
            decide(house, &OtherOperator, tenant, other, false),
            tend(house, seconds),
            reconcile(house, shelf, tenant, drift)
        );
        let from = meanwhile([before].into());
        let one_way = step(&step(&from, first, &answer), second, &other_answer);
        let other_way = step(&step(&from, second, &other_answer), first, &answer);
        let now = status(house, tenant).await;
        let possible = one_way.union(&other_way).collect::<HashSet<_>>();
        let asked = (one.0, answer.status, other.0, other_answer.status);
        assert!(possible.contains(&now), "{before:?} {asked:?} {now:?}");
        before = now;
        if now == Status::Purged {
            break;
        }
    }
    settle(house, shelf, tenant).await;
}

/// When nobody decides any more everything comes to an end, and every store is as the end says.
async fn settle(house: &House, shelf: &Shelf, tenant: TenantId) {
    for _ in 0..20 {
        tend(house, 61).await;
        if status(house, tenant).await != Status::Purging {
            break;
        }
    }
    let now = status(house, tenant).await;
    assert_ne!(now, Status::Purging, "the removal ends");
    assert_walked(house, tenant).await;
    // What was lost last is made again by one who looks now, and nothing is left for the next.
    reconcile(house, shelf, tenant, (false, 1)).await;
    assert_eq!(mend(&house.deps, &platform_ctx(), tenant).await.expect("it looks"), Outcome::Sound);
    assert_eq!(shelf.has(tenant), now.is_whole(), "{now:?}");
    let inventory = house.get(&Operator, &format!("/v1/tenants/{tenant}/inventory")).await;
    assert_eq!(inventory.body["sound"], json!(true), "{now:?} {}", inventory.body);
    // The next walk takes the same name, which is free once this one is gone.
    if now != Status::Purged {
        if now != Status::Closing {
            ask(house, &Operator, tenant, "close").await;
        }
        ask(house, &Operator, tenant, "purge").await;
        tend(house, 3).await;
        assert_eq!(status(house, tenant).await, Status::Purged);
    }
    // Nobody makes anything of one that is gone, and what is found of it all the same goes.
    reconcile(house, shelf, tenant, (false, 2)).await;
    assert!(!shelf.has(tenant));
    shelf.leave(tenant);
    reconcile(house, shelf, tenant, (false, 2)).await;
    assert!(!shelf.has(tenant));
}

#[tokio::test]
async fn whatever_operators_the_reconciler_and_the_program_do_at_once_is_a_walk_through_the_table()
{
    let shelf = Arc::<Shelf>::default();
    let house = House::build_beside(shelf.clone()).await;
    for number in 1..=8 {
        walk(&house, &shelf, &mut Dice(number)).await;
    }
    let gone = house.count("select count(*) from tenants where status = 'purged'").await;
    assert_eq!(gone, 8);
    let (lost, repaired) = shelf.losses_and_repairs();
    assert!(0 < repaired && repaired <= lost, "{lost} lost, {repaired} repaired");
    let recorded = "select count(*) from platform_audit_records where action = 'tenant.repaired'";
    let left = 8;
    assert_eq!(house.count(recorded).await, repaired + left, "each is in the log, once");
}

/// Whoever looks while a tenant is whole and acts when it is gone would bring back a part of it.
#[tokio::test]
async fn what_was_missing_of_a_tenant_is_not_made_once_the_tenant_goes() {
    let shelf = Arc::<Shelf>::default();
    let house = House::build_beside(shelf.clone()).await;
    let tenant = house.tenant("acme").await;
    shelf.lose(tenant);
    let (slow, operator) = (shelf.hold_looks(), platform_ctx());
    let mending = mend(&house.deps, &operator, tenant);
    let going = async {
        slow.began().await;
        for step in ["close", "purge"] {
            let answer = ask(&house, &Operator, tenant, step).await;
            assert!(answer.status.is_success(), "{step}: {}", answer.body);
        }
        slow.go_on();
    };
    let (outcome, ()) = tokio::join!(mending, going);
    assert_eq!(outcome.expect("it looks"), Outcome::Sound, "nothing is wanted of one that goes");
    for _ in 0..3 {
        tend(&house, 61).await;
    }
    assert_eq!((status(&house, tenant).await, shelf.has(tenant)), (Status::Purged, false));
    assert_eq!(shelf.losses_and_repairs(), (1, 0));
}
