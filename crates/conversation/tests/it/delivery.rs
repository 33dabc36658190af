//! Room `conversation`: a message reaches its provider once, whatever fails in between.

use http::Method;
use misy_channel::{FailureKind, SendError};
use misy_core::Role;
use serde_json::{Value, json};

use crate::house::{House, Shop};
use crate::paper::Act;

fn text(text: &str) -> Value {
    json!({ "content": { "type": "text", "text": text } })
}

/// A shop in which a customer has written and a person leads, so that nothing answers by itself.
async fn led(house: &House) -> (Shop, String) {
    let shop = house.shop("one").await;
    house.customer_writes(&shop, "+4911", "m1", "My parcel arrived broken.").await;
    let id = house.conversation(&shop).await["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/conversations/{id}");
    let person = house.person(&shop).await;
    let assign = json!({ "assignee_id": person });
    house.post(&shop, &format!("{path}/assign"), assign).await.expect(200);
    (shop, format!("{path}/messages"))
}

/// The message as the API shows it, with its attempts.
async fn message(house: &House, shop: &Shop, sent: &Value) -> Value {
    let id = sent["id"].as_str().expect("an id");
    house.get(shop, &format!("/v1/messages/{id}")).await.expect(200)
}

fn states(message: &Value) -> Vec<&str> {
    let attempts = message["attempts"].as_array().expect("a list");
    attempts.iter().filter_map(|attempt| attempt["state"].as_str()).collect()
}

#[tokio::test]
async fn a_message_is_queued_at_once_and_sent_by_the_worker() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let sent = house.post(&shop, &path, text("Sorry to hear that.")).await.expect(202);
    assert_eq!((&sent["status"], &sent["direction"]), (&json!("queued"), &json!("outbound")));
    assert_eq!(sent["author"]["kind"], "user");
    house.run().await;
    let now = message(&house, &shop, &sent).await;
    assert_eq!(now["status"], "sent");
    assert_eq!(now["external_id"], json!(format!("out-{}", sent["id"].as_str().expect("an id"))));
    assert_eq!(states(&now), ["sent"]);
    assert!(now["status_at"]["queued"].is_string() && now["status_at"]["sent"].is_string());
}

#[tokio::test]
async fn a_long_text_goes_out_in_parts_that_have_statuses_of_their_own() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let before = house.paper.taken().len();
    let long = "A sentence of thirty letters. ".repeat(20);
    house.post(&shop, &path, text(&long)).await.expect(202);
    house.run().await;
    let parts = house.paper.texts().split_off(before);
    assert!(parts.len() >= 3 && parts.iter().all(|part| part.chars().count() <= 200));
    let words: Vec<&str> = parts.iter().flat_map(|part| part.split_whitespace()).collect();
    assert_eq!(words, long.split_whitespace().collect::<Vec<_>>());
    let outbound = house.messages(&shop).await.into_iter().filter(|one| one["status"] == "sent");
    assert_eq!(outbound.count(), before + parts.len());
}

#[tokio::test]
async fn a_passing_fault_is_tried_again_and_the_order_is_kept() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let before = house.paper.taken().len();
    house.paper.will([Act::fail(FailureKind::Transient), Act::fail(FailureKind::Transient)]);
    let first = house.post(&shop, &path, text("first")).await.expect(202);
    house.post(&shop, &path, text("second")).await.expect(202);
    house.run().await;
    assert_eq!(house.paper.taken().len(), before, "the second waits for the first");
    for _ in 0..3 {
        house.later(30);
        house.run().await;
    }
    assert_eq!(house.paper.texts()[before..], ["first", "second"]);
    assert_eq!(states(&message(&house, &shop, &first).await), ["retry", "retry", "sent"]);
}

#[tokio::test]
async fn after_five_passing_faults_a_message_has_failed() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    house.paper.will(std::iter::repeat_n(Act::fail(FailureKind::Transient), 9));
    let sent = house.post(&shop, &path, text("never")).await.expect(202);
    for _ in 0..9 {
        house.run().await;
        house.later(3600);
    }
    let now = message(&house, &shop, &sent).await;
    assert_eq!(now["status"], "failed");
    assert_eq!(now["failure"]["kind"], "transient");
    assert_eq!(states(&now), ["retry", "retry", "retry", "retry", "failed"]);
}

#[tokio::test]
async fn throttling_counts_as_no_try() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let slow = SendError::new(FailureKind::Throttled, "80007", "slow down").after_ms(2_000);
    house.paper.will(std::iter::repeat_n(Act::Fail(slow), 12));
    let sent = house.post(&shop, &path, text("patience")).await.expect(202);
    for _ in 0..13 {
        house.run().await;
        house.later(3);
    }
    assert_eq!(message(&house, &shop, &sent).await["status"], "sent");
}

#[tokio::test]
async fn what_can_never_arrive_fails_at_once_and_the_next_message_goes_out() {
    for kind in [
        FailureKind::WindowClosed,
        FailureKind::Recipient,
        FailureKind::OptedOut,
        FailureKind::Template,
        FailureKind::Payload,
        FailureKind::Account,
    ] {
        let house = House::new().await;
        let (shop, path) = led(&house).await;
        house.paper.will([Act::fail(kind)]);
        let lost = house.post(&shop, &path, text("lost")).await.expect(202);
        let next = house.post(&shop, &path, text("next")).await.expect(202);
        house.run().await;
        let lost = message(&house, &shop, &lost).await;
        assert_eq!(lost["status"], "failed");
        assert_eq!(lost["failure"]["kind"], json!(kind));
        assert_eq!(states(&lost), ["failed"]);
        assert_eq!(message(&house, &shop, &next).await["status"], "sent");
    }
}

#[tokio::test]
async fn a_refused_account_is_noted_in_the_audit_log() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    house.paper.will([Act::fail(FailureKind::Account)]);
    house.post(&shop, &path, text("lost")).await.expect(202);
    house.run().await;
    let mut tx = house.tx(&shop).await;
    let sql = "select 1 from audit_records where tenant_id = $1 and action = 'channel.unhealthy'";
    assert_eq!(tx.query(sql, &[&tx.tenant()]).await.expect("read").len(), 1);
}

/// The program dies after the provider took the message: its status proves that it did.
#[tokio::test]
async fn a_message_whose_answer_was_lost_is_settled_by_its_status_and_not_sent_again() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let before = house.paper.taken().len();
    house.paper.will([Act::TakeAndHang]);
    let sent = house.post(&shop, &path, text("once")).await.expect(202);
    house.run_and_die().await;
    house.later(40);
    house.run().await;
    assert_eq!(house.paper.taken().len(), before + 1, "it waits for the status");
    let status =
        json!({ "kind": "status", "id": "wamid.7", "ours": sent["id"], "status": "delivered" });
    house.hears(&shop, json!([status])).await;
    house.later(120);
    house.run().await;
    assert_eq!(house.paper.taken().len(), before + 1, "it was not sent again");
    let now = message(&house, &shop, &sent).await;
    assert_eq!((&now["status"], &now["external_id"]), (&json!("delivered"), &json!("wamid.7")));
    assert_eq!(states(&now), ["sent"]);
}

/// The program dies before the provider took the message: no status comes, so it is sent again.
#[tokio::test]
async fn a_message_that_was_lost_on_the_way_is_sent_again_after_the_wait() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let before = house.paper.taken().len();
    house.paper.will([Act::LoseAndHang]);
    let sent = house.post(&shop, &path, text("again")).await.expect(202);
    house.post(&shop, &path, text("after it")).await.expect(202);
    house.run_and_die().await;
    for _ in 0..4 {
        house.later(40);
        house.run().await;
    }
    assert_eq!(house.paper.texts()[before..], ["again", "after it"]);
    assert_eq!(states(&message(&house, &shop, &sent).await), ["retry", "sent"]);
}

#[tokio::test]
async fn a_time_out_is_waited_out_for_the_status_before_anything_is_sent_again() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let before = house.paper.asked();
    house.paper.will([Act::TakeAndLoseAnswer]);
    let sent = house.post(&shop, &path, text("once")).await.expect(202);
    house.run().await;
    assert_eq!(states(&message(&house, &shop, &sent).await), ["unknown"]);
    house.later(59);
    house.run().await;
    assert_eq!(house.paper.asked(), before + 1);
    let status = json!({ "kind": "status", "id": "wamid.8", "ours": sent["id"], "status": "sent" });
    house.hears(&shop, json!([status])).await;
    house.later(120);
    house.run().await;
    assert_eq!(house.paper.asked(), before + 1);
    assert_eq!(message(&house, &shop, &sent).await["status"], "sent");
}

#[tokio::test]
async fn a_provider_that_never_tells_gets_the_message_five_times_at_most() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let before = house.paper.asked();
    house.paper.will(std::iter::repeat_n(Act::fail(FailureKind::UnknownOutcome), 20));
    let sent = house.post(&shop, &path, text("hello?")).await.expect(202);
    for _ in 0..20 {
        house.run().await;
        house.later(61);
    }
    assert_eq!(house.paper.asked(), before + 5);
    let now = message(&house, &shop, &sent).await;
    assert_eq!((&now["status"], &now["failure"]["code"]), (&json!("failed"), &json!("no_status")));
}

#[tokio::test]
async fn a_reply_after_24_hours_is_refused_and_a_template_is_not() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    house.later(24 * 3600);
    let refused = house.post(&shop, &path, text("too late")).await;
    let body = refused.expect(422);
    assert_eq!(body["code"], "conversation.window_closed");
    assert!(body["detail"].as_str().is_some_and(|text| text.contains("an approved template now")));
    let template = json!({ "content": { "type": "template", "name": "hello", "language": "de" } });
    house.post(&shop, &path, template).await.expect(202);
    house.run().await;
    assert_eq!(house.messages(&shop).await.last().expect("one")["status"], "sent");
}

#[tokio::test]
async fn a_window_that_closes_while_the_message_waits_is_respected() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let slow = SendError::new(FailureKind::Throttled, "80007", "slow down").after_ms(7_200_000);
    house.paper.will([Act::Fail(slow)]);
    house.later(23 * 3600);
    let sent = house.post(&shop, &path, text("just in time")).await.expect(202);
    house.run().await;
    house.later(2 * 3600);
    house.run().await;
    let now = message(&house, &shop, &sent).await;
    assert_eq!(
        (&now["status"], &now["failure"]["kind"]),
        (&json!("failed"), &json!("window_closed"))
    );
}

#[tokio::test]
async fn every_fault_of_a_message_is_told() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let foreign = "msg_01k8zq5m3ge0r8v0w1x2y3z4a5";
    let body = json!({ "content": { "type": "text", "text": " " }, "reply_to": foreign });
    let faults = house.post(&shop, &path, body).await.expect(422)["errors"].clone();
    let pointers: Vec<_> =
        faults.as_array().expect("a list").iter().map(|fault| fault["pointer"].clone()).collect();
    assert_eq!(pointers, [json!("/content/text"), json!("/reply_to")]);
    let event = json!({ "content": { "type": "event", "name": "x", "text": "y" } });
    house.post(&shop, &path, event).await.expect(422);
    let card =
        json!({ "content": { "type": "reaction", "external_message_id": "m1", "emoji": null } });
    house.post(&shop, &path, card).await.expect(202);
    house.call((&shop, Role::Viewer), Method::POST, &path, &[], Some(text("x"))).await.expect(403);
}

#[tokio::test]
async fn a_reply_quotes_the_message_it_answers() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let question = house.messages(&shop).await.remove(0);
    let body =
        json!({ "content": { "type": "text", "text": "This one." }, "reply_to": question["id"] });
    let sent = house.post(&shop, &path, body).await.expect(202);
    assert_eq!(sent["reply_to"], question["id"]);
    house.run().await;
    let last = house.paper.taken().pop().expect("one");
    assert_eq!(last.reply_to.as_deref(), Some("m1"));
}

#[tokio::test]
async fn a_message_to_a_contact_takes_its_last_channel_and_its_window() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let conversation = path.trim_end_matches("/messages").to_owned();
    let to = json!({ "identity": { "namespace": "phone", "value": "+4911" },
        "content": { "type": "text", "text": "One more thing." } });
    house.post(&shop, "/v1/messages", to.clone()).await.expect(202);
    house.patch(&shop, &conversation, json!({ "status": "closed" })).await.expect(200);
    house.post(&shop, &path, text("into a closed one")).await.expect(409);
    let again = house.post(&shop, "/v1/messages", to).await.expect(202);
    assert!(!conversation.ends_with(again["conversation_id"].as_str().expect("an id")));
    house.run().await;
    assert_eq!(house.paper.texts().iter().filter(|text| *text == "One more thing.").count(), 2);
    let nobody = json!({ "identity": { "namespace": "phone", "value": "+49000" },
        "content": { "type": "text", "text": "x" } });
    house.post(&shop, "/v1/messages", nobody).await.expect(404);
    house.post(&shop, "/v1/messages", text("to nobody")).await.expect(422);
    house.later(25 * 3600);
    let late = json!({ "contact_id": house.contact(&shop).await,
        "content": { "type": "text", "text": "late" } });
    assert_eq!(
        house.post(&shop, "/v1/messages", late).await.expect(422)["code"],
        "conversation.window_closed"
    );
}

#[tokio::test]
async fn messages_of_another_tenant_are_not_there() {
    let house = House::new().await;
    let (shop, path) = led(&house).await;
    let other = house.shop("two").await;
    let sent = house.post(&shop, &path, text("secret")).await.expect(202);
    let id = sent["id"].as_str().expect("an id");
    let foreign = house.get(&other, &format!("/v1/messages/{id}")).await;
    let absent = house.get(&other, "/v1/messages/msg_01k8zq5m3ge0r8v0w1x2y3z4a5").await;
    assert_eq!(foreign.status, 404);
    assert_eq!(without_request(&foreign.body), without_request(&absent.body));
    house.get(&other, &path).await.expect(404);
    house.post(&other, &path, text("hello")).await.expect(404);
    let contact = house.contact(&shop).await;
    let to = json!({ "contact_id": contact, "content": { "type": "text", "text": "x" } });
    house.post(&other, "/v1/messages", to).await.expect(404);
}

fn without_request(body: &Value) -> Value {
    let mut body = body.clone();
    body["instance"] = Value::Null;
    body
}
