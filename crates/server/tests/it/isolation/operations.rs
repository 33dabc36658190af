//! Room `server`: what can be asked of the program, read from its own OpenAPI document.

use serde_json::Value;

/// A place in a request that may name something of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A parameter of the path.
    Path { name: String, kind: String },
    /// A parameter of the query.
    Query { name: String },
    /// A field of the body, by its pointer.
    Body { pointer: String, kind: String },
    /// The tenant's own id, smuggled into a header, the query or the body.
    Smuggled { into: &'static str },
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path { name, .. } => write!(f, "path {name}"),
            Self::Query { name } => write!(f, "query {name}"),
            Self::Body { pointer, .. } => write!(f, "body {pointer}"),
            Self::Smuggled { into } => write!(f, "tenant in {into}"),
        }
    }
}

/// An operation of the document.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// In capitals.
    pub(crate) method: String,
    /// With its parameters in braces.
    pub(crate) path: String,
    /// Whether it takes a JSON object.
    pub(crate) has_body: bool,
    /// Whether it can be repeated by key.
    pub(crate) is_keyed: bool,
    /// Every place that may name something.
    pub(crate) slots: Vec<Slot>,
}

impl Operation {
    /// As it stands in the document.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Its parameters of the path, with what they are ids of.
    pub(crate) fn path_slots(&self) -> impl Iterator<Item = (&str, &str)> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Path { name, kind } => Some((name.as_str(), kind.as_str())),
            _ => None,
        })
    }

    /// Whether it takes something away or ends it, so that it can be asked once of each thing.
    pub(crate) fn uses_up(&self) -> bool {
        self.method == "DELETE"
            || ["/suspend", "/rotate", "/replay", "/end"].iter().any(|end| self.path.ends_with(end))
    }
}

/// Query parameters whose values are the same for everybody: none of them names a thing.
const COMMON: [&str; 24] = [
    "at",
    "limit",
    "order",
    "reason",
    "kind",
    "status",
    "plan",
    "action",
    "resource",
    "language",
    "attributes",
    "count",
    "excludedAttributes",
    "filter",
    "sortBy",
    "sortOrder",
    "startIndex",
    "type",
    "allowed",
    "overlap_s",
    "code_challenge",
    "return_to",
    "login_hint",
    "wait_s",
];

/// Fields of bodies that are texts and yet name something.
const NAMING: [(&str, &str); 3] = [("tenant", "slug"), ("email", "email"), ("value", "phone")];

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Every operation, exports first, else in the document's order.
pub(crate) fn read(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an object") {
            if METHODS.contains(&method.as_str()) {
                all.push(of(document, method, path, operation));
            }
        }
    }
    // An export holds all that its own people wrote, names of others that they guessed too: it is
    // asked for before anybody guesses.
    all.sort_by_key(|operation: &Operation| !operation.path.ends_with("/export"));
    all
}

fn of(document: &Value, method: &str, path: &str, operation: &Value) -> Operation {
    let mut slots = Vec::new();
    let mut is_keyed = false;
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let parameter = resolved(document, parameter);
        let name = parameter["name"].as_str().expect("a name").to_owned();
        match parameter["in"].as_str() {
            Some("path") => {
                slots.push(Slot::Path { kind: kind(&parameter["schema"], &name), name });
            }
            Some("query") if !COMMON.contains(&name.as_str()) => slots.push(Slot::Query { name }),
            Some("header") => is_keyed |= name == "Idempotency-Key",
            _ => {}
        }
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let scim = &operation["requestBody"]["content"]["application/scim+json"]["schema"];
    let has_body = resolved(document, schema)["properties"].is_object()
        || schema["$ref"].is_string()
        || !scim.is_null();
    fields(document, schema, "", &mut slots);
    let smuggled = ["header", "query"].into_iter().chain(has_body.then_some("body"));
    // What a sender writes is kept as it came, for the tenant that hears of it to read.
    let is_kept = path == "/hooks/sources/{source}";
    let smuggled = smuggled.filter(|_| !is_kept);
    slots.extend(smuggled.map(|into| Slot::Smuggled { into }));
    Operation { method: method.to_uppercase(), path: path.to_owned(), has_body, is_keyed, slots }
}

/// What an id is of: the name of its schema, or of the parameter where it is a bare text.
fn kind(schema: &Value, name: &str) -> String {
    let named = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    named.unwrap_or(name).to_owned()
}

/// Fields that are ids, or texts that name something.
fn fields(document: &Value, schema: &Value, at: &str, slots: &mut Vec<Slot>) {
    let schema = resolved(document, schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        fields(document, part, at, slots);
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{at}/{name}");
        let choices = field["oneOf"].as_array().into_iter().flatten();
        for choice in std::iter::once(field).chain(choices) {
            let kind = kind(choice, name);
            let naming = NAMING.iter().find(|(known, _)| *known == kind).map(|(_, kind)| *kind);
            let is_id = kind.ends_with("Id") && choice["$ref"].is_string();
            if let Some(kind) = naming.filter(|_| choice["$ref"].is_null()) {
                slots.push(Slot::Body { pointer: pointer.clone(), kind: kind.to_owned() });
            } else if is_id {
                slots.push(Slot::Body { pointer: pointer.clone(), kind });
            } else if choice["$ref"].is_string() && !kind.ends_with("Content") {
                fields(document, choice, &pointer, slots);
            }
        }
    }
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(path) = value["$ref"].as_str() else { return value };
    let found = document.pointer(path.trim_start_matches('#'));
    resolved(document, found.unwrap_or_else(|| panic!("{path} is nowhere")))
}
