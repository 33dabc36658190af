//! Room `identity`: people and groups as directories keep them (RFC 7644), over HTTP.

mod groups;
mod people;
mod refusals;
mod tester;

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};

use crate::house::{Answer, House};

/// A directory that is connected to a tenant.
pub(crate) struct Directory<'a> {
    pub(crate) house: &'a House,
    pub(crate) key: String,
}

impl<'a> Directory<'a> {
    /// Makes a tenant and a key for its directory.
    pub(crate) async fn connect(house: &'a House, slug: &str) -> Self {
        house.tenant(slug).await;
        let owner = house.owner(slug).await;
        let body = json!({"name": "directory", "permissions": ["scim.manage"]});
        let key = house.post("/v1/api-keys", &owner, body).await.text("secret");
        Self { house, key }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.send_with(method, path, body, &[]).await
    }

    pub(crate) async fn send_with(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/scim/v2{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/scim+json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.house.answer(request.body(body).expect("a request")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, None).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// What a list answers to a filter.
    pub(crate) async fn filtered(&self, path: &str, filter: &str) -> Value {
        let filter: String = form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        self.get(&format!("{path}?filter={filter}")).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.send("POST", path, Some(body)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    pub(crate) async fn person(&self, email: &str) -> String {
        let body = json!({"userName": email, "name": {"givenName": "Ana"}});
        self.post("/Users", body).await["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn patch(&self, path: &str, operations: Value) -> Answer {
        let schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
        let body = json!({"schemas": schemas, "Operations": operations});
        self.send("PATCH", path, Some(body)).await
    }
}

/// Status and `scimType` of a refusal, which has the form of RFC 7644 section 3.12.
pub(crate) fn refusal(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    let status = answer.status.as_u16();
    assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
    assert_eq!(body["status"], status.to_string());
    assert!(body["detail"].is_string(), "{body}");
    (status, body["scimType"].as_str().unwrap_or_default().to_owned())
}
