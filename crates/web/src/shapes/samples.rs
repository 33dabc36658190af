//! Room `web`: puts something right in the place of what is wrong, so that the rest of a faulty
//! body can be checked by the type's own rules in the same answer. Samples are never handed to a
//! handler.

use serde_json::{Map, Value, json};

use super::{Shape, allowed_values, allows, bound, required, types, variants};

/// Schemas that refer to themselves end here.
const MAX_SAMPLE_DEPTH: u8 = 8;

impl Shape {
    /// Replaces what a pointer names by a sample of its schema, or removes it if it has none.
    /// `false` if there is no such place.
    pub(crate) fn repair(&self, value: &mut Value, pointer: &str) -> bool {
        let Some((parent, name)) = pointer.rsplit_once('/') else {
            *value = self.sample(&self.root, MAX_SAMPLE_DEPTH);
            return true;
        };
        let name = name.replace("~1", "/").replace("~0", "~");
        let sample = self.schema_at(pointer).map(|schema| self.sample(schema, MAX_SAMPLE_DEPTH));
        match (value.pointer_mut(parent), sample) {
            (Some(Value::Object(members)), Some(sample)) => {
                members.insert(name, sample);
                true
            }
            (Some(Value::Object(members)), None) => members.remove(&name).is_some(),
            (Some(Value::Array(items)), Some(sample)) => {
                let item = name.parse().ok().and_then(|index: usize| items.get_mut(index));
                item.map(|item| *item = sample).is_some()
            }
            _ => false,
        }
    }

    fn schema_at(&self, pointer: &str) -> Option<&Value> {
        let names = pointer.split('/').skip(1);
        let mut names = names.map(|name| name.replace("~1", "/").replace("~0", "~"));
        names.try_fold(&self.root, |schema, name| self.inner_schema(schema, &name))
    }

    fn inner_schema<'a>(&'a self, schema: &'a Value, name: &str) -> Option<&'a Value> {
        let schema = self.resolve(schema);
        let member = schema.get("properties").and_then(|all| all.get(name));
        let extra = schema.get("additionalProperties").filter(|extra| extra.is_object());
        let item = schema.get("items").filter(|_| name.bytes().all(|byte| byte.is_ascii_digit()));
        let parts = schema.get("allOf").and_then(Value::as_array).into_iter();
        let mut parts = parts.chain(variants(schema)).flatten();
        member.or(extra).or(item).or_else(|| parts.find_map(|part| self.inner_schema(part, name)))
    }

    fn sample(&self, schema: &Value, depth: u8) -> Value {
        let schema = self.resolve(schema);
        let Some(depth) = depth.checked_sub(1) else { return Value::Null };
        let shown = schema.get("examples").and_then(|all| all.get(0)).or(schema.get("example"));
        if let Some(shown) = shown {
            return shown.clone();
        }
        if let Some(first) = allowed_values(schema).and_then(|all| all.first().copied()) {
            return first.clone();
        }
        if let Some(variants) = variants(schema) {
            let null = variants.iter().any(|one| self.is_null(one));
            let first = variants.first().filter(|_| !null);
            return first.map_or(Value::Null, |first| self.sample(first, depth));
        }
        match types(schema).first().copied().filter(|_| !allows(schema, "null")) {
            Some("boolean") => Value::Bool(false),
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(0)),
            Some("string") => sample_text(schema),
            Some("array") => self.sample_array(schema, depth),
            Some("object") => Value::Object(self.sample_object(schema, depth)),
            _ if schema.get("allOf").is_some() => Value::Object(self.sample_object(schema, depth)),
            _ => Value::Null,
        }
    }

    fn sample_array(&self, schema: &Value, depth: u8) -> Value {
        let least = bound(schema, "minItems").unwrap_or(0).min(16);
        let Some(item) = schema.get("items") else { return json!([]) };
        (0..least).map(|_| self.sample(item, depth)).collect()
    }

    fn sample_object(&self, schema: &Value, depth: u8) -> Map<String, Value> {
        let mut members = Map::new();
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            if let Value::Object(part) = self.sample(part, depth) {
                members.extend(part);
            }
        }
        for name in required(schema) {
            if let Some(member) = schema.get("properties").and_then(|all| all.get(name)) {
                members.insert(name.to_owned(), self.sample(member, depth));
            }
        }
        members
    }
}

fn sample_text(schema: &Value) -> Value {
    let sample = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-01T00:00:00Z".to_owned(),
        Some("date") => "2026-01-01".to_owned(),
        Some("uuid") => "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        Some("uri" | "url") => "https://example.com/".to_owned(),
        Some("email") => "somebody@example.com".to_owned(),
        _ => "x"
            .repeat(usize::try_from(bound(schema, "minLength").unwrap_or(1)).unwrap_or(1).min(64)),
    };
    Value::String(sample)
}
