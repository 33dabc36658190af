//! Room `conversation`: visitors of a tenant's pages talk over a channel that nobody else provides.

use axum::body::Body;
use http::{Method, Request, header};
use misy_conversation::Provisioner;
use misy_core::Personal;
use misy_core::id::TypedId;
use misy_jobs::provision::{Owner, Promise, Provision, Step, TenantSeed};
use misy_store::TenantData;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{Answer, House, STRANGER, Shop};

const PAGE: &str = "https://shop.example";
const SITE: &str = "site_one";

/// A page of a shop, with the token that its browser holds.
struct Visit<'a> {
    house: &'a House,
    site: &'static str,
    origin: Option<&'static str>,
    token: Option<String>,
}

impl<'a> Visit<'a> {
    fn new(house: &'a House, site: &'static str) -> Self {
        Self { house, site, origin: Some(PAGE), token: None }
    }

    /// A visitor with a session.
    async fn begun(house: &'a House, site: &'static str) -> Self {
        let mut visit = Self::new(house, site);
        let session = visit.begin().await.expect(201);
        visit.token = Some(session["visitor_token"].as_str().expect("a token").to_owned());
        visit
    }

    async fn call(&self, method: Method, what: &str, body: Option<Value>) -> Answer {
        let mut request =
            Request::builder().method(method).uri(format!("/widget/{}/{what}", self.site));
        if let Some(origin) = self.origin {
            request = request.header(header::ORIGIN, origin);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.house.send(request.expect("a test writes a request")).await
    }

    async fn begin(&self) -> Answer {
        self.call(Method::POST, "sessions", None).await
    }

    async fn say(&self, id: &str, text: &str) -> Answer {
        self.call(Method::POST, "messages", Some(json!({ "id": id, "text": text }))).await
    }

    async fn hear(&self, query: &str) -> Value {
        self.call(Method::GET, &format!("messages{query}"), None).await.expect(200)
    }

    async fn see(&self, id: &Value) -> Answer {
        self.call(Method::POST, "read", Some(json!({ "message_id": id }))).await
    }
}

fn texts(heard: &Value) -> Vec<&str> {
    let all = heard["data"].as_array().expect("a list");
    all.iter().map(|one| one["content"]["text"].as_str().unwrap_or_default()).collect()
}

/// A shop with a web chat and one answer.
async fn open(house: &House, name: &str, site: &'static str) -> Shop {
    let shop = house.shop(name).await;
    house.tenants.sites.lock().expect("no panic").insert(site.to_owned(), shop.tenant);
    let settings = json!({ "title": "Ask us", "greeting": "Hello!" });
    let account = json!({ "kind": "webchat", "name": "Chat", "external_id": site,
        "credentials": {}, "settings": settings });
    house.post(&shop, "/v1/channels", account).await.expect(201);
    let answer = format!("{name} is open from 9 to 18.");
    house.teach(&shop, "en", "What are your opening hours?", &answer).await;
    shop
}

#[tokio::test]
async fn a_visitors_question_is_answered_and_its_statuses_only_move_forward() {
    let house = House::new().await;
    let shop = open(&house, "one", SITE).await;
    let visit = Visit::begun(&house, SITE).await;
    assert_eq!(visit.hear("").await, json!({ "data": [], "next_cursor": null }));
    let kept = visit.say("a1", "what are your opening hours?").await.expect(202);
    assert_eq!(kept, json!({ "id": "a1" }));
    house.run().await;
    let ours = house.outbound(&shop).await;
    assert_eq!(ours["status"], "sent", "stored is sent");

    let heard = visit.hear("").await;
    assert_eq!(texts(&heard), ["what are your opening hours?", "one is open from 9 to 18."]);
    let (question, answer) = (&heard["data"][0], &heard["data"][1]);
    assert_eq!((&question["author"], &question["client_id"]), (&json!("contact"), &json!("a1")));
    assert_eq!((&answer["author"], &answer["client_id"]), (&json!("agent"), &Value::Null));
    assert_eq!(house.outbound(&shop).await["status"], "delivered", "fetched is delivered");

    visit.see(&answer["id"]).await.expect(204);
    let read = house.outbound(&shop).await;
    assert_eq!(read["status"], "read");
    for status in ["queued", "sent", "delivered", "read"] {
        assert!(read["status_at"][status].is_string(), "{status}: {read}");
    }
    visit.hear("").await;
    visit.see(&answer["id"]).await.expect(204);
    assert_eq!(house.outbound(&shop).await, read, "nothing moves back, and nothing twice");
    let since = heard["next_cursor"].as_str().expect("a cursor");
    let nothing = visit.hear(&format!("?cursor={since}")).await;
    assert_eq!((&nothing["data"], &nothing["next_cursor"]), (&json!([]), &json!(since)));
}

#[tokio::test]
async fn a_page_that_waits_is_answered_when_there_is_something() {
    let house = House::new().await;
    open(&house, "one", SITE).await;
    let visit = Visit::begun(&house, SITE).await;
    visit.say("a1", "what are your opening hours?").await.expect(202);
    let work = async {
        house.run().await;
    };
    let (heard, ()) = futures_util::future::join(visit.hear("?wait_s=10"), work).await;
    assert!(!texts(&heard).is_empty(), "{heard}");
    visit.call(Method::GET, "messages?wait_s=11", None).await.expect(422);
    visit.call(Method::GET, "messages?patience=1", None).await.expect(400);
}

#[tokio::test]
async fn what_was_sent_late_is_fetched_although_its_id_is_early() {
    let house = House::new().await;
    let shop = open(&house, "one", SITE).await;
    let visit = Visit::begun(&house, SITE).await;
    visit.say("a1", "what are your opening hours?").await.expect(202);
    house.run().await;
    let id = house.outbound(&shop).await["id"].clone();
    visit.say("a2", "and on Sundays, if I may ask?").await.expect(202);
    house.run().await;
    let heard = visit.hear("").await;
    let last = heard["next_cursor"].as_str().expect("a cursor").to_owned();
    let row = id.as_str().and_then(|id| id.parse::<misy_core::MessageId>().ok()).expect("an id");
    let mut tx = house.tx(&shop).await;
    let (tenant, row) = (tx.tenant(), row.uuid());
    let late = "update messages set status = 'sent' where tenant_id = $1 and id = $2";
    tx.execute(late, &[&tenant, &row]).await.expect("written");
    tx.commit().await.expect("committed");
    let heard = visit.hear(&format!("?cursor={last}")).await;
    assert_eq!(heard["data"][0]["id"], id, "{heard}");
    assert_eq!(heard["next_cursor"], json!(last), "it does not go back");
    let heard = visit.hear(&format!("?cursor={last}")).await;
    assert_eq!(heard["data"], json!([]), "it was fetched by then");
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_stored_once_and_others_may_use_its_id() {
    let house = House::new().await;
    let shop = open(&house, "one", SITE).await;
    let (one, other) = (Visit::begun(&house, SITE).await, Visit::begun(&house, SITE).await);
    for _ in 0..3 {
        one.say("same", "what are your opening hours?").await.expect(202);
        house.later(1);
    }
    house.run().await;
    one.say("same", "what are your opening hours?").await.expect(202);
    house.run().await;
    assert_eq!(house.messages(&shop).await.len(), 2, "one question, one answer");
    assert_eq!(texts(&one.hear("").await).len(), 2);
    other.say("same", "what are your opening hours?").await.expect(202);
    house.run().await;
    assert_eq!(texts(&other.hear("").await).len(), 2, "another visitor's own");
    assert_eq!(house.count(&shop, "contacts").await, 2);
}

#[tokio::test]
async fn a_visitor_hears_and_marks_only_what_is_their_own() {
    let house = House::new().await;
    let shop = open(&house, "one", SITE).await;
    let (one, other) = (Visit::begun(&house, SITE).await, Visit::begun(&house, SITE).await);
    one.say("a1", "what are your opening hours?").await.expect(202);
    house.run().await;
    assert_eq!(other.hear("").await["data"], json!([]));
    let heard = one.hear("").await;
    let answer = &heard["data"][1]["id"];
    let foreign = other.see(answer).await.expect(404);
    let nobodys = other.see(&json!("msg_01k8zq5m3ge0r8v0w1x2y3z4a5")).await.expect(404);
    assert_eq!(foreign["code"], nobodys["code"]);
    assert_eq!(house.outbound(&shop).await["status"], "delivered");
    let before =
        heard["data"][0]["id"].as_str().expect("an id").rsplit('_').next().map(str::to_owned);
    let stolen = other.hear(&format!("?cursor={}", before.expect("after the prefix"))).await;
    assert_eq!(stolen["data"], json!([]), "a cursor opens nothing");
}

#[tokio::test]
async fn a_token_is_good_on_its_own_site_for_a_week() {
    let house = House::new().await;
    open(&house, "one", SITE).await;
    open(&house, "two", "site_two").await;
    let mut visit = Visit::begun(&house, SITE).await;
    let elsewhere =
        Visit { site: "site_two", token: visit.token.clone(), ..Visit::new(&house, SITE) };
    for refused in [
        elsewhere.begin().await,
        elsewhere.say("a1", "hello").await,
        elsewhere.call(Method::GET, "messages", None).await,
        Visit::new(&house, SITE).say("a1", "hello").await,
    ] {
        assert_eq!(refused.expect(401)["code"], "auth.unauthenticated");
    }
    house.later(6 * 24 * 3_600);
    let session = visit.begin().await.expect(200);
    visit.hear("").await;
    house.later(2 * 24 * 3_600);
    visit.call(Method::GET, "messages", None).await.expect(401);
    visit.begin().await.expect(401);
    visit.token = session["visitor_token"].as_str().map(str::to_owned);
    visit.hear("").await;
    visit.token = Some("mbv_x".to_owned());
    visit.begin().await.expect(401);
}

#[tokio::test]
async fn only_pages_of_the_tenant_may_call_and_an_unknown_site_is_nowhere() {
    let house = House::new().await;
    open(&house, "one", SITE).await;
    let begun = Visit::begun(&house, SITE).await;
    for origin in [None, Some(STRANGER)] {
        let stranger = Visit { origin, token: begun.token.clone(), ..Visit::new(&house, SITE) };
        for refused in [
            stranger.begin().await,
            stranger.say("a1", "hello").await,
            stranger.call(Method::GET, "messages", None).await,
        ] {
            assert_eq!(refused.expect(403)["code"], "widget.origin_not_allowed", "{origin:?}");
        }
    }
    let nowhere = Visit::new(&house, "site_nowhere");
    nowhere.begin().await.expect(404);
    let silent = Visit { origin: None, ..nowhere };
    silent.begin().await.expect(403);
}

#[tokio::test]
async fn what_a_visitor_says_has_a_form_and_a_size() {
    let house = House::new().await;
    let shop = open(&house, "one", SITE).await;
    let visit = Visit::begun(&house, SITE).await;
    for (id, text) in [("", "x"), ("a b", "x"), ("a", ""), ("a", " \n"), (&"a".repeat(65), "x")] {
        visit.say(id, text).await.expect(422);
    }
    visit.say("a", &"ü".repeat(4_001)).await.expect(422);
    visit.say("a", &"x".repeat(40_000)).await.expect(413);
    house.run().await;
    assert_eq!(house.count(&shop, "messages").await, 0);
    let pressed = json!({ "id": "b", "text": "Yes", "button_id": "y" });
    visit.call(Method::POST, "messages", Some(pressed)).await.expect(202);
    visit.say("c", &"ü".repeat(4_000)).await.expect(202);
    house.run().await;
    let heard = visit.hear("").await;
    assert_eq!(heard["data"][0]["content"]["pressed"]["id"], "y", "{heard}");
}

#[tokio::test]
async fn one_noisy_visitor_is_told_to_wait_and_no_other() {
    let house = House::new().await;
    open(&house, "one", SITE).await;
    let (noisy, other) = (Visit::begun(&house, SITE).await, Visit::begun(&house, SITE).await);
    for _ in 0..120 {
        noisy.hear("").await;
    }
    let refused = noisy.call(Method::GET, "messages", None).await;
    assert!(refused.headers.contains_key(header::RETRY_AFTER));
    let told = refused.expect(429);
    assert_eq!(told["code"], "request.rate_limited");
    assert!(told["detail"].as_str().is_some_and(|text| text.contains("each visitor")), "{told}");
    noisy.say("a1", "hello").await.expect(429);
    other.hear("").await;
    house.later(1);
    noisy.hear("").await;
}

#[tokio::test]
async fn what_visitors_say_to_a_suspended_tenant_waits_until_it_is_active() {
    let house = House::new().await;
    let shop = open(&house, "one", SITE).await;
    let visit = Visit::begun(&house, SITE).await;
    house.tenants.suspended.lock().expect("no panic inside").insert(shop.tenant);
    visit.say("a1", "what are your opening hours?").await.expect(202);
    house.run().await;
    assert_eq!(visit.hear("").await["data"], json!([]), "kept, not answered");
    house.tenants.suspended.lock().expect("no panic inside").clear();
    house.later(3_600);
    house.run_on_schedule().await;
    assert_eq!(texts(&visit.hear("").await).len(), 2);
}

#[tokio::test]
async fn a_chat_that_is_switched_off_or_disconnected_is_nowhere() {
    let house = House::new().await;
    let shop = open(&house, "one", SITE).await;
    let visit = Visit::begun(&house, SITE).await;
    let page = house.get(&shop, "/v1/channels?kind=webchat").await.expect(200);
    let chat = &page["data"][0];
    assert_eq!(chat["page_url"], format!("https://bot.example/widget/{SITE}/frame"));
    let path = format!("/v1/channels/{}", chat["id"].as_str().expect("an id"));
    house.patch(&shop, &path, json!({ "status": "disabled" })).await.expect(200);
    visit.say("a1", "hello").await.expect(404);
    house.patch(&shop, &path, json!({ "status": "active" })).await.expect(200);
    visit.say("a1", "hello").await.expect(202);
    house.delete(&shop, &path).await.expect(204);
    visit.say("a2", "hello").await.expect(404);
    visit.begin().await.expect(404);
}

#[tokio::test]
async fn nobody_delivers_to_a_chat_as_a_provider_would() {
    let house = House::new().await;
    let shop = open(&house, "one", SITE).await;
    let page = house.get(&shop, "/v1/channels?kind=webchat").await.expect(200);
    let id = page["data"][0]["id"].as_str().expect("an id");
    let said = json!({ "site": SITE, "visitor": "v", "messages": [] }).to_string();
    let request = Request::builder().method(Method::POST).uri(format!("/hooks/{id}"));
    let answer = house.send(request.body(Body::from(said)).expect("a request")).await;
    answer.expect(401);
    assert_eq!(house.count(&shop, "inbox").await, 0);
}

#[tokio::test]
async fn a_chat_is_connected_for_the_own_site_once_and_counts_against_no_plan() {
    let house = House::new().await;
    let shop = open(&house, "one", SITE).await;
    open(&house, "two", "site_two").await;
    let account = |site: &str| {
        let (kind, name, none) = ("webchat", "Chat", json!({}));
        json!({ "kind": kind, "name": name, "external_id": site, "credentials": none })
    };
    for foreign in ["site_two", "site_nobody"] {
        let told = house.post(&shop, "/v1/channels", account(foreign)).await.expect(422);
        assert_eq!(told["errors"][0]["pointer"], "/external_id");
    }
    house.post(&shop, "/v1/channels", account(SITE)).await.expect(409);
    let third = house.shop("three").await;
    house.tenants.sites.lock().expect("no panic").insert("site_three".to_owned(), third.tenant);
    *house.budget.0.lock().expect("no panic") = Some(1);
    let paper = json!({ "kind": "paper", "name": "x", "external_id": "paper-x",
        "credentials": { "stamp": "red", "verify_token": "x" } });
    let refused = house.post(&third, "/v1/channels", paper).await.expect(403);
    assert_eq!(refused["code"], "quota.exceeded");
    house.post(&third, "/v1/channels", account("site_three")).await.expect(201);
}

#[tokio::test]
async fn a_page_may_be_framed_by_the_tenants_pages_and_runs_nothing_but_its_own_script() {
    let house = House::new().await;
    open(&house, "one", SITE).await;
    let frame = async |site| {
        let visit = Visit { origin: None, ..Visit::new(&house, site) };
        let answer = visit.call(Method::GET, "frame?from=a-campaign", None).await;
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().expect("ASCII");
        (policy.to_owned(), answer.status.as_u16(), answer.text)
    };
    let (policy, status, text) = frame(SITE).await;
    assert_eq!(status, 200);
    assert!(policy.ends_with("frame-ancestors 'self' https://shop.example"), "{policy}");
    assert!(policy.contains("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(text.contains("<html lang=\"en\">") && text.contains("role=\"log\""));
    assert!(!text.contains("{{") && !text.contains("http://") && !text.contains("https://"));
    let (policy, status, other) = frame("site_nowhere").await;
    assert_eq!((status, policy.ends_with("frame-ancestors 'self' ")), (200, true), "{policy}");
    assert_eq!(other, text, "it is the same for everybody");
}

fn seed(shop: &Shop, starter: Value) -> TenantSeed {
    TenantSeed {
        id: shop.tenant,
        slug: "one".to_owned(),
        site_id: SITE.to_owned(),
        name: "One".to_owned(),
        locale: "en".to_owned(),
        time_zone: "UTC".to_owned(),
        plan: "trial".to_owned(),
        limits: Value::Null,
        starter,
        owner: Owner {
            email: Personal("ann@one.example".to_owned()),
            name: Personal("Ann".to_owned()),
            password: None,
        },
    }
}

async fn chats(house: &House, shop: &Shop) -> usize {
    let page = house.get(shop, "/v1/channels?kind=webchat").await.expect(200);
    page["data"].as_array().expect("a list").len()
}

#[tokio::test]
async fn a_plan_gives_a_chat_which_comes_back_when_it_is_lost_and_not_when_it_was_disconnected() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.tenants.sites.lock().expect("no panic").insert(SITE.to_owned(), shop.tenant);
    let talk = Provisioner(house.deps.clone());
    let starter = json!({ "channels": [{ "kind": "webchat", "name": "Web chat" }] });
    let promise = Promise { site_id: SITE.to_owned(), starter: starter.clone() };
    let ctx = misy_testkit::ctx(shop.tenant, misy_core::Role::Owner);
    let is_there = async || {
        let found = talk.find(&ctx).await.expect("the database answers");
        found.iter().any(|one| one.what == "webchat" && one.count == 1)
    };
    assert_eq!(talk.wanted(&promise), ["webchat"]);
    assert!(!is_there().await);
    for _ in 0..2 {
        let mut tx = house.tx(&shop).await;
        talk.write(&mut tx, &seed(&shop, starter.clone()), None).await.expect("made");
        tx.commit().await.expect("committed");
    }
    assert!(is_there().await);
    assert_eq!(chats(&house, &shop).await, 1, "made once, however often it is tried");
    let visit = Visit::begun(&house, SITE).await;
    visit.say("a1", "hello").await.expect(202);
    house.run().await;

    talk.erase(&house.deps.db, &ctx).await.expect("erased");
    assert!(!is_there().await);
    assert!(talk.repair(&ctx, &promise).await.expect("made again"));
    let page = house.get(&shop, "/v1/channels").await.expect(200);
    let path = format!("/v1/channels/{}", page["data"][0]["id"].as_str().expect("an id"));
    house.patch(&shop, &path, json!({ "settings": { "title": "Ask" } })).await.expect(200);
    house.delete(&shop, &path).await.expect(204);
    assert!(is_there().await, "what was disconnected is not missing");
    talk.repair(&ctx, &promise).await.expect("nothing to do");
    assert_eq!(chats(&house, &shop).await, 0);
    talk.undo(&ctx, Uuid::nil()).await.expect("removed");
    assert!(!is_there().await);
}

#[tokio::test]
async fn a_plan_gives_no_channel_that_needs_something_from_somebody() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let talk = Provisioner(house.deps.clone());
    for kind in ["paper", "whatsapp", "nothing"] {
        let starter = json!({ "channels": [{ "kind": kind }] });
        let mut tx = house.tx(&shop).await;
        assert!(talk.write(&mut tx, &seed(&shop, starter), None).await.is_err(), "{kind}");
    }
    let none = Promise { site_id: SITE.to_owned(), starter: Value::Null };
    assert_eq!(talk.wanted(&none), Vec::<&str>::new());
}
