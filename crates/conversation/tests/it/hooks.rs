//! Room `conversation`: a delivery is verified over its raw bytes, stored by the tenant it is for
//! alone, and acknowledged only then.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, header};
use misy_testkit::postgres;
use serde_json::json;

use crate::house::{Answer, House, Shop};
use crate::numbers::{SHARED, change, comparable, messages, sign, text, webhook};

const NUMBER: &str = "106540352242922";
const ABSENT: &str = "/hooks/cha_01k8zq5m3ge0r8v0w1x2y3z4a5";

fn hook(shop: &Shop) -> String {
    format!("/hooks/{}", shop.channel)
}

fn hello(number: &str, id: &str) -> Vec<u8> {
    messages(number, &[text(id, "4915112345678", 1_772_366_400, "Hello")]).to_string().into()
}

fn secret(number: &str) -> String {
    format!("app-secret-{number}")
}

async fn handshake(house: &House, path: &str, mode: &str, token: &str) -> Answer {
    let query = format!("hub.mode={mode}&hub.challenge=1158201444&hub.verify_token={token}");
    house.ask(&format!("{path}?{query}")).await
}

#[tokio::test]
async fn a_handshake_is_answered_with_its_bare_challenge_at_both_addresses() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let token = format!("verify-token-{NUMBER}");
    for path in [hook(&shop).as_str(), SHARED] {
        let answer = handshake(&house, path, "subscribe", &token).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "1158201444"), "{path}");
        assert!(
            answer.headers[header::CONTENT_TYPE]
                .to_str()
                .is_ok_and(|it| it.starts_with("text/plain"))
        );
    }
}

#[tokio::test]
async fn a_handshake_with_a_wrong_token_or_mode_is_refused_at_both_addresses() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    house.number("2").await;
    let own = hook(&shop);
    let token = format!("verify-token-{NUMBER}");
    for (path, mode, token) in [
        (own.as_str(), "subscribe", "guess"),
        (own.as_str(), "subscribe", "verify-token-2"),
        (own.as_str(), "subscribe", ""),
        (own.as_str(), "unsubscribe", token.as_str()),
        (SHARED, "subscribe", "guess"),
        (SHARED, "subscribe", ""),
        (SHARED, "unsubscribe", token.as_str()),
    ] {
        let answer = handshake(&house, path, mode, token).await;
        assert!(!answer.text.contains("1158201444"), "{path} {mode} {token}");
        assert_eq!(answer.expect(403)["code"], "hook.verification_failed");
    }
    handshake(&house, ABSENT, "subscribe", &token).await.expect(403);
    handshake(&house, "/hooks/elsewhere", "subscribe", &token).await.expect(404);
    house.ask(SHARED).await.expect(403);
}

#[tokio::test]
async fn a_renewed_token_replaces_the_old_one_at_the_shared_address() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let path = format!("/v1/channels/{}", shop.channel);
    let renewed = json!({ "credentials": { "verify_token": "fresh" } });
    house.patch(&shop, &path, renewed).await.expect(200);
    assert_eq!(handshake(&house, SHARED, "subscribe", "fresh").await.status, 200);
    let old = format!("verify-token-{NUMBER}");
    handshake(&house, SHARED, "subscribe", &old).await.expect(403);
}

/// Meta signs with its own escapes; the same JSON written otherwise has another signature.
#[tokio::test]
async fn the_signature_counts_over_the_bytes_as_they_came() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let plain = messages(NUMBER, &[text("wamid.1", "4911", 1, "a b c d")]).to_string();
    let escaped = plain.replace("a b c d", r"\u00e4 \u003C\u0040\/ \ud83d\ude00");
    let signature = sign(&secret(NUMBER), escaped.as_bytes());
    for path in [SHARED, &hook(&shop)] {
        house.knock(path, escaped.as_bytes(), Some(&signature)).await.expect(200);
    }
    let value: serde_json::Value = serde_json::from_str(&escaped).expect("JSON");
    house.knock(SHARED, value.to_string().as_bytes(), Some(&signature)).await.expect(401);
    let rows = house.rows(&shop, "select body from inbox").await;
    assert_eq!(rows.len(), 1, "the same payload at both addresses is one");
    assert_eq!(rows[0].get::<_, &[u8]>(0), escaped.as_bytes());
    house.run().await;
    let words = house.messages(&shop).await[0]["content"]["text"].clone();
    assert_eq!(words, "\u{e4} <@/ \u{1f600}");
}

#[tokio::test]
async fn a_wrong_or_missing_signature_stores_nothing() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let body = hello(NUMBER, "wamid.1");
    let other = sign("another-secret", &body);
    let good = sign(&secret(NUMBER), &body);
    let long = format!("{good}00");
    for signature in [None, Some(""), Some("sha256="), Some("sha1=00"), Some(&*other), Some(&*long)]
    {
        for path in [SHARED, &hook(&shop)] {
            let answer = house.knock(path, &body, signature).await;
            assert_eq!(answer.expect(401)["code"], "hook.invalid_signature", "{signature:?}");
        }
    }
    assert_eq!(house.count(&shop, "inbox").await, 0);
    house.knock(SHARED, &body, Some(&good)).await.expect(200);
    assert_eq!(house.count(&shop, "inbox").await, 1);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_or_is_too_large_is_refused() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let whole = hello(NUMBER, "wamid.1");
    for body in [&whole[..whole.len() - 3], b"", b"[]", b"\xff\xfe", br#"{"object":"page"}"#] {
        for path in [SHARED, &hook(&shop)] {
            let signature = sign(&secret(NUMBER), body);
            house.knock(path, body, Some(&signature)).await.expect(400);
        }
    }
    let huge = vec![b' '; (4 << 20) + 1];
    for path in [SHARED, &hook(&shop)] {
        let signature = sign(&secret(NUMBER), &huge);
        house.knock(path, &huge, Some(&signature)).await.expect(413);
    }
    assert_eq!(house.count(&shop, "inbox").await, 0);
}

#[tokio::test]
async fn the_largest_payload_of_the_provider_is_taken() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let words = "x".repeat(3 << 20);
    let body = messages(NUMBER, &[text("wamid.1", "4911", 1, &words)]).to_string();
    house.meta(&shop, body.as_bytes()).await.expect(200);
    let rows = house.rows(&shop, "select length(body) from inbox").await;
    assert_eq!(rows[0].get::<_, i32>(0), i32::try_from(body.len()).expect("small"));
}

#[tokio::test]
async fn an_unknown_number_is_acknowledged_and_stored_nowhere() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let body = hello("999", "wamid.1");
    for signature in [sign("whoever", &body), sign(&secret(NUMBER), &body)] {
        house.knock(SHARED, &body, Some(&signature)).await.expect(200);
    }
    let signature = sign(&secret(NUMBER), &body);
    house.knock(&hook(&shop), &body, Some(&signature)).await.expect(200);
    assert_eq!(stored_by_anybody(&house).await, 0);
}

#[tokio::test]
async fn a_number_that_was_unknown_a_moment_ago_delivers_once_it_is_connected() {
    let house = House::new().await;
    let body = hello(NUMBER, "wamid.1");
    let signature = sign(&secret(NUMBER), &body);
    house.knock(SHARED, &body, Some(&signature)).await.expect(200);
    let shop = house.number(NUMBER).await;
    house.meta(&shop, &body).await.expect(200);
    assert_eq!(house.count(&shop, "inbox").await, 1);
}

async fn stored_by_anybody(house: &House) -> usize {
    let all = postgres::query(house.database.superuser(), "select from inbox").await;
    all.expect("the database answers").len()
}

#[tokio::test]
async fn an_address_of_nobody_answers_as_one_of_another_and_a_foreign_secret_opens_no_other() {
    let house = House::new().await;
    let (shop, other) = (house.number(NUMBER).await, house.number("2").await);
    let body = hello(NUMBER, "wamid.1");
    let signature = sign(&secret(NUMBER), &body);
    let absent = house.knock(ABSENT, &body, Some(&signature)).await;
    let foreign = house.knock(&hook(&other), &body, Some(&signature)).await;
    assert_eq!(absent.status, 401);
    assert_eq!(comparable(&absent), comparable(&foreign));
    let absent = house.knock(ABSENT, &body, None).await;
    let foreign = house.knock(&hook(&other), &body, None).await;
    assert_eq!(comparable(&absent), comparable(&foreign));
    let absent = handshake(&house, ABSENT, "subscribe", "7").await;
    let foreign = handshake(&house, &hook(&other), "subscribe", "7").await;
    assert_eq!(absent.status, 403);
    assert_eq!(comparable(&absent), comparable(&foreign));
    house.knock("/hooks/cha_7", &body, Some(&signature)).await.expect(404);
    let theirs = sign(&secret("2"), &body);
    house.knock(&hook(&other), &body, Some(&theirs)).await.expect(200);
    assert_eq!(stored_by_anybody(&house).await, 0, "it names another account");
    house.knock(&hook(&shop), &body, Some(&signature)).await.expect(200);
    assert_eq!(house.count(&shop, "inbox").await, 1);
}

/// Two tenants whose numbers belong to apps with the given secrets, and one payload for both.
async fn two_in_one(house: &House, second_secret: &str) -> (Shop, Shop, Vec<u8>) {
    let (first, second) = (house.number("1").await, house.number("2").await);
    let path = format!("/v1/channels/{}", second.channel);
    let renewed = json!({ "credentials": { "app_secret": second_secret } });
    house.patch(&second, &path, renewed).await.expect(200);
    let part = |number: &str, words: &str| {
        let said = text(&format!("wamid.{number}"), "4911", 1, words);
        change(number, json!({ "messages": [said] }))
    };
    let both = webhook(&[part("1", "for-the-first"), part("2", "for-the-second"), part("3", "x")]);
    (first, second, both.to_string().into())
}

async fn bodies(house: &House, shop: &Shop) -> Vec<String> {
    let rows = house.rows(shop, "select convert_from(body, 'UTF8') from inbox").await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn each_tenant_stores_only_its_own_part_of_a_payload() {
    let house = House::new().await;
    let (first, second, body) = two_in_one(&house, &secret("1")).await;
    let signature = sign(&secret("1"), &body);
    house.knock(SHARED, &body, Some(&signature)).await.expect(200);
    house.knock(SHARED, &body, Some(&signature)).await.expect(200);
    for (shop, own, foreign) in
        [(&first, "for-the-first", "for-the-second"), (&second, "for-the-second", "for-the-first")]
    {
        let bodies = bodies(&house, shop).await;
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        assert!(bodies[0].contains(own) && !bodies[0].contains(foreign), "{bodies:?}");
        house.run().await;
        assert_eq!(house.messages(shop).await[0]["content"]["text"], own);
    }
}

#[tokio::test]
async fn a_tenant_whose_secret_did_not_sign_stores_nothing_of_a_payload() {
    let house = House::new().await;
    let (first, second, body) = two_in_one(&house, "its-own-secret").await;
    let signature = sign(&secret("1"), &body);
    house.knock(SHARED, &body, Some(&signature)).await.expect(200);
    assert_eq!(bodies(&house, &first).await.len(), 1);
    assert_eq!(bodies(&house, &second).await.len(), 0);
    let neither = sign("neither", &body);
    house.knock(SHARED, &body, Some(&neither)).await.expect(401);
    assert_eq!(stored_by_anybody(&house).await, 1);
}

#[tokio::test]
async fn a_payload_at_the_own_address_of_one_account_is_stored_without_the_others_part() {
    let house = House::new().await;
    let (first, second, body) = two_in_one(&house, &secret("1")).await;
    let signature = sign(&secret("1"), &body);
    house.knock(&hook(&first), &body, Some(&signature)).await.expect(200);
    assert!(!bodies(&house, &first).await[0].contains("for-the-second"));
    assert_eq!(bodies(&house, &second).await.len(), 0);
}

#[tokio::test]
async fn a_payload_delivered_again_is_stored_once() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let body = hello(NUMBER, "wamid.1");
    for _ in 0..3 {
        house.meta(&shop, &body).await.expect(200);
    }
    let at_once = futures_util::future::join_all((0..20).map(|_| house.meta(&shop, &body))).await;
    for answer in at_once {
        answer.expect(200);
    }
    house.run().await;
    house.meta(&shop, &body).await.expect(200);
    house.run().await;
    assert_eq!((house.count(&shop, "inbox").await, house.payloads(&shop, "done").await), (1, 1));
    assert_eq!(house.count(&shop, "messages where direction = 'inbound'").await, 1);
}

#[tokio::test]
async fn deliveries_to_two_tenants_that_come_together_stay_apart() {
    let house = House::new().await;
    let (first, second) = (house.number("1").await, house.number("2").await);
    let shops = [&first, &second];
    let said: Vec<_> = (0..40)
        .map(|n| (shops[n % 2], hello(&shops[n % 2].address, &format!("wamid.{n}"))))
        .collect();
    let deliveries = said.iter().map(|(shop, body)| house.meta(shop, body));
    for answer in futures_util::future::join_all(deliveries).await {
        answer.expect(200);
    }
    for shop in shops {
        let bodies = bodies(&house, shop).await;
        assert_eq!(bodies.len(), 20);
        let own = format!("\"phone_number_id\":\"{}\"", shop.address);
        assert!(bodies.iter().all(|body| body.contains(&own)), "{bodies:?}");
    }
}

#[tokio::test]
async fn deliveries_that_come_together_share_commits_and_none_is_lost() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let bodies: Vec<_> = (0..200).map(|n| hello(NUMBER, &format!("wamid.{n}"))).collect();
    let deliveries = bodies.iter().map(|body| house.meta(&shop, body));
    for answer in futures_util::future::join_all(deliveries).await {
        answer.expect(200);
    }
    let sql = "select count(*), count(distinct xmin::text), count(distinct digest) from inbox";
    let row = house.rows(&shop, sql).await.remove(0);
    let [stored, commits, different] = [0, 1, 2].map(|column| row.get::<_, i64>(column));
    assert_eq!((stored, different), (200, 200));
    assert!(commits < 100, "{commits} commits for 200 payloads");
    house.run().await;
    assert_eq!(house.payloads(&shop, "done").await, 200);
}

/// Closes or opens the house's database to everybody.
async fn allow_connections(house: &House, allowed: bool) {
    let mut server = house.database.superuser().clone();
    let name = server.get_dbname().expect("a database").to_owned();
    server.dbname("postgres");
    let close = format!("alter database \"{name}\" with allow_connections {allowed}");
    postgres::query(&server, &close).await.expect("altered");
    let end =
        format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'");
    postgres::query(&server, &end).await.expect("ended");
}

#[tokio::test]
async fn nothing_is_acknowledged_while_the_database_is_gone() {
    let house = House::new().await;
    let (shop, cold) = (house.number(NUMBER).await, house.number("2").await);
    house.meta(&shop, &hello(NUMBER, "wamid.0")).await.expect(200);
    allow_connections(&house, false).await;
    let (body, other) = (hello(NUMBER, "wamid.1"), hello("2", "wamid.2"));
    for answer in [house.meta(&shop, &body).await, house.meta(&cold, &other).await] {
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
    }
    let token = format!("verify-token-{NUMBER}");
    assert_eq!(handshake(&house, SHARED, "subscribe", &token).await.status, 503);
    allow_connections(&house, true).await;
    tokio::time::timeout(Duration::from_mins(1), redelivered(&house, &shop, &body))
        .await
        .expect("the provider delivers until it is taken");
    assert_eq!(house.count(&shop, "inbox").await, 2);
}

/// As a provider does: again and again until it is acknowledged.
async fn redelivered(house: &House, shop: &Shop, body: &[u8]) {
    while house.meta(shop, body).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The provider delivers with the name of a tenant.
async fn named(house: &House, shop: &Shop, stamp: &str, tenant: &str) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/hooks/{}", shop.channel))
        .header("x-paper-stamp", stamp)
        .header("baggage", format!("misy.tenant={tenant}"))
        .body(Body::from(json!({ "to": shop.address, "events": [] }).to_string()));
    house.send(request.expect("a test writes a request")).await
}

#[tokio::test]
async fn a_delivery_that_names_another_tenant_than_its_account_is_refused_and_stored_nowhere() {
    let house = House::new().await;
    let (shop, other) = (house.shop("one").await, house.shop("two").await);
    let answer = named(&house, &shop, "red", &other.tenant.to_string()).await;
    assert_eq!(answer.expect(400)["code"], "context.ambiguous_tenant");
    assert_eq!(stored_by_anybody(&house).await, 0);
    named(&house, &shop, "red", &shop.tenant.to_string()).await.expect(200);
    assert_eq!(stored_by_anybody(&house).await, 1);
}

/// Else anybody could ask whose account it is.
#[tokio::test]
async fn an_unsigned_delivery_is_not_told_whether_the_tenant_is_the_right_one() {
    let house = House::new().await;
    let (shop, other) = (house.shop("one").await, house.shop("two").await);
    let right = named(&house, &shop, "blue", &shop.tenant.to_string()).await;
    let wrong = named(&house, &shop, "blue", &other.tenant.to_string()).await;
    assert_eq!(right.expect(401)["code"], wrong.expect(401)["code"]);
}
