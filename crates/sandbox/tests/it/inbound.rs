//! Room `sandbox`: every kind of message that a customer can send.

use serde_json::{Value, json};

use crate::harness::{CUSTOMER, Stage};

/// Lets the customer do something and gives the message object that the receiver got.
async fn hear(stage: &Stage, mut said: Value) -> Value {
    said["from"] = CUSTOMER.into();
    let id = stage.say(said).await;
    stage
        .receiver
        .until(|it| it.items("messages").iter().any(|message| message["id"] == id.as_str()))
        .await;
    let messages = stage.receiver.items("messages");
    messages.into_iter().find(|message| message["id"] == id.as_str()).expect("just seen")
}

#[tokio::test]
async fn media_carry_what_is_needed_to_fetch_them() {
    let stage = Stage::set().await;
    let kinds = [
        ("image", "image", "image/png"),
        ("video", "video", "video/mp4"),
        ("document", "document", "application/pdf"),
        ("sticker", "sticker", "image/webp"),
        ("audio", "audio", "audio/mpeg"),
        ("voice", "audio", "audio/ogg; codecs=opus"),
    ];
    for (kind, wire_kind, mime_type) in kinds {
        let message = hear(&stage, json!({"type": kind, "caption": "c"})).await;
        assert_eq!(message["type"], wire_kind);
        let content = &message[wire_kind];
        assert_eq!(content["mime_type"], mime_type);
        let id = content["id"].as_str().expect("an id");
        let file = stage.graph("GET", &format!("/{id}"), Value::Null).await;
        assert_eq!(file.body["mime_type"], mime_type);
        assert_eq!(content["sha256"].as_str().map(str::len), Some(44));
        if wire_kind == "audio" {
            assert_eq!(content["voice"], kind == "voice");
        }
    }
}

#[tokio::test]
async fn a_file_arrives_byte_for_byte() {
    let stage = Stage::set().await;
    let said = json!({"type": "document", "data": "aGVsbG8=", "mime_type": "text/plain",
        "filename": "grüße.txt"});
    let message = hear(&stage, said).await;
    assert_eq!(message["document"]["filename"], "grüße.txt");
    let url = message["document"]["url"].as_str().expect("an address");
    let response = crate::harness::client().get(url).bearer_auth(stage.token()).send().await;
    let response = response.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert_eq!(response.bytes().await.expect("bytes").as_ref(), b"hello");
}

#[tokio::test]
async fn choices_name_the_message_they_answer() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    let question = stage.send_text("choose").await.wamid();
    let said = json!({"type": "button_reply", "id": "yes", "title": "Yes", "reply_to": question});
    let message = hear(&stage, said).await;
    let reply = json!({"type": "button_reply", "button_reply": {"id": "yes", "title": "Yes"}});
    assert_eq!((&message["type"], &message["interactive"]), (&json!("interactive"), &reply));
    assert_eq!(message["context"], json!({"from": "15550100001", "id": question}));

    let said = json!({"type": "list_reply", "id": "r1", "title": "Row", "description": "d"});
    let message = hear(&stage, said).await;
    assert_eq!(
        message["interactive"]["list_reply"],
        json!({"id": "r1", "title": "Row", "description": "d"})
    );
    let message = hear(&stage, json!({"type": "button", "text": "Stop", "payload": "STOP"})).await;
    assert_eq!(message["button"], json!({"text": "Stop", "payload": "STOP"}));
    let message = hear(&stage, json!({"type": "flow_reply", "response_json": "{\"a\":1}"})).await;
    assert_eq!(message["interactive"]["nfm_reply"]["response_json"], "{\"a\":1}");
}

#[tokio::test]
async fn a_reaction_an_edit_and_a_revocation_name_their_message() {
    let stage = Stage::set().await;
    let first = stage.say_text("helo").await;
    let answer = stage.send_text("answer").await.wamid();
    let message =
        hear(&stage, json!({"type": "reaction", "message_id": answer, "emoji": "👍"})).await;
    assert_eq!(message["reaction"], json!({"message_id": answer, "emoji": "👍"}));
    let message = hear(&stage, json!({"type": "edit", "message_id": first, "text": "hello"})).await;
    assert_eq!(message["edit"]["original_message_id"], first.as_str());
    assert_eq!(message["edit"]["message"]["text"]["body"], "hello");
    let message = hear(&stage, json!({"type": "revoke", "message_id": first})).await;
    assert_eq!(message["revoke"], json!({"original_message_id": first}));
}

#[tokio::test]
async fn the_rarer_kinds_have_metas_shape() {
    let stage = Stage::set().await;
    let said = json!({"type": "location", "latitude": 52.5, "longitude": 13.4, "place": "Berlin"});
    let message = hear(&stage, said).await;
    assert_eq!(message["location"], json!({"latitude": 52.5, "longitude": 13.4, "name": "Berlin"}));
    let message = hear(&stage, json!({"type": "contacts"})).await;
    assert_eq!(message["contacts"][0]["name"]["first_name"], "Lucía");
    let message = hear(&stage, json!({"type": "order"})).await;
    assert_eq!(message["order"]["product_items"][0]["quantity"], 2);
    let message = hear(&stage, json!({"type": "unsupported"})).await;
    assert_eq!(message["errors"][0]["code"], 131_051);
    let message = hear(&stage, json!({"type": "system", "new_phone": "+12195555358"})).await;
    assert_eq!(message["system"]["wa_id"], "12195555358");
    let message = hear(&stage, json!({"type": "request_welcome"})).await;
    assert_eq!(message["type"], "request_welcome");
    let referral = json!({"source_type": "ad", "ctwa_clid": "x"});
    let message =
        hear(&stage, json!({"text": "hi", "referral": referral, "forwarded": true})).await;
    assert_eq!(
        (&message["referral"], &message["context"]),
        (&referral, &json!({"forwarded": true}))
    );
}

#[tokio::test]
async fn what_a_customer_cannot_say_is_refused() {
    let stage = Stage::set().await;
    let wrong = [
        json!({"text": "who am I?"}),
        json!({"from": "somebody", "text": "hi"}),
        json!({"from": CUSTOMER, "type": "text"}),
        json!({"from": CUSTOMER, "type": "telepathy"}),
        json!({"from": CUSTOMER, "text": "hi", "colour": "red"}),
        json!({"from": CUSTOMER, "type": "image", "data": "!"}),
        json!({"from": CUSTOMER, "text": "hi", "user_id": "anna"}),
        json!({"messages": [{"from": CUSTOMER, "text": "good"}, {"from": CUSTOMER}]}),
    ];
    for said in wrong {
        let shown = said.to_string();
        let answer = stage.script("POST", "/messages", said).await;
        assert_eq!(answer.status, 422, "{shown}");
        assert!(answer.body["error"]["message"].is_string());
    }
    assert_eq!(stage.look("/stats").await["inbound"], 0);
}
