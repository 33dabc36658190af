//! Room `server`: every operation of the reference, asked by everybody. Who may do what is a golden
//! file; another tenant's object answers as one that does not exist, to the byte.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::{Method, StatusCode};
use misy_bench::http::Connection;
use serde_json::{Value, json};

use crate::golden;
use crate::program::{Program, Shop, call, folder, probe, until};

/// A secret of webhooks that nobody has.
const SIGNING_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Ids that nothing has.
const ABSENT: &str = "01k8zq5m3ge0r8v0w1x2y3z4a5";

/// Bodies that are right, so that it is the right to act that decides and not the form.
fn body(method: &str, path: &str) -> Value {
    match (method, path) {
        ("post", "/v1/api-keys") => json!({ "name": "x", "role": "viewer" }),
        ("post", "/v1/channels") => {
            json!({ "kind": "none", "name": "x", "external_id": "1", "credentials": {} })
        }
        ("post", "/v1/conversations/{conversation}/messages") => {
            json!({ "content": { "type": "text", "text": "x" } })
        }
        ("post", "/v1/conversations/{conversation}/assign") => json!({ "assignee_id": null }),
        ("post", "/v1/messages") => {
            let content = json!({ "type": "text", "text": "x" });
            json!({ "contact_id": format!("con_{ABSENT}"), "content": content })
        }
        ("post", "/v1/knowledge-entries") => {
            json!({ "question": "q?", "answer": "a", "language": "en" })
        }
        ("post", "/v1/knowledge-documents") => {
            json!({ "title": "t", "text": "x", "language": "en" })
        }
        ("post", "/v1/tenants") => {
            let owner = json!({ "email": "a@b.example", "name": "x" });
            json!({ "slug": "admin", "name": "x", "owner": owner })
        }
        ("post", "/v1/tenants/{tenant}/suspend") => json!({ "reason": "billing" }),
        ("post", "/v1/plans") => json!({ "id": "x", "name": "x", "limits": {} }),
        ("post", "/v1/tenants/{tenant}/plan-changes") => json!({ "plan": "standard" }),
        ("put", "/v1/tenants/{tenant}/quotas") => json!({ "name": "users", "max_count": 1 }),
        ("post", "/v1/signup") => json!({
            "slug": "admin", "name": "x", "email": "x@x.example", "owner_name": "x"
        }),
        ("post", "/v1/signup/verify") => json!({ "token": "x", "password": "x" }),
        ("post", "/v1/signups/{signup}/reject") => json!({ "reason": "x" }),
        ("post", "/v1/onboarding-workflows") => {
            json!({ "slug": "default", "title": "x", "steps": [] })
        }
        ("put", "/v1/onboarding-workflows/{workflow}") => json!({ "title": "x", "steps": [] }),
        ("put", "/v1/onboarding") => json!({ "step": "none", "data": {} }),
        ("post", path) if path.starts_with("/v1/onboarding/") => json!({ "step": "none" }),
        ("post", "/v1/users") => json!({
            "email": "x@x.example", "name": "x", "role": "viewer",
            "password": "a-Long-enough-1-word"
        }),
        ("post", "/v1/roles") => json!({ "slug": "x", "name": "x" }),
        ("post", "/v1/service-accounts") => json!({ "name": "x" }),
        ("post", "/v1/operators") => json!({
            "email": "nobody", "name": "x", "role": "support", "password": "a-Long-enough-1-word"
        }),
        ("post", "/v1/policies") => json!({ "name": "x", "text": "x" }),
        ("post", "/v1/policies/validate") | ("put", "/v1/policies/schema") => {
            json!({ "text": "x" })
        }
        ("put", "/v1/policies/entities") => json!({ "entities": [] }),
        ("post", "/v1/policies/explain" | "/v1/policies/who-can") => {
            json!({ "action": "user.read", "resource": { "type": "tenant" } })
        }
        ("post", "/v1/domains") => json!({ "name": "x.example" }),
        ("post", "/v1/invitations") => {
            json!({ "email": "y@x.example", "name": "y", "role": "viewer" })
        }
        ("post", "/v1/sso-connections") => json!({
            "kind": "oidc", "name": "x",
            "settings": { "issuer": "https://idp.example", "client_id": "x" },
            "secrets": { "client_secret": "x" }
        }),
        ("post", "/v1/webhook-endpoints") => json!({ "url": "https://hooks.example/x" }),
        ("post", "/v1/webhook-endpoints/{endpoint}/replay") => {
            json!({ "since": "2026-01-01T00:00:00Z" })
        }
        ("post", "/v1/events" | "/v1/events/simulate") => {
            json!({ "type": "order.created", "data": {} })
        }
        ("post", "/v1/sources") => {
            json!({ "name": "x", "settings": { "preset": "telegram" }, "secret": "x" })
        }
        ("post", "/v1/sources/{source}/secret/rotate") => json!({ "secret": "y" }),
        ("post", "/v1/webhook-signatures") => {
            json!({ "secret": SIGNING_SECRET, "id": "x", "body": "{}" })
        }
        ("post", "/v1/webhook-signatures/verify") => json!({
            "secret": SIGNING_SECRET, "id": "x", "timestamp": "1", "signature": "v1,x", "body": "{}"
        }),
        ("post" | "patch" | "put", _) => json!({}),
        _ => Value::Null,
    }
}

/// Operations that would end the session or the tenant they are asked with, and those of people who
/// have none yet.
fn is_left_out(path: &str) -> bool {
    let ours = path.starts_with("/v1/") || path.starts_with("/access/v1/");
    path.starts_with("/v1/auth") || path == "/v1/signup" || path == "/v1/signup/verify" || !ours
}

/// Method, path with its parameters, and the names of those.
async fn operations(api: &str) -> Vec<(String, String, Vec<String>)> {
    let document = call(api, Method::GET, "/openapi.json", None, Value::Null).await;
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let names: Vec<String> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}').map(str::to_owned))
            .collect();
        for method in item.as_object().expect("an object").keys() {
            if matches!(method.as_str(), "get" | "post" | "put" | "patch" | "delete") {
                all.push((method.clone(), path.clone(), names.clone()));
            }
        }
    }
    all.retain(|(_, path, _)| !is_left_out(path));
    all
}

async fn ask(
    api: &str,
    method: &str,
    path: &str,
    bearer: Option<&str>,
    body: &Value,
) -> (StatusCode, Value) {
    let mut connection = Connection::open(api).await.expect("connected");
    let authorization = format!("Bearer {}", bearer.unwrap_or_default());
    let mut headers = vec![("content-type", "application/json")];
    if bearer.is_some() {
        headers.push(("authorization", authorization.as_str()));
    }
    let method = method.to_uppercase().parse().expect("a method");
    let sent = if body.is_null() { String::new() } else { body.to_string() };
    let (status, answer) =
        connection.call(method, path, &headers, sent.into()).await.expect("an answer");
    (status, serde_json::from_slice(&answer).unwrap_or(Value::Null))
}

/// A conversation in the shop, and the ids of everything that the shop has.
async fn furnish(program: &Program, shop: &Shop) -> BTreeMap<&'static str, Vec<String>> {
    let (api, sandbox) = (program.host("api"), program.host("sandbox"));
    let said = json!({ "from": "+4915112345678", "text": "what are your opening hours?" });
    call(&sandbox, Method::POST, &shop.path("messages"), None, said).await;
    let key = json!({ "name": "key", "role": "viewer" });
    call(&api, Method::POST, "/v1/api-keys", Some(&shop.bearer), key).await;
    let document = json!({ "title": "Guide", "language": "en", "text": "Within 30 days." });
    call(&api, Method::POST, "/v1/knowledge-documents", Some(&shop.bearer), document).await;
    let account = json!({ "name": "account", "role": "viewer" });
    call(&api, Method::POST, "/v1/service-accounts", Some(&shop.bearer), account).await;
    let policy = json!({ "name": "p", "template": "read_only", "values": { "role": "x" } });
    call(&api, Method::POST, "/v1/policies", Some(&shop.bearer), policy).await;
    connect(&api, shop, &program.operator().await).await;
    let lists = [
        ("endpoint", "/v1/webhook-endpoints"),
        ("event", "/v1/events"),
        ("source", "/v1/sources"),
        ("receipt", "/v1/source-receipts"),
        ("id", "/v1/domains"),
        ("id", "/v1/impersonations"),
        ("id", "/v1/invitations"),
        ("id", "/v1/sso-connections"),
        ("document", "/v1/knowledge-documents"),
        ("channel", "/v1/channels"),
        ("contact", "/v1/contacts"),
        ("conversation", "/v1/conversations"),
        ("entry", "/v1/knowledge-entries"),
        ("id", "/v1/api-keys"),
        ("id", "/v1/users"),
        ("role", "/v1/roles"),
        ("account", "/v1/service-accounts"),
        ("policy", "/v1/policies"),
    ];
    let mut ids: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    until("a conversation", 20, async || {
        ids.clear();
        for (name, path) in lists {
            let page = call(&api, Method::GET, path, Some(&shop.bearer), Value::Null).await;
            let first = page["data"][0]["id"].as_str().ok_or_else(|| path.to_owned())?;
            ids.entry(name).or_default().push(first.to_owned());
        }
        let path = format!("/v1/conversations/{}/messages", ids["conversation"][0]);
        let page = call(&api, Method::GET, &path, Some(&shop.bearer), Value::Null).await;
        let first = page["data"][0]["id"].as_str().ok_or_else(|| path.clone())?;
        ids.insert("message", vec![first.to_owned()]);
        Ok(())
    })
    .await;
    let all = json!({});
    let replay = call(&api, Method::POST, "/v1/dead-letters/replay", Some(&shop.bearer), all).await;
    ids.insert("operation", vec![replay["id"].as_str().expect("an id").to_owned()]);
    // Nobody can make a job fail or a delivery die from here; the matrix asks about real ones.
    ids.insert("delivery", vec!["dlv_00000000000000000000000007".to_owned()]);
    ids.insert("job", vec!["job_00000000000000000000000007".to_owned()]);
    ids.insert("operator", vec![format!("opr_{ABSENT}")]);
    ids.insert("signup", vec![format!("sgn_{ABSENT}")]);
    ids.insert("workflow", vec![format!("owf_{ABSENT}")]);
    ids.insert("plan", vec![format!("pln_{ABSENT}0")]);
    ids.insert("tenant", vec![shop.tenant["id"].as_str().expect("an id").to_owned()]);
    ids
}

/// What ties the shop to the outside: single sign-on, webhooks, a guest, a visit of the operator.
async fn connect(api: &str, shop: &Shop, operator: &str) {
    for path in [
        "/v1/domains",
        "/v1/invitations",
        "/v1/sso-connections",
        "/v1/webhook-endpoints",
        "/v1/events",
    ] {
        call(api, Method::POST, path, Some(&shop.bearer), body("post", path)).await;
    }
    let path = "/v1/sources";
    let source = call(api, Method::POST, path, Some(&shop.bearer), body("post", path)).await;
    let hook = format!("/hooks/sources/{}", source["id"].as_str().expect("an id"));
    let secret = [("x-telegram-bot-api-secret-token", "x")];
    let (status, answer) = probe(api, Method::POST, &hook, &secret, "{}").await;
    assert!(status.is_success(), "{hook}: {status} {answer}");
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let visit = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": operator, "subject_token_type": kind,
        "audience": shop.tenant["slug"], "reason": "to see that it works"
    });
    call(api, Method::POST, "/v1/auth/token", None, visit).await;
}

fn absent(id: &str) -> String {
    format!("{}_{ABSENT}", id.split('_').next().expect("a prefix"))
}

/// What may differ between two answers to the same question: the request's own id.
fn stripped(mut answer: Value) -> Value {
    if let Some(object) = answer.as_object_mut() {
        object.remove("instance");
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_answers_as_one_that_does_not_exist() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let (api, sandbox) = (program.host("api"), program.host("sandbox"));
    let acme = Shop::open(&program, &sandbox, "acme").await;
    let other = Shop::open(&program, &sandbox, "other").await;
    let ids = furnish(&program, &acme).await;
    let mut compared = 0;
    for (method, path, names) in operations(&api).await {
        let [name] = names.as_slice() else { continue };
        let known =
            ids.get(name.as_str()).unwrap_or_else(|| panic!("no id for {{{name}}} of {path}"));
        for id in known {
            let at = |id: &str| path.replace(&format!("{{{name}}}"), id);
            let body = body(&method, &path);
            let bearer = Some(other.bearer.as_str());
            let foreign = ask(&api, &method, &at(id), bearer, &body).await;
            let nothing = ask(&api, &method, &at(&absent(id)), bearer, &body).await;
            assert_eq!(
                (foreign.0, stripped(foreign.1)),
                (nothing.0, stripped(nothing.1)),
                "{method} {path}"
            );
            assert!(!foreign.0.is_success() && !foreign.0.is_server_error(), "{method} {path}");
            compared += 1;
        }
    }
    assert!(compared >= 25, "only {compared} operations were compared");
    let page = call(&api, Method::GET, "/v1/contacts", Some(&acme.bearer), Value::Null).await;
    assert_eq!(page["data"].as_array().map(Vec::len), Some(1), "nothing of it was changed");
    program.stop();
}

/// One letter an answer: `-` no credential is enough, `.` not allowed, `+` allowed.
fn mark(status: StatusCode, answer: &Value) -> char {
    match status {
        StatusCode::UNAUTHORIZED => '-',
        StatusCode::FORBIDDEN => '.',
        status if status.is_server_error() => panic!("{status}: {answer}"),
        _ => '+',
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn golden_who_may_do_what() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let (api, sandbox) = (program.host("api"), program.host("sandbox"));
    let acme = Shop::open(&program, &sandbox, "acme").await;
    let mut callers: Vec<(&str, Option<String>)> = vec![("nobody", None)];
    for role in ["viewer", "agent", "supervisor", "admin", "owner"] {
        let new = json!({ "name": role, "role": role });
        let key = call(&api, Method::POST, "/v1/api-keys", Some(&acme.bearer), new).await;
        callers.push((role, key["secret"].as_str().map(str::to_owned)));
    }
    callers.push(("operator", Some(program.operator().await)));
    for role in ["support", "auditor"] {
        callers.push((role, Some(staff(&program, role).await)));
    }
    let names: Vec<&str> = callers.iter().map(|(name, _)| *name).collect();
    let mut table = format!("{}\n", names.join(" "));
    for (method, path, parameters) in operations(&api).await {
        let mut at = path.clone();
        for name in &parameters {
            at = at.replace(&format!("{{{name}}}"), &format!("{}_{ABSENT}", prefix(name, &path)));
        }
        let body = body(&method, &path);
        let mut marks = String::new();
        for (_, bearer) in &callers {
            let (status, answer) = ask(&api, &method, &at, bearer.as_deref(), &body).await;
            marks.push(mark(status, &answer));
        }
        writeln!(table, "{marks} {} {path}", method.to_uppercase()).expect("written");
        assert!(marks.starts_with('-'), "{method} {path} lets in whoever comes");
    }
    golden::compare("crates/server/tests/it/who_may_do_what.txt", &table);
    program.stop();
}

/// The access token of a person of the platform who does not run it.
async fn staff(program: &Program, role: &str) -> String {
    let operator = program.operator().await;
    let (email, password) = (format!("{role}@platform.example"), "a-Long-enough-1-word");
    let new = json!({ "email": email, "name": role, "role": role, "password": password });
    let api = program.host("api");
    call(&api, Method::POST, "/v1/operators", Some(&operator), new).await;
    program.sign_in(&email, password).await
}

fn prefix(name: &str, path: &str) -> &'static str {
    match name {
        "channel" => "cha",
        "contact" => "con",
        "conversation" => "cnv",
        "message" => "msg",
        "entry" => "kno",
        "document" => "kdo",
        "job" => "job",
        "tenant" => "ten",
        "role" => "rol",
        "account" => "sva",
        "policy" => "pol",
        "operator" => "opr",
        "plan" => "pln",
        "endpoint" => "whe",
        "delivery" => "dlv",
        "event" => "evt",
        "operation" => "opn",
        _ if path.starts_with("/v1/users") => "usr",
        _ if path.contains("/domains") => "dom",
        _ if path.starts_with("/v1/impersonations") => "imp",
        _ if path.starts_with("/v1/invitations") => "inv",
        _ if path.starts_with("/v1/sso-connections") => "sso",
        _ => "key",
    }
}
