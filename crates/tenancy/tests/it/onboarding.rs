//! Room `tenancy`: a tenant is led through the workflow of its plan, and each check is real.

use http::{Method, StatusCode};
use misy_core::TenantId;
use misy_core::id::TypedId;
use misy_tenancy::onboarding_workflows::model::Check;
use serde_json::{Value, json};

use crate::house::{Admin, Agent, Answer, House, Operator};

const STEPS: &str = "/v1/onboarding";

impl House {
    async fn look(&self, tenant: TenantId) -> Answer {
        self.get(&Admin(tenant), STEPS).await
    }

    async fn fill_in(&self, tenant: TenantId, step: &str, data: Value) -> Answer {
        let body = json!({"step": step, "data": data});
        self.send(&Admin(tenant), Method::PUT, STEPS, &[], Some(body)).await
    }

    async fn take(&self, tenant: TenantId, what: &str, step: &str) -> Answer {
        let path = format!("/v1/onboarding/{what}");
        self.post(&Admin(tenant), &path, json!({"step": step})).await
    }

    /// A workflow of an operator's own, for tenants on trial.
    async fn workflow(&self, steps: Value) -> Answer {
        let new = json!({"slug": "own", "title": "Own", "steps": steps});
        let made = self.post(&Operator, "/v1/onboarding-workflows", new).await;
        let sql = "update plans set starter = starter || '{\"onboarding\": \"own\"}'";
        let mut tx = self.db.platform(&misy_testkit::platform_ctx()).await.expect("a connection");
        tx.execute(sql, &[]).await.expect("a statement");
        tx.commit().await.expect("committed");
        made
    }
}

fn next(answer: &Answer) -> Vec<&str> {
    answer.body["next"].as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

fn state<'a>(answer: &'a Answer, key: &str) -> &'a str {
    let steps = answer.body["steps"].as_array().expect("a list");
    let step = steps.iter().find(|step| step["key"] == key).expect("the step");
    step["state"].as_str().expect("text")
}

fn profile() -> Value {
    json!({"legal_name": "Acme GmbH", "country": "DE", "website": "https://acme.example"})
}

fn hours() -> Value {
    json!({"time_zone": "Europe/Berlin", "days": {"mon": [["09:00", "18:00"]]}})
}

#[tokio::test]
async fn a_tenant_walks_from_its_profile_to_going_live() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let begun = house.look(tenant).await;
    let first = ["business_profile", "team", "first_channel", "knowledge", "opening_hours"];
    assert_eq!(next(&begun), first);
    assert_eq!(begun.body["progress"], 0);
    let done = house.fill_in(tenant, "business_profile", profile()).await;
    assert_eq!(state(&done, "business_profile"), "done", "{}", done.body);
    let own = house.get(&Admin(tenant), "/v1/tenant").await;
    assert_eq!(own.body["business"], profile(), "it is the tenant's own data");
    for (check, step, count) in [
        (Check::Team, "team", 1),
        (Check::Channel, "first_channel", 1),
        (Check::Knowledge, "knowledge", 3),
    ] {
        house.facts.say(check, count - 1);
        let early = house.take(tenant, "check", step).await;
        assert_eq!(early.refusal(), (409, "request.conflict"), "{step}");
        assert!(early.text("detail").contains(&format!("{} of {count}", count - 1)));
        house.facts.say(check, count);
        assert_eq!(state(&house.take(tenant, "check", step).await, step), "done");
    }
    let done = house.fill_in(tenant, "opening_hours", hours()).await;
    assert_eq!(next(&done), ["test_conversation"]);
    let early = house.take(tenant, "check", "go_live").await;
    assert!(early.text("detail").contains("test_conversation"), "{}", early.body);
    house.facts.say(Check::TestConversation, 1);
    house.take(tenant, "check", "test_conversation").await;
    let live = house.take(tenant, "check", "go_live").await;
    assert_eq!((live.status, &live.body["progress"]), (StatusCode::OK, &json!(100)));
    assert!(live.body["completed_at"].is_string());
    assert_eq!(house.count("select count(*) from tenants where live_at is not null").await, 1);
}

#[tokio::test]
async fn every_fault_of_a_form_is_told_at_once_by_its_pointer() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let bad = json!({"legal_name": "", "country": "Germany", "website": "acme"});
    let refused = house.fill_in(tenant, "business_profile", bad).await;
    assert_eq!(refused.refusal(), (422, "request.invalid"));
    assert_eq!(refused.pointers(), ["/data/country", "/data/legal_name", "/data/website"]);
    let late = json!({"time_zone": "Mars/Base", "days": {"mon": [["18:00", "09:00"]]}});
    let refused = house.fill_in(tenant, "opening_hours", late).await;
    assert_eq!(refused.pointers(), ["/data/days/mon/0", "/data/time_zone"]);
    let none = house.fill_in(tenant, "team", json!({})).await;
    assert_eq!((none.refusal().0, none.pointers()), (422, vec!["/data"]));
    let unknown = house.take(tenant, "check", "nothing").await;
    assert_eq!((unknown.refusal().0, unknown.pointers()), (422, vec!["/step"]));
    assert_eq!(house.look(tenant).await.body["progress"], 0, "nothing was kept");
}

#[tokio::test]
async fn only_what_may_be_left_out_is_and_only_in_its_turn() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let needed = house.take(tenant, "skip", "first_channel").await;
    assert_eq!(needed.refusal(), (409, "request.conflict"));
    let early = house.take(tenant, "skip", "go_live").await;
    assert_eq!(early.refusal().0, 409);
    assert_eq!(state(&house.take(tenant, "skip", "team").await, "team"), "skipped");
    let twice = house.take(tenant, "skip", "team").await;
    assert_eq!(twice.refusal().0, 409);
    let opened = house.take(tenant, "reopen", "team").await;
    assert_eq!(state(&opened, "team"), "open");
    assert_eq!(house.take(tenant, "reopen", "team").await.refusal().0, 409);
}

#[tokio::test]
async fn another_process_goes_on_where_the_first_has_ended() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    house.fill_in(tenant, "business_profile", profile()).await;
    house.take(tenant, "skip", "team").await;
    let before = house.look(tenant).await;
    let heir = house.second_process();
    assert_eq!(heir.look(tenant).await.body, before.body);
    assert_eq!(state(&heir.take(tenant, "skip", "knowledge").await, "knowledge"), "skipped");
}

#[tokio::test]
async fn one_tenants_steps_are_nothing_to_another() {
    let house = House::build().await;
    let (acme, other) = (house.tenant("acme").await, house.tenant("other").await);
    house.fill_in(acme, "business_profile", profile()).await;
    let theirs = house.look(other).await;
    assert_eq!((&theirs.body["progress"], state(&theirs, "business_profile")), (&json!(0), "open"));
    assert!(!theirs.body.to_string().contains("Acme GmbH"));
    let own = house.get(&Admin(other), "/v1/tenant").await;
    assert_eq!(own.body["business"], json!({}));
}

#[tokio::test]
async fn who_only_talks_with_customers_looks_and_changes_nothing() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    assert_eq!(house.get(&Agent(tenant), STEPS).await.status, StatusCode::OK);
    let skip = house.post(&Agent(tenant), "/v1/onboarding/skip", json!({"step": "team"})).await;
    assert_eq!(skip.refusal(), (403, "auth.permission_denied"));
    assert_eq!(house.get(&Operator, STEPS).await.refusal().0, 403);
    let workflows = house.get(&Admin(tenant), "/v1/onboarding-workflows").await;
    assert_eq!(workflows.refusal(), (403, "auth.permission_denied"));
}

#[tokio::test]
async fn looks_at_the_same_time_begin_one_onboarding_and_changes_at_the_same_time_are_all_kept() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let looks = futures_util::future::join_all((0..10).map(|_| house.look(tenant))).await;
    assert!(looks.iter().all(|look| look.status == StatusCode::OK));
    assert_eq!(owned(&house, tenant, "onboarding.began").await, 1);
    let steps = ["team", "knowledge", "opening_hours"];
    let skips = steps.map(|step| house.take(tenant, "skip", step));
    let skips = futures_util::future::join_all(skips).await;
    assert!(skips.iter().all(|skip| skip.status == StatusCode::OK));
    assert_eq!(house.look(tenant).await.body["progress"], json!(3 * 100 / 7));
}

/// How many records of this action are in the tenant's log.
async fn owned(house: &House, tenant: TenantId, action: &str) -> usize {
    let path = format!("/v1/audit/records?action={action}");
    house.get(&Admin(tenant), &path).await.column("action").len()
}

#[tokio::test]
async fn a_tenant_keeps_the_version_that_it_began_with() {
    let house = House::build().await;
    let steps = json!([{"key": "hello", "title": "Hello", "check": "form",
        "schema": {"type": "object", "required": ["name"]}}]);
    let made = house.workflow(steps).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let early = house.tenant("early").await;
    assert_eq!(next(&house.look(early).await), ["hello"]);
    let path = format!("/v1/onboarding-workflows/{}", made.text("id"));
    let change = json!({"title": "Own", "steps": [
        {"key": "live", "title": "Live", "check": "go_live"}]});
    let stale = [("if-match", "\"9\"")];
    let refused = house.send(&Operator, Method::PUT, &path, &stale, Some(change.clone())).await;
    assert_eq!(refused.refusal().0, 412);
    let seen = [("if-match", made.etag.as_str())];
    let second = house.send(&Operator, Method::PUT, &path, &seen, Some(change)).await;
    assert_eq!(second.body["version"], 2, "{}", second.body);
    let late = house.tenant("late").await;
    assert_eq!(next(&house.look(late).await), ["live"]);
    assert_eq!(next(&house.look(early).await), ["hello"]);
    let done = house.fill_in(early, "hello", json!({"name": "x"})).await;
    assert!(done.body["completed_at"].is_string(), "{}", done.body);
    assert_eq!(done.body["workflow_version"], 1);
}

#[tokio::test]
async fn a_workflow_that_cannot_be_walked_is_refused() {
    let house = House::build().await;
    let step =
        |key: &str, need: &str| json!({"key": key, "title": key, "check": "team", "needs": [need]});
    let refused = house.workflow(json!([step("a", "b"), step("b", "a")])).await;
    assert_eq!(refused.refusal(), (422, "request.invalid"));
    assert_eq!(refused.pointers(), ["/steps/0/needs", "/steps/1/needs"]);
    let list = house.get(&Operator, "/v1/onboarding-workflows").await;
    assert_eq!(list.column("slug"), ["default"]);
    let id = list.column("id")[0].to_owned();
    let path = format!("/v1/onboarding-workflows/{id}");
    let kept = house.send(&Operator, Method::DELETE, &path, &[], None).await;
    assert_eq!(kept.refusal(), (409, "request.conflict"), "tenants need it");
    let absent = "/v1/onboarding-workflows/owf_00000000000000000000000009";
    assert_eq!(house.get(&Operator, absent).await.refusal().0, 404);
    let gone = house.send(&Operator, Method::DELETE, absent, &[], None).await;
    assert_eq!(gone.refusal().0, 404);
}

#[tokio::test]
async fn a_workflow_that_was_ended_is_not_begun_any_more() {
    let house = House::build().await;
    let made = house.workflow(json!([{"key": "live", "title": "x", "check": "go_live"}])).await;
    let taken = json!({"slug": "own", "title": "x", "steps": made.body["steps"]});
    let taken = house.post(&Operator, "/v1/onboarding-workflows", taken).await;
    assert_eq!(taken.refusal().0, 409);
    let path = format!("/v1/onboarding-workflows/{}", made.text("id"));
    let ended = house.send(&Operator, Method::DELETE, &path, &[], None).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    let tenant = house.tenant("acme").await;
    assert_eq!(house.look(tenant).await.text("title"), "Default");
}

#[tokio::test]
async fn each_step_is_recorded_and_told_to_webhooks_once() {
    let house = House::build().await;
    let steps = json!([
        {"key": "size", "title": "x", "check": "form", "schema": {"type": "object"}},
        {"key": "team", "title": "x", "check": "team", "needs": ["size"],
         "skip_when": {"required": ["size"], "properties": {"size": {"required": ["alone"]}}}}]);
    house.workflow(steps).await;
    let tenant = house.tenant("acme").await;
    let done = house.fill_in(tenant, "size", json!({"alone": true})).await;
    assert_eq!(state(&done, "team"), "skipped", "{}", done.body);
    assert_eq!(owned(&house, tenant, "onboarding.step_completed").await, 2);
    assert_eq!(owned(&house, tenant, "onboarding.completed").await, 1);
    house.take(tenant, "reopen", "size").await;
    assert!(house.look(tenant).await.body["completed_at"].is_null());
    assert_eq!(owned(&house, tenant, "onboarding.step_reopened").await, 1);
    assert!(tenant.uuid().get_version_num() > 0);
}
