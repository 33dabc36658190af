//! Room `store`: who gets a seat in which order, without any connection.

use std::future::Future;
use std::pin::Pin;

use futures_util::poll;
use misy_core::{Code, Public};

use super::*;

const LIMITS: Limits = Limits {
    total: 4,
    each: 3,
    long: 3,
    waiting: 100,
    waiting_each: 50,
    patience: Duration::from_hours(1),
};

fn seats(limits: Limits) -> Arc<Seats> {
    Seats::new("test", limits)
}

fn tenant(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

type Asking = Pin<Box<dyn Future<Output = Result<Seat, Error>>>>;

/// Asks and stands in line.
async fn ask(seats: &Arc<Seats>, number: u128, hold: Hold) -> Asking {
    let seats = Arc::clone(seats);
    let mut asking: Asking = Box::pin(async move { seats.take(tenant(number), hold).await });
    assert!(poll!(&mut asking).is_pending(), "it has to wait");
    asking
}

async fn brief(seats: &Arc<Seats>, number: u128) -> Seat {
    seats.take(tenant(number), Hold::Brief).await.expect("a seat")
}

/// Who of those that wait has been called; their seats are freed at once, one after another.
async fn serve(mut waiting: Vec<(u128, Asking)>) -> Vec<u128> {
    let mut served = Vec::new();
    while !waiting.is_empty() {
        let mut called = None;
        for (index, (_, asking)) in waiting.iter_mut().enumerate() {
            if let std::task::Poll::Ready(seat) = poll!(asking) {
                called = Some((index, seat.expect("a seat")));
                break;
            }
        }
        let (index, seat) = called.expect("a free seat is never left empty");
        served.push(waiting.remove(index).0);
        drop(seat);
    }
    served
}

fn is_empty(seats: &Seats) -> bool {
    let hall = seats.hall();
    (hall.used, hall.used_long, hall.waiting) == (0, 0, 0)
        && hall.lines.is_empty()
        && hall.ring.is_empty()
}

#[tokio::test]
async fn one_tenant_cannot_take_all_seats() {
    let seats = seats(LIMITS);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(brief(&seats, 1).await);
    }
    let waiting = ask(&seats, 1, Hold::Brief).await;
    held.push(brief(&seats, 2).await);
    drop(waiting);
    held.clear();
    assert!(is_empty(&seats));
}

#[tokio::test]
async fn a_free_seat_goes_round_the_tenants_that_wait() {
    let seats = seats(Limits { total: 1, ..LIMITS });
    let held = brief(&seats, 9).await;
    let mut waiting = Vec::new();
    for number in [1, 1, 1, 1, 2, 2, 3] {
        waiting.push((number, ask(&seats, number, Hold::Brief).await));
    }
    drop(held);
    assert_eq!(serve(waiting).await, [1, 2, 3, 1, 2, 1, 1]);
    assert!(is_empty(&seats));
}

#[tokio::test]
async fn who_is_at_the_limit_is_passed_over_and_keeps_its_place() {
    let seats = seats(Limits { total: 2, each: 1, ..LIMITS });
    let (first, second) = (brief(&seats, 1).await, brief(&seats, 2).await);
    let mut of_first = ask(&seats, 1, Hold::Brief).await;
    let mut of_third = ask(&seats, 3, Hold::Brief).await;
    drop(second);
    assert!(poll!(&mut of_first).is_pending(), "it has its share");
    let third = of_third.as_mut().await.expect("a seat");
    drop(first);
    drop(of_first.await.expect("a seat"));
    drop(third);
    assert!(is_empty(&seats));
}

#[tokio::test]
async fn whoever_holds_a_seat_for_long_can_always_get_a_second_one() {
    let seats = seats(LIMITS);
    let long = |number| seats.take(tenant(number), Hold::Long);
    let first = (long(1).await.expect("a seat"), long(1).await.expect("a seat"));
    let third_of_tenant = ask(&seats, 1, Hold::Long).await;
    let other = long(2).await.expect("a seat");
    let fourth_of_all = ask(&seats, 3, Hold::Long).await;
    for number in [1, 2, 3] {
        drop(brief(&seats, number).await);
    }
    drop((other, first));
    drop((third_of_tenant.await.expect("a seat"), fourth_of_all.await.expect("a seat")));
    assert!(is_empty(&seats));
}

#[tokio::test]
async fn a_crowd_is_refused_at_once() {
    let seats = seats(Limits { total: 1, waiting: 3, waiting_each: 2, ..LIMITS });
    let held = brief(&seats, 1).await;
    let mut waiting = Vec::new();
    for number in [2, 2] {
        waiting.push((number, ask(&seats, number, Hold::Brief).await));
    }
    let refused = seats.take(tenant(2), Hold::Brief).await.err().expect("too many of this tenant");
    assert_eq!((refused.code(), refused.retry_after_s()), (Code::Unavailable, Some(1)));
    waiting.push((3, ask(&seats, 3, Hold::Brief).await));
    assert!(seats.take(tenant(4), Hold::Brief).await.is_err(), "too many in all");
    drop(held);
    assert_eq!(serve(waiting).await, [2, 3, 2]);
    assert!(is_empty(&seats));
}

#[tokio::test]
async fn who_waits_too_long_is_refused_and_leaves_the_line() {
    let seats = seats(Limits { total: 1, patience: Duration::from_millis(5), ..LIMITS });
    let held = brief(&seats, 1).await;
    let error = seats.take(tenant(2), Hold::Brief).await.err().expect("nothing became free");
    assert!(matches!(error, Error::Busy { pool: "test" }), "{error:?}");
    assert_eq!(seats.hall().waiting, 0);
    drop(held);
    assert!(is_empty(&seats));
}

#[tokio::test]
async fn a_seat_that_was_called_out_to_someone_who_left_is_not_lost() {
    let seats = seats(Limits { total: 1, ..LIMITS });
    for _ in 0..3 {
        let held = brief(&seats, 1).await;
        let (left, stays) = (ask(&seats, 2, Hold::Brief).await, ask(&seats, 3, Hold::Brief).await);
        drop(held);
        drop(left);
        drop(stays.await.expect("the seat went on"));
    }
    assert!(is_empty(&seats));
}

#[tokio::test]
async fn ten_thousand_tenants_that_were_here_leave_no_memory_behind() {
    let seats = seats(Limits { total: 1, waiting: 10_000, ..LIMITS });
    let held = brief(&seats, 0).await;
    let mut waiting = Vec::new();
    for number in 1..=10_000 {
        waiting.push(ask(&seats, number, Hold::Brief).await);
    }
    assert!(seats.hall().lines.capacity() >= 10_000);
    drop(waiting);
    drop(held);
    assert!(is_empty(&seats));
    assert!(seats.hall().lines.capacity() <= 64);
}

#[test]
fn limits_that_cannot_work_are_settled() {
    let none = Limits { total: 0, each: 9, long: 9, ..LIMITS }.settled();
    assert_eq!((none.total, none.each, none.long, none.long_each()), (1, 1, 1, 1));
    let two = Limits { total: 2, each: 0, long: 9, ..LIMITS }.settled();
    assert_eq!((two.total, two.each, two.long), (2, 1, 1));
}
