//! What holds a call back.

use misy_egress::{Config, Error, Pacing};

use crate::peer::{Act, Peer, answer, egress, local, post, tenant, text};

#[tokio::test]
async fn after_failures_in_a_row_nothing_is_sent_until_it_says() {
    let peer = Peer::new(answer(500, "", "down")).await;
    let egress = egress(Config { breaker_failures: 3, breaker_open_ms: 60_000, ..local() });
    for _ in 0..3 {
        egress.call(post(&peer.url)).await.expect("a 500 is an answer");
    }
    let outcome = egress.call(post(&peer.url)).await;
    let Err(Error::BreakerOpen { retry_after_ms }) = outcome else { panic!("{outcome:?}") };
    assert!((50_000..=60_000).contains(&retry_after_ms));
    assert_eq!(peer.heard().len(), 3);
}

#[tokio::test]
async fn the_breaker_of_one_tenant_stops_no_other() {
    let peer = Peer::new(answer(500, "", "down")).await;
    let egress = egress(Config { breaker_failures: 1, ..local() });
    egress.call(post(&peer.url)).await.expect("a 500 is an answer");
    assert!(matches!(egress.call(post(&peer.url)).await, Err(Error::BreakerOpen { .. })));
    let mut other = post(&peer.url);
    other.tenant = tenant(2);
    assert!(egress.call(other).await.is_ok());
    let mut other = post(&peer.url);
    other.connection = "cha_2".to_owned();
    assert!(egress.call(other).await.is_ok());
}

#[tokio::test]
async fn a_probe_that_succeeds_opens_the_way_again() {
    let peer = Peer::new(Act::Recover(text(200, "", "well"))).await;
    let egress = egress(Config { breaker_failures: 1, breaker_open_ms: 1, ..local() });
    assert!(egress.call(post(&peer.url)).await.is_err());
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert!(egress.call(post(&peer.url)).await.is_ok());
    assert!(egress.call(post(&peer.url)).await.is_ok());
}

#[tokio::test]
async fn retry_after_stops_the_lane() {
    let peer = Peer::new(answer(429, "Retry-After: 30\r\n", "slower")).await;
    let egress = egress(local());
    let first = egress.call(post(&peer.url)).await.expect("a 429 is an answer");
    assert_eq!(first.retry_after_ms, Some(30_000));
    let outcome = egress.call(post(&peer.url)).await;
    let Err(Error::Limited { retry_after_ms }) = outcome else { panic!("{outcome:?}") };
    assert!((25_000..=30_000).contains(&retry_after_ms));
    assert_eq!(peer.heard().len(), 1);
}

#[tokio::test]
async fn the_callers_reading_of_an_answer_stops_the_lane_too() {
    let peer = Peer::new(answer(200, "X-App-Usage: 100\r\n", "")).await;
    let egress = egress(local());
    let mut call = post(&peer.url);
    call.pacing = Some(|answer| Pacing {
        pause_ms: None,
        used_percent: answer.headers["x-app-usage"]
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok()),
    });
    egress.call(call).await.expect("an answer");
    assert!(matches!(egress.call(post(&peer.url)).await, Err(Error::Limited { .. })));
}

#[tokio::test]
async fn calls_beyond_the_slots_are_told_to_come_back() {
    let peer = Peer::new(Act::Hang).await;
    let config = Config { in_flight_per_connection: 1, max_wait_ms: 50, ..local() };
    let egress = egress(config);
    let (first, second) = tokio::join!(egress.call(post(&peer.url)), egress.call(post(&peer.url)));
    let outcomes = [first.err(), second.err()];
    assert!(outcomes.iter().flatten().any(|error| matches!(error, Error::Limited { .. })));
    assert!(outcomes.iter().flatten().any(|error| matches!(error, Error::Unknown(_))));
    assert_eq!(peer.heard().len(), 1);
}
