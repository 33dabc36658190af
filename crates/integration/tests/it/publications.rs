//! Room `integration`: publications of one tenant that arrive at once: they share commits, and
//! nothing else.

use std::collections::HashSet;

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{House, text};
use crate::sink::Sink;

const AT_ONCE: usize = 40;

fn event(kind: &str, number: usize) -> Value {
    json!({ "type": kind, "data": { "number": number } })
}

#[tokio::test]
async fn each_is_kept_and_delivered_once_in_fewer_commits() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let all = (0..AT_ONCE).map(|number| {
        let body = event("order.created", number);
        async { house.post(tenant, "/v1/events", body).await.expect(202) }
    });
    let answers = join_all(all).await;
    let ids: HashSet<String> = answers.iter().map(|one| text(&one["data"][0]["id"])).collect();
    assert_eq!(ids.len(), AT_ONCE);
    let commits = house.count("select count(distinct xmin::text) from webhook_events").await;
    assert!(commits < 10, "{commits} commits");
    house.carry().await;
    let heard = sink.heard();
    assert_eq!(heard.len(), AT_ONCE);
    for (number, answer) in answers.iter().enumerate() {
        let id = text(&answer["data"][0]["id"]);
        let one = heard.iter().find(|one| one.header("webhook-id") == id).expect("it came");
        assert_eq!(one.json()["data"]["number"], number, "each id is that of its own event");
    }
}

#[tokio::test]
async fn what_the_database_refuses_is_refused_alone() {
    let house = House::new().await;
    let tenant = house.tenant();
    let wall = "alter table webhook_events add constraint wall check (type <> 'order.poison')";
    let superuser = house.database.superuser();
    misy_testkit::postgres::query(superuser, wall).await.expect("a statement");
    let all = (0..AT_ONCE).map(|number| {
        let kind = if number == 7 { "order.poison" } else { "order.created" };
        house.post(tenant, "/v1/events", event(kind, number))
    });
    let answers: Vec<StatusCode> = join_all(all).await.iter().map(|one| one.status).collect();
    for (number, status) in answers.iter().enumerate() {
        let wanted = if number == 7 { 500 } else { 202 };
        assert_eq!(status.as_u16(), wanted, "{number}");
    }
    assert_eq!(house.count("select count(*) from webhook_events").await, 39);
}

#[tokio::test]
async fn tenants_do_not_share_and_a_caller_who_hangs_up_takes_nobody_along() {
    let house = House::new().await;
    let tenants = [house.tenant(), house.tenant()];
    let all = (0..AT_ONCE).map(|number| {
        let tenant = tenants[number % 2];
        let house = &house;
        async move {
            let asked = house.post(tenant, "/v1/events", event("order.created", number));
            if number < 2 {
                // Long enough to become the writer of the first batch, and no longer.
                let patience = std::time::Duration::from_micros(1);
                let _ = tokio::time::timeout(patience, asked).await;
                return None;
            }
            Some(asked.await.status)
        }
    });
    let answers = join_all(all).await;
    assert_eq!(answers.iter().flatten().count(), AT_ONCE - 2);
    assert!(answers.into_iter().flatten().all(|status| status == StatusCode::ACCEPTED));
    let mixed = "select count(*) from (select from webhook_events group by xmin::text
        having count(distinct tenant_id) > 1) as commit";
    assert_eq!(house.count(mixed).await, 0);
    assert!(house.count("select count(*) from webhook_events").await >= 38);
}
