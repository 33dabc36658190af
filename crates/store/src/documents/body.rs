//! Room `store`: what is written of a document, in the one form that every document store gives
//! back as it got it.

use misy_core::crypto::sha256;
use serde::Serialize;
use serde_json::{Number, Value};

use super::{
    Document, DocumentError, Kind, MAX_BODY_BYTES, MAX_DEPTH, MAX_FIELD_BYTES, MAX_STORED_BYTES,
};

/// What is written of a document: its body and its declared fields.
pub(super) struct Written {
    pub(super) body: Value,
    pub(super) names: Vec<&'static str>,
    pub(super) values: Vec<String>,
}

impl Written {
    /// Refuses what one of the stores could not keep, whichever is in use.
    pub(super) fn new(kind: Kind, body: &impl Serialize) -> Result<Self, DocumentError> {
        let text = serde_json::to_string(body)?;
        if text.len() > MAX_BODY_BYTES {
            return Err(DocumentError::TooLarge);
        }
        let mut body: Value = serde_json::from_str(&text)?;
        if !body.is_object() {
            return Err(DocumentError::NotAnObject);
        }
        if text.contains("\\u0000") && has_nul(&body) {
            return Err(DocumentError::NulCharacter);
        }
        if depth(&body) > MAX_DEPTH {
            return Err(DocumentError::TooDeep);
        }
        settle(&mut body);
        if stored_bytes(&body) > MAX_STORED_BYTES {
            return Err(DocumentError::TooLarge);
        }
        let (names, values): (Vec<_>, Vec<_>) = declared(kind, &body).unzip();
        if values.iter().any(|value| value.len() > MAX_FIELD_BYTES) {
            return Err(DocumentError::TooLarge);
        }
        Ok(Self { body, names, values })
    }
}

/// The declared fields that a body has, as text; what is not a scalar is not indexed.
fn declared(kind: Kind, body: &Value) -> impl Iterator<Item = (&'static str, String)> {
    kind.fields().iter().filter_map(|name| Some((*name, scalar(body.get(name)?)?)))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Gives each number the type that both stores keep: PostgreSQL knows no negative zero and writes
/// `1e16` as an integer.
fn settle(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(settled) = settled(number) {
                *number = settled;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(fields) => fields.values_mut().for_each(settle),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn settled(number: &Number) -> Option<Number> {
    let float = number.as_f64().filter(|_| number.is_f64())?;
    if float == 0.0 {
        return Number::from_f64(0.0);
    }
    if float.fract() != 0.0 || !number.to_string().contains('e') {
        return None;
    }
    let digits = format!("{float:.0}");
    digits
        .parse::<u64>()
        .map(Number::from)
        .or_else(|_| digits.parse::<i64>().map(Number::from))
        .ok()
}

/// The size in BSON, <https://bsonspec.org/spec.html>, with every integer in eight bytes.
pub(super) fn stored_bytes(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(number) if number.as_i64().is_none() && number.is_u64() => 16,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 5,
        Value::Array(items) => {
            let digits = |at: usize| at.checked_ilog10().map_or(1, |power| power as usize + 1);
            let items = items.iter().enumerate();
            5 + items.map(|(at, item)| 2 + digits(at) + stored_bytes(item)).sum::<usize>()
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            5 + fields.map(|(name, value)| 2 + name.len() + stored_bytes(value)).sum::<usize>()
        }
    }
}

/// SHA-256 over everything that a document is, as JSON with sorted names: equal if and only if two
/// stores hold the same.
pub(super) fn digest(document: &Document<Value>) -> [u8; 32] {
    let Document { id, body, version, created_at, updated_at } = document;
    let times = [created_at, updated_at].map(|time| time.as_microsecond());
    let mut text = format!("{id} {version} {} {} ", times[0], times[1]);
    canonical(body, &mut text);
    sha256(text.as_bytes())
}

/// Whether two bodies say the same.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    let text = |value| {
        let mut text = String::new();
        canonical(value, &mut text);
        text
    };
    text(one) == text(other)
}

/// JSON without spaces, names in the order of their bytes.
pub(super) fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (at, (name, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                canonical(value, text);
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KIND: Kind = Kind::new("things", &["name"]);

    #[test]
    fn a_float_that_postgresql_would_turn_into_an_integer_is_one_at_once() {
        let body = json!({"a": 1e16, "b": -0.0, "c": -1e18, "d": 1e300, "e": 2.0, "f": 1.8e19});
        let kept = Written::new(KIND, &body).expect("it can be kept").body;
        let expected = json!({
            "a": 10_000_000_000_000_000_u64, "b": 0.0, "c": -1_000_000_000_000_000_000_i64,
            "d": 1e300, "e": 2.0, "f": 18_000_000_000_000_000_000_u64,
        });
        assert_eq!(kept.to_string(), expected.to_string());
    }

    #[test]
    fn what_would_outgrow_a_document_server_is_too_large_everywhere() {
        let many = json!({"items": vec![1; 1_200_000]});
        assert!(serde_json::to_string(&many).expect("JSON").len() < MAX_BODY_BYTES);
        assert!(matches!(Written::new(KIND, &many), Err(DocumentError::TooLarge)));
    }

    #[test]
    fn the_size_is_that_of_the_bson_specification() {
        let body = json!({"a": 1, "bc": ["x", null, true, 1.5], "": {"u": u64::MAX}});
        let bson = super::super::mongo::values::to_bson(&body);
        let bytes = bson::serialize_to_vec(bson.as_document().expect("an object"));
        assert_eq!(stored_bytes(&body), bytes.expect("it is written").len());
    }

    #[test]
    fn the_order_of_names_does_not_change_what_a_document_is() {
        let mut text = String::new();
        canonical(&json!({"b": [1, {"d": null, "c": "\""}], "a": true}), &mut text);
        assert_eq!(text, r#"{"a":true,"b":[1,{"c":"\"","d":null}]}"#);
    }
}
