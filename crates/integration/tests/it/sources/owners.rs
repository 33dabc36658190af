//! Room `integration`: what a source's owner may set and see.

use http::Method;
use misy_core::Role;
use serde_json::{Value, json};

use super::address::{send, source};
use crate::house::{House, text};
use crate::sink::Sink;

#[tokio::test]
async fn a_mapping_makes_an_event_of_ones_own() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({"event_types": ["repo.*"]})).await;
    let settings = json!({
        "event_type": "repo.{{/headers/x-github-delivery}}",
        "data": {"who": "{{/body/sender/login}}", "text": "by {{/body/sender/login}}"},
    });
    let source = source(&house, tenant, settings).await;
    send(&house, &source, "Pull-Request", "{\"sender\": {\"login\": \"ana\"}}").await;
    house.run().await;
    let said = sink.heard()[0].json();
    assert_eq!(said["type"], "repo.pull_request");
    assert_eq!(said["data"], json!({"who": "ana", "text": "by ana"}));
}

#[tokio::test]
async fn what_does_not_keep_to_the_schema_is_kept_and_not_told() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let schema = json!({"type": "object", "required": ["n"],
        "properties": {"n": {"type": "integer"}}});
    let source = source(&house, tenant, json!({"schema": schema})).await;
    send(&house, &source, "1", "{\"n\": \"private words\"}").await;
    send(&house, &source, "2", "no JSON").await;
    house.run().await;
    assert!(sink.heard().is_empty());
    let listed = house.get(tenant, "/v1/source-receipts?status=invalid").await.expect(200);
    let bad = &listed["data"][1];
    assert_eq!(bad["reason"], "schema_mismatch");
    assert_eq!(bad["errors"][0]["pointer"], "/n");
    assert!(!bad["errors"].to_string().contains("private words"));
    // The owner mends the schema and has it told.
    let change = json!({"settings": {"preset": "github"}});
    house.patch(tenant, &format!("/v1/sources/{source}"), change).await.expect(200);
    let path = format!("/v1/source-receipts/{}/replay", text(&bad["id"]));
    house.post(tenant, &path, json!({})).await.expect(202);
    house.run().await;
    assert_eq!(sink.heard()[0].json()["data"]["content"]["n"], "private words");
    house.post(tenant, &path, json!({})).await.expect(202);
    house.run().await;
    assert_eq!(sink.heard().len(), 2, "again because it was asked for again");
}

#[tokio::test]
async fn what_was_refused_cannot_be_replayed() {
    let house = House::new().await;
    let tenant = house.tenant();
    let source = source(&house, tenant, json!({})).await;
    let path = format!("/hooks/sources/{source}");
    house.send(Method::POST, &path, http::HeaderMap::new(), "{}").await;
    let listed = house.get(tenant, "/v1/source-receipts").await.expect(200);
    let id = text(&listed["data"][0]["id"]);
    let refused = house.post(tenant, &format!("/v1/source-receipts/{id}/replay"), json!({})).await;
    refused.expect(409);
}

#[tokio::test]
async fn a_secret_is_never_shown_and_the_old_one_is_good_for_a_while() {
    let house = House::new().await;
    let tenant = house.tenant();
    let id = source(&house, tenant, json!({})).await;
    let path = format!("/v1/sources/{id}");
    let rotate = json!({"secret": "a new one", "overlap_s": 60});
    let rotated = house.post(tenant, &format!("{path}/secret/rotate"), rotate).await.expect(200);
    let shown = house.get(tenant, &path).await.expect(200);
    for answer in [&rotated, &shown] {
        let answer = answer.to_string();
        assert!(!answer.contains("a new one") && !answer.contains("\"secret\""), "{answer}");
    }
    assert!(text(&shown["address"]).ends_with(&format!("/hooks/sources/{id}")));
    assert_eq!(send(&house, &id, "1", "{\"n\": 1}").await, 200);
    house.later(61);
    assert_eq!(send(&house, &id, "2", "{\"n\": 2}").await, 401);
    let leaked = "select count(*) from webhook_sources where \
        position('secret'::bytea in sealed) > 0 or settings::text like '%a new one%'";
    assert_eq!(house.count(leaked).await, 0);
}

#[tokio::test]
async fn another_tenants_source_is_like_none() {
    let house = House::new().await;
    let (mine, theirs) = (house.tenant(), house.tenant());
    let id = source(&house, theirs, json!({})).await;
    send(&house, &id, "1", "{}").await;
    let listed = house.get(theirs, "/v1/source-receipts").await.expect(200);
    let receipt = text(&listed["data"][0]["id"]);
    for path in [format!("/v1/sources/{id}"), format!("/v1/source-receipts/{receipt}")] {
        house.get(mine, &path).await.expect(404);
    }
    house.patch(mine, &format!("/v1/sources/{id}"), json!({"name": "x"})).await.expect(404);
    house.delete(mine, &format!("/v1/sources/{id}")).await.expect(404);
    let rotate = json!({"secret": "s"});
    house.post(mine, &format!("/v1/sources/{id}/secret/rotate"), rotate).await.expect(404);
    let replay = format!("/v1/source-receipts/{receipt}/replay");
    house.post(mine, &replay, json!({})).await.expect(404);
    for path in ["/v1/sources", "/v1/source-receipts"] {
        assert_eq!(house.get(mine, path).await.expect(200)["data"], json!([]));
    }
}

#[tokio::test]
async fn only_who_may_manage_webhooks_changes_sources() {
    let house = House::new().await;
    let tenant = house.tenant();
    let id = source(&house, tenant, json!({})).await;
    let path = format!("/v1/sources/{id}");
    let body = json!({"name": "x", "settings": {"preset": "github"}, "secret": "s"});
    let as_role = |role, method, path: &str, body: Option<Value>| {
        let path = path.to_owned();
        let house = &house;
        async move { house.call((tenant, role), method, &path, body).await }
    };
    as_role(Role::Supervisor, Method::GET, &path, None).await.expect(200);
    as_role(Role::Agent, Method::GET, &path, None).await.expect(403);
    as_role(Role::Supervisor, Method::POST, "/v1/sources", Some(body)).await.expect(403);
    as_role(Role::Supervisor, Method::DELETE, &path, None).await.expect(403);
}

#[tokio::test]
async fn all_that_is_wrong_with_a_source_is_told_at_once() {
    let house = House::new().await;
    let tenant = house.tenant();
    let pointers = |answer: &Value| -> Vec<String> {
        answer["errors"]
            .as_array()
            .expect("faults")
            .iter()
            .map(|one| text(&one["pointer"]))
            .collect()
    };
    let wish = json!({
        "schema": {"type": "nonsense"}, "event_type": "message.received",
        "public_url": "ftp://x",
        "scheme": {"algorithm": "hmac_sha256", "signature": {"header": "b ad"},
            "signed": "{timestamp}", "key": "hex"},
    });
    let body = json!({"name": "x", "settings": wish, "secret": "not hex"});
    let refused = house.post(tenant, "/v1/sources", body).await.expect(422);
    let pointers = pointers(&refused);
    for wanted in [
        "/schema",
        "/event_type",
        "/public_url",
        "/scheme/signed",
        "/scheme/timestamp",
        "/scheme/signature",
        "/secret",
    ] {
        assert!(pointers.iter().any(|one| one.ends_with(wanted)), "{wanted}: {pointers:?}");
    }
    for settings in [
        json!({}),
        json!({"preset": "nobody"}),
        json!({"scheme": {"algorithm":
        "twilio", "signature": {"header": "x"}}}),
    ] {
        let body = json!({"name": "x", "settings": settings, "secret": "s"});
        let status = house.post(tenant, "/v1/sources", body).await.status;
        assert!([400, 422].contains(&status.as_u16()), "{status}");
    }
}

#[tokio::test]
async fn the_presets_are_listed_without_being_secret() {
    let house = House::new().await;
    let listed = house.get(house.tenant(), "/v1/source-presets").await.expect(200);
    let all = listed["data"].as_array().expect("a list");
    assert_eq!(all.len(), 34);
    let of = |name: &str| all.iter().find(|one| one["name"] == name).expect("it");
    assert_eq!(of("stripe")["scheme"]["signed"], "{timestamp}.{body}");
    assert_eq!(of("twilio")["scheme"], Value::Null);
}

#[tokio::test]
async fn days_of_receipts_are_dropped_whole() {
    let house = House::new().await;
    let tenant = house.tenant();
    let tables = "select count(*) from pg_inherits i join pg_class c on c.oid = i.inhparent \
        where c.relname in ('source_receipts', 'source_marks')";
    let before = house.count(tables).await;
    house.run().await;
    let id = source(&house, tenant, json!({})).await;
    send(&house, &id, "1", "{}").await;
    let keep = |at: &str| format!("select misy_keep_webhook_days('{at}', 1, 30)::bigint");
    house.count(&keep("2026-03-01T12:00:00Z")).await;
    assert!(house.count(tables).await > before);
    house.count(&keep("2026-06-01T12:00:00Z")).await;
    let left = "select count(*) from pg_class where relname like 'source\\_%202603%'";
    assert_eq!(house.count(left).await, 0);
}
