//! Room `conversation`: conversations open, wait, close, and hold what was said in order.

use http::Method;
use misy_core::Role;
use serde_json::{Value, json};

use crate::house::{House, Shop};

async fn opened(house: &House) -> (Shop, String) {
    let shop = house.shop("one").await;
    house.customer_writes(&shop, "+4911", "m1", "My parcel arrived broken.").await;
    let id = house.conversation(&shop).await["id"].as_str().expect("an id").to_owned();
    (shop, format!("/v1/conversations/{id}"))
}

async fn listed(house: &House, shop: &Shop, query: &str) -> usize {
    let page = house.get(shop, &format!("/v1/conversations?{query}")).await.expect(200);
    page["data"].as_array().expect("a list").len()
}

#[tokio::test]
async fn a_message_after_the_end_begins_another_conversation() {
    let house = House::new().await;
    let (shop, path) = opened(&house).await;
    house.patch(&shop, &path, json!({ "status": "closed" })).await.expect(200);
    house.customer_writes(&shop, "+4911", "m2", "It is me again.").await;
    assert_eq!(listed(&house, &shop, "").await, 2);
    assert_eq!(listed(&house, &shop, "status=closed").await, 1);
    let reopened = house.patch(&shop, &path, json!({ "status": "open" })).await;
    assert_eq!(reopened.expect(409)["code"], "request.conflict");
}

#[tokio::test]
async fn conversations_are_found_by_what_they_have() {
    let house = House::new().await;
    let (shop, path) = opened(&house).await;
    let (person, seen) = (house.person(&shop).await, house.conversation(&shop).await);
    house.patch(&shop, &path, json!({ "assignee_id": person })).await.expect(200);
    let contact = seen["contact_id"].as_str().expect("an id");
    for (query, number) in [
        (format!("contact_id={contact}"), 1),
        (format!("channel_id={}", shop.channel), 1),
        (format!("assignee_id={person}"), 1),
        (format!("assignee_id={person}&status=open"), 0),
        ("contact_id=con_01k8zq5m3ge0r8v0w1x2y3z4a5".to_owned(), 0),
    ] {
        assert_eq!(listed(&house, &shop, &query).await, number, "{query}");
    }
    house.get(&shop, "/v1/conversations?colour=red").await.expect(400);
    house.get(&shop, "/v1/conversations?status=lost").await.expect(422);
}

#[tokio::test]
async fn only_people_of_the_tenant_can_be_assigned() {
    let house = House::new().await;
    let (shop, path) = opened(&house).await;
    let stranger = house.person(&house.shop("two").await).await;
    let assign = json!({ "assignee_id": stranger });
    let refused = house.post(&shop, &format!("{path}/assign"), assign).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/assignee_id");
    let person = house.person(&shop).await;
    let assign = json!({ "assignee_id": person });
    house.post(&shop, &format!("{path}/assign"), assign).await.expect(200);
    let nobody = json!({ "assignee_id": null });
    let freed = house.post(&shop, &format!("{path}/assign"), nobody).await.expect(200);
    assert_eq!(freed["assignee_id"], Value::Null);
    assert!(freed["taken_over_at"].is_string(), "it stays with people until it is given back");
}

#[tokio::test]
async fn a_change_needs_the_newest_version_and_the_right() {
    let house = House::new().await;
    let (shop, path) = opened(&house).await;
    let tag = house.get(&shop, &path).await.tag();
    let seen = [("if-match", tag.as_str())];
    let (waiting, closed) = (json!({ "status": "waiting" }), json!({ "status": "closed" }));
    let agent = (&shop, Role::Agent);
    house.call(agent, Method::PATCH, &path, &seen, Some(closed)).await.expect(200);
    house.call(agent, Method::PATCH, &path, &seen, Some(waiting.clone())).await.expect(412);
    let viewer = (&shop, Role::Viewer);
    house.call(viewer, Method::PATCH, &path, &[], Some(waiting)).await.expect(403);
    house.call(viewer, Method::GET, &path, &[], None).await.expect(200);
}

#[tokio::test]
async fn messages_are_listed_in_the_order_in_which_they_came() {
    let house = House::new().await;
    let (shop, path) = opened(&house).await;
    let batch: Vec<Value> = (0..6)
        .map(|n| {
            let (id, text) = (format!("b{n}"), n.to_string());
            json!({ "kind": "message", "id": id, "from": "+4911", "text": text })
        })
        .collect();
    house.hears(&shop, json!(batch)).await;
    let texts = async |query: &str| {
        let page = house.get(&shop, &format!("{path}/messages?{query}")).await.expect(200);
        let all = page["data"].as_array().expect("a list").clone();
        let text = |one: &Value| one["content"]["text"].as_str().unwrap_or_default().to_owned();
        (all.iter().map(text).collect::<Vec<_>>(), page["next_cursor"].clone())
    };
    let (newest, cursor) = texts("order=desc&limit=3").await;
    assert_eq!(newest, ["5", "4", "3"]);
    let cursor = cursor.as_str().expect("more").to_owned();
    let (older, _) = texts(&format!("order=desc&limit=3&cursor={cursor}")).await;
    assert_eq!(older, ["2", "1", "0"]);
    let (oldest, _) = texts("limit=1").await;
    assert_eq!(oldest, ["My parcel arrived broken."]);
}

#[tokio::test]
async fn a_reply_of_the_customer_names_the_message_it_answers() {
    let house = House::new().await;
    let (shop, _) = opened(&house).await;
    let batch = json!([
        { "kind": "message", "id": "m2", "from": "+4911", "text": "this", "reply_to": "m1" },
        { "kind": "message", "id": "m3", "from": "+4911", "text": "and this", "reply_to": "m2" },
        { "kind": "message", "id": "m4", "from": "+4911", "text": "what?", "reply_to": "gone" },
    ]);
    house.hears(&shop, batch).await;
    let mut all = house.messages(&shop).await;
    all.retain(|message| message["direction"] == "inbound");
    assert_eq!(all[1]["reply_to"], all[0]["id"]);
    assert_eq!(all[2]["reply_to"], all[1]["id"], "in the same delivery");
    assert_eq!(all[3]["reply_to"], Value::Null);
}

#[tokio::test]
async fn an_edited_message_says_the_new_and_one_that_was_taken_back_nothing() {
    let house = House::new().await;
    let (shop, _) = opened(&house).await;
    let edits = json!([
        { "kind": "edit", "id": "m1", "from": "+4911", "text": "My parcel is fine." },
        { "kind": "edit", "id": "unknown", "from": "+4911", "text": "?" },
    ]);
    house.hears(&shop, edits).await;
    assert_eq!(house.messages(&shop).await[0]["content"]["text"], "My parcel is fine.");
    house.hears(&shop, json!([{ "kind": "revoke", "id": "m1", "from": "+4911" }])).await;
    let late =
        json!([{ "kind": "edit", "id": "m1", "from": "+4911", "text": "My parcel is fine." }]);
    house.hears(&shop, late).await;
    let gone = house.messages(&shop).await.remove(0);
    assert_eq!(gone["content"]["type"], "event");
    assert!(!gone.to_string().contains("parcel"), "{gone}");
}

#[tokio::test]
async fn what_the_business_writes_with_another_tool_is_shown_and_silences_the_responder() {
    let house = House::new().await;
    let (shop, _) = opened(&house).await;
    house.teach(&shop, "en", "What are your opening hours?", "9 to 17.").await;
    let echo =
        json!({ "kind": "echo", "id": "e1", "from": "+4911", "text": "Ann here, one moment." });
    house.hears(&shop, json!([echo, echo])).await;
    let all = house.messages(&shop).await;
    let shown = all.last().expect("one");
    assert_eq!(shown["author"], json!({ "kind": "user", "id": null }));
    assert_eq!((&shown["direction"], &shown["status"]), (&json!("outbound"), &json!("sent")));
    house.customer_writes(&shop, "+4911", "m2", "What are your opening hours?").await;
    assert!(!house.paper.texts().contains(&"9 to 17.".to_owned()));
}

#[tokio::test]
async fn conversations_of_another_tenant_are_not_there() {
    let house = House::new().await;
    let (_, path) = opened(&house).await;
    let other = house.shop("two").await;
    house.get(&other, &path).await.expect(404);
    house.get(&other, &format!("{path}/messages")).await.expect(404);
    house.patch(&other, &path, json!({ "status": "closed" })).await.expect(404);
    let assign = json!({ "assignee_id": null });
    house.post(&other, &format!("{path}/assign"), assign).await.expect(404);
    assert_eq!(listed(&house, &other, "").await, 0);
}

#[tokio::test]
async fn what_a_plan_does_not_allow_is_neither_sent_nor_written() {
    let house = House::new().await;
    let (shop, path) = opened(&house).await;
    let path = format!("{path}/messages");
    let say = |text: &str| json!({ "content": { "type": "text", "text": text } });
    *house.budget.0.lock().expect("no panic") = Some(1);
    house.post(&shop, &path, say("one")).await.expect(202);
    let refused = house.post(&shop, &path, say("two")).await.expect(403);
    assert_eq!(refused["code"], "quota.exceeded");
    let detail = refused["detail"].as_str().expect("text");
    assert!(detail.contains("messages_per_month") && detail.contains("/quotas"), "{detail}");
    let all = house.get(&shop, &path).await.expect(200);
    let all = all["data"].as_array().expect("a list");
    let texts: Vec<_> = all.iter().filter_map(|one| one["content"]["text"].as_str()).collect();
    assert_eq!(all.len(), 3, "the customer's, the responder's and the first one: {texts:?}");
    assert!(texts.contains(&"one") && !texts.contains(&"two"), "{texts:?}");
    *house.budget.0.lock().expect("no panic") = Some(9);
    house.post(&shop, &path, say("two")).await.expect(202);
}
