//! Room `conversation`: channel accounts are connected by administrators, and nobody reads their
//! secrets again.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use http::Method;
use misy_conversation::Config;
use misy_core::Role;
use misy_testkit::postgres;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::house::{House, Shop};
use crate::numbers::{account, comparable, messages, text};

const PATH: &str = "/v1/channels";
const NUMBER: &str = "106540352242922";
const SECRETS: [&str; 3] = ["EAAtoken", "app-secret", "verify-token"];
const ABSENT: &str = "cha_01k8zq5m3ge0r8v0w1x2y3z4a5";

fn path(shop: &Shop) -> String {
    format!("{PATH}/{}", shop.channel)
}

fn shows_secret(text: &str) -> bool {
    SECRETS.iter().any(|secret| text.contains(secret))
}

/// A house whose operator lets channels call private hosts.
pub(crate) async fn open_house() -> House {
    House::with(Config { private_hosts_allowed: true, ..Config::default() }).await
}

fn pointers(problem: &Value) -> Vec<&str> {
    let faults = problem["errors"].as_array().expect("faults");
    faults.iter().filter_map(|fault| fault["pointer"].as_str()).collect()
}

#[tokio::test]
async fn a_connected_account_is_shown_with_its_address_and_what_it_can_carry() {
    let house = House::new().await;
    let shop = house.tenant();
    let body = account(NUMBER, json!({ "waba_id": "102290129340398" }));
    let answer = house.post(&shop, PATH, body.clone()).await;
    let tag = answer.tag();
    assert!(!shows_secret(&answer.text));
    let made = answer.expect(201);
    let id = made["id"].as_str().expect("an id");
    assert!(id.starts_with("cha_"));
    assert_eq!(made["webhook_url"], format!("https://bot.example/hooks/{id}"));
    assert_eq!(made["capability"]["text"]["max"], 4096);
    assert_eq!(made["settings"], body["settings"]);
    let fields = ["kind", "name", "external_id", "status"].map(|name| made[name].clone());
    assert_eq!(fields, ["whatsapp", "Main number", NUMBER, "active"]);
    assert!(made.get("credentials").is_none());
    let read = house.get(&shop, &format!("{PATH}/{id}")).await;
    assert_eq!(read.tag(), tag);
    assert_eq!(read.expect(200), made);
    let listed = house.get(&shop, &format!("{PATH}?kind=whatsapp")).await.expect(200);
    assert_eq!(listed["data"], json!([made]));
    let other = house.get(&shop, &format!("{PATH}?kind=paper")).await.expect(200);
    assert_eq!(other["data"], json!([]));
    let types = house.get(&shop, "/v1/channel-types").await.expect(200);
    let all = types["data"].as_array().expect("a list");
    let whatsapp = all.iter().find(|one| one["kind"] == "whatsapp").expect("one");
    assert_eq!(whatsapp["capability"], made["capability"]);
}

#[tokio::test]
async fn no_secret_is_in_an_answer_a_debug_text_or_a_row() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let renewed = json!({ "credentials": { "access_token": "EAAtoken-renewed" } });
    let changed = house.patch(&shop, &path(&shop), renewed).await;
    house.meta_says(&shop, &messages(NUMBER, &[text("wamid.1", "4911", 1, "Hello")])).await;
    for answer in [changed, house.get(&shop, &path(&shop)).await, house.get(&shop, PATH).await] {
        assert!(!shows_secret(&answer.text) && !shows_secret(&format!("{answer:?}")));
        answer.expect(200);
    }
    let credentials: misy_channel::account::Credentials =
        serde_json::from_value(account(NUMBER, json!({}))["credentials"].clone()).expect("texts");
    let new = misy_conversation::channels::model::NewAccount {
        kind: "whatsapp".to_owned(),
        name: "Main".to_owned(),
        external_id: NUMBER.to_owned(),
        credentials,
        settings: serde_json::Map::new(),
    };
    assert!(!shows_secret(&format!("{new:?}")));
    assert!(!shows_secret(&dump(&house).await));
}

/// Every row of every table, with binary columns both as they are and as text.
async fn dump(house: &House) -> String {
    let superuser = house.database.superuser();
    let tables = "select format('%I.%I', schemaname, tablename) from pg_tables
        where schemaname not in ('pg_catalog', 'information_schema')";
    let tables = postgres::query(superuser, tables).await.expect("the catalogue");
    let mut all = String::new();
    for table in tables.iter().map(|row| row.get::<_, String>(0)) {
        let sql = format!("select t::text, encode(t::text::bytea, 'escape') from {table} t");
        let sql = sql.replace("t::text::bytea", "convert_to(t::text, 'UTF8')");
        for row in postgres::query(superuser, &sql).await.expect("every table") {
            all.push_str(row.get(0));
        }
    }
    all += &binary_columns(house).await;
    assert!(all.contains(NUMBER), "the scan sees what is there");
    all
}

/// Binary columns as the bytes they hold.
async fn binary_columns(house: &House) -> String {
    let superuser = house.database.superuser();
    let columns = "select format('select %I from %I.%I where %1$I is not null', column_name,
            table_schema, table_name)
        from information_schema.columns
        where data_type = 'bytea' and table_schema not in ('pg_catalog', 'information_schema')";
    let columns = postgres::query(superuser, columns).await.expect("the catalogue");
    let mut all = String::new();
    for sql in columns.iter().map(|row| row.get::<_, String>(0)) {
        for row in postgres::query(superuser, &sql).await.expect("every column") {
            all += &String::from_utf8_lossy(row.get(0));
        }
    }
    assert!(all.contains("wamid.1"), "the scan sees stored payloads");
    all
}

#[tokio::test]
async fn every_fault_of_an_account_is_told_at_once() {
    let house = House::new().await;
    let mut body = account("+49 155", json!({ "api_version": "25", "colour": "red" }));
    body["credentials"]["app_secret"].take();
    body["credentials"] = json!({ "verify_token": "two words", "password": "x" });
    let problem = house.post(&house.tenant(), PATH, body).await.expect(422);
    assert_eq!(
        pointers(&problem),
        [
            "/external_id",
            "/credentials/access_token",
            "/credentials/app_secret",
            "/credentials/verify_token",
            "/credentials/password",
            "/settings/api_version",
            "/settings/colour",
        ]
    );
    let mut unknown = account(NUMBER, json!({}));
    unknown["kind"] = json!("pigeon");
    let problem = house.post(&house.tenant(), PATH, unknown).await.expect(422);
    assert_eq!(pointers(&problem), ["/kind"]);
}

#[tokio::test]
async fn a_private_host_is_refused_by_name_unless_the_operator_allows_it() {
    let body = || account(NUMBER, json!({ "api_host": "http://127.0.0.1:9" }));
    let house = House::new().await;
    let shop = house.tenant();
    let problem = house.post(&shop, PATH, body()).await.expect(422);
    assert_eq!(problem["code"], "channel.host_not_allowed");
    assert_eq!(pointers(&problem), ["/settings/api_host"]);
    assert_eq!(house.count(&shop, "channels").await, 0);
    let open = open_house().await;
    open.post(&open.tenant(), PATH, body()).await.expect(201);
}

#[tokio::test]
async fn a_number_belongs_to_one_account_of_one_tenant() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    for who in [shop, house.tenant()] {
        let problem = house.post(&who, PATH, account(NUMBER, json!({}))).await.expect(409);
        assert_eq!(problem["code"], "request.conflict");
        assert!(!problem.to_string().contains(&who.tenant.to_string()));
    }
}

#[tokio::test]
async fn a_change_of_an_older_version_is_refused() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let seen = house.get(&shop, &path(&shop)).await.tag();
    let rename = |name: &str| Some(json!({ "name": name }));
    let (admin, tags) = ((&shop, Role::Admin), [("if-match", seen.as_str())]);
    let changed = house.call(admin, Method::PATCH, &path(&shop), &tags, rename("First")).await;
    assert_ne!(changed.tag(), seen);
    assert_eq!(changed.expect(200)["version"], 2);
    let late = house.call(admin, Method::PATCH, &path(&shop), &tags, rename("Second")).await;
    assert_eq!(late.expect(412)["code"], "request.stale");
    assert_eq!(house.get(&shop, &path(&shop)).await.expect(200)["name"], "First");
}

#[tokio::test]
async fn new_credentials_replace_those_they_name_and_hold_at_once() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let hello = messages(NUMBER, &[text("wamid.1", "4911", 1, "Hello")]).to_string();
    house.meta(&shop, hello.as_bytes()).await.expect(200);
    let renewed = json!({ "credentials": { "app_secret": "new-secret" } });
    house.patch(&shop, &path(&shop), renewed).await.expect(200);
    let again = messages(NUMBER, &[text("wamid.2", "4911", 1, "Again")]).to_string();
    house.meta(&shop, again.as_bytes()).await.expect(401);
    let signature = crate::numbers::sign("new-secret", again.as_bytes());
    house.knock(crate::numbers::SHARED, again.as_bytes(), Some(&signature)).await.expect(200);
    let token =
        format!("hub.mode=subscribe&hub.challenge=7&hub.verify_token=verify-token-{NUMBER}");
    let answer = house.ask(&format!("/hooks/{}?{token}", shop.channel)).await;
    assert_eq!(answer.text, "7", "the token stayed");
    let broken = json!({ "credentials": { "app_secret": "two words" } });
    let problem = house.patch(&shop, &path(&shop), broken).await.expect(422);
    assert_eq!(pointers(&problem), ["/credentials/app_secret"]);
}

#[tokio::test]
async fn a_disabled_account_receives_and_sends_nothing() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.teach(&shop, "en", "What are your opening hours?", "9 to 17.").await;
    let disabled = json!({ "status": "disabled" });
    assert_eq!(house.patch(&shop, &path(&shop), disabled).await.expect(200)["status"], "disabled");
    house.customer_writes(&shop, "+4911", "m1", "What are your opening hours?").await;
    assert_eq!(house.paper.asked(), 0);
    assert_eq!(house.messages(&shop).await[0]["direction"], "inbound");
}

#[tokio::test]
async fn a_disconnected_account_leaves_its_messages_and_nothing_secret() {
    let house = House::new().await;
    let shop = house.number_with(NUMBER, json!({ "waba_id": "102290129340398" })).await;
    house.meta_says(&shop, &messages(NUMBER, &[text("wamid.1", "4911", 1, "Hello")])).await;
    let before = house.count(&shop, "messages").await;
    house.delete(&shop, &path(&shop)).await.expect(204);
    for answer in [
        house.get(&shop, &path(&shop)).await,
        house.delete(&shop, &path(&shop)).await,
        house.patch(&shop, &path(&shop), json!({ "name": "x" })).await,
    ] {
        answer.expect(404);
    }
    let wiped = "channels where status = 'deleted' and credentials = '' and settings = '{}'";
    assert_eq!(house.count(&shop, wiped).await, 1);
    assert_eq!(house.count(&shop, "channel_routes").await, 0);
    assert_eq!(house.count(&shop, "messages").await, before);
    let other = house.tenant();
    house.post(&other, PATH, account(NUMBER, json!({}))).await.expect(201);
}

#[tokio::test]
async fn what_comes_after_the_disconnection_is_stored_for_nobody() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    house.meta_says(&shop, &messages(NUMBER, &[text("wamid.1", "4911", 1, "Hello")])).await;
    house.delete(&shop, &path(&shop)).await.expect(204);
    let late = messages(NUMBER, &[text("wamid.2", "4911", 1, "Anybody?")]).to_string();
    house.meta(&shop, late.as_bytes()).await.expect(200);
    house.run().await;
    assert_eq!(house.count(&shop, "inbox").await, 1);
    assert_eq!(house.payloads(&shop, "done").await, 1);
}

#[tokio::test]
async fn a_number_that_moved_to_another_tenant_delivers_there_at_once() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    house.meta_says(&shop, &messages(NUMBER, &[text("wamid.1", "4911", 1, "Hello")])).await;
    house.delete(&shop, &path(&shop)).await.expect(204);
    let other = house.number(NUMBER).await;
    house.meta_says(&other, &messages(NUMBER, &[text("wamid.2", "4911", 1, "Moved?")])).await;
    assert_eq!((house.count(&shop, "inbox").await, house.count(&other, "inbox").await), (1, 1));
}

#[tokio::test]
async fn an_account_of_another_tenant_is_like_one_that_is_not_there() {
    let house = House::new().await;
    let (shop, stranger) = (house.number(NUMBER).await, house.tenant());
    let name = json!({ "name": "mine" });
    for (method, end, body) in [
        (Method::GET, "", None),
        (Method::PATCH, "", Some(&name)),
        (Method::DELETE, "", None),
        (Method::POST, "/verify", None),
        (Method::GET, "/health", None),
    ] {
        let paths = [format!("{}{end}", path(&shop)), format!("{PATH}/{ABSENT}{end}")];
        let paths = [paths[0].as_str(), paths[1].as_str()];
        // Its owner asks first, so that the opened account is in the memory of the process.
        house.get(&shop, &format!("{}/health", path(&shop))).await.expect(200);
        let [foreign, absent] = house.strangers(&stranger, &method, paths, body).await;
        assert_eq!(foreign.status, 404, "{method} {end}");
        assert_eq!(comparable(&foreign), comparable(&absent), "{method} {end}");
    }
    assert_eq!(house.get(&stranger, PATH).await.expect(200)["data"], json!([]));
    assert_eq!(house.get(&shop, &path(&shop)).await.expect(200)["name"], "Main number");
}

#[tokio::test]
async fn an_agent_may_not_connect_change_or_disconnect() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let (own, name) = (path(&shop), json!({ "name": "mine" }));
    for (method, path, body) in [
        (Method::POST, PATH, Some(account("2", json!({})))),
        (Method::PATCH, own.as_str(), Some(name)),
        (Method::DELETE, own.as_str(), None),
    ] {
        house.call((&shop, Role::Agent), method, path, &[], body).await.expect(403);
    }
    assert_eq!(house.count(&shop, "channels where version = 1 and status = 'active'").await, 1);
}

/// A provider that answers everything alike and remembers what was asked with which credential.
pub(crate) struct Provider {
    pub(crate) host: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    _serving: JoinSet<()>,
}

impl Provider {
    pub(crate) async fn new(status: StatusCode, body: Value) -> Self {
        let asked = Arc::<Mutex<Vec<(String, String)>>>::default();
        let heard = Arc::clone(&asked);
        let answer = async move |uri: Uri, headers: HeaderMap| {
            let bearer = headers["authorization"].to_str().expect("ASCII").to_owned();
            heard.lock().expect("no panic inside").push((uri.path().to_owned(), bearer));
            (status, body.to_string())
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let host = format!("http://{}", listener.local_addr().expect("bound"));
        let mut serving = JoinSet::new();
        let router = Router::new().fallback(answer);
        serving.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { host, asked, _serving: serving }
    }
}

#[tokio::test]
async fn the_provider_is_asked_whether_the_account_works() {
    let house = open_house().await;
    let words = json!({ "display_phone_number": "+1 555 0001", "verified_name": "Shop",
        "quality_rating": "GREEN" });
    let provider = Provider::new(StatusCode::OK, words).await;
    let shop = house.number_with(NUMBER, json!({ "api_host": provider.host })).await;
    let verified = house.post(&shop, &format!("{}/verify", path(&shop)), json!({})).await;
    let verified = verified.expect(200);
    let health = house.get(&shop, &format!("{}/health", path(&shop))).await.expect(200);
    assert_eq!(verified, health);
    assert_eq!((&health["ok"], &health["display_name"]), (&json!(true), &json!("Shop")));
    let asked = provider.asked.lock().expect("no panic inside").clone();
    let expected = (format!("/v25.0/{NUMBER}"), format!("Bearer EAAtoken-{NUMBER}"));
    assert_eq!(asked, [expected.clone(), expected]);
}

#[tokio::test]
async fn an_account_that_does_not_work_says_why() {
    let house = open_house().await;
    let words = json!({ "error": { "message": "Error validating access token", "code": 190,
        "type": "OAuthException" } });
    let provider = Provider::new(StatusCode::UNAUTHORIZED, words).await;
    let refused = house.number_with(NUMBER, json!({ "api_host": provider.host })).await;
    let gone = house.number_with("2", json!({ "api_host": "http://127.0.0.1:1" })).await;
    for (shop, reason) in [(refused, "190"), (gone, "(")] {
        let answer = house.get(&shop, &format!("{}/health", path(&shop))).await;
        assert!(!shows_secret(&answer.text));
        let health = answer.expect(200);
        assert_eq!(health["ok"], false);
        assert!(health["detail"].as_str().is_some_and(|text| text.contains(reason)), "{health}");
    }
}
