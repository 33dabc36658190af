//! Room `web`: checks JSON against a type's own OpenAPI schema, so that every fault is found at
//! once and what the reference says is what is enforced. An object takes the members its schema
//! names, no others.

use std::collections::{BTreeMap, HashMap, HashSet};

use misy_core::error::Fault;
use regex::Regex;
use serde_json::{Map, Value};
use utoipa::ToSchema;

mod samples;

/// More faults than anybody mends in one go.
pub(crate) const MAX_FAULTS: usize = 100;

/// References to references; derived schemas have one or two.
const MAX_HOPS: usize = 16;

/// The schema of one type with all that it refers to.
pub(crate) struct Shape {
    /// The type's own schema.
    root: Value,
    /// What references lead to, by name.
    definitions: HashMap<String, Value>,
    /// Compiled once, by their text.
    patterns: BTreeMap<String, Regex>,
}

const NOTHING: &Value = &Value::Null;

impl Shape {
    /// The schema of a body.
    pub(crate) fn of<T: ToSchema>() -> Self {
        let mut found = Vec::new();
        T::schemas(&mut found);
        found.push((T::name().into_owned(), T::schema()));
        let definitions = found.into_iter().map(|(name, schema)| (name, as_json(&schema)));
        Self::new(as_json(&T::schema()), definitions.collect())
    }

    /// A schema that is already JSON.
    pub(crate) fn new(root: Value, definitions: HashMap<String, Value>) -> Self {
        let mut patterns = BTreeMap::new();
        for schema in definitions.values().chain([&root]) {
            compile_patterns(schema, &mut patterns);
        }
        Self { root, definitions, patterns }
    }

    /// Every fault of a value; empty if it has the shape.
    pub(crate) fn check(&self, value: &Value) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.visit(&self.root, value, "", true, &mut faults);
        faults
    }

    /// Follows references to the end; a circle of bare references would say nothing and ends as
    /// such.
    fn resolve<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..MAX_HOPS {
            let Some(target) = schema.get("$ref").and_then(Value::as_str) else { return schema };
            let name = target.rsplit('/').next().unwrap_or_default();
            schema = self.definitions.get(name).unwrap_or(NOTHING);
        }
        NOTHING
    }

    /// `closed`: whether members that the schema does not name are faults here; inside `allOf` that
    /// is for all parts together to say.
    fn visit(&self, schema: &Value, value: &Value, at: &str, closed: bool, out: &mut Vec<Fault>) {
        if out.len() >= MAX_FAULTS {
            return;
        }
        let schema = self.resolve(schema);
        if let Some(variants) = variants(schema) {
            self.visit_variants(variants, value, at, closed, out);
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            for part in parts {
                self.visit(part, value, at, false, out);
            }
            if closed {
                self.refuse_unknown(schema, value, at, out);
            }
        }
        if let Some(wanted) = wrong_type(schema, value) {
            return fault(out, at, format!("has to be {wanted}, not {}", type_name(value)));
        }
        if let Some(allowed) = allowed_values(schema)
            && !allowed.contains(&value)
        {
            return fault(out, at, one_of(allowed));
        }
        match value {
            Value::String(text) => self.visit_text(schema, text, at, out),
            Value::Number(_) => visit_number(schema, value, at, out),
            Value::Array(items) => self.visit_array(schema, items, at, out),
            Value::Object(members) => self.visit_object(schema, members, at, closed, out),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Length counts characters, as people do, not bytes.
    fn visit_text(&self, schema: &Value, text: &str, at: &str, out: &mut Vec<Fault>) {
        let length = text.chars().count() as u64;
        if let Some(least) = bound(schema, "minLength").filter(|least| length < *least) {
            fault(out, at, format!("has to have at least {}", count(least, "character")));
        }
        if let Some(most) = bound(schema, "maxLength").filter(|most| length > *most) {
            fault(out, at, format!("has to have at most {}", count(most, "character")));
        }
        let pattern = schema.get("pattern").and_then(Value::as_str);
        if let Some(pattern) = pattern
            && self.patterns.get(pattern).is_some_and(|regex| !regex.is_match(text))
        {
            fault(out, at, format!("has to match `{pattern}`"));
        }
    }

    /// An array that is too long is not looked into: its length is what has to be mended.
    fn visit_array(&self, schema: &Value, items: &[Value], at: &str, out: &mut Vec<Fault>) {
        let length = items.len() as u64;
        if let Some(least) = bound(schema, "minItems").filter(|least| length < *least) {
            fault(out, at, format!("has to have at least {}", count(least, "item")));
        }
        if let Some(most) = bound(schema, "maxItems").filter(|most| length > *most) {
            return fault(out, at, format!("has to have at most {}", count(most, "item")));
        }
        let Some(item_schema) = schema.get("items") else { return };
        for (index, item) in items.iter().enumerate() {
            self.visit(item_schema, item, &format!("{at}/{index}"), true, out);
        }
    }

    /// Missing members, the members themselves, and, if it is closed, strangers.
    fn visit_object(
        &self,
        schema: &Value,
        members: &Map<String, Value>,
        at: &str,
        closed: bool,
        out: &mut Vec<Fault>,
    ) {
        for name in required(schema) {
            if !members.contains_key(name) {
                fault(out, &join(at, name), "is missing");
            }
        }
        if let Some(most) =
            bound(schema, "maxProperties").filter(|most| members.len() as u64 > *most)
        {
            return fault(out, at, format!("has to have at most {}", count(most, "member")));
        }
        let extra = schema.get("additionalProperties").filter(|extra| extra.is_object());
        for (name, member) in members {
            let known = schema.get("properties").and_then(|all| all.get(name)).or(extra);
            if let Some(known) = known {
                self.visit(known, member, &join(at, name), true, out);
            }
        }
        if closed && schema.get("allOf").is_none() && variants(schema).is_none() {
            self.refuse_unknown(schema, &Value::Object(members.clone()), at, out);
        }
    }

    /// A misspelt optional member would otherwise be lost in silence.
    fn refuse_unknown(&self, schema: &Value, value: &Value, at: &str, out: &mut Vec<Fault>) {
        let (Some(members), Some(known)) = (value.as_object(), self.names(schema)) else { return };
        for name in members.keys().filter(|name| !known.contains(name.as_str())) {
            fault(out, &join(at, name), "is not known here");
        }
    }

    /// The members that a schema names; `None` if it takes any.
    fn names<'a>(&'a self, schema: &'a Value) -> Option<HashSet<&'a str>> {
        let schema = self.resolve(schema);
        let parts = schema.get("allOf").and_then(Value::as_array).into_iter();
        let parts: Vec<_> = parts.chain(variants(schema)).flatten().collect();
        let mut names = HashSet::new();
        for part in &parts {
            names.extend(self.names(part)?);
        }
        match (schema.get("additionalProperties"), schema.get("properties")) {
            (Some(Value::Bool(true) | Value::Object(_)), _) => return None,
            (Some(Value::Bool(false)), None) => {}
            (_, Some(properties)) => names.extend(keys(properties)),
            (_, None) if parts.is_empty() && allows(schema, "object") => return None,
            (_, None) => {}
        }
        Some(names)
    }

    /// The faults of the variant that was meant. A tag tells which; `null` stands for an absent
    /// option.
    fn visit_variants(
        &self,
        all: &[Value],
        value: &Value,
        at: &str,
        closed: bool,
        out: &mut Vec<Fault>,
    ) {
        let mut candidates: Vec<&Value> = all.iter().filter(|one| !self.is_null(one)).collect();
        if value.is_null() && candidates.len() < all.len() {
            return;
        }
        if let (Some(tag), Some(members)) = (self.tag(&candidates), value.as_object()) {
            let chosen = members.get(tag).unwrap_or(NOTHING);
            let fits = |one: &&Value| self.constants(one, tag).contains(&chosen);
            if !candidates.iter().any(fits) {
                let known: Vec<_> =
                    candidates.iter().flat_map(|one| self.constants(one, tag)).collect();
                let missing = if members.contains_key(tag) { "" } else { "is missing; it " };
                return fault(out, &join(at, tag), format!("{missing}{}", one_of(known)));
            }
            candidates.retain(fits);
        }
        // Without a tag, the variant that was meant is the one of the right type whose members are
        // there and that has the fewest faults.
        let judged = candidates.into_iter().map(|candidate| {
            let mut faults = Vec::new();
            self.visit(candidate, value, at, closed, &mut faults);
            let schema = self.resolve(candidate);
            let absent = required(schema).filter(|name| value.get(name).is_none()).count();
            ((wrong_type(schema, value).is_some(), absent, faults.len()), faults)
        });
        let best = judged.min_by_key(|(rank, _)| *rank);
        out.extend(best.map(|(_, faults)| faults).unwrap_or_default());
    }

    /// Options are derived as a choice between nothing and something.
    fn is_null(&self, schema: &Value) -> bool {
        self.resolve(schema).get("type").and_then(Value::as_str) == Some("null")
    }

    /// The member that tells the variants apart: a constant of each.
    fn tag<'a>(&'a self, variants: &[&'a Value]) -> Option<&'a str> {
        let (first, rest) = variants.split_first()?;
        let mut names: Vec<&str> = self.names(first)?.into_iter().collect();
        names.sort_unstable();
        let constant = |one: &&Value, name: &str| !self.constants(one, name).is_empty();
        names
            .into_iter()
            .find(|name| constant(first, name) && rest.iter().all(|one| constant(one, name)))
    }

    /// The values that a required member is fixed to.
    fn constants<'a>(&'a self, schema: &'a Value, name: &str) -> Vec<&'a Value> {
        let schema = self.resolve(schema);
        let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
        let mut found: Vec<_> = parts.flat_map(|part| self.constants(part, name)).collect();
        let member = schema.get("properties").and_then(|all| all.get(name));
        if required(schema).any(|one| one == name)
            && let Some(member) = member
        {
            found.extend(allowed_values(self.resolve(member)).into_iter().flatten());
        }
        found
    }
}

/// Schemas are walked as JSON: one form instead of a dozen types.
fn as_json<T: serde::Serialize>(schema: &T) -> Value {
    serde_json::to_value(schema).expect("a schema is JSON by construction")
}

/// Once a schema; a pattern that does not compile checks nothing and is caught by the type itself.
fn compile_patterns(schema: &Value, out: &mut BTreeMap<String, Regex>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(pattern)) = members.get("pattern")
                && let Ok(regex) = Regex::new(pattern)
            {
                out.insert(pattern.clone(), regex);
            }
            members.values().for_each(|inner| compile_patterns(inner, out));
        }
        Value::Array(items) => items.iter().for_each(|inner| compile_patterns(inner, out)),
        _ => {}
    }
}

/// The list is bounded, so that a hostile body cannot make a long answer.
fn fault(out: &mut Vec<Fault>, pointer: &str, detail: impl Into<String>) {
    if out.len() < MAX_FAULTS {
        out.push(Fault { pointer: pointer.to_owned(), detail: detail.into() });
    }
}

fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A JSON pointer, one member further (RFC 6901 section 3).
pub(crate) fn join(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// `anyOf` is derived for untagged enums, `oneOf` for the others; both mean one of these.
fn variants(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array)
}

/// A constant is a choice of one.
fn allowed_values(schema: &Value) -> Option<Vec<&Value>> {
    if let Some(constant) = schema.get("const") {
        return Some(vec![constant]);
    }
    schema.get("enum").and_then(Value::as_array).map(|all| all.iter().collect())
}

/// Names what is allowed, which the reference tells anyway.
fn one_of(values: Vec<&Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let listed: Vec<_> = values.into_iter().map(|value| format!("`{}`", text(value))).collect();
    match listed.as_slice() {
        [only] => format!("has to be {only}"),
        _ => format!("has to be one of {}", listed.join(", ")),
    }
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str)
}

fn keys(object: &Value) -> impl Iterator<Item = &str> {
    object.as_object().into_iter().flat_map(Map::keys).map(String::as_str)
}

fn bound(schema: &Value, keyword: &str) -> Option<u64> {
    schema.get(keyword).and_then(Value::as_u64)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// One name or a list of names (JSON Schema 2020-12 section 6.1.1).
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn allows(schema: &Value, name: &str) -> bool {
    let types = types(schema);
    types.is_empty() || types.contains(&name)
}

/// What the value should have been, if it is of another type.
fn wrong_type(schema: &Value, value: &Value) -> Option<String> {
    let types = types(schema);
    let fits = |name: &&str| match *name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    if types.is_empty() || types.iter().any(fits) {
        return None;
    }
    let article = |name: &&str| match *name {
        "null" => "null".to_owned(),
        "integer" | "array" | "object" => format!("an {name}"),
        name => format!("a {name}"),
    };
    Some(types.iter().map(article).collect::<Vec<_>>().join(" or "))
}

/// Bounds are compared as floating-point numbers; the type itself is exact.
fn visit_number(schema: &Value, value: &Value, at: &str, out: &mut Vec<Fault>) {
    let Some(number) = value.as_f64() else { return };
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    if let Some(least) = limit("minimum").filter(|least| number < *least) {
        fault(out, at, format!("has to be at least {least}"));
    }
    if let Some(most) = limit("maximum").filter(|most| number > *most) {
        fault(out, at, format!("has to be at most {most}"));
    }
    if let Some(least) = limit("exclusiveMinimum").filter(|least| number <= *least) {
        fault(out, at, format!("has to be more than {least}"));
    }
    if let Some(most) = limit("exclusiveMaximum").filter(|most| number >= *most) {
        fault(out, at, format!("has to be less than {most}"));
    }
}

#[cfg(test)]
mod tests;
