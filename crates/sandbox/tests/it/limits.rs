//! Room `sandbox`: every limit with its code, at its edge and one beyond.

use serde_json::{Value, json};

use crate::harness::{CUSTOMER, Stage, text_message};

/// A message of a kind to the customer.
fn message(kind: &str, content: Value) -> Value {
    json!({"messaging_product": "whatsapp", "to": CUSTOMER, "type": kind, kind: content})
}

fn interactive(content: Value) -> Value {
    message("interactive", content)
}

fn text_of(length: usize) -> String {
    "ä".repeat(length)
}

fn buttons(count: usize, title: &str, id: &str) -> Value {
    let button = |n: usize| json!({"type": "reply", "reply": {"id": format!("{n}{id}"), "title": format!("{n}{title}")}});
    json!({"type": "button", "body": {"text": "?"},
        "action": {"buttons": (0..count).map(button).collect::<Vec<_>>()}})
}

fn list(sections: usize, rows: usize) -> Value {
    let row = |s: usize, r: usize| json!({"id": format!("{s}-{r}"), "title": format!("row {r}")});
    let section = |s: usize| {
        json!({"title": format!("section {s}"),
            "rows": (0..rows).map(|r| row(s, r)).collect::<Vec<_>>()})
    };
    json!({"type": "list", "body": {"text": "?"}, "action": {"button": "Choose",
        "sections": (0..sections).map(section).collect::<Vec<_>>()}})
}

fn with(mut content: Value, path: &str, value: impl Into<Value>) -> Value {
    *content.pointer_mut(path).expect("the path exists") = value.into();
    content
}

fn put(mut content: Value, key: &str, value: Value) -> Value {
    content[key] = value;
    content
}

fn link(text: usize) -> Value {
    json!({"type": "cta_url", "body": {"text": "?"}, "action": {"name": "cta_url", "parameters": {
        "display_text": text_of(text), "url": "https://example.com/"}}})
}

fn flow(button: usize) -> Value {
    json!({"type": "flow", "body": {"text": "?"}, "action": {"name": "flow", "parameters": {
        "flow_message_version": "3", "flow_id": "1", "flow_cta": text_of(button)}}})
}

fn carousel(cards: usize, body: usize) -> Value {
    let card = |n: usize| {
        json!({"card_index": n, "type": "cta_url", "body": {"text": text_of(body)},
            "header": {"type": "image", "image": {"link": "https://example.com/a.png"}},
            "action": {"name": "cta_url", "parameters": {
                "display_text": "Buy", "url": "https://example.com/"}}})
    };
    json!({"type": "carousel", "body": {"text": "?"},
        "action": {"cards": (0..cards).map(card).collect::<Vec<_>>()}})
}

fn products(count: usize) -> Value {
    let item = |n: usize| json!({"product_retailer_id": n.to_string()});
    json!({"type": "product_list", "header": {"type": "text", "text": "h"}, "body": {"text": "?"},
        "action": {"catalog_id": "1", "sections": [
            {"title": "s", "product_items": (0..count).map(item).collect::<Vec<_>>()}]}})
}

fn contacts(count: usize) -> Value {
    let card = json!({"name": {"formatted_name": "A B", "first_name": "A"}});
    message("contacts", json!(vec![card; count]))
}

fn image(caption: usize) -> Value {
    let link = "https://example.com/a.png";
    message("image", json!({"link": link, "caption": text_of(caption)}))
}

/// What is accepted at the edge, what is refused beyond it, and with which code and words.
fn edges() -> Vec<(&'static str, Value, Value, u64, &'static str)> {
    let opaque = |length| {
        put(text_message(CUSTOMER, "t"), "biz_opaque_callback_data", text_of(length).into())
    };
    let footer = |length| put(buttons(1, "", ""), "footer", json!({"text": text_of(length)}));
    let header = |length| {
        put(buttons(1, "", ""), "header", json!({"type": "text", "text": text_of(length)}))
    };
    let body = |length| with(buttons(1, "", ""), "/body/text", text_of(length));
    let row = |path: &str, length| {
        let filled =
            put(json!({"id": "1", "title": "t", "description": "d"}), path, text_of(length).into());
        with(list(1, 1), "/action/sections/0/rows/0", filled)
    };
    let section = |length| with(list(1, 1), "/action/sections/0/title", text_of(length));
    let button = |length| with(list(1, 1), "/action/button", text_of(length));
    let of = interactive;
    vec![
        (
            "text",
            text_message(CUSTOMER, &text_of(4_096)),
            text_message(CUSTOMER, &text_of(4_097)),
            100,
            "(#100) Param text['body'] must be at most 4096 characters long.",
        ),
        (
            "caption",
            image(1_024),
            image(1_025),
            100,
            "(#100) Param image['caption'] must be at most 1024 characters long.",
        ),
        (
            "opaque",
            opaque(512),
            opaque(513),
            100,
            "(#100) Param biz_opaque_callback_data must be at most 512 characters long.",
        ),
        (
            "contacts",
            contacts(257),
            contacts(258),
            131_009,
            "Invalid contacts count. Min allowed contacts: 1, Max allowed contacts: 257",
        ),
        (
            "body",
            of(body(1_024)),
            of(body(1_025)),
            131_009,
            "Body text length invalid. Min length: 1, Max length: 1024",
        ),
        (
            "header",
            of(header(60)),
            of(header(61)),
            131_009,
            "Header text length invalid. Min length: 1, Max length: 60",
        ),
        (
            "footer",
            of(footer(60)),
            of(footer(61)),
            131_009,
            "Footer text length invalid. Min length: 0, Max length: 60",
        ),
        (
            "buttons",
            of(buttons(3, "", "")),
            of(buttons(4, "", "")),
            131_009,
            "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3",
        ),
        (
            "button title",
            of(buttons(1, &text_of(19), "")),
            of(buttons(1, &text_of(20), "")),
            131_009,
            "Button title length invalid. Min length: 1, Max length: 20",
        ),
        (
            "button id",
            of(buttons(1, "", &text_of(255))),
            of(buttons(1, "", &text_of(256))),
            131_009,
            "Button id length invalid. Min length: 1, Max length: 256",
        ),
        (
            "list button",
            of(button(20)),
            of(button(21)),
            131_009,
            "Button length invalid. Min length: 1, Max length: 20",
        ),
        (
            "sections",
            of(list(10, 1)),
            of(list(11, 1)),
            131_009,
            "Invalid sections count. Min allowed sections: 1, Max allowed sections: 10",
        ),
        (
            "rows",
            of(list(2, 5)),
            of(list(2, 6)),
            131_009,
            "Total row count exceed max allowed count: 10",
        ),
        (
            "section title",
            of(section(24)),
            of(section(25)),
            131_009,
            "Section title length invalid. Min length: 0, Max length: 24",
        ),
        (
            "row title",
            of(row("title", 24)),
            of(row("title", 25)),
            131_009,
            "Row title length invalid. Min length: 1, Max length: 24",
        ),
        (
            "row description",
            of(row("description", 72)),
            of(row("description", 73)),
            131_009,
            "Row description length invalid. Min length: 0, Max length: 72",
        ),
        (
            "row id",
            of(row("id", 200)),
            of(row("id", 201)),
            131_009,
            "Row id length invalid. Min length: 1, Max length: 200",
        ),
        (
            "link text",
            of(link(20)),
            of(link(21)),
            131_009,
            "Display text length invalid. Min length: 1, Max length: 20",
        ),
        (
            "flow button",
            of(flow(30)),
            of(flow(31)),
            131_009,
            "Flow CTA length invalid. Min length: 1, Max length: 30",
        ),
        (
            "cards",
            of(carousel(10, 1)),
            of(carousel(11, 1)),
            131_009,
            "Invalid cards count. Min allowed cards: 2, Max allowed cards: 10",
        ),
        (
            "card body",
            of(carousel(2, 160)),
            of(carousel(2, 161)),
            131_009,
            "Body text length invalid. Min length: 1, Max length: 160",
        ),
        (
            "products",
            of(products(30)),
            of(products(31)),
            131_009,
            "Invalid products count. Min allowed products: 1, Max allowed products: 30",
        ),
    ]
}

#[tokio::test]
async fn every_limit_holds_at_its_edge_and_is_told_beyond() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    for (what, edge, beyond, code, words) in edges() {
        let accepted = stage.send(edge).await;
        assert_eq!(accepted.status, 200, "{what}: {:?}", accepted.body);
        let refused = stage.send(beyond).await;
        assert_eq!((refused.status, refused.code()), (400, code), "{what}");
        assert!(refused.words().ends_with(words), "{what}: {}", refused.words());
    }
}

/// Requests that are wrong in form, with the code and the words of the refusal.
fn malformed() -> Vec<(Value, u64, &'static str)> {
    let text = || text_message(CUSTOMER, "t");
    let of = interactive;
    let twice = with(buttons(2, "", ""), "/action/buttons/1/reply/id", "0");
    let untitled = with(list(2, 1), "/action/sections/0/title", Value::Null);
    vec![
        (json!([]), 100, "Param  must be a JSON object."),
        (json!({"to": CUSTOMER}), 100, "(#100) The parameter messaging_product is required."),
        (
            put(text(), "messaging_product", json!("sms")),
            100,
            "(#100) Param messaging_product must be one of {WHATSAPP} - got \"sms\".",
        ),
        (put(text(), "to", Value::Null), 100, "(#100) The parameter to is required."),
        (
            put(text(), "to", json!("not a number")),
            131_009,
            "The phone number is malformed: Please use the format: +1234567890.",
        ),
        (
            put(text(), "to", json!("+1 555-010-0001")),
            131_021,
            "Recipient phone number can not be the sender phone number.",
        ),
        (put(text(), "type", json!("poem")), 100, "- got \"poem\"."),
        (
            put(text(), "type", json!("order")),
            131_051,
            "Message type order cannot be sent by a business.",
        ),
        (put(text(), "text", json!({})), 100, "(#100) The parameter text['body'] is required."),
        (
            put(text(), "text", json!({"body": ""})),
            100,
            "(#100) The parameter text['body'] is required.",
        ),
        (
            put(text(), "text", json!({"body": 7})),
            100,
            "(#100) Param text['body'] must be a string.",
        ),
        (
            put(text(), "text", json!({"body": "t", "bold": true})),
            100,
            "(#100) Unexpected key \"bold\" on param \"text\".",
        ),
        (
            put(text(), "context", json!({"message_id": "17"})),
            131_009,
            "Param context['message_id'] is not a message ID",
        ),
        (message("image", json!({})), 100, "(#100) The parameter image['link'] is required."),
        (
            message("image", json!({"link": "file:///etc/passwd"})),
            100,
            "must be an http or https URL.",
        ),
        (
            message("image", json!({"id": "404"})),
            131_009,
            "Media ID 404 does not exist or has expired",
        ),
        (
            message("audio", json!({"link": "https://example.com/a", "caption": "c"})),
            100,
            "(#100) Unexpected key \"caption\" on param \"audio\".",
        ),
        (
            message("location", json!({"latitude": 91, "longitude": 0})),
            100,
            "(#100) Param location['latitude'] must be a number between -90 and 90.",
        ),
        (
            message("reaction", json!({"message_id": "wamid.x", "emoji": "no"})),
            131_009,
            "Reaction emoji is not a single emoji",
        ),
        (
            message("contacts", json!([{"name": {"formatted_name": "A"}}])),
            131_009,
            "contacts[0]['name'] needs one part beside formatted_name",
        ),
        (
            message("template", json!({"name": "nowhere", "language": {"code": "en"}})),
            132_001,
            "template name (nowhere) does not exist in en",
        ),
        (
            of(with(buttons(1, "", ""), "/body", json!({}))),
            100,
            "(#100) The parameter interactive['body']['text'] is required.",
        ),
        (
            of(json!({"type": "button", "body": {"text": "?"}})),
            100,
            "(#100) The parameter interactive['action'] is required.",
        ),
        (of(twice), 131_009, "Duplicated button id is not allowed"),
        (
            of(untitled),
            100,
            "(#100) The parameter interactive['action']['sections'][0]['title'] is required.",
        ),
        (put(text(), "recipient_type", json!("group")), 131_026, "Groups are not emulated."),
        (
            json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.unknown"}),
            131_009,
            "Message ID wamid.unknown does not exist or was not received",
        ),
    ]
}

#[tokio::test]
async fn what_is_wrong_in_form_is_refused_with_metas_words() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    for (body, code, words) in malformed() {
        let shown = body.to_string();
        let refused = stage.send(body).await;
        assert_eq!(refused.code(), code, "{shown}: {:?}", refused.body);
        assert!(refused.words().ends_with(words), "{shown}: {}", refused.words());
        assert_eq!(refused.body["error"]["type"], "OAuthException");
        assert!(refused.body["error"]["fbtrace_id"].as_str().is_some_and(|id| id.len() > 10));
    }
    let stats = stage.look("/stats").await;
    assert_eq!((&stats["outbound"], &stats["refused"]), (&json!(0), &json!(malformed().len())));
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let stage = Stage::set().await;
    let path = format!("/v25.0/{}/messages", stage.number());
    let request = stage.request("POST", &path).bearer_auth(stage.token());
    let answer = crate::harness::call(request.body("{\"messaging_product\"")).await;
    assert_eq!((answer.status, answer.code()), (400, 100));
}

#[tokio::test]
async fn a_form_is_taken_as_well_as_json() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    let path = format!("/v25.0/{}/messages", stage.number());
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("messaging_product", "whatsapp")
        .append_pair("to", CUSTOMER)
        .append_pair("text", r#"{"body":"by form"}"#)
        .append_pair("access_token", stage.token());
    let request = stage.request("POST", &format!("{path}?access_token={}", stage.token()));
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    crate::harness::call(request.body(form.finish())).await.wamid();
    let outbound = stage.look("/outbound").await;
    assert_eq!(outbound["data"][0]["payload"]["text"]["body"], "by form");
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
    let made = stage.graph("POST", &path, json!({
        "name": "order", "language": "de", "category": "UTILITY", "components": [
            {"type": "HEADER", "format": "IMAGE"},
            {"type": "BODY", "text": "Hallo {{1}}, Bestellung {{2}}"},
            {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Zeigen", "url": "https://e.x/{{1}}"}]},
        ],
    })).await;
    assert_eq!(
        (&made.body["status"], &made.body["category"]),
        (&json!("APPROVED"), &json!("UTILITY"))
    );
    let picture = json!({"type": "header", "parameters": [
        {"type": "image", "image": {"link": "https://example.com/a.png"}}]});
    let text = |words: &str| json!({"type": "text", "text": words});
    let body = |words: &[&str]| json!({"type": "body", "parameters": words.iter().map(|it| text(it)).collect::<Vec<_>>()});
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
