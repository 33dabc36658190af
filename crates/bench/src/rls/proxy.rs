//! Room `bench`: a stretch of network in front of the database, that holds each answer back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::Failure;

/// Listens on a free port of this machine until it is dropped.
pub(super) struct Proxy {
    port: u16,
    delay: Duration,
    measured: Duration,
    _pipes: JoinSet<()>,
}

impl Proxy {
    /// Stands before a server that is reached by its socket.
    pub(super) async fn before(server: &Config, delay: Duration) -> Result<Self, Failure> {
        let port = server.get_ports().first().copied().unwrap_or(5432);
        let socket = match server.get_hosts().first() {
            Some(Host::Unix(dir)) => dir.join(format!(".s.PGSQL.{port}")),
            _ => return Err("the proxy stands before a server with a socket only".into()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let mut pipes = JoinSet::new();
        pipes.spawn(serve(listener, socket, delay));
        // Timers are coarse: what counts is how long one really lasts here.
        let begun = Instant::now();
        for _ in 0..20 {
            tokio::time::sleep(delay).await;
        }
        Ok(Self { port, delay, measured: begun.elapsed() / 20, _pipes: pipes })
    }

    /// The same database, through the proxy.
    pub(super) fn config(&self, server: &Config) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port);
        config.dbname(server.get_dbname().unwrap_or("postgres"));
        config
    }

    /// How long an answer is really held back, in milliseconds.
    pub(super) fn held_back_ms(&self) -> f64 {
        self.measured.max(self.delay).as_secs_f64() * 1e3
    }
}

async fn serve(listener: TcpListener, socket: PathBuf, delay: Duration) {
    let mut pipes = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = UnixStream::connect(&socket).await else { continue };
        // Without it the kernel itself holds small packets back.
        let _ = client.set_nodelay(true);
        let (mut from_client, to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        pipes.spawn(async move {
            let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        });
        pipes.spawn(answer(from_server, to_client, delay));
    }
}

/// Passes on what came together, after a while.
async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        tokio::time::sleep(delay).await;
        // The server answers pipelined statements one by one, within the same flight.
        let mut all = buffer[..length].to_vec();
        while let Ok(more @ 1..) = from.try_read(&mut buffer) {
            all.extend_from_slice(&buffer[..more]);
        }
        if to.write_all(&all).await.is_err() {
            return;
        }
    }
}
