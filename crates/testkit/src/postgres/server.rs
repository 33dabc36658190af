//! Room `testkit`: finds the server of the tests.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio_postgres::Config;

use crate::mongo::MongoReady;

/// What `misy-testdb` says about its server when it takes connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// The superuser's way to the maintenance database.
    pub url: String,
    /// The directory of the server's socket.
    pub socket_dir: PathBuf,
    /// Part of the socket's name.
    pub port: u16,
    /// The process to end.
    pub pid: u32,
    /// The document server beside it, if one was to be started.
    #[serde(default)]
    pub mongo: Option<MongoReady>,
}

/// The server named by the environment, else the one that `cargo xtask db start` keeps.
pub(super) fn find() -> Result<Config, Box<dyn std::error::Error>> {
    let named = std::env::var("MISYBOT_TEST_DATABASE_URL").ok();
    let url = match named {
        Some(url) => url,
        None => kept()?.url,
    };
    Ok(url.parse::<Config>()?)
}

pub(crate) fn kept() -> Result<Ready, Box<dyn std::error::Error>> {
    let program = std::env::current_exe()?;
    let beside = program.ancestors().map(|dir| dir.join("testdb/ready.json"));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/testdb/ready.json");
    let path = beside.chain([workspace]).find(|path| path.is_file());
    let path = path.ok_or("no server is named and none is kept")?;
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}
