//! Room `store`: the embedded PostgreSQL: a server of this machine, run by us on a private
//! directory.
//!
//! [`EmbeddedPostgres::start`] finds the newest safe server, makes the cluster at the first start,
//! runs it as an unprivileged user with a private socket and no network, starts it again when it
//! dies, and stops it with us. Nothing is downloaded and durability is never given up for speed.
//!
//! If we are killed, the kernel asks the server for a fast shutdown; whatever of it is still there
//! at the next start is ended first. If the server is killed, it is started again at once and
//! recovers from its log: what was committed is there.

mod cluster;
mod error;
mod files;
mod installation;
mod keeper;
mod log;
mod place;
mod processes;
mod settings;
mod user;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;

use misy_core::{Ambient, Secret};
use tokio::sync::{oneshot, watch};
use tokio_postgres::NoTls;

pub use error::Error;
pub use installation::{Installation, Version};

use installation::Search;
use keeper::{Keeper, Launch, Shared, Status};
use place::Place;
use user::RunAs;

/// Part of the socket's name; there is no network port.
const PORT: u16 = 5432;

/// How the embedded server is run.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// Where the database, its password and its log are kept; created if missing.
    pub data: PathBuf,
    /// Takes the server from this directory instead of looking for one.
    pub bin_dir: Option<PathBuf>,
    /// The value of `PATH`, whose directories are looked at first.
    pub search_path: Option<OsString>,
    /// Settings of PostgreSQL beside or instead of ours. Durability, the private socket and the
    /// silence of the log cannot be changed.
    pub settings: BTreeMap<String, String>,
    /// For tests: survives the death of any process but not of the machine, and is deleted by a
    /// later start of any MisyBot when `data` is gone.
    pub disposable: bool,
    /// Source of the password.
    pub ambient: Ambient,
}

impl EmbeddedConfig {
    /// The defaults for a data directory.
    pub fn new(data: impl Into<PathBuf>, ambient: Ambient) -> Self {
        Self {
            data: data.into(),
            bin_dir: None,
            search_path: None,
            settings: BTreeMap::new(),
            disposable: false,
            ambient,
        }
    }
}

/// Where the server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The directory of its socket.
    pub socket_dir: PathBuf,
    /// Part of the socket's name.
    pub port: u16,
}

/// A running server. Dropping it asks the server to stop but does not wait; [`Self::stop`] does.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    endpoint: Endpoint,
    password: Secret,
    secret_path: PathBuf,
    installation: Installation,
    shared: Arc<Shared>,
    status: watch::Receiver<Status>,
}

impl EmbeddedPostgres {
    /// Starts the server of a data directory and returns when it takes connections.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, Error> {
        let (reply, started) = oneshot::channel();
        let thread = std::thread::Builder::new().name("embedded-postgres".to_owned());
        let data = config.data.clone();
        let spawned = thread.spawn(move || supervise(&config, reply));
        spawned.map_err(Error::io("supervise", &data))?;
        let server = started.await.map_err(|_| Error::Ended)??;
        match server.sign_in().await {
            Ok(()) => Ok(server),
            Err(source) => {
                let secret = server.secret_path.clone();
                server.stop().await?;
                Err(Error::SignIn { secret, source })
            }
        }
    }

    /// Where the server is reached.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Name and password of the superuser.
    pub fn superuser(&self) -> (&'static str, &Secret) {
        (cluster::SUPERUSER, &self.password)
    }

    /// The superuser's way to a database.
    pub fn config(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.endpoint.socket_dir).port(self.endpoint.port);
        config.user(cluster::SUPERUSER).password(self.password.expose()).dbname(database);
        config
    }

    /// The same as a URL, for `psql` and for other processes.
    pub fn url(&self, database: &str) -> Secret {
        let host: String = self
            .endpoint
            .socket_dir
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    char::from(*byte).to_string()
                }
                other => format!("%{other:02X}"),
            })
            .collect();
        let (user, password) = self.superuser();
        let port = self.endpoint.port;
        Secret::new(format!("postgresql://{user}:{}@{host}:{port}/{database}", password.expose()))
    }

    /// The server's programs, such as `psql` and `pgbench`.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The server's main process; `None` while it is being started or after its end.
    pub fn pid(&self) -> Option<i32> {
        match *self.status.borrow() {
            Status::Ready { pid } => Some(pid),
            _ => None,
        }
    }

    /// How often the server died and was started again.
    pub fn restarts(&self) -> u32 {
        self.shared.restarts()
    }

    /// Waits until the server takes connections, also again after it died; fails if it never will.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut status = self.status.clone();
        let settled = status.wait_for(|status| *status != Status::Starting).await;
        match settled.map(|status| status.clone()) {
            Ok(Status::Ready { .. }) => Ok(()),
            _ => Err(Error::Ended),
        }
    }

    /// Waits until the server has ended for good. `None`: it was stopped on request. `Some`: it
    /// could not be started again, and why.
    pub async fn exited(&self) -> Option<String> {
        let mut status = self.status.clone();
        let ended = status.wait_for(|status| matches!(status, Status::Stopped | Status::GaveUp(_)));
        match ended.await.map(|status| status.clone()) {
            Ok(Status::GaveUp(reason)) => Some(reason),
            Ok(_) => None,
            Err(_) => Some(Error::Ended.to_string()),
        }
    }

    /// Stops the server and waits for its end: open transactions are rolled back and a checkpoint
    /// is written; if that takes longer than 30 s it is ended without one, after 5 s more it is
    /// killed.
    pub async fn stop(&self) -> Result<(), Error> {
        for (tone, limit) in processes::ESCALATION {
            self.shared.stop(tone);
            if tokio::time::timeout(limit, self.exited()).await.is_ok() {
                return Ok(());
            }
        }
        Err(Error::Ended)
    }

    async fn sign_in(&self) -> Result<(), tokio_postgres::Error> {
        let (client, connection) = self.config("postgres").connect(NoTls).await?;
        let ask = async move { client.batch_execute("select 1").await };
        tokio::try_join!(ask, connection).map(drop)
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        self.shared.stop(rustix::process::Signal::INT);
    }
}

/// The supervisor's thread, from the first look at the disk to the server's end.
fn supervise(config: &EmbeddedConfig, reply: oneshot::Sender<Result<EmbeddedPostgres, Error>>) {
    let (keeper, server, child) = match begin(config) {
        Ok(begun) => begun,
        Err(error) => {
            // The one who asked may be gone; then nobody wants to know.
            drop(reply.send(Err(error)));
            return;
        }
    };
    // If nobody takes the handle, its drop stops the server.
    drop(reply.send(Ok(server)));
    place::sweep();
    keeper.keep(child);
}

fn begin(config: &EmbeddedConfig) -> Result<(Keeper, EmbeddedPostgres, Child), Error> {
    let begun = std::time::Instant::now();
    let mut place = Place::find(&config.data)?;
    let lock = place::lock(&place.data)?;
    let (launch, password) = prepare(config, &mut place)?;
    let (keeper, server) = assemble(launch, password, lock);
    let child = keeper.launch()?;
    let (version, elapsed_ms) = (server.installation.version, begun.elapsed().as_millis());
    tracing::info!(%version, pid = server.pid(), elapsed_ms, "PostgreSQL is ready");
    Ok((keeper, server, child))
}

fn prepare(config: &EmbeddedConfig, place: &mut Place) -> Result<(Launch, Secret), Error> {
    let pgdata = place.pgdata();
    let search = Search::new(config.bin_dir.as_deref(), config.search_path.as_deref());
    let server = search.find(cluster::major(&pgdata), &place.data)?;
    let run_as = RunAs::choose(&pgdata)?;
    let ambient = &config.ambient;
    place.prepare(&run_as, &server, ambient, config.disposable)?;
    let password = cluster::ensure(place, &run_as, &server, ambient)?;
    let socket_dir = place.socket_dir(&run_as, ambient)?;
    let memory_bytes = settings::memory_bytes();
    let settings = settings::settings(memory_bytes, &config.settings, config.disposable);
    Ok((Launch { place: place.clone(), run_as, server, socket_dir, settings }, password))
}

fn assemble(launch: Launch, password: Secret, lock: File) -> (Keeper, EmbeddedPostgres) {
    let shared = Arc::new(Shared::default());
    let (sender, status) = watch::channel(Status::Starting);
    let server = EmbeddedPostgres {
        endpoint: Endpoint { socket_dir: launch.socket_dir.clone(), port: PORT },
        password,
        secret_path: launch.place.secret(),
        installation: launch.server.clone(),
        shared: Arc::clone(&shared),
        status,
    };
    (Keeper { launch, shared, status: sender, lock }, server)
}
