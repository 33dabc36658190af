//! Room `web`: the reference. What the verticals describe, completed with what holds for all
//! operations: the credential, the headers, the problems that each can answer.

use std::collections::{BTreeSet, HashSet};

use misy_core::Code;
use misy_core::error::Fault;
use serde_json::{Map, Value, json};
use utoipa::PartialSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::problem::{Document, PROBLEM_JSON};
use crate::routes::is_public;

const METHODS: [&str; 6] = ["get", "put", "post", "delete", "patch", "head"];

const ABOUT: &str = "\
Everything is JSON in UTF-8 with `snake_case` names. Ids are texts like \
`con_01k8zq5m3ge0r8v0w1x2y3z4a5`, times are RFC 3339 in UTC. Members and query parameters that \
are not described are refused.\n\n\
**Credential.** `Authorization: Bearer <access token or API key>`; it names the tenant. A browser \
may keep its session in cookies instead (`\"session\": \"cookie\"` at sign-in).\n\n\
**Errors** are `application/problem+json`; `code` is stable, `errors` lists every fault of the \
content with a JSON pointer. [All codes](/docs/errors).\n\n\
**Lists** take `limit` and `cursor` and give `next_cursor`, which is `null` on the last page.\n\n\
**Versions.** Single objects carry an `ETag`. Send it as `If-None-Match` to be told 304 if \
nothing has changed, as `If-Match` to change only what you have seen.\n\n\
**Repeating safely.** Send an `Idempotency-Key` with any change: the same key and body give \
the first answer again for 24 hours.\n\n\
**Limits** are told by the `RateLimit` headers; after 429 wait as long as `Retry-After` says.";

/// The whole reference, OpenAPI 3.1.
pub fn document(api: &OpenApiRouter) -> Value {
    let mut document = serde_json::to_value(api.get_openapi()).unwrap_or_default();
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "MisyBot API",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document["servers"] = json!([{"url": "/"}]);
    document["security"] = json!([{"bearer": []}, {"cookie": []}]);
    document["webhooks"] = crate::webhooks::section();
    add_components(&mut document);
    add_operations_routes(&mut document);
    let mut names = HashSet::new();
    let mut tags = BTreeSet::new();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.into_iter().flatten() {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                name_operation(method, path, operation, &mut names);
                complete(method, path, operation);
                tags.extend(tag_of(operation).map(str::to_owned));
            }
        }
    }
    document["tags"] = tags.into_iter().map(|name| json!({"name": name})).collect();
    // Extensions of an operation come out of a hash map, each time in another order.
    document.sort_all_objects();
    document
}

/// The problems that operations can answer: the name of the response and the statuses' meaning.
const RESPONSES: [(&str, u16, &str); 13] = [
    ("Malformed", 400, "The request cannot be read."),
    ("Unauthenticated", 401, "No valid credential."),
    ("Forbidden", 403, "Known, but not allowed."),
    ("NotFound", 404, "Absent, or of another tenant."),
    (
        "Conflict",
        409,
        "It conflicts with what is there, or the first request with this key still runs.",
    ),
    ("Stale", 412, "`If-Match` names a version that is no longer the newest."),
    ("TooLarge", 413, "The body is too large."),
    ("UnsupportedMediaType", 415, "The content type is not supported."),
    ("Invalid", 422, "The content is wrong; every fault is listed."),
    ("RateLimited", 429, "Too many requests; `Retry-After` says how long to wait."),
    ("Internal", 500, "Something went wrong on our side; it was logged."),
    ("Unavailable", 503, "A dependency is down; `Retry-After` says when to repeat."),
    ("Timeout", 504, "It took too long."),
];

/// Where the protocol has a form of its own for errors (RFC 7644 section 3.12). The layers around
/// it keep to theirs.
const SCIM_PATHS: &str = "/scim/";
const SCIM_JSON: &str = "application/scim+json";

/// What operations refer to instead of repeating it.
fn add_components(document: &mut Value) {
    let problem = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
    let responses: Map<_, _> = RESPONSES
        .iter()
        .flat_map(|(name, status, description)| {
            let mut headers = json!({"X-Request-Id": header("X-Request-Id")});
            if matches!(status, 429 | 503) {
                headers["Retry-After"] = header("Retry-After");
            }
            let mut content = problem.clone();
            content["example"] = example(*status);
            let content = json!({PROBLEM_JSON: content});
            let body = json!({"description": description, "headers": headers, "content": content});
            let mut of_scim = body.clone();
            of_scim["content"][SCIM_JSON] = json!({"schema": {"type": "object"}});
            [((*name).to_owned(), body), (format!("Scim{name}"), of_scim)]
        })
        .collect();
    let components = &mut document["components"];
    components["schemas"]["Problem"] = json!(Document::schema());
    components["schemas"]["Fault"] = json!(Fault::schema());
    components["responses"] = Value::Object(responses);
    components["securitySchemes"] = json!({"bearer": {
        "type": "http", "scheme": "bearer",
        "description": "An access token from `POST /v1/auth/login`, or an API key.",
    }, "cookie": {
        "type": "apiKey", "in": "cookie", "name": crate::ACCESS_COOKIE,
        "description": "The session of a browser. What changes something is taken from pages of \
            this origin and of those that the tenant allows.",
    }});
    components["headers"] = json!({
        "X-Request-Id": {"description": "Names the request in logs.", "schema": {"type": "string"}},
        "RateLimit": {"description": "What is left, for example `\"credential\";r=59;t=1`.",
            "schema": {"type": "string"}},
        "RateLimit-Policy": {"description": "What is allowed, like `\"credential\";q=60;w=60`.",
            "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
        "Idempotency-Replayed": {"description": "`true` if this is the first answer, given again.",
            "schema": {"type": "string"}},
    });
    components["parameters"] = json!({
        "IdempotencyKey": {"name": "Idempotency-Key", "in": "header", "required": false,
            "description": "Any text of 1 to 255 visible ASCII characters, new for each change.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255}},
        "IfMatch": {"name": "If-Match", "in": "header", "required": false,
            "description": "The `ETag` of the version that is to be changed.",
            "schema": {"type": "string"}},
    });
}

/// Headers are described once and referred to.
fn header(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

/// The first code of a status, as the problem it would be.
fn example(status: u16) -> Value {
    let Some(code) = Code::ALL.iter().find(|code| code.status() == status) else {
        return Value::Null;
    };
    let mut example = json!({
        "type": format!("/docs/errors#{}", code.slug()),
        "title": code.title(),
        "status": status,
        "detail": code.help(),
        "instance": "urn:misy:request:req_01k8zq5m3ge0r8v0w1x2y3z4a5",
        "code": code.slug(),
    });
    if status == 422 {
        example["errors"] = json!([{"pointer": "/name", "detail": "is missing"}]);
    }
    example
}

/// Routes that no vertical describes.
fn add_operations_routes(document: &mut Value) {
    let answer = |description: &str| {
        json!({"description": description, "content": {
        "application/json": {"schema": {"type": "object"}}}})
    };
    let routes = [
        ("/healthz", "alive", "Whether the process lives", "It does."),
        ("/readyz", "ready", "Whether every dependency answers", "They do."),
        ("/openapi.json", "reference", "This reference", "OpenAPI 3.1."),
    ];
    for (path, name, summary, description) in routes {
        document["paths"][path] = json!({"get": {
            "operationId": name, "tags": ["operations"], "summary": summary, "security": [],
            "x-rate-class": "operations", "responses": {"200": answer(description)},
        }});
    }
}

/// Operations have one tag: their resource.
fn tag_of(operation: &Value) -> Option<&str> {
    operation.get("tags")?.get(0)?.as_str()
}

/// Handlers are called `list` and `create` in every resource; the reference needs a name for each.
fn name_operation(method: &str, path: &str, operation: &mut Value, known: &mut HashSet<String>) {
    let function = operation.get("operationId").and_then(Value::as_str).unwrap_or(method);
    let tag = tag_of(operation).unwrap_or("api").replace(['-', ' '], "_");
    let plain =
        if function.contains(&tag) { function.to_owned() } else { format!("{tag}_{function}") };
    let by_path = || {
        let words = path.split(['/', '-', '_', '.', '{', '}', ':']).filter(|word| !word.is_empty());
        words.fold(method.to_owned(), |name, word| format!("{name}_{word}"))
    };
    let name = if known.contains(&plain) { by_path() } else { plain };
    known.insert(name.clone());
    operation["operationId"] = Value::String(name);
}

/// Adds what an operation can answer beside success, as far as it did not describe that itself.
fn complete(method: &str, path: &str, operation: &mut Value) {
    let public = is_public(operation);
    let changes = matches!(method, "post" | "put" | "patch" | "delete");
    let patch = method == "patch";
    let body = operation.get("requestBody").is_some();
    let query = has_query(operation);
    let unlimited = operation.get("x-rate-class").is_some_and(|class| class == "operations");
    add_parameters(operation, changes && !public, patch);
    add_headers(operation, changes && !public, unlimited);
    let can = |status: u16| match status {
        400 => query || body || changes,
        401 | 403 => !public,
        // What a body names can be absent as well.
        404 => path.contains('{') || (body && !public),
        409 => changes && !public,
        412 => patch,
        413 | 415 => body,
        422 => body || query || (changes && !public),
        429 => !unlimited,
        500 | 503 | 504 => true,
        _ => false,
    };
    for (name, status, _) in RESPONSES {
        let described = operation["responses"].get(status.to_string()).is_some();
        if described {
            // A handler says when; what the body is, is the same for all.
            let response = &mut operation["responses"][status.to_string()];
            if response.get("$ref").is_none() && response.get("content").is_none() {
                let schema = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
                response["content"] = json!({ PROBLEM_JSON: schema });
            }
        } else if can(status) {
            let dialect = if path.starts_with(SCIM_PATHS) { "Scim" } else { "" };
            let target = format!("#/components/responses/{dialect}{name}");
            operation["responses"][status.to_string()] = json!({"$ref": target});
        }
    }
}

/// Whether there is anything in the query to get wrong.
fn has_query(operation: &Value) -> bool {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    parameters.into_iter().flatten().any(|one| one.get("in").is_some_and(|place| place == "query"))
}

/// Headers that the layers read, so that no handler has to describe them.
fn add_parameters(operation: &mut Value, keyed: bool, versioned: bool) {
    let wanted = [("IdempotencyKey", "Idempotency-Key", keyed), ("IfMatch", "If-Match", versioned)];
    if operation.get("parameters").is_none() {
        operation["parameters"] = json!([]);
    }
    let Some(parameters) = operation["parameters"].as_array_mut() else { return };
    for (component, name, _) in wanted.into_iter().filter(|(_, _, wanted)| *wanted) {
        let described =
            parameters.iter().any(|one| one.get("name").is_some_and(|given| given == name));
        if !described {
            parameters.push(json!({"$ref": format!("#/components/parameters/{component}")}));
        }
    }
}

/// Success carries the headers of every answer too.
fn add_headers(operation: &mut Value, keyed: bool, unlimited: bool) {
    let wanted = [
        ("X-Request-Id", true),
        ("RateLimit", !unlimited),
        ("RateLimit-Policy", !unlimited),
        ("Idempotency-Replayed", keyed),
    ];
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for (status, response) in responses.into_iter().flatten() {
        if !status.starts_with('2') || response.get("$ref").is_some() {
            continue;
        }
        for (name, _) in wanted.into_iter().filter(|(_, wanted)| *wanted) {
            response["headers"][name] = header(name);
        }
    }
}
