//! What goes over the wire, and what is made of every answer.

use misy_channel::Content;
use misy_channel::content::{
    Buttons, Choice, List, Location, Media, MediaKind, Reaction, Section, Template,
};
use misy_channel::event::IdentityClaim;
use misy_channel::outbound::{FailureKind, Outbound, Recipient, SendError, Sent};
use misy_core::Personal;
use serde_json::{Value, json};

use crate::emulator::egress;
use crate::peer::Peer;
use crate::shown::whatsapp;

const MESSAGE: &str = "msg_00000000000000000000000042";

fn claim(namespace: &'static str, value: &str) -> IdentityClaim {
    IdentityClaim { namespace, value: Personal(value.to_owned()) }
}

fn message(content: Content) -> Outbound {
    let to = Recipient(vec![claim("whatsapp_user_id", "DE.77"), claim("phone", "+4915551234567")]);
    Outbound { id: MESSAGE.parse().expect("an id"), to, content, reply_to: None }
}

fn accepted() -> Value {
    json!({"messaging_product": "whatsapp", "contacts": [{"input": "x", "wa_id": "x"}],
        "messages": [{"id": "wamid.NEW", "message_status": "accepted"}]})
}

async fn send(peer: &Peer, message: &Outbound) -> Result<Sent, SendError> {
    whatsapp().send(&egress(), &peer.account(json!({})), message).await
}

/// The body that goes out for a content, without the parts that every message has.
async fn body(content: Content) -> Value {
    let peer = Peer::new(200, accepted()).await;
    send(&peer, &message(content)).await.expect("accepted");
    let mut body = peer.heard()[0].body.clone();
    let map = body.as_object_mut().expect("an object");
    assert_eq!(map.remove("messaging_product"), Some(json!("whatsapp")));
    assert_eq!(map.remove("recipient_type"), Some(json!("individual")));
    assert_eq!(map.remove("to"), Some(json!("4915551234567")));
    assert_eq!(map.remove("biz_opaque_callback_data"), Some(json!(MESSAGE)));
    body
}

fn choice(id: &str, title: &str) -> Choice {
    Choice { id: id.to_owned(), title: title.to_owned(), description: None }
}

#[tokio::test]
async fn a_text_is_posted_to_the_accounts_own_edge() {
    let peer = Peer::new(200, accepted()).await;
    let mut message = message(Content::text("see https://example.org"));
    message.reply_to = Some("wamid.ASKED".to_owned());
    let sent = send(&peer, &message).await.expect("accepted");
    assert_eq!(sent.external_id, "wamid.NEW");
    let heard = &peer.heard()[0];
    assert_eq!(heard.line, "POST /v25.0/106540352242922/messages");
    assert_eq!(heard.headers["authorization"], "Bearer EAAtoken");
    insta::assert_json_snapshot!(heard.body, @r#"
    {
      "messaging_product": "whatsapp",
      "recipient_type": "individual",
      "to": "4915551234567",
      "context": {
        "message_id": "wamid.ASKED"
      },
      "biz_opaque_callback_data": "msg_00000000000000000000000042",
      "type": "text",
      "text": {
        "body": "see https://example.org",
        "preview_url": true
      }
    }
    "#);
}

#[tokio::test]
async fn version_and_proof_are_settings() {
    let peer = Peer::new(200, accepted()).await;
    let account = peer.account(json!({"api_version": "v26.1", "appsecret_proof": true}));
    let outcome = whatsapp().send(&egress(), &account, &message(Content::text("hi"))).await;
    assert!(outcome.is_ok());
    let line = &peer.heard()[0].line;
    assert!(line.starts_with("POST /v26.1/106540352242922/messages?appsecret_proof="), "{line}");
}

#[tokio::test]
async fn who_has_no_number_is_addressed_by_user_id() {
    let peer = Peer::new(200, accepted()).await;
    let mut message = message(Content::text("hi"));
    message.to.0.truncate(1);
    send(&peer, &message).await.expect("accepted");
    let body = &peer.heard()[0].body;
    assert_eq!((&body["to"], &body["recipient"]), (&Value::Null, &json!("DE.77")));
}

#[tokio::test]
async fn buttons_and_lists_are_interactive() {
    let buttons = Buttons {
        text: "Sure?".into(),
        buttons: vec![choice("y", "Yes"), choice("n", "No")],
        header: Some("Order".into()),
        footer: Some("7 items".into()),
        pressed: None,
    };
    let expected = json!({"type": "interactive", "interactive": {"type": "button",
        "header": {"type": "text", "text": "Order"}, "body": {"text": "Sure?"},
        "footer": {"text": "7 items"}, "action": {"buttons": [
            {"type": "reply", "reply": {"id": "y", "title": "Yes"}},
            {"type": "reply", "reply": {"id": "n", "title": "No"}}]}}});
    assert_eq!(body(Content::Buttons(buttons)).await, expected);
    let row = Choice { description: Some("fast".into()), ..choice("x", "Express") };
    let sections = vec![Section { title: None, rows: vec![row] }];
    let list = List { text: "How?".into(), sections, ..List::default() };
    let expected = json!({"type": "interactive", "interactive": {"type": "list",
        "body": {"text": "How?"}, "action": {"button": "Menu", "sections": [
            {"rows": [{"id": "x", "title": "Express", "description": "fast"}]}]}}});
    assert_eq!(body(Content::List(list)).await, expected);
}

#[tokio::test]
async fn a_file_goes_by_the_providers_id_or_else_by_link() {
    let file = Media {
        kind: MediaKind::Document,
        text: Some("the bill".into()),
        mime_type: Some("application/pdf".into()),
        filename: Some("bill.pdf".into()),
        external_media_id: Some("1003".into()),
        url: Some("https://example.org/bill.pdf".into()),
        sha256: None,
        voice: false,
        animated: false,
    };
    let by_id = json!({"id": "1003", "caption": "the bill", "filename": "bill.pdf"});
    let expected = json!({"type": "document", "document": by_id});
    assert_eq!(body(Content::Media(file.clone())).await, expected);
    let voice =
        Media { kind: MediaKind::Audio, text: None, external_media_id: None, voice: true, ..file };
    let by_link = json!({"link": "https://example.org/bill.pdf", "voice": true});
    assert_eq!(body(Content::Media(voice)).await, json!({"type": "audio", "audio": by_link}));
}

#[tokio::test]
async fn places_templates_and_reactions_have_their_own_forms() {
    let place =
        Location { latitude: 52.5, longitude: 13.4, name: Some("Shop".into()), address: None };
    let expected = json!({"latitude": 52.5, "longitude": 13.4, "name": "Shop"});
    let body_of_place = body(Content::Location(place)).await;
    assert_eq!(body_of_place, json!({"type": "location", "location": expected}));
    let component = json!({"type": "body", "parameters": [{"type": "text", "text": "Ann"}]});
    let template = Template {
        name: "hello".into(),
        language: "de".into(),
        components: vec![component.clone()],
    };
    let expected = json!({"name": "hello", "language": {"code": "de"}, "components": [component]});
    let body_of_template = body(Content::Template(template)).await;
    assert_eq!(body_of_template, json!({"type": "template", "template": expected}));
    let back = Reaction { external_message_id: "wamid.X".into(), emoji: None };
    let expected = json!({"message_id": "wamid.X", "emoji": ""});
    assert_eq!(
        body(Content::Reaction(back)).await,
        json!({"type": "reaction", "reaction": expected})
    );
}

#[tokio::test]
async fn a_message_held_for_a_quality_check_is_accepted() {
    let held = json!({"messages": [{"id": 77, "message_status": "held_for_quality_assessment"}]});
    let peer = Peer::new(200, held).await;
    let sent = send(&peer, &message(Content::text("hi"))).await.expect("accepted");
    assert_eq!(sent.external_id, "77");
}

async fn failure(status: u16, body: Value) -> (FailureKind, String, Option<u64>) {
    let peer = Peer::new(status, body).await;
    let error = send(&peer, &message(Content::text("hi"))).await.expect_err("an error");
    assert_eq!(peer.heard().len(), 1, "it is never repeated");
    (error.failure.kind, error.failure.code, error.retry_after_ms)
}

fn error(code: i64) -> Value {
    json!({"error": {"message": "m", "type": "OAuthException", "code": code, "fbtrace_id": "x"}})
}

#[tokio::test]
async fn each_code_is_the_failure_that_it_means() {
    use FailureKind::{Account, Payload, Recipient, Template, Throttled, Transient};
    let cases = [
        (400, 130_429, Throttled, Some(1_000)),
        (400, 131_056, Throttled, Some(6_000)),
        (400, 4, Throttled, Some(60_000)),
        (500, 131_016, Transient, Some(10_000)),
        (400, 131_026, Recipient, None),
        (404, 132_001, Template, None),
        (400, 131_009, Payload, None),
        (401, 190, Account, None),
        (403, 299, Account, None),
    ];
    for (status, code, kind, retry_after_ms) in cases {
        let told = failure(status, error(code)).await;
        assert_eq!(told, (kind, code.to_string(), retry_after_ms));
    }
}

#[tokio::test]
async fn an_error_behind_a_status_of_success_is_an_error() {
    assert_eq!(failure(200, error(131_050)).await.0, FailureKind::OptedOut);
}

#[tokio::test]
async fn an_answer_that_says_nothing_leaves_the_outcome_open() {
    for status in [200, 502, 504] {
        assert_eq!(failure(status, json!({})).await.0, FailureKind::UnknownOutcome, "{status}");
    }
    assert_eq!(failure(503, json!("down")).await.0, FailureKind::Transient);
}

#[tokio::test]
async fn retry_after_of_the_answer_wins_if_it_is_longer() {
    let peer = Peer::with(429, &[("retry-after", "90")], error(130_429).to_string()).await;
    let error = send(&peer, &message(Content::text("hi"))).await.expect_err("an error");
    assert_eq!((error.failure.kind, error.retry_after_ms), (FailureKind::Throttled, Some(90_000)));
}

#[tokio::test]
async fn a_used_up_allowance_holds_the_next_message_back() {
    let usage = r#"{"call_count":100,"total_time":3,"total_cputime":1}"#;
    let peer = Peer::with(200, &[("x-app-usage", usage)], accepted().to_string()).await;
    let (io, account) = (egress(), peer.account(json!({})));
    let first = whatsapp().send(&io, &account, &message(Content::text("one"))).await;
    assert!(first.is_ok());
    let second = whatsapp().send(&io, &account, &message(Content::text("two"))).await;
    let error = second.expect_err("held back");
    assert_eq!(
        (error.failure.kind, error.failure.code.as_str()),
        (FailureKind::Throttled, "paced")
    );
    assert!(error.retry_after_ms.is_some_and(|ms| ms > 50_000));
    assert_eq!(peer.heard().len(), 1);
}

#[tokio::test]
async fn neither_token_nor_text_is_in_an_error() {
    let peer = Peer::new(400, json!({"error": {"code": 100}})).await;
    let error = send(&peer, &message(Content::text("my secret plan"))).await.expect_err("refused");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("EAAtoken") && !shown.contains("secret plan"), "{shown}");
}

#[tokio::test]
async fn a_read_mark_can_show_that_we_type() {
    let peer = Peer::new(200, json!({"success": true})).await;
    let account = peer.account(json!({}));
    for typing in [false, true] {
        let marked = whatsapp().mark_read(&egress(), &account, "wamid.IN", typing).await;
        assert_eq!(marked, Ok(()));
    }
    let [plain, typing] = &peer.heard()[..] else { panic!("two calls") };
    let mut expected =
        json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.IN"});
    assert_eq!(plain.body, expected);
    expected["typing_indicator"] = json!({"type": "text"});
    assert_eq!(typing.body, expected);
}

#[tokio::test]
async fn a_healthy_number_shows_its_name_and_a_bad_rating() {
    let number = json!({"id": "1", "display_phone_number": "+1 555-078-3881",
        "verified_name": "Acme", "quality_rating": "RED"});
    let peer = Peer::new(200, number).await;
    let health =
        whatsapp().check_health(&egress(), &peer.account(json!({}))).await.expect("health");
    assert!(health.ok && health.detail.is_some_and(|detail| detail.contains("RED")));
    assert_eq!(health.address.as_deref(), Some("+15550783881"));
    assert_eq!(health.display_name.as_deref(), Some("Acme"));
    let line = &peer.heard()[0].line;
    assert!(line.starts_with("GET /v25.0/106540352242922?fields="), "{line}");
}

#[tokio::test]
async fn a_passing_fault_is_not_taken_for_a_broken_account() {
    let peer = Peer::new(500, error(2)).await;
    let health = whatsapp().check_health(&egress(), &peer.account(json!({}))).await;
    let kind = health.expect_err("no verdict").failure.kind;
    assert_eq!(kind, FailureKind::Transient);
}

#[tokio::test]
async fn a_missing_credential_is_told_before_any_call() {
    let peer = Peer::new(200, accepted()).await;
    let mut account = peer.account(json!({}));
    account.credentials.0.clear();
    let outcome = whatsapp().send(&egress(), &account, &message(Content::text("hi"))).await;
    assert_eq!(outcome.map_err(|error| error.failure.kind), Err(FailureKind::Account));
    assert_eq!(peer.heard().len(), 0);
}
