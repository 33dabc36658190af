//! Room `web`: the types of events in the reference: schema, example, and the `webhooks` section.

use std::collections::HashMap;

use misy_core::event::EventType;
use serde_json::{Value, json};

/// JSON Schema of a type's data, whole: it refers to nothing outside.
pub fn schema(kind: EventType) -> Value {
    let named = kind.named().into_iter();
    let named = named.map(|(name, one)| (name, serde_json::to_value(one).unwrap_or_default()));
    let mut schema = serde_json::to_value(kind.schema()).unwrap_or_default();
    put_in(&mut schema, &named.collect());
    schema
}

/// Puts what is referred to by name where it is referred to.
fn put_in(schema: &mut Value, named: &HashMap<String, Value>) {
    let name = schema.get("$ref").and_then(Value::as_str);
    let name = name.and_then(|path| path.strip_prefix("#/components/schemas/"));
    if let Some(found) = name.and_then(|name| named.get(name)) {
        *schema = found.clone();
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(|one| put_in(one, named)),
        Value::Array(items) => items.iter_mut().for_each(|one| put_in(one, named)),
        _ => {}
    }
}

/// A whole payload of a type.
pub fn example(kind: EventType) -> Value {
    json!({
        "type": kind.slug(), "timestamp": "2026-03-01T12:00:00Z", "data": sample(&schema(kind)),
    })
}

/// A value of a schema: its example, or the simplest that fits.
fn sample(schema: &Value) -> Value {
    if let Some(example) = schema.get("examples").and_then(|all| all.get(0)) {
        return example.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(several)) => several.iter().find(|one| *one != "null").cloned(),
        one => one.cloned(),
    };
    match kind.as_ref().and_then(Value::as_str) {
        Some("object") => {
            let members = schema.get("properties").and_then(Value::as_object);
            let members = members.into_iter().flatten();
            Value::Object(members.map(|(name, one)| (name.clone(), sample(one))).collect())
        }
        Some("string") if schema.get("format").is_some_and(|it| it == "date-time") => {
            json!("2026-03-01T12:00:00Z")
        }
        Some("string") => match schema.get("pattern").and_then(Value::as_str) {
            Some(pattern) => {
                let prefix = pattern.trim_start_matches('^').split('_').next().unwrap_or_default();
                json!(format!("{prefix}_01k8zq5m3ge0r8v0w1x2y3z4a5"))
            }
            None => json!("text"),
        },
        _ => Value::Null,
    }
}

/// One entry a type, as OpenAPI 3.1 describes what is sent to others.
pub(crate) fn section() -> Value {
    let entries = EventType::ALL.iter().map(|kind| {
        let body = json!({
            "type": "object", "required": ["type", "timestamp", "data"],
            "properties": {
                "type": {"const": kind.slug()},
                "timestamp": {"type": "string", "format": "date-time"},
                "data": schema(*kind),
            },
        });
        let content = json!({"application/json": {"schema": body, "example": example(*kind)}});
        let operation = json!({
            "operationId": format!("on_{}", kind.slug().replace('.', "_")),
            "tags": ["webhooks"], "summary": kind.about(), "security": [],
            "requestBody": {"required": true, "content": content},
            "responses": {"2XX": {"description": "It has arrived."},
                "410": {"description": "Nothing more is sent to this endpoint."}},
        });
        (kind.slug().to_owned(), json!({ "post": operation }))
    });
    Value::Object(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_an_example_with_the_members_of_its_schema() {
        for kind in EventType::ALL {
            let (schema, example) = (schema(*kind), example(*kind));
            let members = schema["properties"].as_object().expect("an object");
            let given = example["data"].as_object().expect("an object");
            assert!(members.keys().eq(given.keys()), "{kind:?}");
            assert!(section()[kind.slug()]["post"]["requestBody"].is_object());
        }
    }
}
