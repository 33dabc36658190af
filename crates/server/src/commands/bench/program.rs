//! Room `server`: this very program in a process of its own, as an operator runs it, so that what
//! it uses is told apart from what its load uses.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use misy_core::Secret;
use serde_json::Value;

use crate::config::Config;

/// How long it may take to be ready, and to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// `misybot up` on a database of somebody else; killed with this unless it was stopped.
pub(super) struct Program {
    child: Child,
    ready: Value,
}

impl Program {
    /// Starts it with these settings and returns when it is ready. It logs as it does by default,
    /// into a file of the folder.
    pub(super) async fn start(
        folder: &Path,
        config: &Config,
        database: &Secret,
    ) -> anyhow::Result<Self> {
        let (settings, ready) = (folder.join("misybot.toml"), folder.join("ready.json"));
        std::fs::write(&settings, toml::to_string(config)?)?;
        let log = folder.join("misybot.log");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--config").arg(&settings).arg("up").arg("--no-sandbox");
        command.arg("--data").arg(&config.server.data).arg("--ready-file").arg(&ready);
        command.env("MISYBOT__DATABASE__URL", database.expose());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let mut program = Self { child: command.spawn()?, ready: Value::Null };
        program.ready = program.wait_until_ready(&ready).await.with_context(|| {
            format!("it said: {}", std::fs::read_to_string(&log).unwrap_or_default())
        })?;
        Ok(program)
    }

    async fn wait_until_ready(&mut self, file: &PathBuf) -> anyhow::Result<Value> {
        let begun = Instant::now();
        while !file.exists() {
            let ended = self.child.try_wait()?;
            anyhow::ensure!(ended.is_none(), "the program ended before it was ready");
            anyhow::ensure!(begun.elapsed() < PATIENCE, "the program was not ready in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(serde_json::from_slice(&std::fs::read(file)?)?)
    }

    /// `host:port` of the API.
    pub(super) fn api(&self) -> anyhow::Result<String> {
        let address = self.text("/api")?;
        Ok(address.trim_start_matches("http://").to_owned())
    }

    /// The operator's address and password.
    pub(super) fn operator(&self) -> anyhow::Result<(String, String)> {
        Ok((self.text("/operator/email")?, self.text("/operator/password")?))
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    fn text(&self, place: &str) -> anyhow::Result<String> {
        let found = self.ready.pointer(place).and_then(Value::as_str);
        found.map(str::to_owned).with_context(|| format!("the ready file has no {place}"))
    }

    /// Asks it to end, as Ctrl-C does, and waits until it has.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            anyhow::ensure!(begun.elapsed() < PATIENCE, "the program did not end when asked to");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already unless the bench failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
