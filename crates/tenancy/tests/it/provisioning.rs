//! Room `tenancy`: a provisioning that is interrupted is finished, or given up as a whole.

use std::sync::atomic::Ordering;

use http::{Method, StatusCode};
use misy_core::TenantId;
use misy_core::id::TypedId;
use misy_store::Vault;

use crate::house::{Admin, House, Operator, owner, wanted};

async fn only_tenant(house: &House) -> TenantId {
    let list = house.get(&Operator, "/v1/tenants").await;
    let [id] = list.column("id")[..] else { panic!("not one tenant: {}", list.body) };
    id.parse().expect("a tenant's id")
}

async fn status(house: &House, tenant: TenantId) -> String {
    let answer = house.get(&Operator, &format!("/v1/tenants/{tenant}")).await;
    answer.text("status").to_owned()
}

/// What every tenant that works has.
async fn assert_complete(house: &House, tenant: TenantId) {
    assert_eq!(status(house, tenant).await, "active");
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    house.deps.keys.current(&mut tx).await.expect("a key");
    let quotas = house.get(&Operator, &format!("/v1/tenants/{tenant}/quotas")).await;
    assert!(quotas.column("name").contains(&"users"));
    assert_eq!(house.count("select count(*) from provisionings").await, 0, "the seed is forgotten");
    let passwords = house.second.seeds.lock().expect("no panic");
    let password = passwords.last().and_then(|seed| seed.owner.password.as_ref());
    assert_eq!(password.map(misy_core::Secret::expose), Some("a wise old owl"));
}

#[tokio::test]
async fn a_step_that_fails_for_now_is_taken_again_by_the_job() {
    for fails_first in [true, false] {
        let house = House::build().await;
        let step = if fails_first { &house.first } else { &house.second };
        step.fails_for_now.store(2, Ordering::SeqCst);
        let answer = house.post(&Operator, "/v1/tenants", wanted("acme")).await;
        assert_eq!(answer.refusal(), (503, "server.unavailable"));
        let tenant = only_tenant(&house).await;
        assert_eq!(status(&house, tenant).await, "provisioning");
        let early = house.get(&Admin(tenant), "/v1/tenant").await;
        assert_eq!(early.refusal(), (403, "tenant.inactive"));
        assert_eq!(house.run_jobs_after_s(59).await, 0, "the request may still be at it");
        assert_eq!(house.run_jobs_after_s(2).await, 0, "the step fails once more");
        assert_eq!(house.run_jobs_after_s(10).await, 1);
        assert_complete(&house, tenant).await;
    }
}

#[tokio::test]
async fn the_job_of_a_finished_tenant_does_nothing() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    house.suspend(tenant).await;
    assert_eq!(house.run_jobs_after_s(61).await, 2, "that, and the news of its suspension");
    assert_eq!(status(&house, tenant).await, "suspended");
    assert_eq!(house.first.seeds.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn activating_finishes_what_was_interrupted() {
    let house = House::build().await;
    house.second.fails_for_now.store(1, Ordering::SeqCst);
    house.post(&Operator, "/v1/tenants", wanted("acme")).await;
    let tenant = only_tenant(&house).await;
    assert_eq!(house.activate(tenant).await.text("status"), "active");
    assert_complete(&house, tenant).await;
}

#[tokio::test]
async fn a_process_that_dies_between_two_steps_is_replaced_by_another() {
    let house = House::build().await;
    house.second.fails_for_now.store(1, Ordering::SeqCst);
    house.post(&Operator, "/v1/tenants", wanted("acme")).await;
    let heir = house.second_process();
    assert_eq!(heir.run_jobs_after_s(61).await, 1);
    assert_complete(&heir, only_tenant(&heir).await).await;
}

#[tokio::test]
async fn what_is_impossible_is_given_up_and_its_slug_is_free() {
    let house = House::build().await;
    house.first.is_impossible.store(1, Ordering::SeqCst);
    let refused = house.post(&Operator, "/v1/tenants", wanted("acme")).await;
    assert_eq!((refused.refusal(), refused.pointers()), ((422, "request.invalid"), vec!["/owner"]));
    let given_up = only_tenant(&house).await;
    assert_eq!(status(&house, given_up).await, "failed");
    assert_eq!(house.activate(given_up).await.refusal(), (409, "request.conflict"));
    let tenant = house.tenant("acme").await;
    assert_ne!(tenant, given_up);
    assert_complete(&house, tenant).await;
    house.run_jobs_after_s(61).await;
    assert_eq!(status(&house, given_up).await, "failed");
}

#[tokio::test]
async fn the_job_gives_up_what_turns_out_to_be_impossible() {
    let house = House::build().await;
    house.first.fails_for_now.store(1, Ordering::SeqCst);
    house.first.is_impossible.store(1, Ordering::SeqCst);
    house.post(&Operator, "/v1/tenants", wanted("acme")).await;
    assert_eq!(house.run_jobs_after_s(61).await, 1);
    assert_eq!(status(&house, only_tenant(&house).await).await, "failed");
    assert_eq!(house.count("select count(*) from provisionings").await, 0);
}

#[tokio::test]
async fn a_key_whose_request_failed_for_now_makes_no_second_tenant() {
    let house = House::build().await;
    house.first.fails_for_now.store(1, Ordering::SeqCst);
    let key = [("idempotency-key", "k1")];
    let create = || house.send(&Operator, Method::POST, "/v1/tenants", &key, Some(wanted("acme")));
    assert_eq!(create().await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(create().await.status, StatusCode::CONFLICT);
    assert_eq!(house.run_jobs_after_s(61).await, 1);
    assert_complete(&house, only_tenant(&house).await).await;
}

#[tokio::test]
async fn neither_the_queue_nor_the_seed_shows_the_owner() {
    let house = House::build().await;
    house.first.fails_for_now.store(1, Ordering::SeqCst);
    house.post(&Operator, "/v1/tenants", wanted("acme")).await;
    let tenant = only_tenant(&house).await;
    let readable = "select count(*) from jobs where payload::text || envelope::text ~* 'ann|owl'";
    assert_eq!(house.count(readable).await, 0);
    let sealed = "select count(*) from provisionings where encode(seed, 'escape') ~* 'ann@|owl'";
    assert_eq!(house.count(sealed).await, 0);
    let row = format!("select count(*) from provisionings where tenant_id = '{}'", tenant.uuid());
    assert_eq!(house.count(&row).await, 1);
}

#[tokio::test]
async fn every_step_shows_how_far_it_is_and_why_it_stands() {
    let house = House::build().await;
    house.second.fails_for_now.store(1, Ordering::SeqCst);
    house.post(&Operator, "/v1/tenants", wanted("acme")).await;
    let tenant = only_tenant(&house).await;
    let path = format!("/v1/tenants/{tenant}/provisioning");
    let steps = |answer: &crate::house::Answer| -> Vec<String> {
        let steps = answer.body["data"][0]["steps"].as_array().expect("a list");
        steps.iter().map(|step| step["state"].as_str().expect("text").to_owned()).collect()
    };
    let shown = house.get(&Operator, &path).await;
    assert_eq!(shown.body["data"][0]["state"], "doing");
    assert_eq!(steps(&shown), ["done", "done", "failing", "waiting", "waiting", "waiting"]);
    assert_eq!(shown.body["data"][0]["steps"][2]["error"], "the line was busy");
    assert_eq!(house.get(&Admin(tenant), &path).await.refusal().0, 403);
    house.activate(tenant).await;
    let shown = house.get(&Operator, &path).await;
    assert_eq!(shown.body["data"][0]["state"], "done");
    assert_eq!(steps(&shown), ["done"; 6]);
    let absent = "/v1/tenants/ten_00000000000000000000000001/provisioning";
    assert_eq!(house.get(&Operator, absent).await.refusal(), (404, "request.not_found"));
}

#[tokio::test]
async fn a_step_that_cannot_be_undone_is_parked_until_somebody_has_mended_it() {
    let house = House::build().await;
    house.second.is_impossible.store(1, Ordering::SeqCst);
    house.first.undo_fails.store(u32::MAX, Ordering::SeqCst);
    house.post(&Operator, "/v1/tenants", wanted("acme")).await;
    let tenant = only_tenant(&house).await;
    for _ in 0..14 {
        house.run_schedules().await;
        house.run_jobs_after_s(400).await;
    }
    let path = format!("/v1/tenants/{tenant}/provisioning");
    let shown = house.get(&Operator, &path).await;
    assert_eq!(shown.body["data"][0]["state"], "parked", "{}", shown.body);
    assert_eq!(shown.body["data"][0]["steps"][1]["state"], "stuck");
    assert_eq!(shown.body["data"][0]["steps"][1]["error"], "still in use");
    assert_eq!(status(&house, tenant).await, "provisioning", "it is neither there nor gone");
    house.first.undo_fails.store(0, Ordering::SeqCst);
    let retry = format!("{path}/retry");
    let answer = house.post_nothing(&Operator, &retry).await;
    assert_eq!(answer, StatusCode::NO_CONTENT);
    house.run_jobs_after_s(1).await;
    assert_eq!(status(&house, tenant).await, "failed");
    assert_eq!(house.post_nothing(&Operator, &retry).await, StatusCode::CONFLICT);
}

#[tokio::test]
async fn what_a_plan_would_make_is_told_without_making_it() {
    let house = House::build().await;
    let plan = house.get(&Operator, "/v1/tenant-provisioning?plan=trial").await;
    assert_eq!(plan.body["steps"][0], "tenancy.foundation");
    assert_eq!(plan.body["limits"].as_array().map(Vec::len), Some(4));
    let none = house.get(&Operator, "/v1/tenant-provisioning?plan=golden").await;
    assert_eq!((none.refusal(), none.pointers()), ((422, "request.invalid"), vec!["/plan"]));
    let tenant = house.tenant("acme").await;
    let denied = house.get(&Admin(tenant), "/v1/tenant-provisioning?plan=trial").await;
    assert_eq!(denied.refusal(), (403, "auth.permission_denied"));
}

#[tokio::test]
async fn who_watches_a_tenant_being_made_is_sent_each_change_until_it_is_over() {
    let house = House::build().await;
    house.second.fails_for_now.store(1, Ordering::SeqCst);
    house.post(&Operator, "/v1/tenants", wanted("acme")).await;
    let tenant = only_tenant(&house).await;
    let path = format!("/v1/tenants/{tenant}/provisioning");
    let finish = async {
        // The first look is on its way before the rest is made.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        house.activate(tenant).await;
    };
    let (seen, ()) = tokio::join!(house.watch(&Operator, &path), finish);
    let events: Vec<serde_json::Value> = seen
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    assert!(seen.starts_with("event: provisioning\n"), "{seen}");
    let last = events.last().expect("at least one");
    assert_eq!(last["data"][0]["state"], "done", "{seen}");
    let again = house.watch(&Operator, &path).await;
    assert_eq!(again.matches("event: provisioning").count(), 1, "over: told once, and the end");
}
