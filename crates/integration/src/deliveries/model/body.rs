//! Room `integration`: the body that an endpoint gets of an event.

use misy_core::{EventId, TenantId};
use serde_json::{Value, json};

use crate::endpoints::model::{Format, Settings};

/// A body and its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// What is sent. The plain form is what was written when it happened, byte for byte.
pub(crate) fn write(settings: &Settings, tenant: TenantId, event: EventId, payload: &str) -> Form {
    let json = "application/json";
    if settings.template.is_none() && settings.format == Format::Standard {
        return Form { content_type: json, body: payload.to_owned() };
    }
    let parsed: Value = serde_json::from_str(payload).unwrap_or_default();
    let shaped = settings.template.as_ref().map(|template| fill(template, &parsed));
    match settings.format {
        Format::Standard => Form { content_type: json, body: shaped.unwrap_or(parsed).to_string() },
        Format::Cloudevents => {
            let data = shaped.unwrap_or_else(|| parsed["data"].clone());
            let body = json!({
                "specversion": "1.0", "id": event, "source": format!("/tenants/{tenant}"),
                "type": parsed["type"], "time": parsed["timestamp"],
                "datacontenttype": json, "data": data,
            });
            Form { content_type: "application/cloudevents+json", body: body.to_string() }
        }
    }
}

/// A text that is one placeholder becomes what it points to, of whatever type; within other text it
/// becomes text. What is not there becomes `null`, or nothing.
pub(crate) fn fill(template: &Value, payload: &Value) -> Value {
    match template {
        Value::String(text) => fill_text(text, payload),
        Value::Array(all) => all.iter().map(|one| fill(one, payload)).collect(),
        Value::Object(members) => {
            let filled = members.iter().map(|(name, one)| (name.clone(), fill(one, payload)));
            Value::Object(filled.collect())
        }
        other => other.clone(),
    }
}

fn fill_text(text: &str, payload: &Value) -> Value {
    let whole = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    if let Some(pointer) = whole.filter(|inner| !inner.contains("{{") && !inner.contains("}}")) {
        return payload.pointer(pointer.trim()).cloned().unwrap_or_default();
    }
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((pointer, behind)) = after.split_once("}}") else { break };
        done.push_str(before);
        match payload.pointer(pointer.trim()) {
            Some(Value::String(found)) => done.push_str(found),
            Some(Value::Null) | None => {}
            Some(other) => done.push_str(&other.to_string()),
        }
        rest = behind;
    }
    Value::String(done + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_core::id::TypedId;
    use uuid::Uuid;

    const PAYLOAD: &str = "{\"type\":\"a.b\",\"timestamp\":\"2026-01-01T00:00:00Z\",\
        \"data\":{\"n\":5,\"s\":\"x\",\"o\":{\"k\":null}}}";

    fn written(settings: &Settings) -> Form {
        let id = Uuid::from_u128(1);
        write(settings, TenantId::from_uuid(id), EventId::from_uuid(id), PAYLOAD)
    }

    #[test]
    fn the_plain_form_is_the_payload_byte_for_byte() {
        let form = written(&Settings::default());
        assert_eq!((form.content_type, form.body.as_str()), ("application/json", PAYLOAD));
    }

    #[test]
    fn a_cloud_event_has_what_the_specification_demands() {
        let settings = Settings { format: Format::Cloudevents, ..Settings::default() };
        let form = written(&settings);
        assert_eq!(form.content_type, "application/cloudevents+json");
        let event: Value = serde_json::from_str(&form.body).expect("JSON");
        for (name, value) in [("specversion", "1.0"), ("type", "a.b")] {
            assert_eq!(event[name], value);
        }
        assert_eq!(event["time"], "2026-01-01T00:00:00Z");
        assert!(event["id"].as_str().is_some_and(|id| id.starts_with("evt_")));
        assert_eq!(event["data"]["n"], 5);
    }

    #[test]
    fn a_template_takes_values_as_they_are_and_texts_into_texts() {
        let template = json!({
            "n": "{{/data/n}}", "all": ["{{ /data/o }}", 7], "none": "{{/data/none}}",
            "text": "{{/data/s}} of {{/data/n}}{{/nothing}}, {{ open",
        });
        let settings = Settings { template: Some(template), ..Settings::default() };
        let body: Value = serde_json::from_str(&written(&settings).body).expect("JSON");
        let wanted = json!({
            "n": 5, "all": [{"k": null}, 7], "none": null, "text": "x of 5, {{ open",
        });
        assert_eq!(body, wanted);
    }
}
