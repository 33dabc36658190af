//! Room `server`: the peer of `bench deliver`, a svix-server with the Redis that it wants, both on
//! loopback and set up as it comes.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use misy_core::Secret;
use tokio::net::TcpStream;

/// How long it may take to be ready.
const PATIENCE: Duration = Duration::from_mins(1);

/// Both processes; killed with this.
pub(super) struct PeerProgram {
    server: Kept,
    redis: Kept,
    api: String,
    token: String,
}

struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl PeerProgram {
    /// Starts `program` on an empty database, and a Redis that writes all it is told to its log.
    pub(super) async fn start(
        program: &Path,
        folder: &Path,
        database: &Secret,
    ) -> anyhow::Result<Self> {
        let folder = folder.join("peer");
        std::fs::create_dir_all(&folder)?;
        let (port, redis_port) = (free_port()?, free_port()?);
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &redis_port.to_string()]);
        command.args(["--appendonly", "yes", "--save", "", "--dir"]).arg(&folder);
        let redis = keep(&mut command, &folder.join("redis.log")).context("redis-server")?;
        wait_for(redis_port).await?;
        let api = format!("127.0.0.1:{port}");
        let settings = |command: &mut Command| {
            command.env("SVIX_LISTEN_ADDRESS", &api).env("SVIX_JWT_SECRET", "bench");
            command.env("SVIX_DB_DSN", database.expose()).env("SVIX_QUEUE_TYPE", "redis");
            command.env("SVIX_REDIS_DSN", format!("redis://127.0.0.1:{redis_port}"));
            command.env("SVIX_WHITELABEL_HEADERS", "true");
            command.env("SVIX_WHITELIST_SUBNETS", "[127.0.0.0/8]").current_dir(&folder);
        };
        let mut command = Command::new(program);
        settings(command.args(["jwt", "generate"]));
        let said = String::from_utf8(command.output().context("the peer")?.stdout)?;
        let token = said.rsplit(' ').next().context("the peer signed no token")?.trim().to_owned();
        let mut command = Command::new(program);
        settings(command.arg("--run-migrations"));
        let server = keep(&mut command, &folder.join("peer.log"))?;
        wait_for(port).await?;
        Ok(Self { server, redis, api, token })
    }

    /// `host:port` of its API.
    pub(super) fn api(&self) -> String {
        self.api.clone()
    }

    /// Who may use it.
    pub(super) fn token(&self) -> String {
        self.token.clone()
    }

    /// Its process first, then its Redis.
    pub(super) fn processes(&self) -> Vec<u32> {
        vec![self.server.0.id(), self.redis.0.id()]
    }
}

fn keep(command: &mut Command, log: &Path) -> anyhow::Result<Kept> {
    let log = File::create(log)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(Kept(command.spawn()?))
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn wait_for(port: u16) -> anyhow::Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "nobody listens on port {port}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
