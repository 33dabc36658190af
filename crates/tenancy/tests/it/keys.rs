//! Room `tenancy`: a tenant's keys open for that tenant, under the right root key, and for nobody
//! else.

use std::sync::Arc;

use misy_core::crypto::Key;
use misy_core::id::TypedId;
use misy_store::{Error, ToSql, Vault};
use misy_tenancy::Keys;
use uuid::Uuid;

use crate::house::{House, owner};

fn other_process(house: &House, root: [u8; 32]) -> Keys {
    Keys::new(&Key::new(root), house.deps.ambient.clone())
}

#[tokio::test]
async fn every_tenant_has_a_key_of_its_own_that_stays() {
    let house = House::build().await;
    let (a, b) = (house.tenant("a1").await, house.tenant("b1").await);
    let mut of_a = house.db.tenant(&owner(a)).await.expect("a connection");
    let mut of_b = house.db.tenant(&owner(b)).await.expect("a connection");
    let keys: Arc<dyn Vault> = house.deps.keys.clone();
    let (key_a, key_b) = (
        keys.current(&mut of_a).await.expect("a key"),
        keys.current(&mut of_b).await.expect("a key"),
    );
    assert_eq!(key_a.version, 1);
    assert_ne!(key_a.key.expose(), key_b.key.expose());
    house.deps.keys.ensure_first(&mut of_a).await.expect("is there already");
    let fresh = other_process(&house, [5; 32]);
    let same = fresh.of_version(&mut of_a, 1).await.expect("opens").expect("is there");
    assert_eq!(same.key.expose(), key_a.key.expose());
    assert!(fresh.of_version(&mut of_a, 2).await.expect("no error").is_none());
}

#[tokio::test]
async fn another_root_key_opens_nothing() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    let foreign = other_process(&house, [6; 32]).current(&mut tx).await;
    assert!(matches!(foreign, Err(Error::Corrupt { column: "wrapped" })), "{foreign:?}");
}

#[tokio::test]
async fn a_key_copied_into_another_tenant_does_not_open_there() {
    let house = House::build().await;
    let (a, b) = (house.tenant("a1").await, house.tenant("b1").await);
    let mut of_a = house.db.tenant(&owner(a)).await.expect("a connection");
    let read = "select wrapped from tenant_keys where tenant_id = $1";
    let row = of_a.query_opt(read, &[&a.uuid()]).await.expect("a statement").expect("a row");
    let stolen: Vec<u8> = row.get(0);
    let mut of_b = house.db.tenant(&owner(b)).await.expect("a connection");
    let paste = "update tenant_keys set wrapped = $2 where tenant_id = $1";
    of_b.execute(paste, &[&b.uuid(), &stolen]).await.expect("its own row");
    let opened = other_process(&house, [5; 32]).current(&mut of_b).await;
    assert!(matches!(opened, Err(Error::Corrupt { column: "wrapped" })), "{opened:?}");
}

#[tokio::test]
async fn a_revoked_key_is_gone_and_a_newer_one_is_current() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    let add = "insert into tenant_keys (tenant_id, version, wrapped) values ($1, 2, $2)";
    let params: [&(dyn ToSql + Sync); 2] = [&tenant.uuid(), &vec![0_u8; 8]];
    tx.execute(add, &params).await.expect("a second key");
    let keys = other_process(&house, [5; 32]);
    assert!(keys.current(&mut tx).await.is_err(), "the newest one is broken");
    let revoke = "update tenant_keys set revoked_at = now() where tenant_id = $1 and version = 2";
    tx.execute(revoke, &[&tenant.uuid()]).await.expect("revokes");
    assert!(keys.of_version(&mut tx, 2).await.expect("no error").is_none());
    assert_eq!(keys.current(&mut tx).await.expect("the older one").version, 1);
}

#[tokio::test]
async fn a_tenant_without_a_key_is_an_error_not_a_key() {
    let house = House::build().await;
    let nobody = misy_core::TenantId::from_uuid(Uuid::from_u128(1));
    let mut tx = house.db.tenant(&owner(nobody)).await.expect("a connection");
    let found = house.deps.keys.current(&mut tx).await;
    assert!(matches!(found, Err(Error::Corrupt { column: "tenant_keys" })));
}
