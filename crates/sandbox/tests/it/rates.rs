//! Room `sandbox`: how much and when: throughput, the pair, the window, and templates outside it.

use serde_json::{Value, json};

use crate::harness::{CUSTOMER, Stage, text_message};

/// A message of a kind to the customer.
fn message(kind: &str, content: Value) -> Value {
    json!({"messaging_product": "whatsapp", "to": CUSTOMER, "type": kind, kind: content})
}

#[tokio::test]
async fn one_recipient_gets_45_in_a_burst_and_then_one_in_six_seconds() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    for _ in 0..45 {
        stage.send_text("answer").await.wamid();
    }
    let refused = stage.send_text("answer").await;
    assert_eq!((refused.status, refused.code()), (400, 131_056));
    assert!(
        refused
            .words()
            .starts_with("(#131056) (Business Account, Consumer Account) pair rate limit hit")
    );
    stage.send(text_message("491515550002", "another")).await.wamid();
    stage.advance_s(5);
    assert_eq!(stage.send_text("answer").await.code(), 131_056);
    stage.advance_s(2);
    stage.send_text("answer").await.wamid();
    assert_eq!(stage.send_text("answer").await.code(), 131_056);
}

#[tokio::test]
async fn a_number_sends_no_more_than_its_throughput() {
    let stage = Stage::set().await;
    stage.behave(json!({"mps": 3})).await;
    let send = |n: u32| stage.send(text_message(&format!("49151555000{n}"), "t"));
    for n in 0..3 {
        send(n).await.wamid();
    }
    let refused = send(3).await;
    assert_eq!((refused.status, refused.code()), (400, 130_429));
    stage.advance_s(1);
    send(4).await.wamid();
}

#[tokio::test]
async fn management_calls_are_counted_in_the_usage_headers_and_limited() {
    let stage = Stage::set().await;
    stage.behave(json!({"management_per_hour": 4})).await;
    let path = format!("/{}", stage.number());
    for share in ["0", "25", "50", "75"] {
        let answer = stage.graph("GET", &path, Value::Null).await;
        assert_eq!(answer.status, 200);
        let usage = answer.headers["x-app-usage"].to_str().expect("text");
        assert!(usage.contains(&format!("\"call_count\":{share}")), "{usage}");
        let business = answer.headers["x-business-use-case-usage"].to_str().expect("text");
        assert!(
            business.contains(stage.waba()) && business.contains("estimated_time_to_regain_access")
        );
    }
    let refused = stage.graph("GET", &path, Value::Null).await;
    assert_eq!((refused.status, refused.code()), (400, 80_007));
    stage.advance_s(3_600);
    assert_eq!(stage.graph("GET", &path, Value::Null).await.status, 200);
}

#[tokio::test]
async fn the_window_closes_24_hours_after_the_customers_last_message() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    stage.advance_s(24 * 3_600 - 1);
    let in_time = stage.send_text("in time").await.wamid();
    stage.receiver.until_status(&in_time, "delivered").await;
    stage.advance_s(1);
    let late = stage.send_text("late").await.wamid();
    let failed = stage.receiver.until_status(&late, "failed").await;
    assert_eq!(failed["errors"][0]["code"], 131_047);
    assert_eq!(failed["errors"][0]["title"], "Re-engagement message");
    let template = json!({"name": "hello_world", "language": {"code": "en_US"}});
    let template = stage.send(message("template", template)).await.wamid();
    let delivered = stage.receiver.until_status(&template, "delivered").await;
    assert_eq!(delivered["pricing"]["category"], "utility");
    assert_eq!(delivered["pricing"]["billable"], true);
    stage.say_text("I am back").await;
    let again = stage.send_text("again").await.wamid();
    stage.receiver.until_status(&again, "read").await;
}

#[tokio::test]
async fn a_window_can_be_closed_by_order() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    let path = format!("/phones/{CUSTOMER}/window");
    let shown = stage.script("POST", &path, json!({"closed": true})).await;
    assert_eq!(shown.body["window"]["open"], false);
    let id = stage.send_text("late").await.wamid();
    stage.receiver.until_status(&id, "failed").await;
    stage.script("POST", &path, json!({"closed": false})).await;
    let id = stage.send_text("in time").await.wamid();
    stage.receiver.until_status(&id, "read").await;
}

#[tokio::test]
async fn somebody_who_never_wrote_gets_only_templates() {
    let stage = Stage::set().await;
    let id = stage.send(text_message("491515550077", "cold call")).await.wamid();
    let failed = stage.receiver.until_status(&id, "failed").await;
    assert_eq!(failed["errors"][0]["code"], 131_047);
}

#[tokio::test]
async fn a_number_without_whatsapp_is_undeliverable() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    stage.script("PATCH", &format!("/phones/{CUSTOMER}"), json!({"on_whatsapp": false})).await;
    let id = stage.send_text("answer").await.wamid();
    let failed = stage.receiver.until_status(&id, "failed").await;
    assert_eq!(failed["errors"][0]["code"], 131_026);
}

/// A template as it is sent, for [`templates_are_checked_against_what_they_ask_for`].
fn template(components: Value) -> Value {
    let language = json!({"code": "de"});
    message("template", json!({"name": "order", "language": language, "components": components}))
}

#[tokio::test]
async fn templates_are_checked_against_what_they_ask_for() {
    let stage = Stage::set().await;
    let path = format!("/{}/message_templates", stage.waba());
    let made = stage
        .graph(
            "POST",
            &path,
            json!({
                "name": "order", "language": "de", "category": "UTILITY", "components": [
                    {"type": "HEADER", "format": "IMAGE"},
                    {"type": "BODY", "text": "Hallo {{1}}, Bestellung {{2}}"},
                    {"type": "BUTTONS", "buttons": [
                        {"type": "URL", "text": "Zeigen", "url": "https://e.x/{{1}}"}]},
                ],
            }),
        )
        .await;
    assert_eq!(
        (&made.body["status"], &made.body["category"]),
        (&json!("APPROVED"), &json!("UTILITY"))
    );
    let picture = json!({"type": "header", "parameters": [
        {"type": "image", "image": {"link": "https://example.com/a.png"}}]});
    let text = |words: &str| json!({"type": "text", "text": words});
    let body = |words: &[&str]| {
        let parameters: Vec<Value> = words.iter().map(|it| text(it)).collect();
        json!({"type": "body", "parameters": parameters})
    };
    let button =
        json!({"type": "button", "sub_type": "url", "index": "0", "parameters": [text("17")]});
    stage.send(template(json!([picture, body(&["Eva", "17"]), button]))).await.wamid();
    let wrong = [
        (
            json!([picture, body(&["Eva"]), button]),
            132_000,
            "body: number of localizable_params (1) does not match the expected number of params (2)",
        ),
        (json!([body(&["Eva", "17"]), button]), 132_012, "header: Format mismatch, expected IMAGE"),
        (
            json!([picture, body(&["Eva", "17"])]),
            131_008,
            "buttons: Button at index 0 of type Url requires a parameter",
        ),
        (
            json!([picture, body(&["Eva\nMaier", "17"]), button]),
            100,
            "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
        ),
    ];
    for (components, code, words) in wrong {
        let refused = stage.send(template(components)).await;
        assert_eq!(refused.code(), code);
        assert!(refused.words().ends_with(words), "{}", refused.words());
    }
    let again = json!({"name": "order", "language": "de", "category": "UTILITY", "components": []});
    assert_eq!(stage.graph("POST", &path, again).await.code(), 100);
    let listed = stage.graph("GET", &format!("{path}?name=order"), Value::Null).await;
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(1));
}
