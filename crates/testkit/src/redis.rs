//! Room `testkit`: a real Redis of its own for a test, stopped and removed with it.

use std::ops::{Deref, DerefMut};

use ::redis::aio::MultiplexedConnection;
use misy_core::crypto::Key;
use misy_store::cache::private::{PrivateRedis, Tls};
use misy_store::{Cache, CacheConfig};

/// Moves the end of every value nearer, there and in the tenants' indexes of ends.
const AGE: &str = r"
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left > tonumber(ARGV[1]) then
    redis.call('PEXPIRE', key, left - ARGV[1])
  elseif left >= 0 then
    redis.call('DEL', key)
  end
  if string.sub(key, -2) == ':x' then
    for _, name in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      redis.call('ZINCRBY', key, -ARGV[1], name)
    end
  end
end
";

/// A Redis that only this test uses.
#[derive(Debug)]
pub struct TestRedis {
    // Before the folder, so that it has stopped when that is removed.
    server: PrivateRedis,
    _folder: tempfile::TempDir,
}

impl TestRedis {
    /// Starts one. Panics with advice if no server is installed.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts one that is reached over TLS as well.
    pub async fn start_with(tls: Option<&Tls>) -> Self {
        let folder = tempfile::Builder::new().prefix("misy-redis-").tempdir();
        let folder = sure(folder);
        let ambient = crate::postgres::unpredictable();
        let server = sure(PrivateRedis::start_with(folder.path(), &ambient, tls).await);
        Self { server, _folder: folder }
    }

    /// A configuration that names it, with a patience that no busy machine wears out.
    pub fn config(&self) -> CacheConfig {
        CacheConfig {
            url: Some(self.server.url()),
            connections: 2,
            wait_ms: 60_000,
            answer_ms: 60_000,
            connect_ms: 60_000,
            denials_ms: 0,
            ..CacheConfig::default()
        }
    }

    /// The program's own door to it.
    pub async fn cache(&self) -> Cache {
        self.cache_with(&self.config()).await
    }

    /// The same as configured.
    pub async fn cache_with(&self, config: &CacheConfig) -> Cache {
        let root = Key::new([0x7e; 32]);
        sure(Cache::open(config, &root, crate::wall_ambient(1)).await)
    }

    /// A connection of one who may do everything.
    pub async fn warden(&self) -> MultiplexedConnection {
        let client = sure(::redis::Client::open(self.server.warden_url().expose()));
        let patient = ::redis::AsyncConnectionConfig::new().set_response_timeout(None);
        sure(client.get_multiplexed_async_connection_with_config(&patient).await)
    }

    /// Every key with its value, and who may come in, for a search in all that is kept.
    pub async fn contents(&self) -> Vec<u8> {
        let mut warden = self.warden().await;
        let users: Vec<Vec<u8>> =
            sure(::redis::cmd("ACL").arg("LIST").query_async(&mut warden).await);
        let mut all = users.join(&b'\n');
        let keys: Vec<Vec<u8>> = sure(::redis::cmd("KEYS").arg("*").query_async(&mut warden).await);
        for key in keys {
            let kind: String = sure(::redis::cmd("TYPE").arg(&key).query_async(&mut warden).await);
            let read = if kind == "string" { "GET" } else { "DUMP" };
            let value: Option<Vec<u8>> =
                sure(::redis::cmd(read).arg(&key).query_async(&mut warden).await);
            let value = value.unwrap_or_default();
            all.extend([&b"\n"[..], key.as_slice(), &b" "[..], value.as_slice()].concat());
        }
        all
    }

    /// Lets time pass for every value there is, as if the server had slept.
    pub async fn age(&self, ms: u64) {
        let mut command = ::redis::cmd("EVAL");
        command.arg(AGE).arg(0).arg(ms);
        sure(command.exec_async(&mut self.warden().await).await);
    }
}

/// What must be there for a test to be one.
fn sure<T, E: std::error::Error>(outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| panic!("no test Redis ({error}): run `cargo xtask test` once"))
}

impl Deref for TestRedis {
    type Target = PrivateRedis;

    fn deref(&self) -> &PrivateRedis {
        &self.server
    }
}

impl DerefMut for TestRedis {
    fn deref_mut(&mut self) -> &mut PrivateRedis {
        &mut self.server
    }
}
