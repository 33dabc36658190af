//! Room `tenancy`: who may act, and from which pages, a moment after it was decided.

use std::time::Duration;

use http::StatusCode;
use misy_core::TenantId;
use misy_core::id::TypedId;
use misy_web::TenantDirectory;
use serde_json::json;
use uuid::Uuid;

use crate::house::{Admin, House, Operator};

#[tokio::test]
async fn a_suspension_bites_at_once_here_and_an_activation_heals() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    assert_eq!(house.get(&Admin(tenant), "/v1/tenant").await.status, StatusCode::OK);
    house.suspend(tenant).await;
    let refused = house.get(&Admin(tenant), "/v1/tenant").await;
    assert_eq!(refused.refusal(), (403, "tenant.inactive"));
    house.activate(tenant).await;
    assert_eq!(house.get(&Admin(tenant), "/v1/tenant").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_suspension_bites_in_other_processes_within_a_second() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let other = house.second_process();
    assert_eq!(other.get(&Admin(tenant), "/v1/tenant").await.status, StatusCode::OK);
    house.suspend(tenant).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let refused = other.get(&Admin(tenant), "/v1/tenant").await;
    assert_eq!(refused.refusal(), (403, "tenant.inactive"));
}

#[tokio::test]
async fn a_suspended_tenant_stops_alone() {
    let house = House::build().await;
    let (a, b) = (house.tenant("a1").await, house.tenant("b1").await);
    house.suspend(a).await;
    assert_eq!(house.get(&Admin(b), "/v1/tenant").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_page_may_call_for_the_tenant_that_allows_it() {
    let house = House::build().await;
    let (a, b) = (house.tenant("a1").await, house.tenant("b1").await);
    let (page, directory) = ("https://shop.example", &house.deps.directory);
    let body = json!({"allowed_origins": [page]});
    assert_eq!(house.patch(&Admin(a), "/v1/tenant", body).await.status, StatusCode::OK);
    let allows = async |tenant, page| directory.allows_origin(tenant, page).await.expect("answers");
    assert!(allows(Some(a), page).await);
    assert!(!allows(Some(b), page).await);
    assert!(allows(None, page).await, "before the tenant is known, any will do");
    assert!(!allows(None, "https://other.example").await);
    assert!(!allows(Some(a), "https://shop.example.evil.example").await);
}

#[tokio::test]
async fn nobody_is_active_who_does_not_exist() {
    let house = House::build().await;
    let nobody = TenantId::from_uuid(Uuid::from_u128(1));
    assert!(!house.deps.directory.is_active(nobody).await.expect("answers"));
    let refused = house.get(&Admin(nobody), "/v1/tenant").await;
    assert_eq!(refused.refusal(), (403, "tenant.inactive"));
    assert_eq!(house.get(&Operator, "/v1/tenants").await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_watches_for_changes_looks_a_tenant_up_once_and_sees_a_suspension_all_the_same() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let other = house.second_process();
    let directory = &other.deps.directory;
    directory.tick().await.expect("the database answers");
    assert!(directory.is_active(tenant).await.expect("it is known"));
    house.suspend(tenant).await;
    directory.tick().await.expect("the database answers");
    assert!(!directory.is_active(tenant).await.expect("it was looked up again"));
    house.activate(tenant).await;
    directory.tick().await.expect("the database answers");
    assert!(directory.is_active(tenant).await.expect("it was looked up again"));
}
