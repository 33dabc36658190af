//! Room `server`: the cache tied to what makes tenants and to what says whether all is well.

use misy_core::id::TypedId;
use misy_core::{Personal, Role, TenantId};
use misy_jobs::provision::{Owner, Provision, TenantSeed};
use misy_server::cache::CacheUsers;
use misy_store::cache::user_name;
use misy_testkit::TestRedis;

fn seed(id: TenantId) -> TenantSeed {
    let owner = Owner {
        email: Personal("owner@example.com".to_owned()),
        name: Personal("Olu".to_owned()),
        password: None,
    };
    let text = str::to_owned;
    let (slug, name, plan) = (text("acme"), text("Acme"), text("free"));
    TenantSeed { id, slug, name, locale: text("en"), time_zone: text("UTC"), plan, owner }
}

async fn users(redis: &TestRedis) -> Vec<String> {
    let mut ask = redis::cmd("ACL");
    ask.arg("USERS").query_async(&mut redis.warden().await).await.expect("the warden may")
}

#[tokio::test]
async fn a_new_tenant_has_its_user_before_its_first_use_and_twice_is_once() {
    let redis = TestRedis::start().await;
    let step = CacheUsers(redis.cache().await);
    let id = TenantId::from_uuid(uuid::Uuid::from_u128(5));
    let ctx = misy_testkit::ctx(id, Role::Owner);
    for _ in 0..2 {
        step.provision(&ctx, &seed(id)).await.expect("it is made");
    }
    let ours: Vec<_> =
        users(&redis).await.into_iter().filter(|user| *user == user_name(id)).collect();
    assert_eq!(ours.len(), 1);
}

#[tokio::test]
async fn a_tenant_is_made_while_redis_is_away() {
    let mut redis = TestRedis::start().await;
    let step = CacheUsers(redis.cache().await);
    redis.kill();
    let id = TenantId::from_uuid(uuid::Uuid::from_u128(5));
    let made = step.provision(&misy_testkit::ctx(id, Role::Owner), &seed(id)).await;
    made.expect("its first use makes the user");
}
