//! Room `web`: one canonical line a request, and what is never in it.

use std::io::Write;
use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::Value;
use tracing::Level;

use crate::kit::{Admin, Anonymous, JSON, TestApp, User};

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What one request writes.
async fn lines<U: User>(method: Method, path: &str, body: &str) -> Vec<Value> {
    lines_from::<U>(Level::INFO, method, path, body).await
}

async fn lines_from<U: User>(level: Level, method: Method, path: &str, body: &str) -> Vec<Value> {
    let page = Page::default();
    let writer = page.clone();
    let lines = tracing_subscriber::fmt().json().with_max_level(level);
    let subscriber = lines.with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let trace = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let headers = [JSON, ("x-request-id", "r1"), ("x-forwarded-for", "203.0.113.9"), trace];
    TestApp::new().send::<U>(method, path, &headers, body.to_owned()).await;
    drop(guard);
    let text = page.0.lock().expect("no panic while writing").clone();
    let text = String::from_utf8(text).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn without_time(line: &Value) -> Value {
    let mut fields = line["fields"].clone();
    fields.as_object_mut().expect("an object").remove("elapsed_ms");
    fields
}

#[tokio::test]
async fn a_request_is_one_line_with_its_template_and_not_its_path() {
    let path = "/v1/notes/con_00000000000000000000000001";
    let lines = lines::<Admin>(Method::GET, path, "").await;
    assert_eq!(lines.len(), 1);
    insta::assert_snapshot!(format!("{:#}", without_time(&lines[0])), @r#"
    {
      "message": "request",
      "method": "GET",
      "route": "/v1/notes/{id}",
      "status": 200,
      "code": "",
      "tenant": "ten_00000000000000000000000001",
      "actor": "usr_00000000000000000000000083",
      "request_id": "r1",
      "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
      "queries": 0,
      "rows": 0,
      "bytes": 66
    }
    "#);
}

#[tokio::test]
async fn a_refusal_names_its_code() {
    let lines = lines::<Admin>(Method::GET, "/v1/notes?limit=0", "").await;
    assert_eq!(lines[0]["fields"]["code"], "request.invalid");
    assert_eq!(lines.len(), 1);
}

#[tokio::test]
async fn a_failure_of_ours_is_logged_once_with_its_chain() {
    let panicked = lines::<Anonymous>(Method::GET, "/v1/fail/panic", "").await;
    assert_eq!(panicked.len(), 2);
    assert_eq!(panicked[0]["level"], "ERROR");
    assert_eq!(panicked[0]["fields"]["cause"], "panic: the secret of the panic");
    let down = lines::<Anonymous>(Method::GET, "/v1/fail/down", "").await;
    assert_eq!(down[0]["fields"]["cause"], "no database connection: secret-host:5432");
}

#[tokio::test]
async fn neither_query_nor_body_nor_token_nor_address_is_written() {
    let secrets = ["hunter2", "needle", "admin", "203.0.113.9"];
    let body = r#"{"title": "hunter2", "colour": "hunter2", "stars": 3}"#;
    for path in ["/v1/notes?needle=needle", "/v1/notes", "/v1/needle"] {
        let lines = lines::<Admin>(Method::POST, path, body).await;
        let text = format!("{lines:?}");
        assert!(!lines.is_empty() && secrets.iter().all(|one| !text.contains(one)), "{text}");
    }
}

#[tokio::test]
async fn an_unknown_path_and_an_invented_method_are_not_written() {
    let odd = Method::from_bytes(b"NEEDLE").expect("a token");
    let lines = lines::<Admin>(odd, "/v1/needle", "").await;
    assert_eq!(lines[0]["fields"]["route"], "unmatched");
    assert_eq!(lines[0]["fields"]["method"], "OTHER");
}

#[tokio::test]
async fn every_line_of_a_request_names_its_tenant_and_itself_whatever_the_filter() {
    let body = r#"{"title": "echo", "colour": "red", "stars": 2}"#;
    for (level, count) in [(Level::INFO, 2), (Level::WARN, 1)] {
        let lines = lines_from::<Admin>(level, Method::POST, "/v1/notes", body).await;
        assert_eq!(lines.len(), count, "{lines:?}");
        assert_eq!(lines[0]["fields"]["message"], "a note is echoed");
        for line in &lines {
            assert_eq!(line["span"]["tenant"], crate::kit::tenant(1).to_string(), "{line}");
            assert_eq!(line["span"]["request_id"], "r1", "{line}");
            assert_eq!(line["span"]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736", "{line}");
        }
    }
}

#[tokio::test]
async fn a_failure_of_ours_names_tenant_and_request_too() {
    let lines = lines::<Anonymous>(Method::GET, "/v1/fail/down", "").await;
    assert_eq!(lines[0]["span"]["request_id"], "r1");
    assert_eq!(lines[0]["span"]["tenant"], Value::Null, "nobody was let in");
}
