//! Room `store`: many tenants at once on few connections, with calls that are given up half-way:
//! no answer ever reaches another. And what a call costs: one round trip, and the memory it tells.

use std::time::Duration;

use futures_util::future::join_all;
use misy_core::Entropy;
use misy_store::cache::key_prefix;
use misy_store::{Cache, CacheConfig, TenantCache};
use misy_testkit::{Seeded, TestRedis};

use super::outages::{ANSWERS, HOUR, ctx, put, tenant, text};

const TENANTS: u128 = 40;
const CALLS: u32 = 150;

/// A number below `end`, the same in each run.
fn draw(seeded: &Seeded, end: u8) -> u8 {
    let mut byte = [0];
    seeded.fill(&mut byte);
    byte[0] % end
}

/// One tenant's calls; how many of its reads found something.
async fn live(cache: TenantCache, number: u128) -> u32 {
    let seeded = Seeded::new(u64::try_from(number).expect("a small number"));
    let canary = format!("canary of {number} ");
    let mut found = 0;
    for _ in 0..CALLS {
        let key = draw(&seeded, 8).to_string();
        let call = async {
            match draw(&seeded, 8) {
                0 => cache.remove(ANSWERS, &key).await.expect("never an error"),
                1 => cache.clear().await.expect("never an error"),
                2..=4 => {
                    put(&cache, &key, &canary.repeat(1 + usize::from(draw(&seeded, 200)))).await;
                }
                _ => {
                    let value = text(&cache, &key).await;
                    assert!(value.iter().all(|it| it.starts_with(&canary)), "{number}: {value:?}");
                    found += u32::from(value.is_some());
                }
            }
        };
        // Given up after any number of steps: before it was sent, while Redis answers, or not.
        let patience = Duration::from_micros(u64::from(draw(&seeded, 255)) * 100);
        let _ = tokio::time::timeout(patience, call).await;
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_reaches_another_tenant_however_calls_are_given_up() {
    let redis = TestRedis::start().await;
    let config = CacheConfig { max_tenant_bytes: 30_000, in_flight: 8, ..redis.config() };
    let cache = redis.cache_with(&config).await;
    let found = join_all((1..=TENANTS).map(|number| live(cache.of(&ctx(number)), number))).await;
    assert!(found.iter().sum::<u32>() > 0, "nothing was ever found: {found:?}");
    for number in 1..=TENANTS {
        let one = cache.of(&ctx(number));
        keeps(&cache, &one, &format!("word of {number}")).await;
        let bytes = one.bytes().await.expect("it answers");
        assert!(bytes <= 30_000, "tenant {number}: {bytes}");
    }
}

/// Calls that were given up may have shut their connection, and whoever tends the cache opens it
/// again: from then on what is put is there.
async fn keeps(cache: &Cache, one: &TenantCache, word: &str) {
    for _ in 0..100 {
        put(one, "last", word).await;
        match text(one, "last").await {
            Some(found) => return assert_eq!(found, word),
            None => drop(cache.tend().await),
        }
    }
    panic!("never kept: {word}");
}

/// How often Redis has read from connections, and how many bytes its data take.
async fn numbers(redis: &TestRedis, name: &str) -> u64 {
    let mut warden = redis.warden().await;
    let info: String = redis::cmd("INFO").query_async(&mut warden).await.expect("the warden may");
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|it| it.trim().parse().ok()).expect("Redis counts it")
}

#[tokio::test]
async fn a_call_is_one_round_trip() {
    let redis = TestRedis::start().await;
    let one = redis.cache().await.of(&ctx(1));
    put(&one, "k", "v").await;
    let reads = async || numbers(&redis, "total_reads_processed").await;
    let looking = {
        let before = reads().await;
        reads().await - before
    };
    let before = reads().await;
    for _ in 0..50 {
        assert!(text(&one, "k").await.is_some());
        put(&one, "k", "v").await;
    }
    assert_eq!(reads().await - before - looking, 100, "sign-in, command and reset go together");
}

#[tokio::test]
async fn an_account_tells_no_less_than_redis_needs_and_not_much_more() {
    let redis = TestRedis::start().await;
    let config = CacheConfig { max_tenant_bytes: 64 << 20, ..redis.config() };
    let one = redis.cache_with(&config).await.of(&ctx(1));
    put(&one, "first", "x").await;
    for length in [0_usize, 100, 5_000] {
        one.clear().await.expect("it is cleared");
        let before = numbers(&redis, "used_memory_dataset").await;
        for number in 0..500 {
            let key = format!("conversations/{number:0>20}");
            one.put(ANSWERS, &key, vec![7; length], HOUR).await.expect("it is kept");
        }
        let needed = numbers(&redis, "used_memory_dataset").await.saturating_sub(before);
        let told = one.bytes().await.expect("it answers");
        assert!(told >= needed, "{length}: told {told}, needed {needed}");
        assert!(told <= 4 * needed, "{length}: told {told}, needed {needed}");
    }
}

#[tokio::test]
async fn every_key_of_a_tenant_has_its_hash_tag_and_values_have_an_end() {
    let redis = TestRedis::start().await;
    let one = redis.cache().await.of(&ctx(1));
    for key in ["k", "{other}", "", "a}b"] {
        put(&one, key, "v").await;
    }
    one.incr(ANSWERS, "n", 1, HOUR).await.expect("it counts");
    let mut warden = redis.warden().await;
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("*").query_async(&mut warden).await.expect("the warden may");
    assert_eq!(keys.len(), 5 + 3, "{keys:?}");
    let mut slots = Vec::new();
    for key in &keys {
        assert!(key.starts_with(&key_prefix(tenant(1))), "{key}");
        let mut ask = redis::pipe();
        ask.cmd("PTTL").arg(key);
        let (left,): (i64,) = ask.query_async(&mut warden).await.expect("the warden may");
        let is_value = key.contains(":v:");
        assert_eq!(left > 0, is_value, "{key}: {left}");
        let (_, rest) = key.split_once('{').expect("a tag");
        slots.push(rest.split('}').next().map(str::to_owned));
    }
    slots.dedup();
    assert_eq!(slots.len(), 1, "a cluster keeps a tenant on one node: {slots:?}");
}
