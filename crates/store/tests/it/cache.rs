//! Room `store`: what every cache must do, run on each one there is; and the bounds of the
//! embedded one.

use std::time::Duration;

use misy_core::id::TypedId;
use misy_core::{Ctx, Role, TenantId};
use misy_store::cache::CacheError;
use misy_store::{Cache, CacheConfig, Space, TenantCache};
use misy_testkit::{HandClock, TestRedis, ambient, ambient_with};
use uuid::Uuid;

const ANSWERS: Space = Space::new("answers");
const COUNTS: Space = Space::new("counts");
const MINUTE: Duration = Duration::from_mins(1);

fn ctx(number: u128) -> Ctx {
    misy_testkit::ctx(TenantId::from_uuid(Uuid::from_u128(number)), Role::Owner)
}

async fn text(cache: &TenantCache, space: Space, key: &str) -> Option<String> {
    let value = cache.get(space, key).await.expect("it answers");
    value.map(|bytes| String::from_utf8(bytes.to_vec()).expect("text"))
}

async fn put(cache: &TenantCache, key: &str, value: &str) {
    cache.put(ANSWERS, key, value.to_owned(), MINUTE).await.expect("it is kept");
}

async fn incr(cache: &TenantCache, key: &str, by: i64) -> i64 {
    cache.incr(COUNTS, key, by, MINUTE).await.expect("it counts")
}

/// What a cache promises, whatever is behind it. `turn` lets a minute and a second pass.
async fn cache_conformance(cache: &Cache, turn: impl AsyncFnOnce()) {
    let (one, other) = (cache.of(&ctx(1)), cache.of(&ctx(2)));
    values_are_kept_replaced_and_removed(&one).await;
    tenants_never_meet(&one, &other).await;
    counts_add_up(&one).await;
    clearing_spares_the_others(&one, &other).await;
    time_ends_values(&one, turn).await;
}

async fn values_are_kept_replaced_and_removed(one: &TenantCache) {
    assert_eq!(text(one, ANSWERS, "k").await, None);
    put(one, "k", "first").await;
    put(one, "k", "second").await;
    assert_eq!(text(one, ANSWERS, "k").await.as_deref(), Some("second"));
    assert_eq!(text(one, COUNTS, "k").await, None, "spaces never meet");
    one.remove(ANSWERS, "k").await.expect("it is removed");
    one.remove(ANSWERS, "k").await.expect("removing twice is no fault");
    assert_eq!(text(one, ANSWERS, "k").await, None);
    let bytes: Vec<u8> = (0..=255).collect();
    let odd = "k:{}*?\u{0}\n ü";
    one.put(ANSWERS, odd, bytes.clone(), MINUTE).await.expect("it is kept");
    assert_eq!(one.get(ANSWERS, odd).await, Ok(Some(bytes.into())));
    one.put(ANSWERS, "", "", MINUTE).await.expect("it is kept");
    assert_eq!(text(one, ANSWERS, "").await.as_deref(), Some(""));
}

async fn tenants_never_meet(one: &TenantCache, other: &TenantCache) {
    put(one, "k", "of one").await;
    assert_eq!(text(other, ANSWERS, "k").await, None);
    other.remove(ANSWERS, "k").await.expect("it is removed");
    put(other, "k", "of the other").await;
    assert_eq!(text(one, ANSWERS, "k").await.as_deref(), Some("of one"));
    assert_eq!(incr(one, "n", 5).await, 5);
    assert_eq!(incr(other, "n", 1).await, 1);
}

async fn counts_add_up(one: &TenantCache) {
    assert_eq!(incr(one, "sum", 3).await, 3);
    assert_eq!(incr(one, "sum", -5).await, -2);
    assert_eq!(text(one, COUNTS, "sum").await.as_deref(), Some("-2"));
    one.put(COUNTS, "word", "seven", MINUTE).await.expect("it is kept");
    assert_eq!(one.incr(COUNTS, "word", 1, MINUTE).await, Err(CacheError::NotACount));
    assert_eq!(text(one, COUNTS, "word").await.as_deref(), Some("seven"));
    let adding = (0..100).map(|_| incr(one, "many", 1));
    let mut sums = futures_util::future::join_all(adding).await;
    sums.sort_unstable();
    assert_eq!(sums, (1..=100).collect::<Vec<_>>(), "no two see the same sum");
}

async fn clearing_spares_the_others(one: &TenantCache, other: &TenantCache) {
    put(one, "k", "of one").await;
    put(other, "k", "of the other").await;
    one.clear().await.expect("it is cleared");
    assert_eq!(text(one, ANSWERS, "k").await, None);
    assert_eq!(text(other, ANSWERS, "k").await.as_deref(), Some("of the other"));
    assert_eq!(one.bytes().await, Ok(0));
    assert!(other.bytes().await.expect("it answers") > 0);
}

async fn time_ends_values(one: &TenantCache, turn: impl AsyncFnOnce()) {
    put(one, "k", "short").await;
    one.put(ANSWERS, "long", "long", 3 * MINUTE).await.expect("it is kept");
    assert_eq!(incr(one, "window", 1).await, 1);
    assert_eq!(incr(one, "window", 1).await, 2);
    turn().await;
    assert_eq!(text(one, ANSWERS, "k").await, None);
    assert_eq!(text(one, ANSWERS, "long").await.as_deref(), Some("long"));
    assert_eq!(incr(one, "window", 1).await, 1, "a new window begins at zero");
}

#[tokio::test]
async fn the_embedded_cache_conforms() {
    let clock = HandClock::default();
    let cache = Cache::embedded(&CacheConfig::default(), ambient_with(&clock, 1));
    cache_conformance(&cache, async || clock.advance_ms(61_000)).await;
}

#[tokio::test]
async fn the_cache_in_redis_conforms() {
    let redis = TestRedis::start().await;
    let cache = redis.cache().await;
    cache_conformance(&cache, async || redis.age(61_000).await).await;
}

fn bounded(max_tenant_bytes: u64) -> CacheConfig {
    CacheConfig { max_bytes: 1 << 20, max_tenant_bytes, ..CacheConfig::default() }
}

#[tokio::test]
async fn the_embedded_cache_keeps_each_tenant_to_its_part() {
    let cache = |part| Cache::embedded(&bounded(part), ambient());
    a_full_part_loses_its_oldest_values_and_nobody_elses(&cache(10_000)).await;
    a_value_larger_than_the_part_ends_the_one_before(&cache(2_000)).await;
    the_account_is_exact_after_every_kind_of_change(&cache(100_000)).await;
}

#[tokio::test]
async fn the_cache_in_redis_keeps_each_tenant_to_its_part() {
    let redis = TestRedis::start().await;
    let with = |max_tenant_bytes| CacheConfig { max_tenant_bytes, ..redis.config() };
    let wide = redis.cache_with(&with(100_000)).await;
    the_account_is_exact_after_every_kind_of_change(&wide).await;
    let narrow = redis.cache_with(&with(2_000)).await;
    a_value_larger_than_the_part_ends_the_one_before(&narrow).await;
    let middle = redis.cache_with(&with(10_000)).await;
    a_full_part_loses_its_oldest_values_and_nobody_elses(&middle).await;
}

async fn a_full_part_loses_its_oldest_values_and_nobody_elses(cache: &Cache) {
    let (one, other) = (cache.of(&ctx(1)), cache.of(&ctx(2)));
    put(&other, "k", "kept").await;
    for number in 0..200 {
        put(&one, &number.to_string(), &"x".repeat(100)).await;
    }
    let bytes = one.bytes().await.expect("it answers");
    assert!((5_000..=10_000).contains(&bytes), "{bytes}");
    assert_eq!(text(&one, ANSWERS, "0").await, None);
    assert!(text(&one, ANSWERS, "199").await.is_some());
    assert_eq!(text(&other, ANSWERS, "k").await.as_deref(), Some("kept"));
}

#[tokio::test]
async fn all_tenants_together_stay_inside_the_bound_of_the_process() {
    let bounds = CacheConfig { max_bytes: 50_000, ..bounded(10_000) };
    let cache = Cache::embedded(&bounds, ambient());
    let mut total = 0;
    for tenant in 1..=100 {
        for number in 0..10 {
            put(&cache.of(&ctx(tenant)), &number.to_string(), &"x".repeat(500)).await;
        }
    }
    for tenant in 1..=100 {
        total += cache.of(&ctx(tenant)).bytes().await.expect("it answers");
    }
    assert!((25_000..=50_000).contains(&total), "{total}");
}

async fn a_value_larger_than_the_part_ends_the_one_before(cache: &Cache) {
    let cache = cache.of(&ctx(1));
    cache.clear().await.expect("it is cleared");
    put(&cache, "small", "stays").await;
    put(&cache, "k", "before").await;
    put(&cache, "k", &"x".repeat(2_001)).await;
    assert_eq!(text(&cache, ANSWERS, "k").await, None);
    assert_eq!(text(&cache, ANSWERS, "small").await.as_deref(), Some("stays"));
    cache.clear().await.expect("it is cleared");
}

async fn the_account_is_exact_after_every_kind_of_change(cache: &Cache) {
    let cache = cache.of(&ctx(1));
    put(&cache, "k", "value").await;
    let one_value = cache.bytes().await.expect("it answers");
    for _ in 0..200 {
        put(&cache, "k", "other").await;
    }
    assert_eq!(cache.bytes().await, Ok(one_value), "a replaced value counts once");
    for _ in 0..200 {
        incr(&cache, "n", 1).await;
    }
    let with_count = cache.bytes().await.expect("it answers");
    assert!(with_count > one_value && with_count < 3 * one_value, "{with_count}");
    cache.remove(COUNTS, "n").await.expect("it is removed");
    cache.remove(ANSWERS, "k").await.expect("it is removed");
    assert_eq!(cache.bytes().await, Ok(0));
}
