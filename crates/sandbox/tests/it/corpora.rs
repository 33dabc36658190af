//! Room `sandbox`: requests that others have published. What Meta's own examples send must be
//! accepted; without the corpora these tests say so and pass.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{CUSTOMER, Stage};

/// The folder of the corpora: where the variable points, or beside the workspace.
fn corpora(folder: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where the corpora are is told by the caller")]
    let named = std::env::var_os("MISYBOT_CORPORA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = named.unwrap_or(beside).join("channels").join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("left out: there is no {}", folder.display());
    None
}

fn files_in(folder: &Path) -> Vec<(String, Value)> {
    let mut files: Vec<(String, Value)> = std::fs::read_dir(folder)
        .expect("readable")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("readable");
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

/// What stands in the examples where a reader is to put something of his own.
struct Blanks {
    /// Files by the kind of message they are for.
    files: Vec<(&'static str, String)>,
    /// A message that was received.
    message: String,
}

impl Blanks {
    async fn prepare(stage: &Stage) -> Self {
        let kinds = [
            ("image", "image/png"),
            ("audio", "audio/mpeg"),
            ("video", "video/mp4"),
            ("document", "application/pdf"),
            ("sticker", "image/webp"),
        ];
        let mut files = Vec::new();
        for (kind, mime_type) in kinds {
            let answer = stage.upload(mime_type, b"file".to_vec()).await;
            files.push((kind, answer.body["id"].as_str().expect("an id").to_owned()));
        }
        Self { files, message: stage.say_text("hello").await }
    }

    fn fill(&self, request: &mut Value) {
        if request.get("to").is_some() {
            request["to"] = CUSTOMER.into();
        }
        self.fill_in(request, "");
    }

    fn fill_in(&self, value: &mut Value, key: &str) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill_in(item, key)),
            Value::Object(object) => {
                for (kind, id) in &self.files {
                    if key == *kind && object.contains_key("id") {
                        object.insert("id".to_owned(), id.clone().into());
                    }
                }
                for (inner, value) in object.iter_mut() {
                    self.fill_in(value, inner);
                }
            }
            Value::String(text) if key == "message_id" => text.clone_from(&self.message),
            Value::String(text) if key == "link" && url::Url::parse(text).is_err() => {
                "https://example.com/file".clone_into(text);
            }
            Value::String(text) if key == "type" && text.starts_with('<') => {
                "text".clone_into(text);
            }
            _ => {}
        }
    }
}

/// Examples name templates as Meta would not.
fn valid_name(name: &str) -> String {
    name.replace('-', "_").to_lowercase().replace(['<', '>'], "x")
}

/// Makes the template that an example sends, as its components ask for it.
async fn make_template(stage: &Stage, request: &Value) {
    let template = &request["template"];
    if template.is_null() || template["name"] == "hello_world" {
        return;
    }
    let mut components = vec![json!({"type": "BODY", "text": "Hi"})];
    for component in template["components"].as_array().into_iter().flatten() {
        let parameters = component["parameters"].as_array().cloned().unwrap_or_default();
        let blanks: Vec<String> = (1..=parameters.len()).map(|n| format!("{{{{{n}}}}}")).collect();
        let blanks = blanks.join(" ");
        let form = parameters.first().and_then(|it| it["type"].as_str()).unwrap_or("text");
        match component["type"].as_str() {
            Some("body") => components[0]["text"] = format!("Hi {blanks}").into(),
            Some("header") if form == "text" => {
                components.push(
                    json!({"type": "HEADER", "format": "TEXT", "text": format!("Hi {blanks}")}),
                );
            }
            Some("header") => {
                components.push(json!({"type": "HEADER", "format": form.to_uppercase()}));
            }
            _ => {}
        }
    }
    let body = json!({
        "name": valid_name(template["name"].as_str().expect("a name")),
        "language": template["language"]["code"], "category": "UTILITY", "components": components,
    });
    let made = stage.graph("POST", &format!("/{}/message_templates", stage.waba()), body).await;
    assert_eq!(made.status, 200, "{:?}", made.body);
}

/// Sends every request of a folder on a fresh stage each and gives what was refused.
async fn refusals(requests: Vec<(String, Value)>) -> Vec<(String, u64, String)> {
    let mut refused = Vec::new();
    for (name, mut request) in requests {
        let stage = Stage::set().await;
        let blanks = Blanks::prepare(&stage).await;
        blanks.fill(&mut request);
        make_template(&stage, &request).await;
        if let Some(template) = request.pointer("/template/name").and_then(Value::as_str) {
            request["template"]["name"] = valid_name(template).into();
        }
        let answer = stage.send(request).await;
        if answer.status != 200 {
            refused.push((name, answer.code(), answer.words()));
        }
    }
    refused
}

#[tokio::test]
async fn what_metas_examples_send_is_accepted() {
    let Some(folder) = corpora("meta-openapi/examples/requests/phone-number-id-messages_post")
    else {
        return;
    };
    let requests = files_in(&folder);
    assert!(requests.len() >= 50, "{}", requests.len());
    let refused: Vec<(String, u64)> =
        refusals(requests).await.into_iter().map(|(name, code, _)| (name, code)).collect();
    // Two of the examples are wrong: one gives truth values for texts, one does not say its type,
    // so that it is taken for a text.
    let expected = [
        ("send-reply-to-list-message.json".to_owned(), 100),
        ("send-sample-issue-resolution-template.json".to_owned(), 100),
    ];
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn what_other_clients_send_is_accepted() {
    let Some(folder) = corpora("piusalfred-whatsapp") else { return };
    let mut requests = Vec::new();
    for (name, content) in files_in(&folder) {
        let kind = match name.as_str() {
            name if name.starts_with("message_interactive") => "interactive",
            name if name.starts_with("message_template") && content.get("name").is_some() => {
                "template"
            }
            _ => continue,
        };
        let request = json!({
            "messaging_product": "whatsapp", "to": CUSTOMER, "type": kind, kind: content,
        });
        requests.push((name, request));
    }
    assert!(requests.len() >= 8, "{}", requests.len());
    let refused = refusals(requests).await;
    // `hello_world` takes no parameters, at Meta neither.
    let names: Vec<(&str, u64)> = refused.iter().map(|it| (it.0.as_str(), it.1)).collect();
    assert_eq!(names, [("message_template_template_test_04.json", 132_000)]);
}

#[tokio::test]
async fn published_templates_are_approved() {
    let stage = Stage::set().await;
    let path = format!("/{}/message_templates", stage.waba());
    for folder in ["carousel", "limited_time_offer", "buttons", "authentication"] {
        let Some(folder) = corpora(&format!("pywa/templates/{folder}")) else { continue };
        for (_, examples) in files_in(&folder) {
            for (name, template) in examples.as_object().expect("named examples") {
                let made = stage.graph("POST", &path, template.clone()).await;
                assert_eq!(made.body["status"], "APPROVED", "{name}: {:?}", made.body);
            }
        }
    }
}

#[tokio::test]
async fn limits_agree_with_the_published_table() {
    let Some(folder) = corpora("") else { return };
    let text = std::fs::read_to_string(folder.join("limits.json")).expect("readable");
    let table: Value = serde_json::from_str(&text).expect("JSON");
    let limits = &table["whatsapp_cloud"];
    // The tests of the limits are written with these numbers.
    let expected = [
        ("/text_max/n", 4_096),
        ("/caption_max/n", 1_024),
        ("/interactive/body", 1_024),
        ("/interactive/header_text", 60),
        ("/interactive/footer", 60),
        ("/interactive/buttons_max", 3),
        ("/interactive/button_title", 20),
        ("/interactive/button_id", 256),
        ("/interactive/list_button", 20),
        ("/interactive/sections_max", 10),
        ("/interactive/rows_total_max", 10),
        ("/interactive/section_title", 24),
        ("/interactive/row_title", 24),
        ("/interactive/row_desc", 72),
        ("/interactive/row_id", 200),
        ("/interactive/cta_url_text", 20),
        ("/interactive/flow_cta", 30),
        ("/interactive/carousel_cards_max", 10),
        ("/interactive/carousel_card_body", 160),
        ("/interactive/products_max", 30),
        ("/contacts_per_message_max/n", 257),
        ("/biz_opaque_callback_data_max/n", 512),
        ("/window_hours", 24),
        ("/typing_seconds", 25),
        ("/throughput/default_mps", 80),
        ("/media_id_life/url_minutes", 5),
    ];
    for (path, number) in expected {
        assert_eq!(limits.pointer(path), Some(&json!(number)), "{path}");
    }
}

#[tokio::test]
async fn published_webhooks_are_delivered_verbatim() {
    let Some(folder) = corpora("meta-openapi/examples/webhooks/whatsapp-webhooks_post") else {
        return;
    };
    let stage = Stage::set().await;
    let files = files_in(&folder);
    for (name, payload) in &files {
        let path = format!("/sandbox/accounts/{}/raw", stage.number());
        let answer = crate::harness::call(stage.request("POST", &path).json(payload)).await;
        assert_eq!(answer.body["status"], 200, "{name}");
    }
    let seen: Vec<Value> = stage.receiver.posts().iter().map(crate::harness::Post::json).collect();
    assert_eq!(seen, files.into_iter().map(|(_, payload)| payload).collect::<Vec<_>>());
}
