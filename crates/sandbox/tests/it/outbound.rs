//! Room `sandbox`: what a business sends, and what becomes of it.

use serde_json::{Value, json};

use crate::harness::{CUSTOMER, Stage, text_message};

#[tokio::test]
async fn a_message_is_accepted_and_then_sent_delivered_and_read() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    let mut body = text_message("+49 (151) 5550001", "answer");
    body["biz_opaque_callback_data"] = "our-id".into();
    let answer = stage.send(body).await;
    let id = answer.wamid();
    let user_id = answer.body["contacts"][0]["user_id"].clone();
    let expected = json!({
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+49 (151) 5550001", "wa_id": CUSTOMER, "user_id": user_id}],
        "messages": [{"id": id, "message_status": "accepted"}],
    });
    assert_eq!(answer.body, expected);
    assert_eq!(answer.headers["facebook-api-version"], "v25.0");
    stage.receiver.until_status(&id, "read").await;
    let statuses = stage.receiver.items("statuses");
    let words: Vec<&str> = statuses.iter().filter_map(|it| it["status"].as_str()).collect();
    assert_eq!(words, ["sent", "delivered", "read"]);
    let conversation = statuses[0]["conversation"]["id"].clone();
    let sent = json!({
        "id": id, "status": "sent", "timestamp": "1790000000", "recipient_id": CUSTOMER,
        "recipient_user_id": user_id, "biz_opaque_callback_data": "our-id",
        "conversation": {
            "id": conversation, "origin": {"type": "service"}, "expiration_timestamp": "1790086400",
        },
        "pricing": {
            "billable": false, "pricing_model": "PMP", "category": "service",
            "type": "free_customer_service",
        },
    });
    assert_eq!(statuses[0], sent);
    assert!(statuses[1]["conversation"].get("expiration_timestamp").is_none());
}

#[tokio::test]
async fn the_phone_shows_the_chat_both_ways_in_order() {
    let stage = Stage::set().await;
    let question = stage.say_text("what are your opening hours?").await;
    let mut body = text_message(CUSTOMER, "9 to 5");
    body["context"] = json!({"message_id": question});
    let id = stage.send(body).await.wamid();
    stage.receiver.until_status(&id, "read").await;
    let view = stage.look(&format!("/phones/{CUSTOMER}")).await;
    assert_eq!((&view["name"], &view["window"]["open"]), (&json!("Jörg"), &json!(true)));
    let messages = view["messages"].as_array().expect("a list");
    let of = |n: usize, key: &str| messages[n][key].clone();
    assert_eq!((of(0, "direction"), of(1, "direction")), (json!("in"), json!("out")));
    assert_eq!((of(0, "id"), of(1, "id")), (json!(question), json!(id)));
    assert_eq!(messages[1]["payload"]["context"]["message_id"], question.as_str());
    assert_eq!(messages[1]["status"], "read");
    let path = format!("/phones/{CUSTOMER}?revision={}", view["revision"]);
    assert_eq!(stage.script("GET", &path, Value::Null).await.status, 204);
    stage.say_text("thanks").await;
    assert_eq!(stage.script("GET", &path, Value::Null).await.status, 200);
    let last = stage.look(&format!("/phones/{CUSTOMER}?last=1")).await;
    assert_eq!(last["messages"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_read_mark_covers_all_before_it_and_typing_ends_with_the_answer() {
    let stage = Stage::set().await;
    stage.say_text("one").await;
    let second = stage.say_text("two").await;
    stage.say_text("three").await;
    let mark = json!({
        "messaging_product": "whatsapp", "status": "read", "message_id": second,
        "typing_indicator": {"type": "text"},
    });
    assert_eq!(stage.send(mark).await.body, json!({"success": true}));
    let view = stage.look(&format!("/phones/{CUSTOMER}")).await;
    let reads: Vec<Value> =
        view["messages"].as_array().expect("a list").iter().map(|it| it["read"].clone()).collect();
    assert_eq!(reads, [true, true, false]);
    assert_eq!(view["typing"], true);
    stage.advance_s(25);
    assert_eq!(stage.look(&format!("/phones/{CUSTOMER}")).await["typing"], false);
    stage.advance_s(-25);
    stage.send_text("answer").await.wamid();
    assert_eq!(stage.look(&format!("/phones/{CUSTOMER}")).await["typing"], false);
}

#[tokio::test]
async fn outbound_lists_every_message_once_and_goes_on_after_the_last() {
    let stage = Stage::set().await;
    let mut sent = Vec::new();
    for n in 0..5 {
        stage.say_text("again").await;
        sent.push(stage.send_text(&n.to_string()).await.wamid());
    }
    let first = stage.look("/outbound?limit=3").await;
    let rest = stage.look(&format!("/outbound?after={}", first["next"])).await;
    let ids = |page: &Value| -> Vec<String> {
        let data = page["data"].as_array().expect("a list").iter();
        data.map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!((ids(&first).len(), [ids(&first), ids(&rest)].concat()), (3, sent));
    let end = stage.look(&format!("/outbound?after={}", rest["next"])).await;
    assert_eq!((ids(&end).len(), &end["next"]), (0, &rest["next"]));
}

#[tokio::test]
async fn a_user_whose_number_is_hidden_is_reached_by_user_id() {
    let stage = Stage::set().await;
    let user = "DE.13491208655302741918";
    stage.say(json!({"user_id": user, "name": "@anna", "text": "hi"})).await;
    stage.receiver.until_items("messages", 1).await;
    let change = stage.receiver.posts()[0].changes()[0].clone();
    let contact = json!({"profile": {"name": "@anna"}, "user_id": user});
    assert_eq!(change["value"]["contacts"], json!([contact]));
    assert!(change["value"]["messages"][0].get("from").is_none());
    assert_eq!(change["value"]["messages"][0]["from_user_id"], user);

    let body = json!({"messaging_product": "whatsapp", "recipient": user, "text": {"body": "yes"}});
    let answer = stage.send(body).await;
    assert_eq!(answer.body["contacts"], json!([{"input": user, "user_id": user}]));
    let read = stage.receiver.until_status(&answer.wamid(), "read").await;
    assert!(read.get("recipient_id").is_none());
    assert_eq!(read["recipient_user_id"], user);
    let view = stage.look(&format!("/phones/{user}")).await;
    assert_eq!(view["messages"].as_array().map(Vec::len), Some(2));

    let stranger =
        json!({"messaging_product": "whatsapp", "recipient": "DE.1", "text": {"body": "?"}});
    let refused = stage.send(stranger).await;
    assert_eq!((refused.status, refused.code()), (400, 131_026));
    let malformed =
        json!({"messaging_product": "whatsapp", "recipient": "anna", "text": {"body": "?"}});
    assert_eq!(stage.send(malformed).await.code(), 131_009);
}

#[tokio::test]
async fn a_known_number_is_hidden_on_demand_and_the_number_wins_over_the_user_id() {
    let stage = Stage::set().await;
    stage.say(json!({"from": CUSTOMER, "bsuid_only": true, "text": "hi"})).await;
    let seen = stage.receiver.until_items("messages", 1).await;
    assert!(seen[0].get("from").is_none());
    let user = seen[0]["from_user_id"].clone();
    let body = json!({
        "messaging_product": "whatsapp", "to": CUSTOMER, "recipient": "DE.1",
        "text": {"body": "yes"},
    });
    let answer = stage.send(body).await;
    assert_eq!(answer.body["contacts"][0]["wa_id"], CUSTOMER);
    let status = stage.receiver.until_status(&answer.wamid(), "sent").await;
    assert_eq!((status.get("recipient_id"), &status["recipient_user_id"]), (None, &user));
}

#[tokio::test]
async fn every_kind_of_message_is_taken() {
    let stage = Stage::set().await;
    let question = stage.say_text("hello").await;
    let contents = [
        ("image", json!({"link": "https://example.com/a.png", "caption": "c"})),
        ("audio", json!({"link": "https://example.com/a.ogg", "voice": true})),
        ("video", json!({"link": "https://example.com/a.mp4"})),
        ("document", json!({"link": "https://example.com/a.pdf", "filename": "a.pdf"})),
        ("sticker", json!({"link": "https://example.com/a.webp"})),
        ("location", json!({"latitude": "37.75", "longitude": -122.4, "name": "HQ"})),
        ("reaction", json!({"message_id": question, "emoji": "👍🏽"})),
        ("reaction", json!({"message_id": question, "emoji": ""})),
        (
            "interactive",
            json!({"type": "location_request_message", "body": {"text": "where?"},
            "action": {"name": "send_location"}}),
        ),
    ];
    for (kind, content) in contents {
        let body = json!({
            "messaging_product": "whatsapp", "to": CUSTOMER, "type": kind, kind: content,
            "context": {"message_id": question},
        });
        let id = stage.send(body).await.wamid();
        stage.receiver.until_status(&id, "sent").await;
    }
    let outbound = stage.look("/outbound").await;
    let kinds: Vec<&str> = outbound["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["type"].as_str())
        .collect();
    assert_eq!(kinds.len(), 9);
    assert_eq!(kinds[5], "location");
}
