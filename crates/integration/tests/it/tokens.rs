//! Room `integration`: receivers that want to see a token (OAuth 2.0 client credentials).

use std::time::Duration;

use misy_integration::Config;
use serde_json::{Value, json};

use crate::house::{House, text};
use crate::sink::{Heard, Manner, Sink};

fn gives(token: &str, life_s: u32) -> Manner {
    let body = json!({ "access_token": token, "token_type": "bearer", "expires_in": life_s });
    Manner::Text(200, "content-type: application/json\r\n", body.to_string())
}

struct Stage {
    house: House,
    receiver: Sink,
    giver: Sink,
    tenant: misy_core::TenantId,
    endpoint: Value,
}

impl Stage {
    async fn new(gives: Manner, more: Value) -> Self {
        let house = House::new().await;
        let (receiver, giver) = (Sink::kind().await, Sink::new(gives).await);
        let mut oauth = json!({ "token_url": giver.url(), "client_id": "misy bot" });
        for (name, value) in more.as_object().into_iter().flatten() {
            oauth[name] = value.clone();
        }
        let tenant = house.tenant();
        let body = json!({ "settings": {"oauth": oauth}, "oauth_client_secret": "s3cr3t/value" });
        let endpoint = house.endpoint(tenant, &receiver, body).await;
        Self { house, receiver, giver, tenant, endpoint }
    }

    async fn send(&self) -> Value {
        self.house.publish(self.tenant, "order.created", json!({})).await;
        self.house.carry().await;
        self.house.deliveries(self.tenant).await.remove(0)
    }

    fn shown(&self) -> Vec<String> {
        self.receiver.heard().iter().map(|one| one.header("authorization")).collect()
    }
}

fn form(heard: &Heard) -> Vec<(String, String)> {
    url::form_urlencoded::parse(&heard.body).into_owned().collect()
}

#[tokio::test]
async fn a_token_is_fetched_once_and_shown_until_it_ends() {
    let stage = Stage::new(gives("first", 1_000), json!({ "scope": "hooks:write" })).await;
    for _ in 0..3 {
        assert_eq!(stage.send().await["status"], "succeeded");
    }
    let events: Vec<Value> = (0..40).map(|n| json!({"type": "a.b", "data": {"n": n}})).collect();
    let many = json!({ "events": events });
    stage.house.post(stage.tenant, "/v1/events", many).await.expect(202);
    stage.house.carry().await;
    assert!(stage.shown().iter().all(|shown| shown == "Bearer first"));
    assert_eq!((stage.shown().len(), stage.giver.heard().len()), (43, 1));
    let asked = stage.giver.heard().remove(0);
    // RFC 6749 section 2.3.1: both are form-encoded before they become Base64.
    assert_eq!(asked.header("authorization"), "Basic bWlzeStib3Q6czNjcjN0JTJGdmFsdWU=");
    assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
    let wanted = [("grant_type", "client_credentials"), ("scope", "hooks:write")];
    assert_eq!(form(&asked), wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));

    stage.giver.set(gives("second", 1_000));
    // It is not used to its last second.
    stage.house.later(980);
    stage.send().await;
    assert_eq!(stage.shown().last().map(String::as_str), Some("Bearer second"));
    assert_eq!(stage.giver.heard().len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_in_the_same_try() {
    let stage = Stage::new(gives("old", 3_600), json!({})).await;
    stage.send().await;
    stage.house.later(60);
    stage.receiver.set(Manner::Each(vec![401, 200]));
    stage.giver.set(gives("new", 3_600));
    let delivery = stage.send().await;
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(stage.shown(), ["Bearer old", "Bearer old", "Bearer new"]);
    assert_eq!(stage.giver.heard().len(), 2);

    // Whoever refuses every token costs the token server nothing more.
    stage.receiver.set(Manner::Each(vec![401]));
    for _ in 0..3 {
        let delivery = stage.send().await;
        assert_eq!(delivery["last_error"], "answered 401");
    }
    assert_eq!((stage.giver.heard().len(), stage.shown().len()), (2, 6));
}

#[tokio::test]
async fn why_there_is_no_token_is_said_in_the_try_and_it_is_tried_again() {
    let denied = json!({ "error": "invalid_client", "error_description": "s3cr3t/value" });
    let denied = Manner::Text(401, "", denied.to_string());
    let stage = Stage::new(denied, json!({ "client_authentication": "body" })).await;
    let delivery = stage.send().await;
    assert_eq!(delivery["status"], "pending");
    let why = "no access token: the token server answered 401 (invalid_client)";
    assert_eq!(delivery["last_error"], why);
    let path = format!("/v1/webhook-deliveries/{}", text(&delivery["id"]));
    let whole = stage.house.get(stage.tenant, &path).await.expect(200);
    assert_eq!(whole["attempt_log"][0]["error"], why);
    assert_eq!((stage.receiver.connections(), stage.giver.heard().len()), (0, 1));
    let form = form(&stage.giver.heard()[0]);
    assert!(form.contains(&("client_secret".to_owned(), "s3cr3t/value".to_owned())));
    assert_eq!(stage.giver.heard()[0].header("authorization"), "");

    let stranger = json!({ "access_token": "x", "token_type": "mac" });
    let answers = [
        (Manner::Text(200, "", stranger.to_string()), "gives no bearer tokens"),
        (
            Manner::Text(200, "", "<html>".to_owned()),
            "answer of the token server is not understood",
        ),
        (Manner::Text(307, "location: http://127.0.0.1:1/\r\n", String::new()), "answered 307"),
        (Manner::Text(500, "", "{\"error\": \"<b>\"}".to_owned()), "answered 500"),
    ];
    for (answer, said) in answers {
        stage.giver.set(answer);
        stage.house.later(10);
        let why = text(&stage.send().await["last_error"]);
        assert!(why.starts_with("no access token: ") && why.ends_with(said), "{why}");
    }
    stage.giver.set(gives("at last", 3_600));
    stage.house.later(400);
    stage.house.carry().await;
    assert!(
        stage.house.deliveries(stage.tenant).await.iter().all(|it| it["status"] == "succeeded")
    );
}

#[tokio::test]
async fn a_token_server_that_says_nothing_ends_with_the_deadline() {
    let config = Config { private_hosts_allowed: true, deadline_ms: 300, ..Config::default() };
    let house = House::with(config).await;
    let (receiver, giver) = (Sink::kind().await, Sink::new(Manner::Silence).await);
    let tenant = house.tenant();
    let oauth = json!({ "token_url": giver.url(), "client_id": "misy" });
    let body = json!({ "settings": {"oauth": oauth}, "oauth_client_secret": "s" });
    house.endpoint(tenant, &receiver, body).await;
    for _ in 0..3 {
        house.publish(tenant, "order.created", json!({})).await;
    }
    let carried = tokio::time::timeout(Duration::from_mins(1), house.carry()).await;
    assert_eq!(carried.expect("the deadline holds"), 3);
    for delivery in house.deliveries(tenant).await {
        assert!(text(&delivery["last_error"]).starts_with("no access token"), "{delivery}");
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn the_secret_is_sealed_and_never_shown() {
    let stage = Stage::new(gives("t0ken-value", 3_600), json!({})).await;
    let delivery = stage.send().await;
    let id = text(&stage.endpoint["id"]);
    let mut shown = stage.endpoint.to_string();
    for path in [
        format!("/v1/webhook-endpoints/{id}"),
        "/v1/webhook-endpoints".to_owned(),
        format!("/v1/webhook-deliveries/{}", text(&delivery["id"])),
    ] {
        shown += &stage.house.get(stage.tenant, &path).await.expect(200).to_string();
    }
    assert!(!shown.contains("s3cr3t/value") && !shown.contains("t0ken-value"));
    assert!(shown.contains("misy bot") && shown.contains("\"authorization\":\"…\""));
    let open =
        "select count(*) from webhook_endpoints where position('s3cr3t'::bytea in sealed) > 0";
    assert_eq!(stage.house.count(open).await, 0);
    // Another change leaves it as it is; a new one is used at once.
    let path = format!("/v1/webhook-endpoints/{id}");
    stage.house.patch(stage.tenant, &path, json!({ "description": "x" })).await.expect(200);
    stage.send().await;
    stage
        .house
        .patch(stage.tenant, &path, json!({ "oauth_client_secret": "new" }))
        .await
        .expect(200);
    stage.send().await;
    let asked: Vec<String> =
        stage.giver.heard().iter().map(|one| one.header("authorization")).collect();
    assert_eq!(asked.len(), 3, "each version asks for itself");
    assert!(asked[0] == asked[1] && asked[1] != asked[2]);
}

#[tokio::test]
async fn what_does_not_fit_together_is_refused() {
    let house = House::new().await;
    let oauth = json!({ "token_url": "https://login.example/token", "client_id": "misy" });
    let url = "https://shop.example/";
    let both = json!({ "oauth": oauth, "headers": {"Authorization": "Basic eA=="} });
    let empty = json!({ "token_url": "gopher://x", "client_id": "" });
    let wrong = [
        (json!({ "url": url, "settings": {"oauth": oauth} }), vec!["/oauth_client_secret"]),
        (
            json!({ "url": url, "settings": both, "oauth_client_secret": "s" }),
            vec!["/settings/oauth"],
        ),
        (
            json!({ "url": url, "settings": {"oauth": empty}, "oauth_client_secret": "s" }),
            vec!["/settings/oauth/token_url", "/settings/oauth/client_id"],
        ),
    ];
    for (body, pointers) in wrong {
        let refused = house.post(house.tenant(), "/v1/webhook-endpoints", body).await.expect(422);
        let told: Vec<String> = refused["errors"]
            .as_array()
            .expect("faults")
            .iter()
            .map(|one| text(&one["pointer"]))
            .collect();
        assert!(pointers.iter().all(|one| told.contains(&(*one).to_owned())), "{told:?}");
    }
}
