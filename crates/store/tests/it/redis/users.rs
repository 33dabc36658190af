//! Room `store`: the users of tenants in Redis, and which Redis is not fit to be used.

use misy_core::Secret;
use misy_core::crypto::Key;
use misy_store::cache::{CacheError, Refusal, key_prefix, user_name};
use misy_store::{Cache, CacheConfig};
use misy_testkit::{TestRedis, platform_ctx, wall_ambient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::outages::{ctx, put, tenant, text};

/// Says something as the one who may do everything.
async fn say<T: redis::FromRedisValue>(redis: &TestRedis, words: &[&str]) -> T {
    let mut command = redis::Cmd::new();
    command.arg(words);
    command.query_async(&mut redis.warden().await).await.expect("the warden may")
}

async fn open(config: &CacheConfig) -> Result<Cache, Refusal> {
    Cache::open(config, &Key::new([0x7e; 32]), wall_ambient(1)).await
}

#[tokio::test]
async fn users_rights_and_scripts_that_are_lost_are_made_again() {
    let redis = TestRedis::start().await;
    let one = redis.cache().await.of(&ctx(1));
    put(&one, "k", "v").await;
    let user = user_name(tenant(1));
    for lost in [&["ACL", "DELUSER", &user][..], &["ACL", "SETUSER", &user, "-get", "resetkeys"]] {
        let _: redis::Value = say(&redis, lost).await;
        assert_eq!(text(&one, "k").await.as_deref(), Some("v"), "after {lost:?}");
    }
    let _: redis::Value = say(&redis, &["SCRIPT", "FLUSH"]).await;
    put(&one, "k", "w").await;
    assert_eq!(text(&one, "k").await.as_deref(), Some("w"));
}

#[tokio::test]
async fn between_pipelines_every_connection_is_nobodys() {
    let redis = TestRedis::start().await;
    let cache = redis.cache().await;
    for number in 1..=4 {
        put(&cache.of(&ctx(number)), "k", "v").await;
    }
    let clients: String = say(&redis, &["CLIENT", "LIST"]).await;
    let users: Vec<_> = clients.lines().filter_map(|line| line.split(" user=").nth(1)).collect();
    assert!(users.iter().filter(|user| user.starts_with("default")).count() >= 2, "{clients}");
    assert!(!users.iter().any(|user| user.starts_with("misy_t_")), "{clients}");
}

#[tokio::test]
async fn forgetting_a_tenant_leaves_neither_keys_nor_user() {
    let mut redis = TestRedis::start().await;
    let cache = redis.cache().await;
    for number in [1, 2] {
        for key in 0..1_200 {
            put(&cache.of(&ctx(number)), &key.to_string(), "v").await;
        }
    }
    cache.forget(&platform_ctx(), tenant(1)).await.expect("it is there");
    let keys: Vec<String> = say(&redis, &["KEYS", "*"]).await;
    assert!(!keys.iter().any(|key| key.starts_with(&key_prefix(tenant(1)))), "{keys:?}");
    assert!(keys.len() > 1_200, "the other's stay");
    let users: Vec<String> = say(&redis, &["ACL", "USERS"]).await;
    assert!(!users.contains(&user_name(tenant(1))) && users.contains(&user_name(tenant(2))));
    redis.kill();
    let forgotten = cache.forget(&platform_ctx(), tenant(2)).await;
    assert_eq!(forgotten, Err(CacheError::Away), "whoever deletes a tenant must try again");
}

#[tokio::test]
async fn a_refused_tenant_is_counted_and_another_is_not() {
    let redis = TestRedis::start().await;
    let cache = redis.cache().await;
    for number in [1, 2] {
        put(&cache.of(&ctx(number)), "k", "v").await;
    }
    cache.tend().await.expect("it works");
    assert_eq!(cache.denials(tenant(1)), 0);
    let user = redis.nobodys_url();
    let client = redis::Client::open(user.expose()).expect("an address");
    let mut thief = client.get_multiplexed_async_connection().await.expect("it runs");
    let passwords = misy_store::cache::CachePasswords::derive(&Key::new([0x7e; 32]));
    let mut theft = redis::pipe();
    theft.cmd("AUTH").arg(user_name(tenant(1))).arg(passwords.of(tenant(1)).expose());
    theft.cmd("GET").arg(format!("{}v:answers:k", key_prefix(tenant(2)))).cmd("KEYS").arg("*");
    let answers = thief.send_packed_commands(&theft, 0, 3).await.expect("answered");
    assert!(matches!(&answers[1..], [redis::Value::ServerError(_), redis::Value::ServerError(_)]));
    cache.tend().await.expect("it works");
    cache.tend().await.expect("it works");
    assert_eq!((cache.denials(tenant(1)), cache.denials(tenant(2))), (2, 0));
}

#[tokio::test]
async fn a_redis_that_lets_everybody_in_is_not_used() {
    let redis = TestRedis::start().await;
    let cache = redis.cache().await;
    put(&cache.of(&ctx(1)), "k", "v").await;
    let _: redis::Value = say(&redis, &["ACL", "SETUSER", "default", "on", "nopass"]).await;
    let error = open(&redis.config()).await.expect_err("refused");
    assert!(matches!(error, Refusal::DefaultUser), "{error}");
    assert!(error.to_string().contains("ACL SETUSER default off"), "{error}");
    assert!(cache.tend().await.is_err(), "also while it runs");
    assert_eq!(text(&cache.of(&ctx(1)), "k").await, None);
    let _: redis::Value = say(&redis, &["ACL", "SETUSER", "default", "off"]).await;
    cache.tend().await.expect("it is safe again");
    assert_eq!(text(&cache.of(&ctx(1)), "k").await.as_deref(), Some("v"));
    let _: redis::Value =
        say(&redis, &["ACL", "SETUSER", "default", "on", "resetpass", ">x"]).await;
    cache.tend().await.expect("a password keeps everybody out");
    let report = cache.inspect().await.expect("it answers");
    assert!(report.name.starts_with("Redis "), "{report:?}");
    assert!(report.notes.iter().any(|note| note.contains("default")), "{report:?}");
}

#[tokio::test]
async fn an_administrator_without_rights_or_password_is_refused() {
    let redis = TestRedis::start().await;
    let url = Secret::new(redis.url().expose().replace("pass=", "pass=x"));
    let error = open(&CacheConfig { url: Some(url), ..redis.config() }).await.expect_err("refused");
    assert!(matches!(error, Refusal::SignIn), "{error}");
    for right in ["acl|setuser", "acl|deluser", "acl|log", "acl|getuser", "script|load", "info"] {
        let without = format!("-{right}");
        let _: redis::Value = say(&redis, &["ACL", "SETUSER", "misy_admin", &without]).await;
        let error = open(&redis.config()).await.expect_err(right);
        assert!(matches!(error, Refusal::AdminRights(_)), "{right}: {error}");
        let with = format!("+{right}");
        let _: redis::Value = say(&redis, &["ACL", "SETUSER", "misy_admin", &with]).await;
    }
    open(&redis.config()).await.expect("with all of them it is not");
}

/// Answers as a Redis 6 would, up to its version.
async fn old_redis(listener: tokio::net::TcpListener) {
    let (mut stream, _) = listener.accept().await.expect("somebody comes");
    let mut heard = vec![0; 4_096];
    while let Ok(length @ 1..) = stream.read(&mut heard).await {
        let words = String::from_utf8_lossy(&heard[..length]).to_lowercase();
        let mut answer = "+OK\r\n".repeat(words.matches("auth\r\n").count());
        answer += &"-ERR unknown\r\n".repeat(words.matches("setinfo").count());
        if words.contains("info\r\n$6") {
            answer += "$38\r\nredis_version:6.2.14\r\nrun_id:0123456\r\n\r\n";
        }
        stream.write_all(answer.as_bytes()).await.expect("it listens");
    }
}

#[tokio::test]
async fn a_redis_that_is_too_old_is_refused_by_its_version() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let url = Some(Secret::new(format!("redis://a:b@{address}")));
    let config = CacheConfig { url, ..CacheConfig::default() };
    tokio::select! {
        () = old_redis(listener) => panic!("it goes on"),
        opened = open(&config) => {
            let error = opened.expect_err("refused");
            assert!(matches!(&error, Refusal::Version(it) if it == "6.2.14"), "{error}");
        }
    }
}

/// A value of another's under a tenant's own key: what a shifted answer would bring.
#[tokio::test]
async fn a_value_with_another_tenants_mark_is_dropped_with_its_connection() {
    let redis = TestRedis::start().await;
    let cache = redis.cache().await;
    let one = cache.of(&ctx(1));
    put(&one, "k", "mine").await;
    put(&cache.of(&ctx(2)), "k", "another's").await;
    let place = |number| format!("{}v:answers:k", key_prefix(tenant(number)));
    let _: redis::Value = say(&redis, &["COPY", &place(2), &place(1), "REPLACE"]).await;
    assert_eq!(text(&one, "k").await, None);
    put(&one, "k", "mine").await;
    cache.tend().await.expect("the connection is made anew");
    put(&one, "k", "mine").await;
    assert_eq!(text(&one, "k").await.as_deref(), Some("mine"));
}
