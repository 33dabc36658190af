//! Room `conversation`: what the API shows, word for word, and whom it shows it to.

use http::Method;
use misy_core::Role;
use serde_json::{Value, json};

use crate::house::{House, Shop};

/// When the hand clock stands.
const NOON: &str = "2026-03-01T12:00:00Z";

/// The same with ids cut to their prefix.
fn known(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() == 30 && text.as_bytes()[3] == b'_' => {
            json!(format!("{}…", &text[..4]))
        }
        Value::String(text) if text.starts_with("out-msg_") => json!("out-msg_…"),
        Value::Array(items) => items.iter().map(known).collect(),
        Value::Object(members) => {
            let known = members.iter().map(|(name, member)| (name.clone(), known(member)));
            Value::Object(known.collect())
        }
        other => other.clone(),
    }
}

async fn answered(house: &House) -> Shop {
    let shop = house.shop("one").await;
    house.teach(&shop, "en", "What are your opening hours?", "9 to 17.").await;
    house.customer_writes(&shop, "+4911", "m1", "What are your opening hours?").await;
    shop
}

#[tokio::test]
async fn a_conversation_shows_its_messages_in_the_unified_form() {
    let house = House::new().await;
    let shop = answered(&house).await;
    let messages = known(&json!(house.messages(&shop).await));
    let question = json!({
        "id": "msg_…", "conversation_id": "cnv_…", "direction": "inbound", "channel_id": "cha_…",
        "author": { "kind": "contact", "id": "con_…" },
        "content": { "type": "text", "text": "What are your opening hours?" },
        "reply_to": null, "status": "delivered", "status_at": { "sent": NOON, "delivered": NOON },
        "external_id": "m1", "failure": null, "citations": [], "created_at": NOON,
    });
    let answer = json!({
        "id": "msg_…", "conversation_id": "cnv_…", "direction": "outbound", "channel_id": "cha_…",
        "author": { "kind": "agent", "id": "knowledge" },
        "content": { "type": "text", "text": "9 to 17." },
        "reply_to": null, "status": "sent", "status_at": { "queued": NOON, "sent": NOON },
        "external_id": "out-msg_…", "failure": null,
        "citations": [{ "knowledge_entry_id": "kno_…", "score": 1.0 }], "created_at": NOON,
    });
    assert_eq!(messages, json!([question, answer]));
}

#[tokio::test]
async fn a_contact_a_conversation_and_an_entry_show_what_they_are() {
    let house = House::new().await;
    let shop = answered(&house).await;
    let identity =
        json!({ "id": "idn_…", "namespace": "phone", "value": "+4911", "created_at": NOON });
    let contact = json!({
        "id": "con_…", "display_name": null, "language": null, "identities": [identity],
        "created_at": NOON, "updated_at": NOON,
    });
    let conversation = json!({
        "id": "cnv_…", "contact_id": "con_…", "channel_id": "cha_…", "status": "open",
        "assignee_id": null, "handed_over_at": null, "taken_over_at": null,
        "last_inbound_at": NOON, "last_message_at": NOON, "created_at": NOON, "updated_at": NOON,
    });
    let entry = json!({
        "id": "kno_…", "question": "What are your opening hours?", "answer": "9 to 17.",
        "language": "en", "tags": [], "created_at": NOON, "updated_at": NOON,
    });
    for (path, only) in [
        ("/v1/contacts", contact),
        ("/v1/conversations", conversation),
        ("/v1/knowledge-entries", entry),
    ] {
        let page = known(&house.get(&shop, path).await.expect(200));
        assert_eq!(page, json!({ "data": [only], "next_cursor": null }), "{path}");
    }
}

#[tokio::test]
async fn a_message_shows_its_attempts() {
    let house = House::new().await;
    let shop = answered(&house).await;
    let answer = house.outbound(&shop).await;
    let path = format!("/v1/messages/{}", answer["id"].as_str().expect("an id"));
    let shown = house.get(&shop, &path).await.expect(200);
    let attempt = json!({ "state": "sent", "failure": null, "started_at": NOON, "ended_at": NOON });
    assert_eq!(shown["attempts"], json!([attempt]));
}

/// Every route, the lowest role that may use it, and a body that it takes.
fn routes(contact: &str, conversation: &str, message: &str, entry: &str) -> Vec<Route> {
    let text = json!({ "content": { "type": "text", "text": "hi" } });
    let to = json!({ "contact_id": contact, "content": { "type": "text", "text": "hi" } });
    let new = json!({ "question": "q", "answer": "a", "language": "en" });
    let route = |method: Method, path: String, least: Role, body: Option<Value>| Route {
        method,
        path,
        least,
        body,
    };
    let (contacts, conversations) = ("/v1/contacts", "/v1/conversations");
    let (contact, conversation) =
        (format!("{contacts}/{contact}"), format!("{conversations}/{conversation}"));
    let entries = "/v1/knowledge-entries";
    let (entry, nothing) = (format!("{entries}/{entry}"), Some(json!({})));
    vec![
        route(Method::GET, contacts.to_owned(), Role::Viewer, None),
        route(Method::GET, contact.clone(), Role::Viewer, None),
        route(Method::GET, format!("{contact}/identities"), Role::Viewer, None),
        route(Method::PATCH, contact, Role::Agent, nothing.clone()),
        route(Method::GET, conversations.to_owned(), Role::Viewer, None),
        route(Method::GET, conversation.clone(), Role::Viewer, None),
        route(Method::PATCH, conversation.clone(), Role::Agent, nothing.clone()),
        route(
            Method::POST,
            format!("{conversation}/assign"),
            Role::Agent,
            Some(json!({ "assignee_id": null })),
        ),
        route(Method::GET, format!("{conversation}/messages"), Role::Viewer, None),
        route(Method::POST, format!("{conversation}/messages"), Role::Agent, Some(text)),
        route(Method::POST, "/v1/messages".to_owned(), Role::Agent, Some(to)),
        route(Method::GET, format!("/v1/messages/{message}"), Role::Viewer, None),
        route(Method::GET, entries.to_owned(), Role::Viewer, None),
        route(Method::POST, entries.to_owned(), Role::Supervisor, Some(new)),
        route(Method::GET, entry.clone(), Role::Viewer, None),
        route(Method::PATCH, entry.clone(), Role::Supervisor, nothing),
        route(Method::DELETE, entry, Role::Supervisor, None),
    ]
}

struct Route {
    method: Method,
    path: String,
    least: Role,
    body: Option<Value>,
}

async fn routes_of(house: &House, shop: &Shop) -> Vec<Route> {
    let (conversation, message) = (house.conversation(shop).await, house.outbound(shop).await);
    let entries = house.get(shop, "/v1/knowledge-entries").await.expect(200);
    let id = |value: &Value| value.as_str().expect("an id").to_owned();
    routes(
        &id(&conversation["contact_id"]),
        &id(&conversation["id"]),
        &id(&message["id"]),
        &id(&entries["data"][0]["id"]),
    )
}

#[tokio::test]
async fn every_route_asks_for_its_right() {
    let house = House::new().await;
    let shop = answered(&house).await;
    for route in routes_of(&house, &shop).await {
        for role in Role::OF_TENANT {
            let Route { method, path, body, least } = &route;
            let answer = house.call((&shop, role), method.clone(), path, &[], body.clone()).await;
            let allowed = answer.status != 403;
            assert_eq!(allowed, role >= *least, "{method} {path} as {}", role.slug());
        }
    }
}

#[tokio::test]
async fn to_another_tenant_every_object_is_like_one_that_never_was() {
    let house = House::new().await;
    let shop = answered(&house).await;
    let stranger = house.shop("two").await;
    let absent = "01k8zq5m3ge0r8v0w1x2y3z4a5";
    let ids = ["con", "cnv", "msg", "kno"].map(|prefix| format!("{prefix}_{absent}"));
    let theirs = routes_of(&house, &shop).await;
    let nobodys = routes(&ids[0], &ids[1], &ids[2], &ids[3]);
    let mut compared = 0;
    for (real, none) in theirs.into_iter().zip(nobodys) {
        if real.path == none.path && real.path != "/v1/messages" {
            continue;
        }
        let admin = (&stranger, Role::Admin);
        let mut one = house.call(admin, real.method.clone(), &real.path, &[], real.body).await;
        let mut two = house.call(admin, none.method, &none.path, &[], none.body).await;
        one.body["instance"] = Value::Null;
        two.body["instance"] = Value::Null;
        assert_eq!(one.status, 404, "{} {}", real.method, real.path);
        assert_eq!((one.status, one.body), (two.status, two.body), "{}", real.path);
        compared += 1;
    }
    assert_eq!(compared, 13);
}

#[tokio::test]
async fn the_same_key_sends_a_message_once() {
    let house = House::new().await;
    let shop = answered(&house).await;
    let id = house.conversation(&shop).await["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/conversations/{id}/messages");
    let body = || Some(json!({ "content": { "type": "text", "text": "once" } }));
    let (agent, key) = ((&shop, Role::Agent), [("idempotency-key", "k1")]);
    let first = house.call(agent, Method::POST, &path, &key, body()).await;
    let second = house.call(agent, Method::POST, &path, &key, body()).await;
    assert_eq!(second.headers["idempotency-replayed"], "true");
    assert_eq!(first.expect(202), second.expect(202));
    house.run().await;
    assert_eq!(house.paper.texts().iter().filter(|text| *text == "once").count(), 1);
}

#[tokio::test]
async fn a_body_with_an_unknown_member_or_of_another_type_is_refused_with_its_place() {
    let house = House::new().await;
    let shop = answered(&house).await;
    let id = house.conversation(&shop).await["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/conversations/{id}/messages");
    for (body, pointer) in [
        (json!({}), "/content"),
        (json!({ "content": { "type": "text" } }), "/content/text"),
        (json!({ "content": { "type": "song", "text": "x" } }), "/content/type"),
        (json!({ "content": { "type": "text", "text": "x" }, "to": "me" }), "/to"),
        (json!({ "content": { "type": "text", "text": "x" }, "reply_to": "con_1" }), "/reply_to"),
    ] {
        let refused = house.post(&shop, &path, body.clone()).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body}");
    }
}
