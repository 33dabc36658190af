//! Room `store`: a tenant that calls without end, beside one that calls once.

use futures_util::FutureExt;
use futures_util::future::join_all;
use misy_store::CacheConfig;
use misy_testkit::TestRedis;

use super::outages::{ctx, put, text};

/// One connection that carries eight pipelines, four of one tenant, and a wait that ends soon.
fn narrow(redis: &TestRedis) -> CacheConfig {
    CacheConfig {
        connections: 1,
        in_flight: 8,
        in_flight_per_tenant: 4,
        waiting_per_tenant: 10,
        wait_ms: 300,
        ..redis.config()
    }
}

#[tokio::test]
async fn a_tenant_that_floods_the_cache_takes_its_share_and_others_get_through() {
    let redis = TestRedis::start().await;
    let cache = redis.cache_with(&narrow(&redis)).await;
    let (loud, quiet) = (cache.of(&ctx(1)), cache.of(&ctx(2)));
    put(&loud, "k", "there").await;
    put(&quiet, "k", "before").await;

    redis.freeze();
    let mut flood: Vec<_> = (0..200).map(|_| Box::pin(text(&loud, "k"))).collect();
    let at_once = flood.iter_mut().filter_map(|call| call.as_mut().now_or_never()).count();
    assert_eq!(at_once, 200 - 4 - 10, "beyond its share and its waiters a miss, at once");
    let mut word = Box::pin(put(&quiet, "k", "after"));
    assert!(word.as_mut().now_or_never().is_none(), "it is on its way, though nobody answers");
    // Long enough for everybody's patience: whoever still waits for a turn has none any more.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert!(word.as_mut().now_or_never().is_none(), "it did not wait for the other's turns");
    redis.thaw();
    word.await;
    drop(flood);
    assert_eq!(text(&quiet, "k").await.as_deref(), Some("after"));
    assert_eq!(text(&loud, "k").await.as_deref(), Some("there"));
}

#[tokio::test]
async fn what_waits_for_a_turn_gets_it_and_nothing_is_lost_by_the_share() {
    let redis = TestRedis::start().await;
    let config = CacheConfig { wait_ms: 60_000, ..narrow(&redis) };
    let cache = redis.cache_with(&CacheConfig { waiting_per_tenant: 1_000, ..config }).await;
    let one = cache.of(&ctx(1));
    put(&one, "k", "there").await;
    let found = join_all((0..500).map(|_| text(&one, "k"))).await;
    assert!(found.iter().all(|word| word.as_deref() == Some("there")));
}
