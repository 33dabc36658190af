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
    assert_eq!(house.run_jobs_after_s(61).await, 1);
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
