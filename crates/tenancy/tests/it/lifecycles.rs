//! Room `tenancy`: every status, every event, everybody.

use http::{Method, StatusCode};
use misy_core::id::TypedId;
use misy_core::{Role, TenantId};
use misy_store::Error;
use misy_tenancy::tenants::model::{Event, Status};
use serde_json::{Value, json};

use crate::house::{Answer, House, Operator, Person, Staff, Stranger, User, owner};

/// Puts a tenant where no event would take it now.
async fn put(house: &House, tenant: TenantId, status: Status) {
    let mut tx = house.db.platform(&misy_testkit::platform_ctx()).await.expect("a connection");
    let sql = "update tenants set status = $2, status_before = null where id = $1";
    tx.execute(sql, &[&tenant.uuid(), &status.slug()]).await.expect("a row");
    // A removal that another case began would be in the way of the next one's.
    tx.execute("delete from sagas where name = 'tenancy.removal'", &[]).await.expect("rows");
    tx.commit().await.expect("it commits");
}

pub(crate) const ENDPOINTS: [(&str, Event); 5] = [
    ("activate", Event::Activate),
    ("suspend", Event::Suspend),
    ("close", Event::Close),
    ("restore", Event::Restore),
    ("purge", Event::Purge),
];

/// Asks for one step in a tenant's life, in the words of its endpoint.
pub(crate) async fn ask(house: &House, user: &impl User, tenant: TenantId, name: &str) -> Answer {
    let path = format!("/v1/tenants/{tenant}");
    match name {
        "purge" => {
            let path = format!("{path}?confirm=acme");
            house.send(user, Method::DELETE, &path, &[], None).await
        }
        "suspend" => house.post(user, &format!("{path}/suspend"), json!({"reason": "legal"})).await,
        "close" => house.post(user, &format!("{path}/close"), json!({"grace_days": 7})).await,
        _ => house.send(user, Method::POST, &format!("{path}/{name}"), &[], None).await,
    }
}

/// What everybody is told who does not run the platform: people of the tenant in every role, and
/// those of the platform who only look.
async fn everybody_else(house: &House, tenant: TenantId, name: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for role in Role::OF_TENANT {
        answers.push(ask(house, &Person(tenant, role), tenant, name).await);
    }
    for role in Role::OF_PLATFORM.into_iter().filter(|role| *role != Role::Operator) {
        answers.push(ask(house, &Staff(role), tenant, name).await);
    }
    answers
}

#[tokio::test]
async fn every_status_times_event_times_role_is_as_the_table_says() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    for status in Status::ALL {
        for (name, event) in ENDPOINTS {
            put(&house, tenant, status).await;
            for answer in everybody_else(&house, tenant, name).await {
                let code = answer.refusal().1.to_owned();
                let denied = ["auth.permission_denied", "tenant.inactive"].contains(&code.as_str());
                assert!(denied && answer.status == 403, "{status:?} {name}: {}", answer.body);
            }
            let stranger = ask(&house, &Stranger, tenant, name).await;
            assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{status:?} {name}");
            let shown = house.get(&Operator, &format!("/v1/tenants/{tenant}")).await;
            assert_eq!(shown.text("status"), status.slug(), "nobody has moved it by {name}");
            let answer = ask(&house, &Operator, tenant, name).await;
            match status.after(event) {
                // Its making has ended long ago, so there is nothing to finish.
                Some(_) if status == Status::Provisioning => {
                    assert_eq!(answer.refusal(), (503, "server.unavailable"));
                }
                Some(next) => assert_eq!(answer.text("status"), next.slug(), "{status:?} {name}"),
                None => {
                    let refusal = (409, "request.conflict");
                    assert_eq!(answer.refusal(), refusal, "{status:?} {name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_suspension_says_why_and_only_for_reasons_that_exist() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let path = format!("/v1/tenants/{tenant}/suspend");
    let strange = house.post(&Operator, &path, json!({"reason": "mood"})).await;
    assert_eq!(strange.pointers(), ["/reason"]);
    let body = json!({"reason": "abuse", "note": "two complaints"});
    let stopped = house.post(&Operator, &path, body).await;
    assert_eq!(stopped.text("status_reason"), "abuse");
    assert_eq!(stopped.text("status_note"), "two complaints");
}

#[tokio::test]
async fn a_restored_tenant_stands_where_it_stood() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    ask(&house, &Operator, tenant, "close").await;
    let restored = ask(&house, &Operator, tenant, "restore").await;
    assert_eq!((restored.text("status"), &restored.body["purge_at"]), ("active", &Value::Null));
    ask(&house, &Operator, tenant, "suspend").await;
    ask(&house, &Operator, tenant, "close").await;
    let restored = ask(&house, &Operator, tenant, "restore").await;
    assert_eq!((restored.text("status"), restored.text("status_reason")), ("suspended", "legal"));
    let life = house.get(&Operator, &format!("/v1/tenants/{tenant}/lifecycle")).await;
    let actions: Vec<_> = life.body["history"].as_array().expect("a list").iter().collect();
    let actions: Vec<_> = actions.iter().filter_map(|one| one["action"].as_str()).collect();
    let expected = ["restored", "closed", "suspended", "restored", "closed"];
    let expected = expected.map(|one| format!("tenant.{one}"));
    assert_eq!(actions[..5], expected, "newest first");
    assert_eq!(actions[5..], ["tenant.provisioned", "tenant.created"]);
}

#[tokio::test]
async fn a_removal_without_the_tenants_name_is_refused() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    ask(&house, &Operator, tenant, "close").await;
    let path = format!("/v1/tenants/{tenant}?confirm=other");
    let refused = house.send(&Operator, Method::DELETE, &path, &[], None).await;
    assert_eq!(
        (refused.refusal(), refused.pointers()),
        ((422, "request.invalid"), vec!["confirm"])
    );
}

#[tokio::test]
async fn the_door_itself_is_shut_in_every_process_within_a_second() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let other = house.second_process();
    let tick = async |house: &House| house.deps.directory.tick().await.expect("it looks");
    tick(&other).await;
    drop(other.db.tenant(&owner(tenant)).await.expect("open to an active one"));
    house.suspend(tenant).await;
    // What the server does every 400 ms.
    tick(&other).await;
    for db in [&house.db, &other.db] {
        assert!(matches!(db.tenant(&owner(tenant)).await, Err(Error::Barred)));
        assert!(matches!(db.read(&owner(tenant)).await, Err(Error::Barred)));
        let customer = misy_testkit::platform_ctx().enter(tenant, misy_core::Grants::NONE);
        drop(db.tenant(&customer).await.expect("the program itself may enter"));
    }
    house.activate(tenant).await;
    tick(&other).await;
    for db in [&house.db, &other.db] {
        drop(db.tenant(&owner(tenant)).await.expect("open again"));
    }
}

#[tokio::test]
async fn a_process_that_starts_knows_who_is_stopped() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    house.suspend(tenant).await;
    house.clock.advance_ms(3_600_000);
    let other = house.second_process();
    other.deps.directory.tick().await.expect("it looks");
    assert!(matches!(other.db.tenant(&owner(tenant)).await, Err(Error::Barred)));
}
