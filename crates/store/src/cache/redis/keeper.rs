//! Room `store`: keeps the connections to Redis: makes them, finds out whether that Redis is safe
//! to use, and makes them anew when they break. While one is away nobody waits for it.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use misy_core::TenantId;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue, ProtocolVersion,
    RedisConnectionInfo, TlsCertificates, Value,
};

use super::{Redis, Refusal, Trouble};

/// How often everything is looked at while all is well.
const GLANCE: Duration = Duration::from_millis(500);
/// First and longest pause between attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Tenants whose debts are settled in one turn; the others' are when they come back.
const SETTLED_AT_ONCE: usize = 100;
/// The first version that checks permissions on keys inside scripts.
const OLDEST_MAJOR: u32 = 7;

/// Whether the cache works, and if not, why.
#[derive(Debug, Default)]
pub(in crate::cache) struct Health {
    pub(in crate::cache) up: bool,
    pub(in crate::cache) why_not: String,
    pub(in crate::cache) version: String,
    /// Refusals of tenants' users since this process began.
    pub(in crate::cache) denied: HashMap<TenantId, u64>,
    /// Which start of the server this is.
    run: String,
}

/// What the keeper remembers between turns.
#[derive(Debug, Default)]
pub(super) struct Turn {
    log_read_at: Option<Instant>,
}

/// Why a turn ended with a cache that does not work.
#[derive(Debug, thiserror::Error)]
pub(in crate::cache) enum Down {
    /// It may pass.
    #[error("Redis does not answer: {0}")]
    Away(String),
    /// Somebody must do something.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<Trouble> for Down {
    fn from(trouble: Trouble) -> Self {
        Self::Away(match trouble {
            Trouble::Refused(code) => code,
            other => other.kind().to_owned(),
        })
    }
}

impl From<Down> for Trouble {
    fn from(down: Down) -> Self {
        match down {
            Down::Away(_) => Self::Away,
            Down::Refused(_) => Self::Refused("NOPERM".to_owned()),
        }
    }
}

impl Redis {
    /// Looks after everything, again and again; never ends.
    pub(in crate::cache) async fn keep(&self) -> crate::db::Never {
        let mut pause = PAUSES.0;
        loop {
            if self.tend().await.is_ok() {
                pause = PAUSES.0;
                // Either somebody has met trouble or it is time: one look serves both.
                let _ = tokio::time::timeout(GLANCE, self.trouble.notified()).await;
            } else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }

    /// One look at everything, after which what can be mended is.
    pub(in crate::cache) async fn tend(&self) -> Result<(), Down> {
        let mut turn = self.turn.lock().await;
        let outcome = self.mend(&mut turn).await;
        if matches!(outcome, Err(Down::Refused(_))) {
            self.doors.iter().for_each(|door| door.slot.shut());
        }
        self.tell(&outcome);
        outcome
    }

    async fn mend(&self, turn: &mut Turn) -> Result<(), Down> {
        match self.admin.connection() {
            Some(_) => drop(self.ask_admin_for(redis::cmd("PING")).await?),
            None => self.sign_in_admin().await?,
        }
        let due = Duration::from_millis(self.config.denials_ms);
        if turn.log_read_at.is_none_or(|at| at.elapsed() >= due) {
            self.check_default_user().await?;
            self.read_denials().await?;
            turn.log_read_at = Some(Instant::now());
        }
        for door in self.doors.iter().filter(|door| !door.slot.is_open()) {
            door.slot.open(self.connect_as_nobody().await?);
        }
        for tenant in self.debts.debtors(SETTLED_AT_ONCE) {
            self.settle(&self.identity(tenant)).await?;
        }
        Ok(())
    }

    async fn sign_in_admin(&self) -> Result<(), Down> {
        let settings = self.server.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        let mut connection = self.connect(settings).await?;
        let info = ask(&mut connection, words("INFO server")).await?;
        let info = String::from_redis_value(info).unwrap_or_default();
        let field = |name: &str| {
            let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found.unwrap_or_default().trim().to_owned()
        };
        let version = field("redis_version");
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < OLDEST_MAJOR) {
            return Err(Refusal::Version(version).into());
        }
        for probe in ["ACL SETUSER misy_probe reset", "ACL DELUSER misy_probe", "ACL LOG 0"] {
            ask(&mut connection, words(probe)).await?;
        }
        let run = field("run_id");
        self.admin.open(connection);
        self.note_run(version, run);
        self.load_scripts().await
    }

    /// A server that was started anew knows none of our users.
    fn note_run(&self, version: String, run: String) {
        let mut health = self.health();
        health.version = version;
        if health.run != run {
            health.run = run;
            self.starts.fetch_add(1, Ordering::AcqRel);
            // What is connected to the one before may not have noticed.
            self.doors.iter().for_each(|door| door.slot.shut());
        }
    }

    /// A connection that no user is signed in on, and a proof that such a one may do nothing.
    async fn connect_as_nobody(&self) -> Result<MultiplexedConnection, Down> {
        let nobody = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        let mut connection = self.connect(nobody).await?;
        match connection.send_packed_command(&redis::cmd("PING")).await.map_err(away)? {
            Value::ServerError(error) if error.code() == "NOAUTH" => Ok(connection),
            _ => Err(Refusal::DefaultUser.into()),
        }
    }

    async fn connect(&self, settings: RedisConnectionInfo) -> Result<MultiplexedConnection, Down> {
        let server = self.server.clone().set_redis_settings(settings);
        let limit = Duration::from_millis(self.config.connect_ms);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limit))
            .set_response_timeout(Some(self.config.answer()));
        let client = match (&self.authorities, server.addr()) {
            (Some(_), ConnectionAddr::TcpTls { .. }) => {
                let root_cert = self.authorities.clone();
                let certificates = TlsCertificates { client_tls: None, root_cert };
                Client::build_with_tls(server, certificates)
            }
            _ => Client::open(server),
        };
        let client = client.map_err(|_| Refusal::Url)?;
        let connecting = Box::pin(client.get_multiplexed_async_connection_with_config(&config));
        match tokio::time::timeout(limit, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) if error.kind() == ErrorKind::AuthenticationFailed => {
                Err(Refusal::SignIn.into())
            }
            Ok(Err(error)) => Err(away(error)),
            Err(_) => Err(Down::Away("connecting took too long".to_owned())),
        }
    }

    /// Whoever connects must be nobody, also later: `RESET` gives a connection to that user.
    async fn check_default_user(&self) -> Result<(), Down> {
        let user = self.ask_admin_for(words("ACL GETUSER default")).await?;
        let (is_on, is_open) = default_user(&user);
        if is_on && is_open { Err(Refusal::DefaultUser.into()) } else { Ok(()) }
    }

    async fn read_denials(&self) -> Result<(), Down> {
        let log = self.ask_admin_for(words("ACL LOG 128")).await?;
        let mut denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = denials.count(&log, Instant::now());
        drop(denials);
        for (tenant, count) in counted {
            *self.health().denied.entry(tenant).or_default() += count;
            let label = tenant.to_string();
            metrics::counter!("misy_cache_denials_total", "tenant" => label).increment(count);
            tracing::error!(%tenant, count, "Redis refused a tenant's user: see ACL LOG there");
        }
        Ok(())
    }

    /// What an operator should know about this Redis, beside that it is fit to be used.
    pub(in crate::cache) async fn inspect(&self) -> Result<Vec<String>, Down> {
        let user = self.ask_admin_for(words("ACL GETUSER default")).await?;
        let info = self.ask_admin_for(words("INFO memory")).await?;
        let info = String::from_redis_value(info).unwrap_or_default();
        let says = |line: &str| info.lines().any(|it| it.trim_end() == line);
        let mut notes = Vec::new();
        if default_user(&user).0 {
            notes.push(
                "the user `default` of Redis is on, with a password: ACL SETUSER default off,   \
                                unless something else needs it"
                    .to_owned(),
            );
        }
        if says("maxmemory:0") {
            notes.push(
                "Redis has no bound (maxmemory 0): set one above the sum of what tenants may \
                 use,                  with maxmemory-policy volatile-ttl"
                    .to_owned(),
            );
        }
        if info.contains("maxmemory_policy:allkeys") {
            notes.push(
                "Redis may evict tenants' accounts (maxmemory-policy allkeys-..): use \
                 volatile-ttl                  or volatile-lru"
                    .to_owned(),
            );
        }
        if let redis::ConnectionAddr::Tcp(host, _) = self.server.addr() {
            notes.push(format!("passwords go to {host} in plain text: rediss:// encrypts"));
        }
        Ok(notes)
    }

    /// Makes a tenant's user, once for each start of the server.
    pub(super) async fn make(&self, who: &super::Identity) -> Result<(), Trouble> {
        let start = self.starts();
        self.ask_admin(who.make()).await?;
        who.set_made(start);
        Ok(())
    }

    pub(super) async fn load_scripts(&self) -> Result<(), Down> {
        for script in self.scripts.all() {
            let digest = self.ask_admin_for(script.load()).await?;
            let digest = String::from_redis_value(digest);
            script.loaded(digest.map_err(|error| Down::Away(error.to_string()))?);
        }
        Ok(())
    }

    pub(super) async fn ask_admin(&self, command: Cmd) -> Result<Value, Trouble> {
        Ok(self.ask_admin_for(command).await?)
    }

    /// Asks as the administrator. A connection that does not answer is not used again.
    async fn ask_admin_for(&self, command: Cmd) -> Result<Value, Down> {
        let gone = || Down::Away("there is no connection".to_owned());
        let mut connection = self.admin.connection().ok_or_else(gone)?;
        let answer = ask(&mut connection, command).await;
        if matches!(answer, Err(Down::Away(_))) {
            self.admin.shut();
        }
        answer
    }

    pub(super) fn starts(&self) -> u64 {
        self.starts.load(Ordering::Acquire)
    }

    pub(in crate::cache) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says once that it went away or came back; the gauge always.
    fn tell(&self, outcome: &Result<(), Down>) {
        let (up, why_not) = match outcome {
            Ok(()) => (true, String::new()),
            Err(down) => (false, down.to_string()),
        };
        metrics::gauge!("misy_cache_up").set(if up { 1.0 } else { 0.0 });
        let mut health = self.health();
        if !up && (health.up || health.why_not != why_not) {
            tracing::warn!(reason = why_not, "the cache is away: going on without it");
        } else if up && !health.up {
            tracing::info!(version = health.version, "the cache is there");
        }
        health.up = up;
        health.why_not = why_not;
    }
}

/// Whether the user that every connection begins as is on, and needs no password.
fn default_user(answer: &Value) -> (bool, bool) {
    let Value::Array(fields) = answer else { return (true, true) };
    let flags = fields.get(1).and_then(|it| Vec::<String>::from_redis_value_ref(it).ok());
    let flags = flags.unwrap_or_default();
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    (!has("off"), has("nopass"))
}

/// A command from plain words.
fn words(text: &str) -> Cmd {
    let mut words = text.split(' ');
    let mut command = redis::cmd(words.next().unwrap_or_default());
    for word in words {
        command.arg(word);
    }
    command
}

async fn ask(connection: &mut MultiplexedConnection, command: Cmd) -> Result<Value, Down> {
    match connection.send_packed_command(&command).await.map_err(away)? {
        Value::ServerError(error) if error.code() == "NOPERM" => {
            let said = error.details().unwrap_or_default().to_owned();
            Err(Refusal::AdminRights(said).into())
        }
        Value::ServerError(error) => Err(Down::Away(error.code().to_owned())),
        answer => Ok(answer),
    }
}

/// The driver's words for a broken connection name no secret: they are the system's.
fn away(error: redis::RedisError) -> Down {
    Down::Away(error.to_string())
}
