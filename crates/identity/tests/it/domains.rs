//! Room `identity`: domains are proved in the domain name system, and lead their people home.

use std::sync::Arc;

use http::StatusCode;
use misy_core::TenantId;
use misy_identity::domains::Watch;
use misy_jobs::PlatformJob;
use misy_testkit::platform_ctx;
use serde_json::{Value, json};

use crate::house::{Answer, House};

fn connection(name: &str) -> Value {
    json!({
        "kind": "oidc", "name": name, "default_role": "agent",
        "settings": {"issuer": "https://id.acme.example", "client_id": "misy"},
        "secrets": {"client_secret": "hunter2-hunter2"},
    })
}

struct Tenant {
    id: TenantId,
    house: House,
    owner: String,
    connection: String,
}

impl Tenant {
    async fn build() -> Self {
        let house = House::build().await;
        let id = house.tenant("acme").await;
        let owner = house.owner("acme").await;
        let made = house.post("/v1/sso-connections", &owner, connection("one")).await;
        let connection = made.text("id");
        Self { id, house, owner, connection }
    }

    async fn add(&self, name: &str) -> Answer {
        let body = json!({"name": name, "connection_id": self.connection});
        self.house.post("/v1/domains", &self.owner, body).await
    }

    async fn verify(&self, id: &str) -> Answer {
        self.house.post(&format!("/v1/domains/{id}/verify"), &self.owner, Value::Null).await
    }

    /// Publishes what a domain asks for.
    fn publish(&self, domain: &Answer) {
        let record = domain.json()["record"].clone();
        let text = |name: &str| record[name].as_str().expect("a text").to_owned();
        self.house.names.publish(&text("name"), &text("value"));
    }

    async fn discover(&self, email: &str) -> Answer {
        let body = json!({"email": email});
        self.house.send("POST", "/v1/auth/discover", None, Some(body)).await
    }
}

const PASSWORD: &str = r#"{"method":"password","start_url":null}"#;

#[tokio::test]
async fn a_domain_counts_once_its_owner_has_published_the_proof() {
    let tenant = Tenant::build().await;
    let made = tenant.add(" Acme.Example ").await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let record = &made.json()["record"];
    assert_eq!(
        (&record["type"], &record["name"]),
        (&json!("TXT"), &json!("_misybot-challenge.acme.example"))
    );
    assert_eq!(tenant.discover("ana@acme.example").await.body, PASSWORD);
    let id = made.text("id");
    let missing = tenant.verify(&id).await;
    assert_eq!(missing.refusal(), (409, "request.conflict".to_owned()));
    assert!(missing.text("detail").contains("_misybot-challenge.acme.example (0 others"));
    tenant.house.names.withdraw("_misybot-challenge.acme.example", false);
    let silent = tenant.verify(&id).await;
    assert_eq!(silent.refusal(), (409, "request.conflict".to_owned()), "the domain's own servers");
    assert!(silent.text("detail").contains("name servers"), "{}", silent.body);
    tenant.house.names.publish("_misybot-challenge.acme.example", "misybot-verification=mine");
    assert!(tenant.verify(&id).await.text("detail").contains("(1 others"));
    tenant.publish(&made);
    let verified = tenant.verify(&id).await;
    assert_eq!(verified.status, StatusCode::OK, "{}", verified.body);
    assert_eq!(verified.json()["verified"], true);
    let found = tenant.discover("Whoever@ACME.example").await.json();
    let start = format!("https://misybot.invalid/v1/auth/oidc/{}/start", tenant.connection);
    assert_eq!(found, json!({"method": "sso", "start_url": start}));
}

/// Lets a day pass, on which the proofs are looked for.
async fn a_day_later(house: &House) {
    house.clock.advance_ms(24 * 3_600 * 1_000);
    Watch {}.run(platform_ctx(), Arc::clone(&house.deps)).await.expect("watches");
    house.work().await;
}

const RECORDS: &str = "select coalesce(string_agg(substr(action, 8), ' ' order by id), '')
    from audit_records
    where action in ('domain.proof_missing', 'domain.proof_found', 'domain.lost')";

#[tokio::test]
async fn a_domain_whose_proof_is_gone_counts_a_week_and_no_longer() {
    let tenant = Tenant::build().await;
    let house = &tenant.house;
    let made = tenant.add("acme.example").await;
    let id = made.text("id");
    tenant.publish(&made);
    tenant.verify(&id).await;
    let path = format!("/v1/domains/{id}");
    let name = "_misybot-challenge.acme.example";
    let method = async || tenant.discover("ana@acme.example").await.text("method");
    let shown = async || {
        let owner = house.owner("acme").await;
        house.get(&path, &owner).await.json()
    };

    a_day_later(house).await;
    assert_eq!(house.text(RECORDS).await, "", "it is there");
    house.names.withdraw(name, false);
    a_day_later(house).await;
    assert_eq!(house.text(RECORDS).await, "", "nobody answered, so nothing is known");
    house.names.withdraw(name, true);
    for _ in 0..7 {
        a_day_later(house).await;
        assert_eq!(method().await, "sso");
    }
    assert_eq!(house.text(RECORDS).await, "proof_missing", "told once");
    assert!(shown().await["missing_since"].is_string());

    tenant.publish(&made);
    let owner = house.owner("acme").await;
    let again = house.post(&format!("{path}/verify"), &owner, Value::Null).await;
    assert_eq!(again.json()["missing_since"], Value::Null, "{}", again.body);
    assert_eq!(house.text(RECORDS).await, "proof_missing proof_found");

    house.names.withdraw(name, true);
    for _ in 0..8 {
        a_day_later(house).await;
    }
    assert_eq!(house.text(RECORDS).await, "proof_missing proof_found proof_missing lost");
    assert_eq!(method().await, "password");
    assert_eq!(shown().await["verified"], false);
    assert_eq!(house.count("select count(*) from domain_routes").await, 0);
    a_day_later(house).await;
    tenant.publish(&made);
    let owner = house.owner("acme").await;
    let proved = house.post(&format!("{path}/verify"), &owner, Value::Null).await;
    assert_eq!(proved.json()["verified"], true, "{}", proved.body);
    assert_eq!(method().await, "sso");
}

#[tokio::test]
async fn whoever_asks_learns_nothing_of_who_is_there() {
    let tenant = Tenant::build().await;
    let made = tenant.add("acme.example").await;
    tenant.publish(&made);
    tenant.verify(&made.text("id")).await;
    let known = tenant.discover("owner@acme.example").await;
    assert_eq!(known, tenant.discover("nobody@acme.example").await);
    for email in ["a@unknown.example", "no address", "a@sub.acme.example", "@", ""] {
        let answer = tenant.discover(email).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, PASSWORD), "{email}");
    }
}

#[tokio::test]
async fn a_connection_that_is_off_or_gone_leads_nobody() {
    let tenant = Tenant::build().await;
    let made = tenant.add("acme.example").await;
    tenant.publish(&made);
    tenant.verify(&made.text("id")).await;
    let path = format!("/v1/sso-connections/{}", tenant.connection);
    let switch = async |status: &str| {
        let body = json!({"status": status});
        tenant.house.patch(&path, &tenant.owner, body).await;
        tenant.discover("ana@acme.example").await.text("method")
    };
    assert_eq!(switch("disabled").await, "password");
    assert_eq!(switch("enabled").await, "sso");
    let domain = format!("/v1/domains/{}", made.text("id"));
    let none = json!({"connection_id": null});
    tenant.house.patch(&domain, &tenant.owner, none).await;
    assert_eq!(tenant.discover("ana@acme.example").await.body, PASSWORD);
    let back = json!({"connection_id": tenant.connection});
    tenant.house.patch(&domain, &tenant.owner, back).await;
    assert_eq!(tenant.discover("ana@acme.example").await.text("method"), "sso");
    tenant.house.delete(&path, &tenant.owner).await;
    assert_eq!(tenant.discover("ana@acme.example").await.body, PASSWORD);
    assert_eq!(tenant.house.get(&domain, &tenant.owner).await.json()["connection_id"], Value::Null);
}

#[tokio::test]
async fn of_two_tenants_only_the_first_to_prove_a_domain_has_it() {
    let tenant = Tenant::build().await;
    tenant.house.tenant("rival").await;
    let rival = tenant.house.owner("rival").await;
    let body = json!({"name": "acme.example"});
    let theirs = tenant.house.post("/v1/domains", &rival, body.clone()).await;
    assert_eq!(theirs.status, StatusCode::CREATED, "a name alone takes nothing");
    let ours = tenant.add("acme.example").await;
    assert_ne!(ours.json()["record"]["value"], theirs.json()["record"]["value"]);
    tenant.publish(&ours);
    assert_eq!(tenant.verify(&ours.text("id")).await.status, StatusCode::OK);
    let path = format!("/v1/domains/{}", theirs.text("id"));
    let verify = format!("{path}/verify");
    let refused = tenant.house.post(&verify, &rival, Value::Null).await;
    assert!(refused.text("detail").contains("(1 others"), "our proof is not theirs");
    tenant.publish(&theirs);
    let refused = tenant.house.post(&verify, &rival, Value::Null).await;
    assert!(refused.text("detail").contains("verified elsewhere"), "{}", refused.body);
    assert_eq!(tenant.discover("a@acme.example").await.text("method"), "sso");
    let path = format!("/v1/domains/{}", ours.text("id"));
    assert_eq!(tenant.house.delete(&path, &tenant.owner).await.status, StatusCode::NO_CONTENT);
    assert_eq!(tenant.house.post(&verify, &rival, Value::Null).await.status, StatusCode::OK);
}

#[tokio::test]
async fn another_tenants_domain_is_as_good_as_none() {
    let tenant = Tenant::build().await;
    tenant.house.tenant("rival").await;
    let (house, rival) = (&tenant.house, tenant.house.owner("rival").await);
    let theirs = format!("/v1/domains/{}", tenant.add("acme.example").await.text("id"));
    let nobodys = "/v1/domains/dom_01k8zq5m3ge0r8v0w1x2y3z4a5";
    let same = |one: Answer, other: Answer| {
        assert_eq!(one.status, StatusCode::NOT_FOUND, "{}", one.body);
        assert_eq!(one.without_instance(), other.without_instance());
    };
    same(house.get(&theirs, &rival).await, house.get(nobodys, &rival).await);
    same(house.delete(&theirs, &rival).await, house.delete(nobodys, &rival).await);
    let change = || json!({"connection_id": null});
    same(
        house.patch(&theirs, &rival, change()).await,
        house.patch(nobodys, &rival, change()).await,
    );
    let verify = |path: &str| format!("{path}/verify");
    same(
        house.post(&verify(&theirs), &rival, Value::Null).await,
        house.post(&verify(nobodys), &rival, Value::Null).await,
    );
    let stolen = json!({"name": "rival.example", "connection_id": tenant.connection});
    let refused = house.post("/v1/domains", &rival, stolen).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/connection_id", "{}", refused.body);
}

#[tokio::test]
async fn only_administrators_see_and_change_domains() {
    let tenant = Tenant::build().await;
    let id = tenant.add("acme.example").await.text("id");
    let path = format!("/v1/domains/{id}");
    let (house, denied) = (&tenant.house, (403, "auth.permission_denied".to_owned()));
    let (_, agent) = house.person("acme", "supervisor").await;
    assert_eq!(house.get("/v1/domains", &agent).await.refusal(), denied);
    assert_eq!(house.get(&path, &agent).await.refusal(), denied);
    let body = json!({"name": "b.example"});
    assert_eq!(house.post("/v1/domains", &agent, body).await.refusal(), denied);
    assert_eq!(house.post(&format!("{path}/verify"), &agent, Value::Null).await.refusal(), denied);
    assert_eq!(house.patch(&path, &agent, json!({})).await.refusal(), denied);
    assert_eq!(house.delete(&path, &agent).await.refusal(), denied);
    let again = tenant.add("acme.example").await;
    assert_eq!(again.refusal(), (409, "request.conflict".to_owned()));
    for name in ["localhost", "192.0.2.1", "a b.example"] {
        assert_eq!(tenant.add(name).await.status.as_u16(), 422, "{name}");
    }
}

const TAKEN: &str = "select concat_ws(' ', actor, detail->>'name', detail->>'reason')
    from audit_records where action = 'domain.taken_away'";

#[tokio::test]
async fn an_operator_takes_a_domain_away_and_nobody_is_led_by_it_any_more() {
    const REASON: &str = "?reason=The%20company%20was%20sold%20and%20asked%20for%20it";
    let tenant = Tenant::build().await;
    let house = &tenant.house;
    let made = tenant.add("acme.example").await;
    let id = made.text("id");
    tenant.publish(&made);
    tenant.verify(&id).await;
    let (email, password) = house.operator().await;
    let operator = house.sign_in(&email, &password).await.access;
    let path = format!("/v1/tenants/{}/domains", tenant.id);
    let one = format!("{path}/{id}");

    let listed = house.get(&path, &operator).await.json();
    assert_eq!(listed["data"][0]["name"], "acme.example", "{listed}");
    assert_eq!(
        (&listed["data"][0]["verified"], &listed["next_cursor"]),
        (&json!(true), &json!(null))
    );
    let take =
        async |path: &str, bearer: &str| house.send("DELETE", path, Some(bearer), None).await;
    assert_eq!(house.get(&path, &tenant.owner).await.refusal().0, 403);
    for (query, bearer, refusal) in
        [(REASON, &tenant.owner, 403), ("", &operator, 422), ("?reason=short", &operator, 422)]
    {
        let refused = take(&format!("{one}{query}"), bearer).await;
        assert_eq!(refused.refusal().0, refusal, "{query}: {}", refused.body);
    }
    assert_eq!(tenant.discover("ana@acme.example").await.text("method"), "sso");

    assert_eq!(take(&format!("{one}{REASON}"), &operator).await.status, StatusCode::NO_CONTENT);
    assert_eq!(tenant.discover("ana@acme.example").await.body, PASSWORD);
    let gone = house.get(&format!("/v1/domains/{id}"), &tenant.owner).await;
    assert_eq!(gone.refusal().0, 404);
    let told = house.text(TAKEN).await;
    assert!(told.starts_with("opr_"), "who it was: {told}");
    assert!(told.ends_with(" acme.example The company was sold and asked for it"), "{told}");
    assert_eq!(take(&format!("{one}{REASON}"), &operator).await.refusal().0, 404);

    house.tenant("bolt").await;
    let bolt = house.owner("bolt").await;
    let body = json!({"name": "bolt.example"});
    let theirs = house.post("/v1/domains", &bolt, body).await.text("id");
    let foreign = take(&format!("{path}/{theirs}{REASON}"), &operator).await;
    assert_eq!(foreign.refusal().0, 404, "it is of another tenant");
    let nobody = "/v1/tenants/ten_00000000000000000000000009/domains";
    assert_eq!(house.get(nobody, &operator).await.refusal().0, 404);
}
