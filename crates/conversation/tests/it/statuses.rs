//! Room `conversation`: what providers report moves messages forward, in whatever order it comes.

use misy_channel::FailureKind;
use serde_json::{Value, json};

use crate::house::{House, Shop};
use crate::paper::Act;

/// A shop in which a customer's question was answered; the answer as the API shows it.
async fn answered(house: &House) -> (Shop, Value) {
    let shop = house.shop("one").await;
    house.teach(&shop, "en", "What are your opening hours?", "9 to 17.").await;
    house.customer_writes(&shop, "+4911", "m1", "What are your opening hours?").await;
    let answer = house.outbound(&shop).await;
    (shop, answer)
}

fn status(answer: &Value, status: &str, at: &str) -> Value {
    json!({ "kind": "status", "id": answer["external_id"], "status": status, "at": at })
}

#[tokio::test]
async fn statuses_move_forward_and_each_keeps_its_time() {
    let house = House::new().await;
    let (shop, answer) = answered(&house).await;
    let (t1, t2) = ("2026-03-01T12:00:05Z", "2026-03-01T12:00:09Z");
    let batch = json!([
        status(&answer, "read", t2),
        status(&answer, "delivered", t1),
        status(&answer, "sent", t1),
        status(&answer, "read", "2026-03-01T12:01:00Z"),
    ]);
    house.hears(&shop, batch).await;
    let now = house.outbound(&shop).await;
    assert_eq!(now["status"], "read");
    assert_eq!(now["status_at"]["delivered"], t1);
    assert_eq!(now["status_at"]["read"], t2, "the first report of a status holds");
    house.hears(&shop, json!([status(&answer, "sent", t2)])).await;
    assert_eq!(house.outbound(&shop).await["status"], "read");
}

#[tokio::test]
async fn a_failure_that_is_reported_later_is_shown_with_its_reason() {
    let house = House::new().await;
    let (shop, answer) = answered(&house).await;
    let mut failed = status(&answer, "failed", "2026-03-01T12:00:05Z");
    failed["failure"] = json!("131047");
    house.hears(&shop, json!([failed])).await;
    let now = house.outbound(&shop).await;
    assert_eq!((&now["status"], &now["failure"]["code"]), (&json!("failed"), &json!("131047")));
    house.hears(&shop, json!([status(&answer, "delivered", "2026-03-01T12:00:09Z")])).await;
    let now = house.outbound(&shop).await;
    assert_eq!((&now["status"], &now["failure"]), (&json!("delivered"), &Value::Null));
}

#[tokio::test]
async fn a_status_that_comes_before_the_providers_answer_is_kept_for_its_message() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.teach(&shop, "en", "What are your opening hours?", "9 to 17.").await;
    house.paper.will([Act::TakeAs("ext-1")]);
    let early = json!({ "kind": "status", "id": "ext-1", "status": "delivered" });
    house.hears(&shop, json!([early])).await;
    house.customer_writes(&shop, "+4911", "m1", "What are your opening hours?").await;
    let now = house.outbound(&shop).await;
    assert_eq!((&now["status"], &now["external_id"]), (&json!("delivered"), &json!("ext-1")));
    assert_eq!(self::early(&house, &shop).await, 0);
}

#[tokio::test]
async fn an_echo_of_our_own_message_that_comes_first_gives_way_to_it() {
    let house = House::new().await;
    let (shop, answer) = answered(&house).await;
    let path = format!(
        "/v1/conversations/{}/messages",
        answer["conversation_id"].as_str().expect("an id")
    );
    house.paper.will([Act::fail(FailureKind::Throttled), Act::TakeAs("ext-2")]);
    let reply = json!({ "content": { "type": "text", "text": "One moment." } });
    let sent = house.post(&shop, &path, reply).await.expect(202);
    let echo = json!({ "kind": "echo", "id": "ext-2", "from": "+4911", "text": "One moment." });
    house.hears(&shop, json!([echo])).await;
    assert_eq!(house.messages(&shop).await.len(), 4);
    house.later(10);
    house.run().await;
    let all = house.messages(&shop).await;
    assert_eq!(all.len(), 3, "{all:?}");
    let own = all.iter().find(|one| one["external_id"] == "ext-2").expect("one");
    assert_eq!((&own["id"], &own["status"]), (&sent["id"], &json!("sent")));
}

#[tokio::test]
async fn a_status_of_a_message_of_another_program_changes_nothing_and_is_forgotten() {
    let house = House::new().await;
    let (shop, answer) = answered(&house).await;
    let foreign = json!({ "kind": "status", "id": "somebody-elses", "status": "delivered" });
    house.hears(&shop, json!([foreign])).await;
    assert_eq!(early(&house, &shop).await, 1);
    assert_eq!(house.outbound(&shop).await["status"], answer["status"]);
    house.later(8 * 24 * 3600);
    house.hears(&shop, json!([{ "kind": "status", "id": "another", "status": "delivered" }])).await;
    house.later(120);
    house.run().await;
    assert_eq!(early(&house, &shop).await, 1, "only the new one is kept");
}

async fn early(house: &House, shop: &Shop) -> usize {
    let mut tx = house.tx(shop).await;
    let sql = "select 1 from early_statuses where tenant_id = $1";
    tx.query(sql, &[&tx.tenant()]).await.expect("read").len()
}

#[tokio::test]
async fn a_status_that_crosses_the_record_of_the_sending_finds_its_message_later() {
    let house = House::new().await;
    let (shop, answer) = answered(&house).await;
    // As if neither transaction had seen the other: the report is kept though the message is known.
    let mut tx = house.tx(&shop).await;
    let (tenant, id) = (tx.tenant(), house.deps.ambient.uuid());
    let external_id = answer["external_id"].as_str().expect("sent");
    let keep = "insert into early_statuses (tenant_id, id, channel_id, external_id, status, at)
        select $1, $2, channel_id, external_id, 'read', '2026-03-01T12:00:05Z'
        from messages where tenant_id = $1 and external_id = $3";
    tx.execute(keep, &[&tenant, &id, &external_id]).await.expect("kept");
    tx.commit().await.expect("committed");
    house.hears(&shop, json!([{ "kind": "status", "id": "other", "status": "sent" }])).await;
    assert_eq!(house.outbound(&shop).await["status"], "sent");
    house.later(61);
    house.run().await;
    assert_eq!(house.outbound(&shop).await["status"], "read");
}

#[tokio::test]
async fn what_the_provider_says_of_the_price_is_kept_with_the_message() {
    let house = House::new().await;
    let (shop, answer) = answered(&house).await;
    let mut report = status(&answer, "delivered", "2026-03-01T12:00:05Z");
    report["extra"] = json!({ "pricing": { "billable": true } });
    house.hears(&shop, json!([report])).await;
    let mut tx = house.tx(&shop).await;
    let sql = "select extra from messages where tenant_id = $1 and direction = 'outbound'";
    let row = tx.query_opt(sql, &[&tx.tenant()]).await.expect("read").expect("one");
    let extra: Value = row.get("extra");
    assert_eq!(extra["report"]["pricing"]["billable"], true);
    assert!(extra["citations"].is_array(), "and the citation stays");
}
