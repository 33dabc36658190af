//! Room `store`: an attack on the walls between tenants in Redis: one tenant's user tries every
//! command that the server has, in every form, on another's keys. Only for a server of our own.

mod calls;

use std::collections::BTreeSet;
use std::time::Duration;

use misy_core::{Ambient, TenantId, crypto};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, Value};

use super::CachePasswords;
use super::private::PrivateRedis;
use super::redis::{key_prefix, user_name, user_rules};
use calls::{Shape, Word};

/// Whoever is not let in is told at once; who is and has to wait has been let in.
const PATIENCE: Duration = Duration::from_secs(30);
/// Commands that Redis lets everybody use: they are about the connection itself.
const ANYBODYS: [&str; 4] = ["auth", "hello", "quit", "reset"];
/// Commands whose names are of channels, which `COMMAND GETKEYS` does not know.
const CHANNELS: [&str; 6] =
    ["publish", "spublish", "subscribe", "psubscribe", "ssubscribe", "pubsub"];

/// Every key that is not the attacker's, with a digest of its value and whether it ends.
const LOOK: &str = r"
local seen = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  if string.sub(key, 1, #ARGV[1]) ~= ARGV[1] then
    local ends = redis.call('PTTL', key) >= 0 and 1 or 0
    seen[#seen + 1] = key .. ends .. redis.sha1hex(redis.call('DUMP', key))
  end
end
table.sort(seen)
return table.concat(seen, ' ')
";

/// Who attacks whom, and how long.
#[derive(Debug)]
pub struct Attack {
    /// Signs in with the password of the program.
    pub attacker: TenantId,
    /// Whose keys are wanted.
    pub attacked: TenantId,
    /// As whom the program makes users.
    pub passwords: CachePasswords,
    /// Other rights of the attacker's user than the program gives: to see that the attack finds
    /// what there is to find.
    pub rules: Option<Vec<String>>,
    /// The attack ends when so many commands have reached something, and what has is not tried in
    /// further forms; without it every form is.
    pub enough: Option<usize>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Findings {
    /// Commands and subcommands that the server has, all of which were tried.
    pub commands: usize,
    /// Calls that were made.
    pub calls: usize,
    /// Calls that Redis did not refuse, whatever they did.
    pub ran: usize,
    /// Calls by which something of another's was read, changed or only touched.
    pub reached: BTreeSet<String>,
}

impl Findings {
    /// The commands by which something was reached, in lower case.
    pub fn by_command(&self) -> BTreeSet<String> {
        let first = |call: &String| call.split(' ').next().unwrap_or_default().to_lowercase();
        self.reached.iter().map(first).collect()
    }
}

struct Scene<'a> {
    attack: &'a Attack,
    server: &'a PrivateRedis,
    warden: MultiplexedConnection,
    user: MultiplexedConnection,
    canary: String,
    /// Keys that are not the attacker's; the last is not there.
    names: Vec<String>,
    untouched: String,
    findings: Findings,
}

impl Attack {
    /// Attacks. The server must have nothing else to do.
    pub async fn run(
        &self,
        server: &PrivateRedis,
        ambient: &Ambient,
    ) -> Result<Findings, RedisError> {
        let mut scene = Scene::set(self, server, ambient).await?;
        let docs = scene.warden.send_packed_command(redis::cmd("COMMAND").arg("DOCS")).await?;
        let commands = calls::documented(&docs);
        scene.findings.commands = commands.len();
        let documented = commands.into_iter().flat_map(|(_, shapes)| shapes);
        for shape in calls::by_hand().into_iter().chain(documented) {
            if self.enough.is_some_and(|enough| scene.findings.by_command().len() >= enough) {
                return Ok(scene.findings);
            }
            if self.enough.is_none() || !scene.has_reached(&shape) {
                scene.try_shape(&shape).await?;
            }
        }
        scene.try_scripts().await?;
        // Whatever slept until now is seen at the end.
        scene.judge("(afterwards)", &[], &Value::Nil).await?;
        Ok(scene.findings)
    }
}

impl<'a> Scene<'a> {
    async fn set(
        attack: &'a Attack,
        server: &'a PrivateRedis,
        ambient: &Ambient,
    ) -> Result<Self, RedisError> {
        let mut warden = connect(server.warden_url().expose(), None).await?;
        let mut make = redis::cmd("ACL");
        make.arg("SETUSER").arg(user_name(attack.attacker)).arg("reset").arg("on");
        make.arg(format!(">{}", attack.passwords.of(attack.attacker).expose()));
        make.arg(attack.rules.clone().unwrap_or_else(|| user_rules(attack.attacker)));
        make.exec_async(&mut warden).await?;
        let user = connect(server.nobodys_url().expose(), Some(PATIENCE)).await?;
        let canary = format!("canary-{}", crypto::to_hex(&ambient.bytes::<12>()));
        let (theirs, ours) = (key_prefix(attack.attacked), key_prefix(attack.attacker));
        let kinds = ["str", "lst", "set", "zst", "hsh", "stm", "geo", "hll", "cnt"];
        let mut names: Vec<String> = kinds.iter().map(|kind| format!("{theirs}{kind}")).collect();
        // What only looks like the attacker's.
        names.push(ours.trim_end_matches(':').to_owned());
        names.push(ours.to_uppercase());
        names.push(format!("x{ours}str"));
        names.push(format!("{theirs}{ours}"));
        names.push(format!("{theirs}abs"));
        let (untouched, findings) = (String::new(), Findings::default());
        let mut scene = Self { attack, server, warden, user, canary, names, untouched, findings };
        scene.sign_in().await?;
        scene.furnish().await?;
        Ok(scene)
    }

    /// The attacker's connection, anew: a call may have changed what it is.
    async fn sign_in(&mut self) -> Result<(), RedisError> {
        self.user = connect(self.server.nobodys_url().expose(), Some(PATIENCE)).await?;
        let mut sign_in = redis::cmd("AUTH");
        sign_in.arg(user_name(self.attack.attacker));
        sign_in.arg(self.attack.passwords.of(self.attack.attacker).expose());
        sign_in.exec_async(&mut self.user).await
    }

    /// Puts everything in its place that is not the attacker's, each with a canary in it.
    async fn furnish(&mut self) -> Result<(), RedisError> {
        let canary = self.canary.clone();
        let makers: [(&str, Vec<&str>); 9] = [
            ("SET", vec![&canary]),
            ("RPUSH", vec![&canary, "1"]),
            ("SADD", vec![&canary, "1"]),
            ("ZADD", vec!["1", &canary]),
            ("HSET", vec!["1", &canary]),
            ("XADD", vec!["*", "1", &canary]),
            ("GEOADD", vec!["1", "1", &canary]),
            ("PFADD", vec![&canary]),
            ("SET", vec!["41"]),
        ];
        let there = self.names.split_last().map_or(&[][..], |(_, there)| there);
        redis::cmd("DEL").arg(&self.names).exec_async(&mut self.warden).await?;
        let others = std::iter::repeat_n(("SET", vec![canary.as_str()]), there.len());
        for (name, (command, words)) in there.iter().zip(makers.into_iter().chain(others)) {
            let mut command = redis::cmd(command);
            command.arg(name).arg(words);
            command.exec_async(&mut self.warden).await?;
        }
        self.untouched = self.look().await?;
        Ok(())
    }

    async fn look(&mut self) -> Result<String, RedisError> {
        let mut look = redis::pipe();
        look.cmd("EVAL").arg(LOOK).arg(0).arg(key_prefix(self.attack.attacker));
        look.cmd("ACL").arg("LIST").cmd("FUNCTION").arg("LIST");
        let seen: Vec<Value> = look.query_async(&mut self.warden).await?;
        Ok(format!("{seen:?}"))
    }

    fn has_reached(&self, shape: &Shape) -> bool {
        let Some(Word::Plain(command)) = shape.first() else { return false };
        self.findings.by_command().contains(&command.to_lowercase())
    }

    /// One shape with every name. Whether a name is there must not be told by the answer either.
    async fn try_shape(&mut self, shape: &Shape) -> Result<(), RedisError> {
        let many = if shape.contains(&Word::Name) { self.names.len() } else { 1 };
        let names = self.names[..many].to_vec();
        let theirs = key_prefix(self.attack.attacked);
        let mut said = BTreeSet::new();
        let mut last = Vec::new();
        for name in &names {
            let call: Vec<String> = shape.iter().map(|word| self.word(word, name)).collect();
            let answer = self.call(&call).await?;
            // Others are of other lengths, which an answer may tell.
            if name.starts_with(&theirs) {
                said.insert(format!("{answer:?}").replace(name, "NAME"));
            }
            last = call;
        }
        let is_anybodys = last.first().is_some_and(|it| is_one_of(it, &ANYBODYS));
        if said.len() > 1 && !is_anybodys {
            self.findings.reached.insert(format!("{} (tells what is there)", last.join(" ")));
        }
        Ok(())
    }

    fn word(&self, word: &Word, name: &str) -> String {
        match word {
            Word::Plain(text) => text.clone(),
            Word::Name => name.to_owned(),
            Word::Own => format!("{}v:own:key", key_prefix(self.attack.attacker)),
            Word::Pattern => format!("{}*", key_prefix(self.attack.attacked)),
        }
    }

    /// The program's own scripts, told to work below another's prefix.
    async fn try_scripts(&mut self) -> Result<(), RedisError> {
        let (ours, theirs) = (key_prefix(self.attack.attacker), key_prefix(self.attack.attacked));
        for script in super::redis::script_texts() {
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(script);
            let digest: String = load.query_async(&mut self.warden).await?;
            for keys in [&ours, &theirs] {
                let mut call = vec!["EVALSHA".to_owned(), digest.clone(), "3".to_owned()];
                call.extend(["l", "o", "x"].map(|key| format!("{keys}{key}")));
                call.push(theirs.clone());
                call.extend(["str", "1", "1000", "1", "1000"].map(str::to_owned));
                self.call(&call).await?;
            }
        }
        Ok(())
    }

    async fn call(&mut self, words: &[String]) -> Result<Value, RedisError> {
        self.findings.calls += 1;
        let answer = self.user.send_packed_command(&command(words)).await;
        let (answer, intact) = match answer {
            Ok(answer) => (answer, true),
            // It waits, or it has closed the connection: it was let in.
            Err(error) => (Value::SimpleString(error.to_string()), false),
        };
        let refused = is_refusal(&answer);
        if !refused {
            self.findings.ran += 1;
            self.judge(&words.join(" "), words, &answer).await?;
        }
        if !refused || !intact {
            self.sign_in().await?;
        }
        Ok(answer)
    }

    /// Whether a call that was not refused has reached anything.
    async fn judge(
        &mut self,
        call: &str,
        words: &[String],
        answer: &Value,
    ) -> Result<(), RedisError> {
        let was_said = |name: &String| words.iter().any(|word| word.contains(name));
        let named = self.names.iter().any(|name| shows(answer, name) && !was_said(name));
        let told = named || shows(answer, &self.canary);
        let now = self.look().await?;
        let changed = now != self.untouched;
        if told || changed || self.names_a_key(words).await? {
            self.findings.reached.insert(call.to_owned());
        }
        if changed {
            self.furnish().await?;
        }
        Ok(())
    }

    /// Whether a name that is not the attacker's stands where the command takes a key or channel.
    async fn names_a_key(&mut self, words: &[String]) -> Result<bool, RedisError> {
        let Some(first) = words.first() else { return Ok(false) };
        let is_name = |word: &String| {
            self.names.contains(word) || word.starts_with(&key_prefix(self.attack.attacked))
        };
        if !words.iter().any(is_name) || is_one_of(first, &ANYBODYS) {
            return Ok(false);
        }
        if is_one_of(first, &CHANNELS) {
            return Ok(true);
        }
        let mut ask = redis::cmd("COMMAND");
        ask.arg("GETKEYS").arg(words);
        let keys = self.warden.send_packed_command(&ask).await?;
        let keys = Vec::<String>::from_redis_value(keys).unwrap_or_default();
        Ok(keys.iter().any(is_name))
    }
}

async fn connect(
    url: &str,
    patience: Option<Duration>,
) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new().set_response_timeout(patience);
    Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}

fn command(words: &[String]) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(word);
    }
    command
}

fn is_one_of(command: &str, names: &[&str]) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(command))
}

/// Whether Redis refused to run a call at all. An error that a command gives while it runs, such as
/// the wrong type of value, is none: it has looked.
fn is_refusal(answer: &Value) -> bool {
    let Value::ServerError(error) = answer else { return false };
    let said = error.details().unwrap_or_default();
    let unknown = ["unknown command", "unknown subcommand", "wrong number of arguments"];
    matches!(error.code(), "NOPERM" | "NOAUTH" | "WRONGPASS")
        || unknown.iter().any(|begin| said.to_lowercase().starts_with(begin))
}

/// Whether a text stands anywhere in an answer.
fn shows(answer: &Value, text: &str) -> bool {
    let within = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(text);
    match answer {
        Value::BulkString(bytes) => within(bytes),
        Value::SimpleString(line) => line.contains(text),
        Value::ServerError(error) => error.details().is_some_and(|said| said.contains(text)),
        Value::Array(items) | Value::Set(items) => items.iter().any(|item| shows(item, text)),
        Value::Map(pairs) => {
            pairs.iter().any(|(key, value)| shows(key, text) || shows(value, text))
        }
        Value::Push { data, .. } => data.iter().any(|item| shows(item, text)),
        _ => false,
    }
}
