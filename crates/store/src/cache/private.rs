//! Room `store`: a Redis of our own, for benches and tests: on a socket in a folder of its own,
//! with the users that an operator is told to make, without a file of data, gone with its owner.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use misy_core::{Ambient, Secret, crypto};
use rustix::process::{Pid, Signal, kill_process};

use super::ADMIN_RULES;

const START_LIMIT: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(5);

/// Ends the server when its own standard input ends, which it does when its owner dies.
const KEEPER: &str = "redis-server \"$0\" < /dev/null & server=$!; cat > /dev/null; \
                      kill \"$server\" 2> /dev/null; wait \"$server\"";

/// What a server needs to be reached over TLS, beside its socket.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Its certificate and those between it and the authority, in PEM.
    pub certificate: String,
    /// Its key, in PEM.
    pub key: Secret,
    /// On which port of the loopback address it listens.
    pub port: u16,
}

/// A running server.
#[derive(Debug)]
pub struct PrivateRedis {
    folder: PathBuf,
    tls_port: Option<u16>,
    password: Secret,
    keeper: Option<Child>,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum PrivateRedisError {
    /// The folder or the process.
    #[error("a private Redis could not be started")]
    Io(#[from] io::Error),
    /// It never answered.
    #[error("redis-server did not start: is it installed (`apt-get install redis-server`)? {0}")]
    Silent(String),
}

impl PrivateRedis {
    /// Starts one in an empty folder that belongs to it; the path must be short (108 bytes for a
    /// socket).
    pub async fn start(folder: &Path, ambient: &Ambient) -> Result<Self, PrivateRedisError> {
        Self::start_with(folder, ambient, None).await
    }

    /// The same, reached over TLS as well.
    pub async fn start_with(
        folder: &Path,
        ambient: &Ambient,
        tls: Option<&Tls>,
    ) -> Result<Self, PrivateRedisError> {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        let password = Secret::new(crypto::to_hex(&ambient.bytes::<16>()));
        let tls_port = tls.map(|tls| tls.port);
        let mut server = Self { folder: folder.to_owned(), tls_port, password, keeper: None };
        if let Some(tls) = tls {
            std::fs::write(server.path("redis.crt"), &tls.certificate)?;
            std::fs::write(server.path("redis.pem"), tls.key.expose())?;
        }
        std::fs::write(server.path("users.acl"), server.users())?;
        std::fs::write(server.path("redis.conf"), server.settings())?;
        server.run().await?;
        Ok(server)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn users(&self) -> String {
        let password = self.password.expose();
        format!(
            "user default off\nuser misy_admin on >{password} {ADMIN_RULES}\n\
             user warden on >{password} ~* &* +@all\n"
        )
    }

    fn settings(&self) -> String {
        let folder = self.folder.display();
        let tls = self.tls_port.map_or_else(String::new, |port| {
            format!(
                "bind 127.0.0.1\ntls-port {port}\ntls-auth-clients no\n\
                 tls-cert-file {folder}/redis.crt\ntls-key-file {folder}/redis.pem\n"
            )
        });
        format!(
            "{tls}port 0\nunixsocket {folder}/redis.sock\nunixsocketperm 700\ndir {folder}\n\
             pidfile {folder}/redis.pid\nlogfile {folder}/redis.log\naclfile {folder}/users.acl\n\
             save \"\"\nappendonly no\nacllog-max-len 1024\n"
        )
    }

    /// Starts it, again after [`PrivateRedis::kill`]: empty, and with its first users only.
    pub async fn run(&mut self) -> Result<(), PrivateRedisError> {
        self.end();
        let mut command = Command::new("sh");
        command.arg("-c").arg(KEEPER).arg(self.path("redis.conf"));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.keeper = Some(command.spawn()?);
        let start = Instant::now();
        while start.elapsed() < START_LIMIT {
            if tokio::net::UnixStream::connect(self.path("redis.sock")).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
        }
        let log = std::fs::read_to_string(self.path("redis.log")).unwrap_or_default();
        Err(PrivateRedisError::Silent(log.lines().last().unwrap_or_default().to_owned()))
    }

    /// The address for the program, as the user whom the operator's guide makes.
    pub fn url(&self) -> Secret {
        self.url_of("misy_admin")
    }

    /// The address for the program over TLS, if it was started so.
    pub fn tls_url(&self) -> Option<Secret> {
        let (port, password) = (self.tls_port?, self.password.expose());
        Some(Secret::new(format!("rediss://misy_admin:{password}@localhost:{port}")))
    }

    /// The address for one who may do everything, to see from outside what happened.
    pub fn warden_url(&self) -> Secret {
        self.url_of("warden")
    }

    /// The address for one who has not signed in yet.
    pub fn nobodys_url(&self) -> Secret {
        Secret::new(format!("redis+unix://{}", self.path("redis.sock").display()))
    }

    fn url_of(&self, user: &str) -> Secret {
        let (socket, password) = (self.path("redis.sock"), self.password.expose());
        Secret::new(format!("redis+unix://{}?user={user}&pass={password}", socket.display()))
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.end();
    }

    /// Lets it answer nothing, while its connections stay.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it answer again.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let text = std::fs::read_to_string(self.path("redis.pid")).unwrap_or_default();
        let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else { return };
        if let Err(error) = kill_process(pid, signal) {
            tracing::debug!(%error, "the private Redis has ended already");
        }
    }

    /// Ends the keeper, and the server with it if that still runs.
    fn end(&mut self) {
        let Some(mut keeper) = self.keeper.take() else { return };
        self.thaw();
        drop(keeper.stdin.take());
        if let Err(error) = keeper.wait() {
            tracing::warn!(%error, "the private Redis has no end");
        }
        for left in ["redis.sock", "redis.pid"] {
            // It is gone if the server ended by itself.
            let _ = std::fs::remove_file(self.path(left));
        }
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        self.end();
    }
}
