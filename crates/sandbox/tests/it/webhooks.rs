//! Room `sandbox`: what a receiver of webhooks sees.

use misy_core::crypto;
use serde_json::{Value, json};

use crate::harness::{CUSTOMER, Stage};

#[tokio::test]
async fn a_webhook_is_signed_over_the_escaped_bytes() {
    let stage = Stage::set().await;
    stage.say_text("Grüße 😀 https://example.com/a").await;
    stage.receiver.until_items("messages", 1).await;
    let post = &stage.receiver.posts()[0];
    let text = std::str::from_utf8(&post.body).expect("ASCII");
    assert!(text.is_ascii());
    assert!(text.contains(r"Gr\u00fc\u00dfe \ud83d\ude00 https:\/\/example.com\/a"), "{text}");
    let expected = crypto::hmac_sha256(stage.secret().as_bytes(), &post.body);
    let signature = post.header("x-hub-signature-256");
    assert_eq!(signature, format!("sha256={}", crypto::to_hex(&expected)));
    assert_eq!(signature.len(), 71);
    assert_eq!(post.header("user-agent"), "facebookexternalua");
    assert_eq!(post.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_webhook_has_the_shape_of_metas() {
    let stage = Stage::set().await;
    let id = stage.say_text("hello").await;
    stage.receiver.until_items("messages", 1).await;
    let body = stage.receiver.posts()[0].json();
    assert_eq!(body["object"], "whatsapp_business_account");
    assert_eq!(body["entry"][0]["id"], stage.waba());
    let change = &body["entry"][0]["changes"][0];
    assert_eq!(change["field"], "messages");
    let user_id = change["value"]["contacts"][0]["user_id"].clone();
    let expected = json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550100001", "phone_number_id": stage.number()},
        "contacts": [{"profile": {"name": "Jörg"}, "wa_id": CUSTOMER, "user_id": user_id}],
        "messages": [{
            "from": CUSTOMER, "from_user_id": user_id, "id": id, "timestamp": "1790000000",
            "type": "text", "text": {"body": "hello"},
        }],
    });
    assert_eq!(change["value"], expected);
}

#[tokio::test]
async fn a_receiver_that_does_not_echo_the_challenge_is_refused() {
    let stage = Stage::set().await;
    stage.receiver.will_challenge("something else");
    let answer = stage.script("PUT", "/webhook", json!({"url": stage.receiver.url})).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.body["error"]["receiver"]["body"], "something else");
    assert_eq!(answer.body["error"]["receiver"]["status"], 200);
}

#[tokio::test]
async fn a_receiver_that_does_not_know_the_verify_token_is_refused() {
    let stage = Stage::set().await;
    let body = json!({"url": stage.receiver.url, "verify_token": "another"});
    let answer = stage.script("PUT", "/webhook", body).await;
    assert_eq!((answer.status, &answer.body["error"]["receiver"]["status"]), (422, &json!(403)));
    let unreachable = json!({"url": "http://127.0.0.1:1/hook"});
    assert_eq!(stage.script("PUT", "/webhook", unreachable).await.status, 422);
    let kept = stage.look("").await;
    assert_eq!(kept["webhook_url"], stage.receiver.url);
}

#[tokio::test]
async fn a_webhook_is_repeated_until_it_is_acknowledged_with_200() {
    let stage = Stage::set().await;
    stage.receiver.will_answer(&[500, 202, 301, 404]);
    let first = stage.say_text("first").await;
    let second = stage.say_text("second").await;
    stage.receiver.until(|it| it.posts().len() >= 6).await;
    let ids: Vec<Value> =
        stage.receiver.items("messages").iter().map(|message| message["id"].clone()).collect();
    let first = json!(first);
    assert_eq!(ids, [vec![first; 5], vec![json!(second)]].concat());
    let stats = stage.look("/stats").await;
    assert_eq!((&stats["webhook_failures"], &stats["inbound"]), (&json!(4), &json!(2)));
}

#[tokio::test]
async fn webhooks_of_one_account_arrive_in_order() {
    let stage = Stage::set().await;
    let messages: Vec<Value> = (0..200)
        .map(|n| json!({"from": format!("4915155500{:02}", n % 20), "text": n.to_string()}))
        .collect();
    let answer = stage.script("POST", "/messages", json!({"messages": messages})).await;
    assert_eq!(answer.body["messages"].as_array().map(Vec::len), Some(200));
    let seen = stage.receiver.until_items("messages", 200).await;
    let texts: Vec<String> =
        seen.iter().map(|it| it["text"]["body"].as_str().expect("text").to_owned()).collect();
    assert_eq!(texts, (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn with_several_connections_the_order_of_each_chat_is_kept() {
    let stage = Stage::set().await;
    stage.behave(json!({"connections": 16})).await;
    let messages: Vec<Value> = (0..400)
        .map(|n| json!({"from": format!("4915155500{:02}", n % 20), "text": n.to_string()}))
        .collect();
    stage.script("POST", "/messages", json!({"messages": messages})).await;
    let seen = stage.receiver.until_items("messages", 400).await;
    for phone in 0..20 {
        let phone = format!("4915155500{phone:02}");
        let mine = seen.iter().filter(|it| it["from"] == phone.as_str());
        let numbers: Vec<u32> = mine
            .map(|it| it["text"]["body"].as_str().and_then(|t| t.parse().ok()).expect("n"))
            .collect();
        assert_eq!(numbers.len(), 20);
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
}

#[tokio::test]
async fn an_account_that_is_not_subscribed_gets_nothing() {
    let stage = Stage::set().await;
    let apps = format!("/{}/subscribed_apps", stage.waba());
    assert_eq!(stage.graph("DELETE", &apps, Value::Null).await.body, json!({"success": true}));
    stage.say_text("unheard").await;
    assert_eq!(stage.graph("POST", &apps, json!({})).await.body, json!({"success": true}));
    let heard = stage.say_text("heard").await;
    let seen = stage.receiver.until_items("messages", 1).await;
    assert_eq!(seen[0]["id"], heard.as_str());
    assert_eq!(stage.look("/stats").await["inbound"], 2);
}

#[tokio::test]
async fn a_raw_payload_is_delivered_verbatim_and_signed() {
    let stage = Stage::set().await;
    let raw = "{ \"object\" : \"whatsapp_business_account\",\n \"entry\": [] , \"ü\": \"\\u00e4\"}";
    let path = format!("/sandbox/accounts/{}/raw", stage.number());
    let answer = crate::harness::call(stage.request("POST", &path).body(raw)).await;
    assert_eq!(answer.body["status"], 200);
    let post = &stage.receiver.posts()[0];
    assert_eq!(post.body, raw.as_bytes());
    let expected = crypto::hmac_sha256(stage.secret().as_bytes(), raw.as_bytes());
    assert_eq!(post.header("x-hub-signature-256"), format!("sha256={}", crypto::to_hex(&expected)));
}

#[tokio::test]
async fn the_log_tells_each_attempt() {
    let stage = Stage::set().await;
    stage.receiver.will_answer(&[503]);
    stage.say_text("hello").await;
    stage.receiver.until(|it| it.posts().len() >= 2).await;
    stage.settle().await;
    let log = stage.look("/deliveries").await;
    let of = |n: usize, key: &str| log["data"][n][key].clone();
    assert_eq!((of(0, "status"), of(0, "attempt")), (json!(200), json!(2)));
    assert_eq!((of(1, "status"), of(1, "summary")), (json!(503), json!("message text")));
}
