//! Room `tenancy`: limits follow the plan, but for those an operator has set.

use futures_util::{StreamExt, stream};
use http::{Method, StatusCode};
use misy_core::TenantId;
use misy_store::{Limited, Quota, QuotaError};
use misy_tenancy::Quotas;
use serde_json::{Value, json};

use crate::house::{Admin, Answer, House, Operator, owner};

async fn in_force(house: &House, tenant: TenantId) -> Vec<(String, i64, String)> {
    let answer = house.get(&Operator, &format!("/v1/tenants/{tenant}/quotas")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let data = answer.body["data"].as_array().expect("a list");
    let text = |item: &Value, name: &str| item[name].as_str().expect("text").to_owned();
    let quota = |item: &Value| {
        (text(item, "name"), item["max_count"].as_i64().expect("a count"), text(item, "source"))
    };
    data.iter().map(quota).collect()
}

async fn set(house: &House, tenant: TenantId, overrides: Value) -> Answer {
    let path = format!("/v1/tenants/{tenant}/quotas");
    let body = Some(json!({"overrides": overrides}));
    house.send(&Operator, Method::PUT, &path, &[], body).await
}

async fn move_to(house: &House, tenant: TenantId, plan: &str) {
    let path = format!("/v1/tenants/{tenant}");
    let answer = house.patch(&Operator, &path, json!({"plan": plan})).await;
    assert_eq!(answer.text("plan"), plan);
}

fn plan(limits: &[(&str, i64)]) -> Vec<(String, i64, String)> {
    limits.iter().map(|(name, count)| ((*name).to_owned(), *count, "plan".to_owned())).collect()
}

#[tokio::test]
async fn limits_follow_the_plan() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let trial =
        plan(&[("channels", 2), ("contacts", 1_000), ("messages_per_month", 1_000), ("users", 3)]);
    assert_eq!(in_force(&house, tenant).await, trial);
    move_to(&house, tenant, "unlimited").await;
    assert_eq!(in_force(&house, tenant).await, []);
    move_to(&house, tenant, "trial").await;
    assert_eq!(in_force(&house, tenant).await, trial);
}

#[tokio::test]
async fn an_operators_limit_stays_when_the_plan_changes() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let answer = set(&house, tenant, json!({"users": 7, "webhooks": 0})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let operators = [
        ("users".to_owned(), 7, "operator".to_owned()),
        ("webhooks".to_owned(), 0, "operator".to_owned()),
    ];
    move_to(&house, tenant, "unlimited").await;
    assert_eq!(in_force(&house, tenant).await, operators);
    set(&house, tenant, json!({})).await;
    assert_eq!(in_force(&house, tenant).await, [], "given back to a plan without limits");
    set(&house, tenant, json!({"users": 7})).await;
    move_to(&house, tenant, "standard").await;
    set(&house, tenant, json!({})).await;
    assert!(in_force(&house, tenant).await.contains(&plan(&[("users", 25)])[0]));
}

#[tokio::test]
async fn a_plan_that_changed_without_its_limits_is_made_good_by_the_job() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    move_to(&house, tenant, "unlimited").await;
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    let undo = "insert into tenant_quotas (tenant_id, name, max_count, source)
        values ($1, 'users', 3, 'plan')";
    tx.execute(undo, &[&misy_core::id::TypedId::uuid(tenant)]).await.expect("as before a crash");
    tx.commit().await.expect("commits");
    assert_eq!(house.run_jobs_after_s(61).await, 3, "provisioning, the plan, the news of it");
    assert_eq!(in_force(&house, tenant).await, []);
}

#[tokio::test]
async fn what_cannot_be_a_limit_is_refused() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    for overrides in [json!({"users": -1}), json!({"a b": 1}), json!({"": 1}), json!(5)] {
        let answer = set(&house, tenant, overrides.clone()).await;
        assert_eq!(answer.refusal(), (422, "request.invalid"), "{overrides}");
        assert!(answer.pointers()[0].starts_with("/overrides"), "{}", answer.body);
    }
    assert_eq!(in_force(&house, tenant).await.len(), 4);
    let nobody: TenantId = "ten_00000000000000000000000001".parse().expect("an id");
    assert_eq!(set(&house, nobody, json!({"users": 1})).await.refusal().0, 404);
}

/// One send: takes of the month's messages in the transaction that would write the message. Who
/// finds no connection comes again, as a client would.
async fn send(house: &House, tenant: TenantId, count: u32) -> Result<(), QuotaError> {
    loop {
        let sent = async {
            let mut tx = house.db.tenant(&owner(tenant)).await?;
            Quotas::default().take(&mut tx, Limited::MessagesPerMonth, count).await?;
            Ok(tx.commit().await?)
        };
        match sent.await {
            Err(QuotaError::Store(misy_store::Error::Busy { .. })) => {}
            outcome => return outcome,
        }
    }
}

async fn used(house: &House, tenant: TenantId) -> Value {
    of_usage(house, tenant, "messages_per_month").await
}

async fn of_usage(house: &House, tenant: TenantId, name: &str) -> Value {
    let answer = house.get(&Admin(tenant), "/v1/tenant/usage").await;
    let data = answer.body["data"].as_array().expect("a list").clone();
    data.into_iter().find(|one| one["name"] == name).expect("it is listed")
}

#[tokio::test]
async fn of_a_thousand_sends_at_once_a_limit_of_a_hundred_lets_a_hundred_through() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    set(&house, tenant, json!({"messages_per_month": 100})).await;
    let sends = stream::iter(0..1_000).map(|_| send(&house, tenant, 1));
    let outcomes: Vec<_> = sends.buffer_unordered(1_000).collect().await;
    let through = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = |outcome: &&Result<(), QuotaError>| {
        matches!(outcome, Err(QuotaError::Exceeded { max_count: 100, .. }))
    };
    assert_eq!((through, outcomes.iter().filter(refused).count()), (100, 900));
    let shown = used(&house, tenant).await;
    assert_eq!((&shown["used"], &shown["max_count"]), (&json!(100), &json!(100)));
    let warned = house.get(&Admin(tenant), "/v1/audit/records?action=quota.warned").await;
    assert_eq!(warned.column("action").len(), 1, "once, when most of it was used");
    assert_eq!(told(&house, tenant, "quota.reached").await, 1, "by whoever took the last");
}

#[tokio::test]
async fn what_is_not_committed_is_not_used() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    Quotas::default().take(&mut tx, Limited::MessagesPerMonth, 7).await.expect("there is room");
    drop(tx);
    assert_eq!(used(&house, tenant).await["used"], json!(0));
    send(&house, tenant, 7).await.expect("there is room");
    assert_eq!(used(&house, tenant).await["used"], json!(7));
}

#[tokio::test]
async fn a_limit_that_is_changed_counts_at_once_and_a_new_month_begins_at_nothing() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    set(&house, tenant, json!({"messages_per_month": 10})).await;
    send(&house, tenant, 8).await.expect("there is room");
    let refused = send(&house, tenant, 3).await;
    let Err(QuotaError::Exceeded { renews_in_s: Some(renews_in_s), .. }) = refused else {
        panic!("{refused:?}")
    };
    set(&house, tenant, json!({"messages_per_month": 8})).await;
    assert!(send(&house, tenant, 1).await.is_err(), "lowered to what is used");
    set(&house, tenant, json!({"messages_per_month": 11})).await;
    send(&house, tenant, 3).await.expect("raised");
    house.clock.advance_ms(i64::from(renews_in_s) * 1_000);
    send(&house, tenant, 11).await.expect("another month");
    assert_eq!(used(&house, tenant).await["used"], json!(11));
}

#[tokio::test]
async fn who_has_no_limit_is_counted_and_not_stopped() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    move_to(&house, tenant, "unlimited").await;
    send(&house, tenant, 5).await.expect("no limit");
    let shown = used(&house, tenant).await;
    assert_eq!((&shown["used"], &shown["max_count"]), (&json!(5), &Value::Null));
    assert!(shown["forecast"].as_i64().expect("a number") >= 5);
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    let ceiling = Quotas::default().ceiling(&mut tx, Limited::Channels).await.expect("it asks");
    assert_eq!(ceiling, None);
}

#[tokio::test]
async fn usage_is_a_tenants_own_and_an_operators() {
    let house = House::build().await;
    let (a, b) = (house.tenant("a1").await, house.tenant("b1").await);
    send(&house, a, 4).await.expect("there is room");
    assert_eq!(used(&house, b).await["used"], json!(0));
    let seen = house.get(&Operator, &format!("/v1/tenants/{a}/usage")).await;
    assert_eq!(seen.body["data"][0]["used"], json!(4));
    let foreign = house.get(&Admin(b), &format!("/v1/tenants/{a}/usage")).await;
    assert_eq!(foreign.refusal(), (403, "auth.permission_denied"));
    let absent = "/v1/tenants/ten_00000000000000000000000001/usage";
    assert_eq!(house.get(&Operator, absent).await.refusal(), (404, "request.not_found"));
}

/// A person, a channel, an endpoint: counted by the rows that are there, under the tenant's lock.
async fn make(house: &House, tenant: TenantId, what: Limited) -> Result<(), QuotaError> {
    const COUNT: &str = "select count(*) from tenant_secrets where tenant_id = $1";
    const MAKE: &str = "
        insert into tenant_secrets (tenant_id, name, sealed)
        select $1, 'x' || translate(gen_random_uuid()::text, '0123456789-', 'ghijklmnop_'), ''";
    loop {
        let made = async {
            let mut tx = house.db.tenant(&owner(tenant)).await?;
            if let Some(max_count) = Quotas::default().ceiling(&mut tx, what).await? {
                let id = tx.tenant();
                let count = tx.query_opt(COUNT, &[&id]).await?.expect("a row").get(0);
                Quotas::default().admit(&mut tx, what, max_count, count).await?;
            }
            let id = tx.tenant();
            tx.execute(MAKE, &[&id]).await?;
            Ok(tx.commit().await?)
        };
        match made.await {
            Err(QuotaError::Store(misy_store::Error::Busy { .. })) => {}
            outcome => return outcome,
        }
    }
}

async fn told(house: &House, tenant: TenantId, action: &str) -> usize {
    let path = format!("/v1/audit/records?action={action}");
    house.get(&Admin(tenant), &path).await.column("action").len()
}

#[tokio::test]
async fn of_many_made_at_once_as_many_are_let_through_as_the_plan_allows() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    for what in [Limited::Users, Limited::WebhookEndpoints] {
        let there = house.count("select count(*) from tenants").await;
        assert_eq!(there, 1);
        let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
        let id = tx.tenant();
        let empty = "delete from tenant_secrets where tenant_id = $1";
        tx.execute(empty, &[&id]).await.expect("deletes");
        tx.commit().await.expect("commits");
        set(&house, tenant, json!({"users": 20, "webhook_endpoints": 20})).await;
        let makers = stream::iter(0..60).map(|_| make(&house, tenant, what));
        let outcomes: Vec<_> = makers.buffer_unordered(60).collect().await;
        let through = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!((through, outcomes.len()), (20, 60), "{what:?}");
    }
    assert_eq!(told(&house, tenant, "quota.warned").await, 2, "once for each");
    assert_eq!(told(&house, tenant, "quota.reached").await, 2);
}

#[tokio::test]
async fn contacts_are_counted_exactly_and_a_customer_who_writes_is_never_sent_away() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    set(&house, tenant, json!({"contacts": 50})).await;
    let take = async |_| loop {
        let taken = async {
            let mut tx = house.db.tenant(&owner(tenant)).await?;
            Quotas::default().take(&mut tx, Limited::Contacts, 1).await?;
            Ok::<_, QuotaError>(tx.commit().await?)
        };
        match taken.await {
            Err(QuotaError::Store(misy_store::Error::Busy { .. })) => {}
            outcome => break outcome,
        }
    };
    let outcomes: Vec<_> = stream::iter(0..120).map(take).buffer_unordered(120).collect().await;
    assert!(outcomes.iter().all(Result::is_ok));
    let shown = of_usage(&house, tenant, "contacts").await;
    assert_eq!((&shown["used"], &shown["max_count"]), (&json!(120), &json!(50)));
    assert_eq!(shown["warned_at"], json!(40));
    assert_eq!(told(&house, tenant, "quota.warned").await, 1);
    assert_eq!(told(&house, tenant, "quota.reached").await, 1);
}

#[tokio::test]
async fn bytes_are_refused_above_the_limit_and_can_be_given_back() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    set(&house, tenant, json!({"storage_bytes": 1_000})).await;
    let take = async |count| {
        let mut tx = house.db.tenant(&owner(tenant)).await?;
        Quotas::default().take(&mut tx, Limited::StorageBytes, count).await?;
        Ok::<_, QuotaError>(tx.commit().await?)
    };
    take(900).await.expect("there is room");
    let refused = take(101).await.expect_err("one too many");
    assert!(matches!(refused, QuotaError::Exceeded { renews_in_s: None, .. }), "{refused:?}");
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    Quotas::default().give_back(&mut tx, Limited::StorageBytes, 500).await.expect("given back");
    tx.commit().await.expect("commits");
    assert_eq!(of_usage(&house, tenant, "storage_bytes").await["used"], json!(400));
    take(600).await.expect("room again");
}

#[tokio::test]
async fn a_plan_says_how_many_requests_a_minute_and_the_refusal_says_how_to_get_more() {
    let house = House::build().await;
    let (tenant, other) = (house.tenant("acme").await, house.tenant("bolt").await);
    set(&house, tenant, json!({"api_requests_per_minute": 5})).await;
    for _ in 0..5 {
        assert_eq!(house.get(&Admin(tenant), "/v1/tenant").await.status, StatusCode::OK);
    }
    let refused = house.get(&Admin(tenant), "/v1/tenant").await;
    assert_eq!(refused.refusal(), (429, "request.rate_limited"));
    let detail = refused.text("detail");
    assert!(detail.contains("api_requests_per_minute") && detail.contains("/quotas"), "{detail}");
    assert_eq!(house.get(&Admin(other), "/v1/tenant").await.status, StatusCode::OK);
    house.clock.advance_ms(13_000);
    assert_eq!(house.get(&Admin(tenant), "/v1/tenant").await.status, StatusCode::OK, "one is free");
    set(&house, tenant, json!({"api_requests_per_minute": 100})).await;
    for _ in 0..20 {
        assert_eq!(house.get(&Admin(tenant), "/v1/tenant").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn another_processes_limit_of_requests_is_felt_at_the_next_look() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let other = house.second_process();
    assert_eq!(other.get(&Admin(tenant), "/v1/tenant").await.status, StatusCode::OK);
    set(&house, tenant, json!({"api_requests_per_minute": 1})).await;
    other.deps.tick().await.expect("looks");
    assert_eq!(other.get(&Admin(tenant), "/v1/tenant").await.status, StatusCode::OK);
    let refused = other.get(&Admin(tenant), "/v1/tenant").await;
    assert_eq!(refused.refusal(), (429, "request.rate_limited"));
    set(&house, tenant, json!({})).await;
    other.deps.tick().await.expect("looks");
    assert_eq!(other.get(&Admin(tenant), "/v1/tenant").await.status, StatusCode::OK, "no limit");
}
