//! Room `store`: what runs inside Redis. Redis counts no bytes a tenant, so each tenant has an
//! account beside its values, and every change of a value changes the account in the same step.
//!
//! All keys are below the tenant's prefix: `l` the ledger (a hash: the weight of each name, and
//! `bytes`, their sum), `o` the names by when they came, `x` the names by when they expire, and
//! `v:<name>` the values. Scripts run as the tenant's user, so Redis refuses a wrong key.

use redis::Cmd;

use super::identity::Identity;

/// A script and the digest by which it is called.
#[derive(Debug)]
pub(super) struct Script {
    text: String,
    digest: std::sync::OnceLock<String>,
}

/// Common to all; `KEYS` are ledger, order and expiry, `ARGV[1]` is the prefix of values.
const ACCOUNT: &str = r"
local ledger, order, expiry, prefix = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local function strike(name)
  local weight = redis.call('HGET', ledger, name)
  if weight then
    redis.call('HDEL', ledger, name)
    redis.call('HINCRBY', ledger, 'bytes', -weight)
  end
  redis.call('ZREM', order, name)
  redis.call('ZREM', expiry, name)
end
local function sweep()
  local ended = redis.call('ZRANGEBYSCORE', expiry, '-inf', now_ms, 'LIMIT', 0, 100)
  for _, name in ipairs(ended) do strike(name) end
  return #ended
end
local function drop(name)
  redis.call('DEL', prefix .. name)
  strike(name)
end
local function bytes()
  return tonumber(redis.call('HGET', ledger, 'bytes') or 0)
end
local function close_if_empty()
  if redis.call('HLEN', ledger) <= 1 then redis.call('DEL', ledger) end
end
local function enter(name, ttl_ms, weight)
  redis.call('HSET', ledger, name, weight)
  redis.call('HINCRBY', ledger, 'bytes', weight)
  redis.call('ZADD', order, time[1] * 1000000 + time[2], name)
  redis.call('ZADD', expiry, now_ms + ttl_ms, name)
end
local function keep(name, value, ttl_ms, weight, quota)
  redis.call('SET', prefix .. name, value, 'PX', ttl_ms)
  enter(name, ttl_ms, weight)
  while bytes() > quota do
    local oldest = redis.call('ZRANGE', order, 0, 0)[1]
    if not oldest or oldest == name then
      -- Alone it fits: the account has lost a part, as a Redis that evicts may make it.
      redis.call('DEL', ledger, order, expiry)
      enter(name, ttl_ms, weight)
      return
    end
    drop(oldest)
  end
end
";

/// `ARGV`: prefix, name, value, milliseconds, weight, quota.
const PUT: &str = r"
sweep()
strike(ARGV[2])
if tonumber(ARGV[5]) > tonumber(ARGV[6]) then
  redis.call('DEL', prefix .. ARGV[2])
  close_if_empty()
  return 0
end
keep(ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]))
return 1
";

/// `ARGV`: prefix, name, by, milliseconds, weight, quota. The sum goes out as text: a number of
/// Lua holds 53 bits.
const INCR: &str = r"
sweep()
local key = prefix .. ARGV[2]
if redis.call('EXISTS', key) == 0 then
  strike(ARGV[2])
  keep(ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]))
  return ARGV[3]
end
local sum = redis.pcall('INCRBY', key, ARGV[3])
if type(sum) == 'number' then return redis.call('GET', key) end
if not string.find(sum.err, 'overflow') then
  return redis.error_reply('-NOTACOUNT it holds no count')
end
local most = '9223372036854775807'
if string.sub(ARGV[3], 1, 1) == '-' then most = '-9223372036854775808' end
redis.call('SET', key, most, 'KEEPTTL')
return most
";

/// `ARGV`: prefix, names.
const REMOVE: &str = r"
for at = 2, #ARGV do drop(ARGV[at]) end
close_if_empty()
return 1
";

/// Removes the oldest thousand; gives how many that were, so that nobody waits for long.
const CLEAR: &str = r"
local names = redis.call('ZRANGE', order, 0, 999)
for _, name in ipairs(names) do drop(name) end
if #names < 1000 then redis.call('DEL', ledger, order, expiry) end
return #names
";

const BYTES: &str = r"
while sweep() == 100 do end
close_if_empty()
return bytes()
";

/// All of them.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) put: Script,
    pub(super) incr: Script,
    pub(super) remove: Script,
    pub(super) clear: Script,
    pub(super) bytes: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        // What only makes room must run when Redis is full; what fills must not even begin.
        let filling = |body| Script::new("#!lua", body);
        let freeing = |body| Script::new("#!lua flags=allow-oom", body);
        Self {
            put: filling(PUT),
            incr: filling(INCR),
            remove: freeing(REMOVE),
            clear: freeing(CLEAR),
            bytes: freeing(BYTES),
        }
    }

    pub(super) fn all(&self) -> [&Script; 5] {
        [&self.put, &self.incr, &self.remove, &self.clear, &self.bytes]
    }
}

/// What they are, for whoever tries to misuse them.
pub(in crate::cache) fn script_texts() -> Vec<String> {
    Scripts::new().all().map(|script| script.text.clone()).to_vec()
}

impl Script {
    fn new(flags: &str, body: &str) -> Self {
        Self { text: format!("{flags}\n{ACCOUNT}{body}"), digest: std::sync::OnceLock::new() }
    }

    /// The command that makes Redis know it.
    pub(super) fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(&self.text);
        command
    }

    /// Takes the digest that Redis gave. Every Redis gives the same.
    pub(super) fn loaded(&self, digest: String) {
        // It is there already after the first connection, and equal.
        let _ = self.digest.set(digest);
    }

    /// A call as the tenant's user; the values' prefix is the first argument.
    pub(super) fn call(&self, who: &Identity) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.digest.get().map_or("", String::as_str)).arg(3);
        for key in ["l", "o", "x"] {
            command.arg(who.key(key));
        }
        command.arg(who.key("v:"));
        command
    }
}
