//! Room `server`: the web chat that a new tenant has, as the browsers of its visitors know it.

use http::{Method, StatusCode};
use misy_bench::http::Connection;
use serde_json::{Value, json};

use crate::program::{Program, Shop, call, folder, probe, until};

const PAGE: &str = "https://shop.example";
const QUESTION: &str = "what are your opening hours?";

/// A shop whose pages may call.
async fn open(program: &Program, slug: &str) -> Shop {
    let (api, sandbox) = (program.host("api"), program.host("sandbox"));
    let shop = Shop::open(program, &sandbox, slug).await;
    let pages = json!({ "allowed_origins": [PAGE] });
    call(&api, Method::PATCH, "/v1/tenant", Some(&shop.bearer), pages).await;
    shop
}

fn site(shop: &Shop) -> &str {
    shop.tenant["site_id"].as_str().expect("an id")
}

/// A browser with a page of the shop.
struct Browser {
    api: String,
    site: String,
    token: String,
}

impl Browser {
    async fn open(program: &Program, shop: &Shop) -> Self {
        let (api, site) = (program.host("api"), site(shop).to_owned());
        let mut browser = Self { api, site, token: String::new() };
        let (status, session) = browser.ask(Method::POST, "sessions", Value::Null).await;
        assert_eq!(status, StatusCode::CREATED, "{session}");
        browser.token = session["visitor_token"].as_str().expect("a token").to_owned();
        browser
    }

    async fn ask(&self, method: Method, what: &str, body: Value) -> (StatusCode, Value) {
        let path = format!("/widget/{}/{what}", self.site);
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("origin", PAGE), ("content-type", "application/json")];
        if !self.token.is_empty() {
            headers.push(("authorization", bearer.as_str()));
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        probe(&self.api, method, &path, &headers, body).await
    }

    async fn say(&self, id: &str, text: &str) -> StatusCode {
        self.ask(Method::POST, "messages", json!({ "id": id, "text": text })).await.0
    }

    /// Waits for so many messages, as the page does.
    async fn hear(&self, count: usize) -> Vec<Value> {
        let mut all = Vec::new();
        until("an answer", 30, async || {
            let (status, heard) = self.ask(Method::GET, "messages?wait_s=5", Value::Null).await;
            assert_eq!(status, StatusCode::OK, "{heard}");
            all = heard["data"].as_array().expect("a list").clone();
            if all.len() >= count { Ok(()) } else { Err(heard.to_string()) }
        })
        .await;
        all
    }
}

/// The messages of the shop's conversation over the chat, as its people see them.
async fn seen_inside(api: &str, shop: &Shop) -> Vec<Value> {
    let bearer = Some(shop.bearer.as_str());
    let all = call(api, Method::GET, "/v1/conversations", bearer, Value::Null).await;
    let id = all["data"][0]["id"].as_str().expect("a conversation");
    let path = format!("/v1/conversations/{id}/messages");
    let page = call(api, Method::GET, &path, bearer, Value::Null).await;
    page["data"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_tenants_visitors_are_answered_in_the_chat_that_it_has_from_the_start() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let api = program.host("api");
    let shop = open(&program, "acme").await;
    let bearer = Some(shop.bearer.as_str());
    let chats = call(&api, Method::GET, "/v1/channels?kind=webchat", bearer, Value::Null).await;
    assert_eq!(chats["data"][0]["external_id"], shop.tenant["site_id"], "{chats}");
    assert_eq!((&chats["data"][0]["status"], &chats["data"][1]), (&json!("active"), &Value::Null));

    let (one, other) = (Browser::open(&program, &shop).await, Browser::open(&program, &shop).await);
    for _ in 0..3 {
        assert_eq!(one.say("a1", QUESTION).await, StatusCode::ACCEPTED);
    }
    let heard = one.hear(2).await;
    assert_eq!(heard.len(), 2, "stored once, answered once: {heard:?}");
    assert_eq!(heard[1]["content"]["text"], "acme is open from 9 to 18.");
    let (_, nothing) = other.ask(Method::GET, "messages", Value::Null).await;
    assert_eq!(nothing["data"], json!([]), "another visitor hears nothing of it");
    let foreign = json!({ "message_id": heard[1]["id"] });
    assert_eq!(other.ask(Method::POST, "read", foreign).await.0, StatusCode::NOT_FOUND);

    let seen = json!({ "message_id": heard[1]["id"] });
    assert_eq!(one.ask(Method::POST, "read", seen).await.0, StatusCode::NO_CONTENT);
    let inside = seen_inside(&api, &shop).await;
    assert_eq!((inside.len(), &inside[1]["status"]), (2, &json!("read")), "{inside:?}");
    one.hear(2).await;
    assert_eq!(seen_inside(&api, &shop).await, inside, "nothing moves back");

    // A visitor's message is what onboarding asks for: the channel works.
    let step = json!({ "step": "first_channel" });
    let headers = [("content-type", "application/json")];
    let authorization = format!("Bearer {}", shop.bearer);
    let headers = [headers[0], ("authorization", authorization.as_str())];
    let (status, told) =
        probe(&api, Method::POST, "/v1/onboarding/check", &headers, step.to_string()).await;
    assert!(status.is_success(), "{told}");
    let log = std::fs::read_to_string(folder.path().join("program.log")).expect("a log");
    assert!(!log.contains(&one.token[4..]) && !log.contains("opening hours"));
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_to_a_site_are_refused_and_a_suspended_tenant_answers_later() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let api = program.host("api");
    let (acme, other) = (open(&program, "acme").await, open(&program, "other").await);
    let mut browser = Browser::open(&program, &acme).await;
    let path = format!("/widget/{}/sessions", site(&acme));
    let evil = [("origin", "https://evil.example")];
    for headers in [&[][..], &evil[..]] {
        let (status, told) = probe(&api, Method::POST, &path, headers, "").await;
        assert_eq!(
            (status, &told["code"]),
            (StatusCode::FORBIDDEN, &json!("widget.origin_not_allowed"))
        );
    }
    let own = [("sec-fetch-site", "same-origin")];
    let (status, _) = probe(&api, Method::POST, &path, &own, "").await;
    assert_eq!(status, StatusCode::CREATED, "our own page needs no origin of the tenant's");
    let nowhere = "/widget/site_000000000000000000000000/sessions";
    let (status, _) = probe(&api, Method::POST, nowhere, &[("origin", PAGE)], "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    browser.site = site(&other).to_owned();
    assert_eq!(browser.say("a1", QUESTION).await, StatusCode::UNAUTHORIZED, "another's site");
    browser.site = site(&acme).to_owned();

    let operator = program.operator().await;
    let tenant = format!("/v1/tenants/{}", acme.tenant["id"].as_str().expect("an id"));
    let why = json!({ "reason": "billing" });
    call(&api, Method::POST, &format!("{tenant}/suspend"), Some(&operator), why).await;
    assert_eq!(browser.say("a1", QUESTION).await, StatusCode::ACCEPTED, "kept");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let (status, nothing) = browser.ask(Method::GET, "messages", Value::Null).await;
    assert_eq!((status, &nothing["data"]), (StatusCode::OK, &json!([])), "not answered");
    let path = format!("{tenant}/activate");
    call(&api, Method::POST, &path, Some(&operator), json!({})).await;
    assert_eq!(browser.hear(2).await.len(), 2, "worked off");
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plan_gives_is_told_beforehand_listed_and_made_again_when_it_is_lost() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let api = program.host("api");
    let operator = program.operator().await;
    let by = Some(operator.as_str());
    let path = "/v1/tenant-provisioning?plan=trial";
    let plan = call(&api, Method::GET, path, by, Value::Null).await;
    assert_eq!(plan["channels"], json!(["webchat"]));
    let shop = open(&program, "acme").await;
    let path = format!("/v1/tenants/{}/inventory", shop.tenant["id"].as_str().expect("an id"));
    let found = call(&api, Method::GET, &path, by, Value::Null).await;
    let chat = found["items"].as_array().expect("a list").iter().find(|it| it["what"] == "webchat");
    let chat = chat.expect("it is listed");
    assert_eq!((&chat["count"], &chat["verdict"]), (&json!(1), &json!("fine")));
    assert_eq!(found["sound"], true, "{found}");

    let none = json!({ "id": "bare", "name": "Bare", "limits": {} });
    call(&api, Method::POST, "/v1/plans", by, none).await;
    let owner =
        json!({ "email": "a@bare.example", "name": "A", "password": "a-Long-enough-1-word" });
    let new = json!({ "slug": "bare-shop", "name": "Bare", "owner": owner, "plan": "bare" });
    let bare = call(&api, Method::POST, "/v1/tenants", by, new).await;
    let bearer = program.sign_in("a@bare.example", "a-Long-enough-1-word").await;
    let channels = call(&api, Method::GET, "/v1/channels", Some(&bearer), Value::Null).await;
    assert_eq!(channels["data"], json!([]), "its plan gives none");
    let path = format!("/v1/tenants/{}/inventory", bare["id"].as_str().expect("an id"));
    let found = call(&api, Method::GET, &path, by, Value::Null).await;
    assert_eq!(found["sound"], true, "{found}");
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_chat_is_served_with_a_policy_that_names_who_may_frame_it() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let shop = open(&program, "acme").await;
    let mut connection = Connection::open(&program.host("api")).await.expect("connected");
    let path = format!("/widget/{}/frame", site(&shop));
    let answer = connection.exchange(Method::GET, &path, &[], bytes::Bytes::new()).await;
    let (head, body) = answer.expect("an answer").into_parts();
    assert_eq!(head.status, StatusCode::OK);
    let policy = head.headers["content-security-policy"].to_str().expect("ASCII");
    assert!(policy.ends_with("frame-ancestors 'self' https://shop.example"), "{policy}");
    let page = String::from_utf8(body.to_vec()).expect("text");
    assert!(page.contains("aria-live=\"polite\"") && page.contains("<label for=\"text\">"));
    program.stop();
}
