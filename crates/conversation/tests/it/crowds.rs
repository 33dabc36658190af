//! Room `conversation`: the same thing at the same time, twice, is one thing.

use misy_channel::FailureKind;
use misy_conversation::messages::Deliver;
use misy_conversation::responders::Respond;
use misy_core::id::TypedId;
use misy_core::{ConversationId, MessageId};
use misy_jobs::Job;
use serde_json::{Value, json};

use crate::house::{House, Shop};
use crate::paper::Act;

/// Connects another account of the same tenant.
async fn second_account(house: &House, shop: &Shop) -> Shop {
    let address = format!("{}-b", shop.address);
    let account = json!({ "kind": "paper", "name": "b", "external_id": address,
        "credentials": { "stamp": "red" } });
    let made = house.post(shop, "/v1/channels", account).await.expect(201);
    let channel = made["id"].as_str().expect("an id").to_owned();
    Shop { channel, address, ..shop.clone() }
}

async fn count(house: &House, shop: &Shop, table: &str) -> usize {
    let mut tx = house.tx(shop).await;
    let sql = format!("select 1 from {table} where tenant_id = $1");
    tx.query(&sql, &[&tx.tenant()]).await.expect("read").len()
}

#[tokio::test]
async fn a_person_who_writes_over_two_accounts_at_once_is_one_contact() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let other = second_account(&house, &shop).await;
    for round in 0..10 {
        let batch = |name: &str| -> Value {
            let event = |n: u32| {
                json!({ "kind": "message", "id": format!("{name}-{round}-{n}"), "text": "hi",
                    "from": [format!("+4{round}{n}"), format!("u{round}{n}")] })
            };
            json!((0..5).map(event).collect::<Vec<_>>())
        };
        house.deliver(&shop, batch("a")).await.expect(200);
        house.deliver(&other, batch("b")).await.expect(200);
        house.run_twice_at_once().await;
    }
    assert_eq!(count(&house, &shop, "contacts").await, 50);
    assert_eq!(count(&house, &shop, "contact_identities").await, 100);
    assert_eq!(count(&house, &shop, "conversations").await, 50);
    let mut tx = house.tx(&shop).await;
    let sql = "select 1 from messages where tenant_id = $1 and direction = 'inbound'";
    assert_eq!(tx.query(sql, &[&tx.tenant()]).await.expect("read").len(), 100);
}

/// Puts a job beside those that are queued already, in a lane of its own.
async fn beside(house: &House, shop: &Shop, job: impl Fn(ConversationId) -> Box<dyn Queued>) {
    let mut tx = house.tx(shop).await;
    job(ConversationId::from_uuid(house.deps.ambient.uuid())).put(&mut tx);
    tx.commit().await.expect("committed");
}

trait Queued {
    fn put(&self, tx: &mut misy_store::TenantTx);
}

impl<J: Job> Queued for J {
    fn put(&self, tx: &mut misy_store::TenantTx) {
        self.enqueue(tx);
    }
}

async fn only_message(house: &House, shop: &Shop, direction: &str) -> MessageId {
    let mut tx = house.tx(shop).await;
    let sql = "select id from messages where tenant_id = $1 and direction = $2";
    let rows = tx.query(sql, &[&tx.tenant(), &direction]).await.expect("read");
    assert_eq!(rows.len(), 1);
    MessageId::from_uuid(rows[0].get("id"))
}

#[tokio::test]
async fn a_message_that_two_workers_answer_at_once_is_answered_once() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.customer_writes(&shop, "+4911", "m1", "What are your opening hours?").await;
    let message = only_message(&house, &shop, "inbound").await;
    house.teach(&shop, "en", "What are your opening hours?", "9 to 17.").await;
    let sql = "delete from messages where tenant_id = $1 and direction = 'outbound'";
    for _ in 0..10 {
        let mut tx = house.tx(&shop).await;
        tx.execute(sql, &[&tx.tenant()]).await.expect("the sentence goes");
        tx.commit().await.expect("committed");
        for _ in 0..2 {
            beside(&house, &shop, |conversation| Box::new(Respond { message, conversation })).await;
        }
        house.run_twice_at_once().await;
        only_message(&house, &shop, "outbound").await;
    }
    assert_eq!(house.paper.texts().iter().filter(|text| *text == "9 to 17.").count(), 10);
}

#[tokio::test]
async fn a_message_that_two_workers_deliver_at_once_is_sent_once() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.teach(&shop, "en", "What are your opening hours?", "9 to 17.").await;
    for round in 0..8 {
        house.paper.will([Act::fail(FailureKind::Throttled)]);
        let from = format!("+49{round}");
        house.customer_writes(&shop, &from, &format!("m{round}"), "When are you open?").await;
        let mut tx = house.tx(&shop).await;
        let sql = "select id from messages
            where tenant_id = $1 and direction = 'outbound' and status = 'queued'";
        let rows = tx.query(sql, &[&tx.tenant()]).await.expect("read");
        let message = MessageId::from_uuid(rows[0].get("id"));
        drop(tx);
        house.later(10);
        for _ in 0..2 {
            beside(&house, &shop, |conversation| Box::new(Deliver { message, conversation })).await;
        }
        house.run_twice_at_once().await;
        house.later(2);
        house.run().await;
        assert_eq!(house.paper.taken().len(), round + 1);
    }
}
