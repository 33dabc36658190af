//! Room `store`: `ACL LOG`, read from time to time: a tenant's user that was refused is an alarm.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use misy_core::TenantId;
use redis::{FromRedisValue, Value};

use super::identity;

/// Redis tells ages by the second.
const SLACK: Duration = Duration::from_secs(2);

/// One line of the log: the same refusal within a minute is counted up
/// (<https://redis.io/docs/latest/commands/acl-log/>).
#[derive(Debug, Clone, PartialEq)]
struct Line {
    what: [String; 4],
    count: u64,
    age: Duration,
}

/// What has been seen of the log.
#[derive(Debug, Default)]
pub(super) struct Denials {
    seen: HashMap<[String; 4], u64>,
    read_at: Option<Instant>,
}

impl Denials {
    /// Refusals since the last reading, by tenant. What the log held before the first is not
    /// counted: another process has seen it. Names of keys are not given out.
    pub(super) fn count(&mut self, log: &Value, now: Instant) -> HashMap<TenantId, u64> {
        let lines = read(log);
        let since = self.read_at.replace(now).map(|at| now.duration_since(at) + SLACK);
        let mut counted = HashMap::new();
        for line in since.map_or(&[][..], |_| &lines) {
            let Some(tenant) = identity::tenant_of(&line.what[3]) else { continue };
            // A user that is made on demand, or was just removed: nobody was refused a key.
            if line.what[0] == "auth" || Some(line.age) > since {
                continue;
            }
            let before = self.seen.get(&line.what).copied().unwrap_or(0);
            let more = if line.count >= before { line.count - before } else { line.count };
            if more > 0 {
                *counted.entry(tenant).or_default() += more;
            }
        }
        self.seen = lines.into_iter().rev().map(|line| (line.what, line.count)).collect();
        counted
    }
}

/// Newest first, as Redis tells it.
fn read(log: &Value) -> Vec<Line> {
    let Value::Array(entries) = log else { return Vec::new() };
    entries.iter().filter_map(line).collect()
}

fn line(entry: &Value) -> Option<Line> {
    let fields: HashMap<String, Value> = FromRedisValue::from_redis_value_ref(entry).ok()?;
    let text = |name: &str| String::from_redis_value_ref(fields.get(name)?).ok();
    let age = text("age-seconds")?.parse().ok()?;
    Some(Line {
        what: [text("reason")?, text("context")?, text("object")?, text("username")?],
        count: u64::from_redis_value_ref(fields.get("count")?).ok()?,
        age: Duration::try_from_secs_f64(age).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "misy_t_00000000-0000-0000-0000-000000000001";

    fn entry(reason: &str, user: &str, count: i64, age: &str) -> Value {
        let text = |value: &str| Value::BulkString(value.as_bytes().to_vec());
        let fields = [
            ("count", Value::Int(count)),
            ("reason", text(reason)),
            ("context", text("toplevel")),
            ("object", text("t:{x}:k")),
            ("username", text(user)),
            ("age-seconds", text(age)),
            ("client-info", text("id=3 addr=..")),
        ];
        let pairs = fields.into_iter().flat_map(|(name, value)| [text(name), value]);
        Value::Array(pairs.collect())
    }

    fn total(denials: &mut Denials, log: Vec<Value>, after_s: u64, start: Instant) -> u64 {
        let now = start + Duration::from_secs(after_s);
        denials.count(&Value::Array(log), now).values().sum()
    }

    #[test]
    fn each_refusal_is_counted_once_from_the_first_reading_on() {
        let (mut denials, start) = (Denials::default(), Instant::now());
        let log = |count, age| vec![entry("key", USER, count, age)];
        assert_eq!(total(&mut denials, log(5, "1.0"), 0, start), 0, "before our time");
        assert_eq!(total(&mut denials, log(5, "11.0"), 10, start), 0);
        assert_eq!(total(&mut denials, log(7, "0.5"), 20, start), 2);
        assert_eq!(total(&mut denials, log(7, "0.9"), 21, start), 0);
        let mut two = log(1, "0.1");
        two.extend(log(7, "90.0"));
        assert_eq!(total(&mut denials, two, 111, start), 1, "a new line of the same refusal");
        assert_eq!(total(&mut denials, vec![], 112, start), 0, "somebody emptied the log");
    }

    #[test]
    fn failed_sign_ins_and_other_users_are_no_alarm() {
        let (mut denials, start) = (Denials::default(), Instant::now());
        assert_eq!(total(&mut denials, vec![], 0, start), 0);
        let log = vec![entry("auth", USER, 3, "0.1"), entry("key", "somebody", 3, "0.1")];
        assert_eq!(total(&mut denials, log, 1, start), 0);
    }
}
