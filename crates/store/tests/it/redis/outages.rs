//! Room `store`: Redis dies, freezes, fills up or forgets: the program goes on, is never wrong, and
//! heals by itself.

use std::time::Duration;

use misy_core::id::TypedId;
use misy_core::{Ctx, Role, TenantId};
use misy_store::cache::CacheError;
use misy_store::{Cache, CacheConfig, Space, TenantCache};
use misy_testkit::TestRedis;
use uuid::Uuid;

pub(super) const ANSWERS: Space = Space::new("answers");
const COUNTS: Space = Space::new("counts");
pub(super) const HOUR: Duration = Duration::from_hours(1);

pub(super) fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(number))
}

pub(super) fn ctx(number: u128) -> Ctx {
    misy_testkit::ctx(tenant(number), Role::Owner)
}

pub(super) async fn put(cache: &TenantCache, key: &str, value: &str) {
    cache.put(ANSWERS, key, value.to_owned(), HOUR).await.expect("never an error");
}

pub(super) async fn text(cache: &TenantCache, key: &str) -> Option<String> {
    let value = cache.get(ANSWERS, key).await.expect("never an error");
    value.map(|bytes| String::from_utf8(bytes.to_vec()).expect("text"))
}

async fn incr(cache: &TenantCache, key: &str) -> i64 {
    cache.incr(COUNTS, key, 1, HOUR).await.expect("it counts")
}

/// Tends until it works again: what a kept cache does by itself.
async fn heal(cache: &Cache) {
    while cache.tend().await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_redis_that_is_killed_takes_nothing_with_it_but_values() {
    let mut redis = TestRedis::start().await;
    let cache = redis.cache().await;
    let (one, other) = (cache.of(&ctx(1)), cache.of(&ctx(2)));
    put(&one, "k", "before").await;
    assert_eq!(incr(&one, "n").await, 1);
    assert_eq!(cache.ready(), Ok(()));

    redis.kill();
    assert_eq!(text(&one, "k").await, None);
    put(&one, "k", "lost").await;
    one.remove(ANSWERS, "k").await.expect("never an error");
    one.clear().await.expect("never an error");
    assert_eq!((incr(&one, "n").await, incr(&one, "n").await), (1, 2), "this process counts");
    assert_eq!(incr(&other, "n").await, 1, "and each tenant for itself");
    assert_eq!(one.get(COUNTS, "n").await, Ok(Some("2".into())));
    assert!(cache.tend().await.is_err());
    assert!(cache.ready().is_err());

    redis.run().await.expect("it starts empty");
    heal(&cache).await;
    assert_eq!(cache.ready(), Ok(()));
    assert_eq!(text(&one, "k").await, None);
    put(&one, "k", "after").await;
    put(&other, "k", "after too").await;
    assert_eq!(text(&one, "k").await.as_deref(), Some("after"));
    assert_eq!(text(&other, "k").await.as_deref(), Some("after too"));
    assert_eq!(incr(&one, "n").await, 1, "Redis counts again");
}

#[tokio::test]
async fn a_kept_cache_heals_while_it_is_used() {
    let mut redis = TestRedis::start().await;
    let cache = redis.cache().await;
    let one = cache.of(&ctx(1));
    put(&one, "k", "before").await;
    let using = async {
        for _ in 0..3 {
            redis.kill();
            assert_eq!(text(&one, "k").await, None);
            redis.run().await.expect("it starts");
            while text(&one, "k").await.is_none() {
                put(&one, "k", "after").await;
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        never = cache.keep() => match never {},
        () = using => {}
    }
}

#[tokio::test]
async fn a_cache_may_be_opened_before_its_redis_runs() {
    let mut redis = TestRedis::start().await;
    redis.kill();
    let cache = redis.cache().await;
    assert!(cache.ready().is_err());
    assert_eq!(incr(&cache.of(&ctx(1)), "n").await, 1);
    assert_eq!(cache.admit(&ctx(1)).await, Err(CacheError::Away));
    redis.run().await.expect("it starts");
    heal(&cache).await;
    cache.admit(&ctx(1)).await.expect("a user is made");
}

/// Short enough to wait for, once; long enough for a machine that is busy.
fn impatient(redis: &TestRedis) -> CacheConfig {
    CacheConfig { answer_ms: 3_000, connect_ms: 3_000, ..redis.config() }
}

#[tokio::test]
async fn what_was_removed_while_redis_was_away_does_not_come_back() {
    let redis = TestRedis::start().await;
    let cache = redis.cache_with(&impatient(&redis)).await;
    let [named, many, all] = [1, 2, 3].map(|number| cache.of(&ctx(number)));
    for cache in [&named, &many, &all] {
        put(cache, "k", "old").await;
        put(cache, "kept", "kept").await;
    }
    redis.freeze();
    let asked = [text(&named, "k"), text(&many, "k"), text(&all, "k")];
    let answers = futures_util::future::join_all(asked).await;
    assert_eq!(answers, [None, None, None], "the connections are given up");
    named.remove(ANSWERS, "k").await.expect("never an error");
    for number in 0..100 {
        put(&many, &number.to_string(), "new").await;
    }
    all.clear().await.expect("never an error");
    redis.thaw();
    heal(&cache).await;
    assert_eq!(text(&named, "k").await, None);
    assert_eq!(text(&named, "kept").await.as_deref(), Some("kept"));
    assert_eq!(text(&many, "kept").await, None, "too many to name: all of it goes");
    assert_eq!((text(&all, "k").await, text(&all, "kept").await), (None, None));
}

#[tokio::test]
async fn a_value_that_finds_no_room_ends_the_one_before() {
    let redis = TestRedis::start().await;
    let cache = redis.cache().await;
    let one = cache.of(&ctx(1));
    put(&one, "k", "old").await;
    set(&redis, "maxmemory", "1").await;
    put(&one, "k", "new").await;
    assert_eq!(text(&one, "k").await, None, "not the old one");
    set(&redis, "maxmemory", "0").await;
    assert_eq!(text(&one, "k").await, None);
    put(&one, "k", "newer").await;
    assert_eq!(text(&one, "k").await.as_deref(), Some("newer"));
}

async fn set(redis: &TestRedis, name: &str, value: &str) {
    let mut command = redis::cmd("CONFIG");
    command.arg("SET").arg(name).arg(value);
    command.exec_async(&mut redis.warden().await).await.expect("the warden may");
}

#[tokio::test]
async fn accounts_that_redis_has_evicted_begin_anew() {
    let redis = TestRedis::start().await;
    let config = CacheConfig { max_tenant_bytes: 20_000, ..redis.config() };
    let one = redis.cache_with(&config).await.of(&ctx(1));
    for part in ["l", "o", "x"] {
        for number in 0..50 {
            put(&one, &number.to_string(), &"x".repeat(100)).await;
        }
        let key = format!("{}{part}", misy_store::cache::key_prefix(tenant(1)));
        let mut gone = redis::cmd("DEL");
        gone.arg(key).exec_async(&mut redis.warden().await).await.expect("the warden may");
        for number in 0..50 {
            put(&one, &format!("later {number}"), &"x".repeat(100)).await;
        }
        let bytes = one.bytes().await.expect("it answers");
        assert!((1..=20_000).contains(&bytes), "without {part}: {bytes}");
        assert!(text(&one, "later 49").await.is_some(), "without {part}");
    }
}
