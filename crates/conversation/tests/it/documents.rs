//! Room `conversation`: what is kept as documents: the responder's memory and archived payloads.

use misy_conversation::DOCUMENT_KINDS;
use misy_core::{Limit, Role};
use misy_store::documents::Document;
use serde_json::{Value, json};

use crate::house::{House, Shop};

const HOURS: &str = "We are open Monday to Friday from 9 to 17.";

async fn context(house: &House, shop: &Shop) -> Value {
    let id = house.conversation(shop).await["id"].as_str().expect("an id").to_owned();
    house.get(shop, &format!("/v1/conversations/{id}/context")).await.expect(200)
}

async fn payloads(house: &House, shop: &Shop) -> Vec<Document<Value>> {
    let ctx = misy_testkit::ctx(shop.tenant, Role::Admin);
    let kind = DOCUMENT_KINDS.iter().find(|kind| kind.name() == "payloads").expect("one of ours");
    let payloads = house.deps.documents.of(&ctx).collection(*kind);
    payloads.list(None, Limit::DEFAULT).await.expect("it answers")
}

/// State and size of what is in the inbox, in its order.
async fn inbox(house: &House, shop: &Shop) -> Vec<(String, i32)> {
    let mut tx = house.tx(shop).await;
    let rows = tx.query("select state, length(body) from inbox order by id", &[]).await;
    rows.expect("it answers").iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn the_responder_remembers_what_it_said_and_why_people_were_called() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let entry = house.teach(&shop, "en", "What are your opening hours?", HOURS).await;
    house.customer_writes(&shop, "+4911", "m1", "What are your opening hours, please?").await;
    let kept = context(&house, &shop).await;
    assert_eq!(kept["last_answer"]["knowledge_entry_id"], json!(entry));
    assert_eq!((&kept["last_hand_over"], &kept["turns"]), (&Value::Null, &json!(1)));
    let first = kept["last_answer"]["message_id"].clone();
    house.customer_writes(&shop, "+4911", "m2", "My parcel arrived broken, what can I do?").await;
    let kept = context(&house, &shop).await;
    assert_eq!(kept["last_answer"]["message_id"], first, "it stays");
    assert_eq!(kept["last_hand_over"]["reason"], "no_match");
    assert_eq!(kept["turns"], 2);
}

#[tokio::test]
async fn a_conversation_without_a_turn_has_an_empty_context_and_a_foreign_one_has_none() {
    let house = House::new().await;
    let (shop, other) = (house.shop("one").await, house.shop("two").await);
    house.customer_writes(&shop, "+4911", "m2", "👍").await;
    let id = house.conversation(&shop).await["id"].as_str().expect("an id").to_owned();
    let kept = context(&house, &shop).await;
    assert_eq!((&kept["conversation_id"], &kept["last_answer"]), (&json!(id), &Value::Null));
    let foreign = house.get(&other, &format!("/v1/conversations/{id}/context")).await;
    let body = foreign.expect(404);
    assert_eq!(body["code"], "request.not_found");
}

#[tokio::test]
async fn payloads_become_documents_and_a_second_delivery_of_one_is_still_known() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let said = json!([{ "kind": "message", "id": "m1", "from": "+4911", "text": "Grüße\u{0}" }]);
    let body = json!({ "to": shop.address, "events": said, "nonce": "once" }).to_string();
    house.deliver_raw(&shop, &body).await.expect(200);
    house.run().await;
    let [(state, length)] = inbox(&house, &shop).await.try_into().expect("one payload");
    assert_eq!((state.as_str(), usize::try_from(length)), ("done", Ok(body.len())));
    assert!(payloads(&house, &shop).await.is_empty(), "not yet");

    house.later(61);
    house.run().await;
    assert_eq!(inbox(&house, &shop).await, [("archived".to_owned(), 0)]);
    let [kept] = payloads(&house, &shop).await.try_into().expect("one document");
    assert_eq!((&kept.body["form"], &kept.body["body"]), (&json!("text"), &json!(body)));
    assert_eq!((&kept.body["channel"], &kept.body["events"]), (&json!(shop.channel), &json!(1)));
    let digest = misy_core::crypto::sha256(body.as_bytes());
    assert_eq!(kept.body["digest"], misy_core::crypto::to_hex(&digest));

    house.deliver_raw(&shop, &body).await.expect(200);
    house.later(200);
    house.run().await;
    assert_eq!(inbox(&house, &shop).await.len(), 1, "delivered twice, stored once");
    assert_eq!(house.messages(&shop).await.iter().filter(|it| is_inbound(it)).count(), 1);
}

fn is_inbound(message: &Value) -> bool {
    message["direction"] == "inbound"
}

#[tokio::test]
async fn an_archiving_that_died_half_way_is_done_again_and_loses_nothing() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    for number in 0..3 {
        let id = format!("m{number}");
        house.customer_writes(&shop, "+4911", &id, &format!("text {number}")).await;
    }
    let before = inbox(&house, &shop).await;
    house.later(61);
    house.run().await;
    let kept = payloads(&house, &shop).await;
    assert_eq!(kept.len(), 3);
    // As if it had died after the documents were written and before the inbox was emptied.
    let mut tx = house.tx(&shop).await;
    for document in &kept {
        let body = document.body["body"].as_str().expect("text").as_bytes().to_vec();
        let undo = "update inbox set state = 'done', body = $2 where id = $1";
        tx.execute(undo, &[&document.id, &body]).await.expect("undone");
    }
    tx.commit().await.expect("committed");
    assert_eq!(inbox(&house, &shop).await, before);
    house.customer_writes(&shop, "+4911", "m3", "one more").await;
    house.later(200);
    house.run().await;
    let states: Vec<_> = inbox(&house, &shop).await;
    assert_eq!(states, vec![("archived".to_owned(), 0); 4]);
    let again = payloads(&house, &shop).await;
    assert_eq!(again.len(), 4);
    for (one, other) in kept.iter().zip(&again) {
        assert_eq!((one.id, &one.body), (other.id, &other.body));
    }
}
