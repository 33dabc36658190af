//! Room `sandbox`: an emulator of Meta's Graph API for the WhatsApp Cloud API, as strict as Meta,
//! so that anyone can try and test MisyBot without an account there. It is a stranger to the rest
//! of the house: it speaks only the provider's protocol.
//!
//! It has four faces. The **Graph side** (`/{version}/...`) takes what a business sends and
//! reports its statuses. The **webhook side** delivers what customers write, signed, retried and,
//! if asked, doubled, out of order or in batches. The **script API** (`/sandbox/...`) and the page
//! at `/` play the customers. A **sink** (`/sink/{name}`) plays a receiver of our own webhooks.
//!
//! Never: our stores, jobs or web kit.
#![doc = include_str!("../docs.md")]

mod config;
mod courier;
mod engine;
mod graph;
mod handshake;
mod journal;
mod limiters;
mod model;
mod names;
mod outbox;
mod page;
mod script;
mod server;
mod sinks;
mod tasks;
mod timeline;
mod wire;
mod world;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use misy_core::Ambient;
use tokio::net::TcpListener;

pub use config::Config;
pub use model::{Behaviour, FailNext};

use engine::Engine;

/// Why the sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The wanted address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The data directory cannot be read or written.
    #[error("cannot use the data in {}", path.display())]
    Data {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process uses the data directory.
    #[error("the data in {} is in use by another sandbox", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A line of the journal is damaged, and it is not the last.
    #[error("line {line} of {} is damaged", path.display())]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The HTTP client for webhooks could not be made.
    #[error("cannot make the HTTP client")]
    Client {
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
}

/// The emulator.
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Replays its journal, listens, and takes up what was under way.
    pub async fn start(config: Config, ambient: Ambient) -> Result<Running, Error> {
        let wanted = config.listen;
        let failed = |source| Error::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let engine = Engine::open(config, ambient, format!("http://{address}"))?;
        engine.tasks.start(server::serve(listener, Arc::clone(&engine)));
        Ok(Running { address, engine })
    }
}

/// A sandbox at work. Dropping it ends its tasks without waiting for them.
pub struct Running {
    address: SocketAddr,
    engine: Arc<Engine>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: open requests are answered, webhooks under way stay pending in the journal.
    pub async fn stop(self) {
        self.engine.tasks.finish(Duration::from_secs(3)).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.tasks.cancel();
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("address", &self.address).finish_non_exhaustive()
    }
}
