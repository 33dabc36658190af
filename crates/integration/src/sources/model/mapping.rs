//! Room `integration`: what is told of a request: by the source's schema and templates.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonschema::{PatternOptions, Validator};
use misy_core::error::Fault;
use misy_core::event::EventType;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Part, Receipt, Settings};
use crate::deliveries::model::fill;
use crate::events::model::{DATA_MAX_BYTES, is_type};

/// Faults of one body that are kept, at most.
const FAULTS_MAX: usize = 20;

/// Characters of a sender's type that are told, at most.
const EXTERNAL_MAX: usize = 200;

/// What is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// As which type of the tenant's own; `None` is the catalogue's.
    pub(crate) kind: Option<String>,
    /// What is said.
    pub(crate) content: Value,
    /// The sender's own type of it.
    pub(crate) external_type: Option<String>,
}

/// Why nothing is told: in a word, and with what is wrong where.
pub(crate) type Untold = (&'static str, Vec<Fault>);

/// Makes a schema ready. Patterns are matched in linear time, and nothing is fetched.
pub(crate) fn compile(schema: &Value) -> Result<Validator, ()> {
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    options.build(schema).map_err(|_| ())
}

/// What is wrong with a type, which may hold placeholders.
pub(crate) fn type_fault(text: &str) -> Option<&'static str> {
    let area = text.split('.').next().unwrap_or_default();
    if text.len() > 200 {
        return Some("has more than 200 characters");
    }
    if EventType::ALL.iter().any(|one| one.area() == area) {
        return Some("this area is MisyBot's own");
    }
    let fixed = is_type(&format!("{area}.x"));
    let whole = text.contains("{{") || is_type(text);
    (!fixed || !whole).then_some("expected a type like order.created or shop.{{/body/type}}")
}

/// The body as JSON: parsed if it is JSON, a form's fields, text, or base64 of other bytes.
fn body(receipt: &Receipt) -> Value {
    let bytes = receipt.body.as_deref().unwrap_or_default();
    if let Ok(value) = serde_json::from_slice(bytes) {
        return value;
    }
    let kind = receipt.headers["content-type"].as_str().unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        return fields(bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok("") => Value::Null,
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

fn fields(bytes: &[u8]) -> Value {
    let pairs = form_urlencoded::parse(bytes);
    Value::Object(pairs.map(|(name, value)| (name.into_owned(), json!(value))).collect())
}

/// What is told of a receipt.
pub(crate) fn map(settings: &Settings, receipt: &Receipt) -> Result<Told, Untold> {
    let body = body(receipt);
    if let Some(schema) = &settings.schema {
        check_schema(schema, &body)?;
    }
    let query = fields(receipt.query.as_deref().unwrap_or_default().as_bytes());
    let known = json!({ "body": body, "headers": receipt.headers, "query": query });
    let kind = settings.event_type.as_ref().map(|text| type_of(text, &known)).transpose()?;
    let content =
        settings.data.as_ref().map_or_else(|| known["body"].clone(), |data| fill(data, &known));
    let text = content.to_string();
    let wrong = match () {
        () if text.len() > DATA_MAX_BYTES => "has more than 262144 bytes",
        () if text.contains("\\u0000") => "holds U+0000, which cannot be stored",
        () => {
            let part = settings.scheme().and_then(|scheme| scheme.kind);
            let external_type = part.and_then(|part| text_at(&part, &known));
            return Ok(Told { kind, content, external_type });
        }
    };
    let fault = Fault { pointer: "/data".to_owned(), detail: wrong.to_owned() };
    Err(("data_unusable", vec![fault]))
}

/// What a part of the request says, as far as it was kept.
fn text_at(part: &Part, known: &Value) -> Option<String> {
    let found = match part {
        Part::Header(name) => &known["headers"][name.to_ascii_lowercase()],
        Part::Query(name) => &known["query"][name],
        Part::Form(name) => &known["body"][name],
        Part::Json(pointer) => known["body"].pointer(pointer)?,
        Part::Field { .. } | Part::Each { .. } => return None,
    };
    let text = found.as_str().map(str::to_owned).or_else(|| Some(found.as_i64()?.to_string()))?;
    Some(text.chars().take(EXTERNAL_MAX).collect())
}

/// The type that a text makes. What a sender writes with capitals, hyphens or slashes is written as
/// types are.
fn type_of(text: &str, known: &Value) -> Result<String, Untold> {
    let filled = fill(&json!(text), known);
    let filled = filled.as_str().unwrap_or_default().to_ascii_lowercase();
    let kind: String = filled
        .chars()
        .map(|one| match one {
            '/' | ':' => '.',
            '-' | ' ' => '_',
            other => other,
        })
        .collect();
    let ours = EventType::ALL.iter().any(|one| kind.split('.').next() == Some(one.area()));
    if is_type(&kind) && !ours {
        return Ok(kind);
    }
    let detail = "what the template makes is no type of event";
    Err(("type_unusable", vec![Fault { pointer: "/event_type".to_owned(), detail: detail.into() }]))
}

fn check_schema(schema: &Value, body: &Value) -> Result<(), Untold> {
    let validator = compile(schema).map_err(|()| ("schema_unusable", Vec::new()))?;
    let fault = |error: jsonschema::ValidationError<'_>| Fault {
        pointer: error.instance_path().to_string(),
        // Says what is wrong without what was sent.
        detail: error.masked().to_string(),
    };
    let faults: Vec<Fault> = validator.iter_errors(body).take(FAULTS_MAX).map(fault).collect();
    if faults.is_empty() { Ok(()) } else { Err(("schema_mismatch", faults)) }
}
