//! Room `identity`: what a new tenant gets.

use misy_core::Role;
use misy_identity::Provisioner;
use misy_jobs::sagas::take_alone;
use misy_testkit::ctx;
use std::sync::Arc;

use crate::house::{House, PASSWORD};

#[tokio::test]
async fn provisioning_twice_is_provisioning_once() {
    let house = House::build().await;
    let seed = house.seed("acme", "Ana@People.example", Some(PASSWORD));
    house.provision(&seed).await;
    house.provision(&seed).await;
    for (table, expected) in [("roles", 5), ("users", 1), ("memberships", 1), ("accounts", 1)] {
        assert_eq!(
            house.count(&format!("select count(*) from {table}")).await,
            expected,
            "{table}"
        );
    }
    house.sign_in("ana@people.example", PASSWORD).await;
}

#[tokio::test]
async fn an_owner_without_a_password_is_invited_and_is_active_once_there_is_one() {
    let house = House::build().await;
    let mut seed = house.seed("acme", "ana@people.example", None);
    house.provision(&seed).await;
    assert_eq!(house.try_sign_in("ana@people.example", PASSWORD).await.refusal().0, 401);
    assert_eq!(house.count("select count(*) from users where status = 'invited'").await, 1);
    seed.owner.password = Some(misy_core::Secret::new(PASSWORD));
    house.provision(&seed).await;
    house.sign_in("ana@people.example", PASSWORD).await;
    seed.owner.password = Some(misy_core::Secret::new("another wise owl"));
    house.provision(&seed).await;
    house.sign_in("ana@people.example", PASSWORD).await;
}

#[tokio::test]
async fn an_owner_of_two_tenants_has_one_account() {
    let house = House::build().await;
    for slug in ["acme", "bolt"] {
        house.provision(&house.seed(slug, "ana@people.example", Some(PASSWORD))).await;
    }
    assert_eq!(house.count("select count(*) from accounts").await, 1);
    assert_eq!(house.count("select count(*) from memberships").await, 2);
}

#[tokio::test]
async fn a_renamed_tenant_is_signed_in_to_by_its_new_name() {
    let house = House::build().await;
    let mut seed = house.seed("acme", "ana@people.example", Some(PASSWORD));
    house.provision(&seed).await;
    seed.slug = "acme-two".to_owned();
    house.provision(&seed).await;
    assert_eq!(house.try_sign_in("ana@people.example", PASSWORD).await.text("tenant"), "acme-two");
}

#[tokio::test]
async fn a_seed_that_cannot_work_is_impossible_and_leaves_nothing() {
    let house = House::build().await;
    let step = Provisioner(Arc::clone(&house.deps));
    for (email, password) in [("nobody", PASSWORD), ("ana@people.example", "short")] {
        let seed = house.seed("acme", email, Some(password));
        let failed = take_alone(&house.db, &ctx(seed.id, Role::Owner), &step, &seed).await;
        assert!(matches!(failed, Err(misy_jobs::StepError::Impossible { .. })), "{email}");
    }
    let seed = house.seed("acme", "ana@people.example", Some(PASSWORD));
    let denied = take_alone(&house.db, &ctx(seed.id, Role::Admin), &step, &seed).await;
    assert!(denied.is_err(), "only with an owner's rights");
    assert_eq!(house.count("select count(*) from roles").await, 0);
    assert_eq!(house.count("select count(*) from accounts").await, 0);
}
