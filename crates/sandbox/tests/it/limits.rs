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
    let reply = |n: usize| json!({"id": format!("{n}{id}"), "title": format!("{n}{title}")});
    let button = |n: usize| json!({"type": "reply", "reply": reply(n)});
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

/// How a message of a length is made, the greatest that is accepted, and code and words for one
/// more.
type Edge = (fn(usize) -> Value, usize, u64, &'static str);

fn edges_of_texts() -> [Edge; 7] {
    let opaque =
        |n| put(text_message(CUSTOMER, "t"), "biz_opaque_callback_data", text_of(n).into());
    let footer = |n| interactive(put(buttons(1, "", ""), "footer", json!({"text": text_of(n)})));
    let header = |n| {
        let header = json!({"type": "text", "text": text_of(n)});
        interactive(put(buttons(1, "", ""), "header", header))
    };
    let body = |n| interactive(with(buttons(1, "", ""), "/body/text", text_of(n)));
    [
        (
            |n| text_message(CUSTOMER, &text_of(n)),
            4_096,
            100,
            "(#100) Param text['body'] must be at most 4096 characters long.",
        ),
        (image, 1_024, 100, "(#100) Param image['caption'] must be at most 1024 characters long."),
        (
            opaque,
            512,
            100,
            "(#100) Param biz_opaque_callback_data must be at most 512 characters long.",
        ),
        (body, 1_024, 131_009, "Body text length invalid. Min length: 1, Max length: 1024"),
        (header, 60, 131_009, "Header text length invalid. Min length: 1, Max length: 60"),
        (footer, 60, 131_009, "Footer text length invalid. Min length: 0, Max length: 60"),
        (
            contacts,
            257,
            131_009,
            "Invalid contacts count. Min allowed contacts: 1, Max allowed contacts: 257",
        ),
    ]
}

fn edges_of_buttons() -> [Edge; 8] {
    let count = |n| interactive(buttons(n, "", ""));
    let title = |n| interactive(buttons(1, &text_of(n - 1), ""));
    let id = |n| interactive(buttons(1, "", &text_of(n - 1)));
    let cards = |n| interactive(carousel(n, 1));
    let card_body = |n| interactive(carousel(2, n));
    [
        (
            count,
            3,
            131_009,
            "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3",
        ),
        (title, 20, 131_009, "Button title length invalid. Min length: 1, Max length: 20"),
        (id, 256, 131_009, "Button id length invalid. Min length: 1, Max length: 256"),
        (
            |n| interactive(link(n)),
            20,
            131_009,
            "Display text length invalid. Min length: 1, Max length: 20",
        ),
        (
            |n| interactive(flow(n)),
            30,
            131_009,
            "Flow CTA length invalid. Min length: 1, Max length: 30",
        ),
        (cards, 10, 131_009, "Invalid cards count. Min allowed cards: 2, Max allowed cards: 10"),
        (card_body, 160, 131_009, "Body text length invalid. Min length: 1, Max length: 160"),
        (
            |n| interactive(products(n)),
            30,
            131_009,
            "Invalid products count. Min allowed products: 1, Max allowed products: 30",
        ),
    ]
}

fn row_with(key: &str, length: usize) -> Value {
    let row = json!({"id": "1", "title": "t", "description": "d"});
    let row = put(row, key, text_of(length).into());
    interactive(with(list(1, 1), "/action/sections/0/rows/0", row))
}

fn edges_of_lists() -> [Edge; 7] {
    let button = |n| interactive(with(list(1, 1), "/action/button", text_of(n)));
    let section = |n| interactive(with(list(1, 1), "/action/sections/0/title", text_of(n)));
    let sections = |n| interactive(list(n, 1));
    let rows = |n| interactive(list(1, n));
    [
        (button, 20, 131_009, "Button length invalid. Min length: 1, Max length: 20"),
        (
            sections,
            10,
            131_009,
            "Invalid sections count. Min allowed sections: 1, Max allowed sections: 10",
        ),
        (rows, 10, 131_009, "Total row count exceed max allowed count: 10"),
        (section, 24, 131_009, "Section title length invalid. Min length: 0, Max length: 24"),
        (
            |n| row_with("title", n),
            24,
            131_009,
            "Row title length invalid. Min length: 1, Max length: 24",
        ),
        (
            |n| row_with("description", n),
            72,
            131_009,
            "Row description length invalid. Min length: 0, Max length: 72",
        ),
        (
            |n| row_with("id", n),
            200,
            131_009,
            "Row id length invalid. Min length: 1, Max length: 200",
        ),
    ]
}

#[tokio::test]
async fn every_limit_holds_at_its_edge_and_is_told_beyond() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    let edges = [&edges_of_texts()[..], &edges_of_buttons(), &edges_of_lists()].concat();
    for (make, most, code, words) in edges {
        let accepted = stage.send(make(most)).await;
        assert_eq!(accepted.status, 200, "{words}: {:?}", accepted.body);
        let refused = stage.send(make(most + 1)).await;
        assert_eq!((refused.status, refused.code()), (400, code), "{words}");
        assert!(refused.words().ends_with(words), "{words}: {}", refused.words());
    }
}

/// Requests that are wrong in form, with the code and the words of the refusal.
fn malformed_envelopes() -> Vec<(Value, u64, &'static str)> {
    let text = || text_message(CUSTOMER, "t");
    vec![
        (json!([]), 100, "(#100) Param body must be a JSON object."),
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
    ]
}

/// Contents that are wrong in form, likewise.
fn malformed_contents() -> Vec<(Value, u64, &'static str)> {
    let text = || text_message(CUSTOMER, "t");
    let of = interactive;
    let twice = with(buttons(2, "", ""), "/action/buttons/1/reply/id", "0");
    let untitled = with(list(2, 1), "/action/sections/0/title", Value::Null);
    vec![
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
            json!({"messaging_product": "whatsapp", "status": "read",
                "message_id": "wamid.unknown"}),
            131_009,
            "Message ID wamid.unknown does not exist or was not received",
        ),
    ]
}

/// Interactive messages that are wrong in form, likewise.
fn malformed_interactives() -> Vec<(Value, u64, &'static str)> {
    let picture = json!({"type": "image", "image": {"link": "https://example.com/a.png"}});
    let without = |mut content: Value, key: &str| {
        content.as_object_mut().expect("an object").remove(key);
        content
    };
    let located = json!({"type": "location_request_message", "body": {"text": "?"},
        "action": {"name": "send_money"}});
    let wrong = [
        (put(list(1, 1), "header", picture), 100, "must be one of {TEXT} - got \"image\"."),
        (put(buttons(1, "", ""), "type", json!("poll")), 100, "- got \"poll\"."),
        (
            put(buttons(1, "", ""), "colour", json!("red")),
            100,
            "(#100) Unexpected key \"colour\" on param \"interactive\".",
        ),
        (
            buttons(0, "", ""),
            131_009,
            "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3",
        ),
        (list(1, 0), 131_009, "Invalid rows count. Min allowed rows: 1, Max allowed rows: 10"),
        (
            with(link(3), "/action/parameters/url", "example.com"),
            100,
            "\"example.com\" must be an http or https URL.",
        ),
        (with(link(3), "/action/name", "open"), 100, "must be one of {CTA_URL} - got \"open\"."),
        (with(flow(3), "/action/name", "list"), 100, "must be one of {FLOW} - got \"list\"."),
        (
            with(flow(3), "/action/parameters/flow_id", Value::Null),
            131_009,
            "Exactly one of flow_id and flow_name is needed",
        ),
        (located, 100, "must be one of {SEND_LOCATION} - got \"send_money\"."),
        (
            carousel(1, 1),
            131_009,
            "Invalid cards count. Min allowed cards: 2, Max allowed cards: 10",
        ),
        (
            without(products(1), "header"),
            100,
            "(#100) The parameter interactive['header'] is required.",
        ),
        (
            with(products(1), "/action/catalog_id", Value::Null),
            100,
            "(#100) The parameter interactive['action']['catalog_id'] is required.",
        ),
    ];
    wrong.map(|(content, code, words)| (interactive(content), code, words)).to_vec()
}

#[tokio::test]
async fn what_is_wrong_in_form_is_refused_with_metas_words() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    let malformed =
        [malformed_envelopes(), malformed_contents(), malformed_interactives()].concat();
    let count = malformed.len();
    for (body, code, words) in malformed {
        let shown = body.to_string();
        let refused = stage.send(body).await;
        assert_eq!(refused.code(), code, "{shown}: {:?}", refused.body);
        assert!(refused.words().ends_with(words), "{shown}: {}", refused.words());
        assert_eq!(refused.body["error"]["type"], "OAuthException");
        assert!(refused.body["error"]["fbtrace_id"].as_str().is_some_and(|id| id.len() > 10));
    }
    let stats = stage.look("/stats").await;
    assert_eq!((&stats["outbound"], &stats["refused"]), (&json!(0), &json!(count)));
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
