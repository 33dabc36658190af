//! Room `identity`: what those who run a tenant are told by mail without having asked.

use misy_core::id::TypedId;
use misy_core::{EndpointId, Role, Timestamp};
use misy_identity::Stewards;
use misy_store::{Herald, News};
use misy_testkit::{ctx, platform_ctx};
use serde_json::json;
use uuid::Uuid;

use crate::house::{House, PASSWORD};

fn switched_off(at: i64) -> News {
    News::EndpointDisabled {
        endpoint: EndpointId::from_uuid(Uuid::from_u128(5)),
        reason: "gone".to_owned(),
        at: Timestamp::from_second(at).expect("in range"),
    }
}

async fn tell(house: &House, tenant: misy_core::TenantId, news: News) {
    let mut tx = house.db.tenant(&ctx(tenant, Role::Owner)).await.expect("a connection");
    Stewards.tell(&mut tx, news);
    tx.commit().await.expect("it commits");
    house.work().await;
}

fn receivers(house: &House) -> Vec<String> {
    let mut all: Vec<_> = house.mailbox.taken().into_iter().map(|mail| mail.to.0).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn owners_and_administrators_of_the_tenant_hear_that_an_endpoint_is_off_once_each_time() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    house.tenant("bolt").await;
    let owner = house.owner("acme").await;
    for role in ["admin", "agent", "viewer"] {
        house.person("acme", role).await;
    }
    let left = json!({"email": "left@acme.example", "name": "Left", "role": "admin",
        "password": PASSWORD});
    let left = house.post("/v1/users", &owner, left).await;
    let path = format!("/v1/users/{}", left.text("id"));
    let gone = house.patch(&path, &owner, json!({"status": "disabled"})).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    house.work().await;
    let before = receivers(&house).len();
    // The job may run twice: whoever ran it first may have been cut off.
    tell(&house, tenant, switched_off(7)).await;
    tell(&house, tenant, switched_off(7)).await;
    let mails = house.mailbox.taken().split_off(before);
    let mut told: Vec<_> = mails.iter().map(|mail| mail.to.0.as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, ["admin@acme.example", "owner@acme.example"]);
    for mail in &mails {
        assert_eq!(mail.subject, "A webhook endpoint of acme was switched off");
        assert!(mail.text.expose().contains("/v1/webhook-endpoints/whe_"), "{:?}", mail.subject);
        assert!(!mail.text.expose().contains("mbl_"), "there is no link in it");
        assert_eq!(mail.tenant, Some(tenant));
    }
    tell(&house, tenant, switched_off(8)).await;
    assert_eq!(receivers(&house).len(), before + 4, "the next time is news again");
}

#[tokio::test]
async fn such_a_mail_leaves_by_the_tenants_own_sender() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let mut tx = house.db.platform(&platform_ctx()).await.expect("a connection");
    let brand = json!({"name": "Acme", "mail_sender_name": "Acme Desk"});
    let row = "
        insert into tenants (id, slug, site_id, name, status, plan, locale, time_zone, brand)
        values ($1, 'acme', 'site_acme', 'Acme', 'active', 'trial', 'en', 'UTC', $2)";
    tx.execute(row, &[&tenant.uuid(), &brand]).await.expect("the tenant");
    tx.commit().await.expect("it commits");
    tell(&house, tenant, switched_off(7)).await;
    let mail = house.mailbox.taken().pop().expect("a mail");
    assert_eq!(mail.from.name.as_deref(), Some("Acme Desk"));
    assert_eq!(mail.subject, "A webhook endpoint of Acme was switched off");
}
