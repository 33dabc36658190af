//! Room `conversation`: WhatsApp numbers of tenants, and what Meta delivers for them.

use axum::body::Body;
use http::{Method, Request};
use misy_core::crypto::{hmac_sha256, to_hex};
use misy_core::id::TypedId;
use misy_core::{Role, TenantId};
use misy_store::Row;
use serde_json::{Map, Value, json};

use crate::house::{Answer, House, Shop};

/// The address that all numbers of a provider's app share.
pub(crate) const SHARED: &str = "/hooks/meta";

/// What connects a number; its secrets follow from its id. Unless the settings name a host, nobody
/// is called: names under `invalid` never resolve (RFC 6761).
pub(crate) fn account(number: &str, settings: Value) -> Value {
    let mut all = json!({ "api_host": "https://graph.invalid" });
    let given: Map<String, Value> = serde_json::from_value(settings).expect("an object");
    all.as_object_mut().expect("made so above").extend(given);
    json!({
        "kind": "whatsapp", "name": "Main number", "external_id": number, "settings": all,
        "credentials": {
            "access_token": format!("EAAtoken-{number}"),
            "app_secret": format!("app-secret-{number}"),
            "verify_token": format!("verify-token-{number}"),
        },
    })
}

/// How Meta signs a body for an app secret.
pub(crate) fn sign(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", to_hex(&hmac_sha256(secret.as_bytes(), body)))
}

/// A webhook with the given changes of one business account.
pub(crate) fn webhook(changes: &[Value]) -> Value {
    let entry = json!({ "id": "102290129340398", "changes": changes });
    json!({ "object": "whatsapp_business_account", "entry": [entry] })
}

/// A change of a number: `value` with its metadata.
pub(crate) fn change(number: &str, mut value: Value) -> Value {
    value["messaging_product"] = json!("whatsapp");
    value["metadata"] = json!({ "display_phone_number": "15550001", "phone_number_id": number });
    json!({ "field": "messages", "value": value })
}

/// A text of a customer, as it stands in the messages of a change.
pub(crate) fn text(id: &str, from: &str, at: i64, words: &str) -> Value {
    json!({ "id": id, "from": from, "timestamp": at.to_string(), "type": "text",
        "text": { "body": words } })
}

/// A webhook with messages of one number.
pub(crate) fn messages(number: &str, messages: &[Value]) -> Value {
    webhook(&[change(number, json!({ "messages": messages }))])
}

impl House {
    /// A tenant without any account.
    pub(crate) fn tenant(&self) -> Shop {
        let tenant = TenantId::from_uuid(self.deps.ambient.uuid());
        Shop { tenant, channel: String::new(), address: String::new() }
    }

    /// A tenant with a connected number.
    pub(crate) async fn number(&self, number: &str) -> Shop {
        self.number_with(number, json!({})).await
    }

    /// The same, with settings.
    pub(crate) async fn number_with(&self, number: &str, settings: Value) -> Shop {
        let shop = self.tenant();
        let made = self.post(&shop, "/v1/channels", account(number, settings)).await.expect(201);
        let channel = made["id"].as_str().expect("an id").to_owned();
        Shop { channel, address: number.to_owned(), ..shop }
    }

    /// Something is delivered to a hook.
    pub(crate) async fn knock(&self, path: &str, body: &[u8], signature: Option<&str>) -> Answer {
        let request = Request::builder().method(Method::POST).uri(path);
        let request = match signature {
            Some(signature) => request.header("x-hub-signature-256", signature),
            None => request,
        };
        let request = request.body(Body::from(body.to_vec()));
        self.send(request.expect("a test writes a request")).await
    }

    /// Meta delivers bytes, signed for the number, to the address of its app.
    pub(crate) async fn meta(&self, shop: &Shop, body: &[u8]) -> Answer {
        let signature = sign(&format!("app-secret-{}", shop.address), body);
        self.knock(SHARED, body, Some(&signature)).await
    }

    /// Meta delivers a webhook, and everything that follows now happens.
    pub(crate) async fn meta_says(&self, shop: &Shop, webhook: &Value) {
        self.meta(shop, webhook.to_string().as_bytes()).await.expect(200);
        self.run().await;
    }

    /// Asks without a body and without a credential.
    pub(crate) async fn ask(&self, path: &str) -> Answer {
        let request = Request::builder().uri(path).body(Body::empty());
        self.send(request.expect("a test writes a request")).await
    }

    /// Rows that the shop can see.
    pub(crate) async fn rows(&self, shop: &Shop, sql: &str) -> Vec<Row> {
        let mut tx = self.tx(shop).await;
        tx.query(sql, &[]).await.expect("the test writes a query")
    }

    /// How many rows of a table the shop can see.
    pub(crate) async fn count(&self, shop: &Shop, table: &str) -> usize {
        self.rows(shop, &format!("select from {table}")).await.len()
    }

    /// How many payloads of the shop are in a state.
    pub(crate) async fn payloads(&self, shop: &Shop, state: &str) -> usize {
        self.count(shop, &format!("inbox where state = '{state}'")).await
    }

    /// The same path for an id of another tenant and for one that does not exist.
    pub(crate) async fn strangers(
        &self,
        stranger: &Shop,
        method: &Method,
        [foreign, absent]: [&str; 2],
        body: Option<&Value>,
    ) -> [Answer; 2] {
        let who = (stranger, Role::Admin);
        [
            self.call(who, method.clone(), foreign, &[], body.cloned()).await,
            self.call(who, method.clone(), absent, &[], body.cloned()).await,
        ]
    }
}

/// An answer without what names its request.
pub(crate) fn comparable(answer: &Answer) -> (u16, String) {
    let instance = answer.body["instance"].as_str().unwrap_or("none");
    (answer.status.as_u16(), answer.text.replace(instance, ""))
}
