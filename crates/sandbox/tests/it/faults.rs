//! Room `sandbox`: the faults that can be ordered.

use misy_core::crypto;
use serde_json::{Value, json};

use crate::harness::{CUSTOMER, Stage, text_message};

#[tokio::test]
async fn each_webhook_arrives_as_often_as_ordered() {
    let stage = Stage::set().await;
    stage.behave(json!({"duplicates": 3})).await;
    let id = stage.say_text("hello").await;
    stage.receiver.until(|it| it.posts().len() >= 3).await;
    stage.settle().await;
    let posts = stage.receiver.posts();
    assert_eq!(posts.len(), 3);
    assert!(posts.iter().all(|post| post.body == posts[0].body));
    assert_eq!(posts[0].items("messages")[0]["id"], id.as_str());
}

#[tokio::test]
async fn webhooks_arrive_out_of_order() {
    let stage = Stage::set().await;
    stage.behave(json!({"reorder": 4})).await;
    let messages: Vec<Value> =
        (0..8).map(|n| json!({"from": CUSTOMER, "text": n.to_string()})).collect();
    stage.script("POST", "/messages", json!({"messages": messages})).await;
    let seen = stage.receiver.until_items("messages", 8).await;
    let texts: Vec<&str> = seen.iter().filter_map(|it| it["text"]["body"].as_str()).collect();
    assert_eq!(texts, ["3", "2", "1", "0", "7", "6", "5", "4"]);
}

#[tokio::test]
async fn several_webhooks_travel_in_one_post() {
    let stage = Stage::set().await;
    stage.behave(json!({"batch": 10})).await;
    let messages: Vec<Value> = (0..10)
        .map(|n| json!({"from": format!("49151555000{n}"), "text": n.to_string()}))
        .collect();
    stage.script("POST", "/messages", json!({"messages": messages})).await;
    stage.receiver.until_items("messages", 10).await;
    let posts = stage.receiver.posts();
    assert_eq!(posts.len(), 1);
    let body = posts[0].json();
    assert_eq!(body["entry"].as_array().map(Vec::len), Some(3));
    let first = &body["entry"][0]["changes"][0]["value"];
    assert_eq!(first["messages"].as_array().map(Vec::len), Some(2));
    assert_eq!(first["contacts"].as_array().map(Vec::len), Some(2));
    assert_eq!(stage.settle().await["webhooks_delivered"], 10);
}

#[tokio::test]
async fn a_status_arrives_before_the_answer_to_the_send() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    stage.behave(json!({"status_before_response": true, "offline": [CUSTOMER]})).await;
    let mut body = text_message(CUSTOMER, "answer");
    body["biz_opaque_callback_data"] = "our-own-id".into();
    let answer = stage.send(body).await;
    let statuses = stage.receiver.items("statuses");
    assert_eq!(statuses.len(), 1);
    assert_eq!(statuses[0]["id"], answer.wamid().as_str());
    assert_eq!(statuses[0]["biz_opaque_callback_data"], "our-own-id");
}

#[tokio::test]
async fn an_answer_is_lost_after_the_message_was_accepted() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    stage.behave(json!({"lose_response": 1})).await;
    let mut body = text_message(CUSTOMER, "answer");
    body["biz_opaque_callback_data"] = "attempt".into();
    let path = format!("/v25.0/{}/messages", stage.number());
    let lost = stage.request("POST", &path).bearer_auth(stage.token()).json(&body).send().await;
    assert!(lost.is_err());
    let second = stage.send(body).await.wamid();
    let outbound = stage.look("/outbound").await;
    let data = outbound["data"].as_array().expect("a list");
    assert_eq!(data.len(), 2);
    assert!(data.iter().all(|it| it["biz_opaque_callback_data"] == "attempt"));
    assert_eq!(data[1]["id"], second.as_str());
    let first = data[0]["id"].as_str().expect("an id");
    let status = stage.receiver.until_status(first, "read").await;
    assert_eq!(status["biz_opaque_callback_data"], "attempt");
}

#[tokio::test]
async fn the_next_messages_fail_as_ordered() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    stage.behave(json!({"fail_next": {"code": 131_016, "times": 2}})).await;
    for _ in 0..2 {
        let answer = stage.send_text("answer").await;
        assert_eq!((answer.status, answer.code()), (500, 131_016));
    }
    stage.send_text("answer").await.wamid();
    stage.behave(json!({"fail_next": {"code": 130_472, "asynchronous": true}})).await;
    let id = stage.send_text("answer").await.wamid();
    let failed = stage.receiver.until_status(&id, "failed").await;
    assert_eq!(failed["errors"][0]["code"], 130_472);
    assert_eq!(stage.look("/stats").await["outbound"], 2);
}

#[tokio::test]
async fn a_wrong_signature_can_be_ordered() {
    let stage = Stage::set().await;
    stage.behave(json!({"bad_signature": true})).await;
    stage.say_text("hello").await;
    stage.receiver.until_items("messages", 1).await;
    let post = &stage.receiver.posts()[0];
    let right = crypto::to_hex(&crypto::hmac_sha256(stage.secret().as_bytes(), &post.body));
    assert_ne!(post.header("x-hub-signature-256"), format!("sha256={right}"));
    assert_eq!(post.header("x-hub-signature-256").len(), 71);
}

#[tokio::test]
async fn an_offline_phone_gets_its_messages_when_it_is_back() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    stage.behave(json!({"offline": ["+49 151 5550001"]})).await;
    let id = stage.send_text("answer").await.wamid();
    stage.receiver.until_status(&id, "sent").await;
    let view = stage.look(&format!("/phones/{CUSTOMER}")).await;
    assert_eq!(view["messages"][1]["status"], "sent");
    stage.behave(json!({"offline": [], "read": false})).await;
    stage.receiver.until_status(&id, "delivered").await;
    stage.behave(json!({"read": true})).await;
    stage.receiver.until_status(&id, "read").await;
    let words: Vec<Value> =
        stage.receiver.items("statuses").iter().map(|it| it["status"].clone()).collect();
    assert_eq!(words, ["sent", "delivered", "read"]);
}

#[tokio::test]
async fn an_unknown_behaviour_is_refused_and_null_gives_the_default() {
    let stage = Stage::set().await;
    let answer = stage.script("PATCH", "/behaviour", json!({"moody": true})).await;
    assert_eq!(answer.status, 422);
    stage.behave(json!({"mps": 7, "duplicates": 2})).await;
    stage.behave(json!({"mps": null})).await;
    let now = stage.look("/behaviour").await;
    assert_eq!((&now["mps"], &now["duplicates"]), (&json!(80), &json!(2)));
    let answer = stage.script("PATCH", "/behaviour", json!({"connections": 0})).await;
    assert_eq!(answer.status, 422);
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let stage = Stage::set().await;
    stage.behave(json!({"token_expires_at": "2020-01-01T00:00:00Z"})).await;
    let answer = stage.send_text("answer").await;
    assert_eq!((answer.status, answer.code()), (401, 190));
    assert_eq!(answer.body["error"]["error_subcode"], 463);
}
