//! Room `sandbox`: files.

use misy_core::crypto;
use serde_json::{Value, json};

use crate::harness::{CUSTOMER, Stage, call, client};

/// The beginning of a PNG; nobody decodes it.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

async fn upload(stage: &Stage) -> String {
    let answer = stage.upload("image/png", PNG.to_vec()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body["id"].as_str().expect("an id").to_owned()
}

async fn fetch(url: &str, token: Option<&str>) -> (u16, Vec<u8>) {
    let request = client().get(url);
    let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.bytes().await.expect("bytes").to_vec())
}

#[tokio::test]
async fn an_uploaded_file_is_described_and_fetched_with_the_token() {
    let stage = Stage::set().await;
    let id = upload(&stage).await;
    let shown = stage.graph("GET", &format!("/{id}"), Value::Null).await.body;
    let url = shown["url"].as_str().expect("an address");
    let expected = json!({
        "messaging_product": "whatsapp", "url": url, "mime_type": "image/png",
        "sha256": crypto::to_hex(&crypto::sha256(PNG)), "file_size": PNG.len(), "id": id,
    });
    assert_eq!(shown, expected);
    assert_eq!(fetch(url, Some(stage.token())).await, (200, PNG.to_vec()));
    assert_eq!(fetch(url, None).await.0, 401);
    assert_eq!(fetch(url, Some("another")).await.0, 401);
    assert_eq!(fetch(&url.replace("hash=", "hash=0"), Some(stage.token())).await.0, 404);
}

#[tokio::test]
async fn an_address_is_good_for_five_minutes() {
    let stage = Stage::set().await;
    let id = upload(&stage).await;
    let shown = stage.graph("GET", &format!("/{id}"), Value::Null).await.body;
    let url = shown["url"].as_str().expect("an address");
    stage.advance_s(299);
    assert_eq!(fetch(url, Some(stage.token())).await.0, 200);
    stage.advance_s(1);
    assert_eq!(fetch(url, Some(stage.token())).await.0, 404);
    let again = stage.graph("GET", &format!("/{id}"), Value::Null).await.body;
    assert_eq!(fetch(again["url"].as_str().expect("one"), Some(stage.token())).await.0, 200);
}

#[tokio::test]
async fn files_end_30_days_after_upload_and_7_days_after_receipt() {
    let stage = Stage::set().await;
    let uploaded = upload(&stage).await;
    stage.say(json!({"from": CUSTOMER, "type": "image"})).await;
    let seen = stage.receiver.until_items("messages", 1).await;
    let received = seen[0]["image"]["id"].as_str().expect("an id").to_owned();
    let status = async |id: &str| stage.graph("GET", &format!("/{id}"), Value::Null).await.status;
    stage.advance_s(7 * 24 * 3_600 - 1);
    assert_eq!((status(&uploaded).await, status(&received).await), (200, 200));
    stage.advance_s(1);
    assert_eq!((status(&uploaded).await, status(&received).await), (200, 400));
    stage.advance_s(23 * 24 * 3_600);
    assert_eq!(status(&uploaded).await, 400);
}

#[tokio::test]
async fn a_deleted_file_is_gone() {
    let stage = Stage::set().await;
    let id = upload(&stage).await;
    let url = stage.graph("GET", &format!("/{id}"), Value::Null).await.body["url"].clone();
    let answer = stage.graph("DELETE", &format!("/{id}"), Value::Null).await;
    assert_eq!(answer.body, json!({"success": true}));
    let gone = stage.graph("GET", &format!("/{id}"), Value::Null).await;
    assert_eq!(
        (gone.status, gone.code(), &gone.body["error"]["error_subcode"]),
        (400, 100, &json!(33))
    );
    assert_eq!(fetch(url.as_str().expect("one"), Some(stage.token())).await.0, 404);
}

#[tokio::test]
async fn a_file_asked_for_through_another_number_does_not_exist() {
    let stage = Stage::set().await;
    let id = upload(&stage).await;
    let right = format!("/{id}?phone_number_id={}", stage.number());
    assert_eq!(stage.graph("GET", &right, Value::Null).await.status, 200);
    assert_eq!(
        stage.graph("GET", &format!("/{id}?phone_number_id=1"), Value::Null).await.code(),
        100
    );
}

#[tokio::test]
async fn uploads_are_limited_in_type_and_size() {
    let stage = Stage::set().await;
    let refused = stage.upload("audio/ogg", b"OggS".to_vec()).await;
    assert_eq!((refused.status, refused.code()), (400, 100));
    assert!(refused.words().contains("Received file of type 'audio/ogg'."), "{}", refused.words());
    assert_eq!(stage.upload("audio/ogg; codecs=opus", b"OggS".to_vec()).await.status, 200);
    let limits = [("image/jpeg", 5 << 20), ("video/mp4", 16 << 20), ("image/webp", 100 << 10)];
    for (mime_type, most) in limits {
        assert_eq!(stage.upload(mime_type, vec![0; most]).await.status, 200, "{mime_type}");
        let refused = stage.upload(mime_type, vec![0; most + 1]).await;
        assert_eq!((refused.status, refused.code()), (400, 131_053), "{mime_type}");
    }
    let path = format!("/v25.0/{}/media", stage.number());
    let empty =
        "--b\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\nimage/png\r\n--b--\r\n";
    let request = stage.request("POST", &path).bearer_auth(stage.token());
    let request = request.header("Content-Type", "multipart/form-data; boundary=b").body(empty);
    assert_eq!(call(request).await.words(), "(#100) The parameter messaging_product is required.");
}

#[tokio::test]
async fn a_file_of_the_wrong_type_fails_after_it_was_accepted() {
    let stage = Stage::set().await;
    stage.say_text("hello").await;
    let id = upload(&stage).await;
    let send = |kind: &str| {
        let body = json!({"messaging_product": "whatsapp", "to": CUSTOMER, "type": kind,
            kind: {"id": id}});
        stage.send(body)
    };
    let accepted = send("image").await.wamid();
    stage.receiver.until_status(&accepted, "delivered").await;
    let accepted = send("document").await.wamid();
    stage.receiver.until_status(&accepted, "delivered").await;
    let accepted = send("video").await.wamid();
    let failed = stage.receiver.until_status(&accepted, "failed").await;
    assert_eq!(failed["errors"][0]["code"], 131_053);
}
