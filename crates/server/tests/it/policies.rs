//! Room `server`: a tenant's policy bites in the whole program: conversations and their messages.

use http::Method;
use serde_json::{Value, json};

use crate::program::{Program, Shop, call, folder, probe, until};

#[tokio::test(flavor = "multi_thread")]
async fn agents_do_not_read_what_a_colleague_looks_after_once_a_policy_says_so() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let (api, sandbox) = (program.host("api"), program.host("sandbox"));
    let shop = Shop::open(&program, &sandbox, "acme").await;
    let owner = shop.bearer.as_str();
    let said = json!({ "from": "+4915112345678", "text": "what are your opening hours?" });
    call(&sandbox, Method::POST, &shop.path("messages"), None, said).await;
    let mut conversation = String::new();
    until("a conversation", 20, async || {
        let page = call(&api, Method::GET, "/v1/conversations", Some(owner), Value::Null).await;
        conversation = page["data"][0]["id"].as_str().ok_or("none yet")?.to_owned();
        Ok(())
    })
    .await;
    let path = format!("/v1/conversations/{conversation}");
    let key = json!({ "name": "agent", "role": "agent" });
    let key = call(&api, Method::POST, "/v1/api-keys", Some(owner), key).await;
    let agent = key["secret"].as_str().expect("a key").to_owned();
    let me = call(&api, Method::GET, "/v1/users", Some(owner), Value::Null).await;
    let assign = json!({ "assignee_id": me["data"][0]["id"] });
    call(&api, Method::POST, &format!("{path}/assign"), Some(owner), assign).await;
    let read = call(&api, Method::GET, &path, Some(&agent), Value::Null).await;
    assert_eq!(read["id"], json!(conversation));
    let policy =
        json!({ "name": "Own", "template": "own_conversations", "values": { "role": "agent" } });
    let made = call(&api, Method::POST, "/v1/policies", Some(owner), policy).await;
    let text = json!({ "content": { "type": "text", "text": "soon" } });
    for (method, path, body) in [
        (Method::GET, path.clone(), Value::Null),
        (Method::GET, format!("{path}/messages"), Value::Null),
        (Method::POST, format!("{path}/messages"), text),
    ] {
        let bearer = format!("Bearer {agent}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let sent = if body.is_null() { String::new() } else { body.to_string() };
        let (status, denied) = probe(&api, method, &path, &headers, sent).await;
        assert_eq!(status.as_u16(), 403, "{path}: {denied}");
        let said = denied["detail"].as_str().unwrap_or_default();
        assert!(said.contains(made["id"].as_str().expect("an id")), "{path}: {denied}");
    }
    let page = call(&api, Method::GET, "/v1/conversations", Some(&agent), Value::Null).await;
    assert_eq!(page["data"], json!([]));
    let page = call(&api, Method::GET, "/v1/conversations", Some(owner), Value::Null).await;
    assert_eq!(page["data"].as_array().map(Vec::len), Some(1));
    let denials = "/v1/decisions?allowed=false";
    let denials = call(&api, Method::GET, denials, Some(owner), Value::Null).await;
    assert_eq!(denials["data"].as_array().map(Vec::len), Some(3), "{denials}");
    program.stop();
}
