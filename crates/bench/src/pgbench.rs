//! Room `bench`: the floor that no durable work can go below: `pgbench` inserting single rows,
//! each a commit of its own, on the same server.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::Failure;

/// How `pgbench` is run.
#[derive(Debug, Clone)]
pub struct Floor {
    /// The program, of the same installation as the server.
    pub pgbench: PathBuf,
    /// The way in for a role that may create a table.
    pub server: Config,
    /// Connections that insert at once.
    pub connections: usize,
    /// For how long.
    pub duration: Duration,
}

const PREPARE: &str = "drop table if exists bench_floor;
    create table bench_floor (id uuid primary key, body text not null)";

const INSERT: &str =
    "insert into bench_floor (id, body) values (gen_random_uuid(), repeat('x', 300));\n";

impl Floor {
    /// Commits a second.
    pub async fn measure(&self) -> Result<f64, Failure> {
        crate::sql::run(&self.server, PREPARE).await?;
        let script = std::env::temp_dir().join(format!("misy-floor-{}.sql", std::process::id()));
        tokio::fs::write(&script, INSERT).await?;
        let output = self.command(&script).output().await;
        tokio::fs::remove_file(&script).await?;
        crate::sql::run(&self.server, "drop table bench_floor").await?;
        let output = output?;
        if !output.status.success() {
            return Err(format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        read(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| "pgbench named no rate".into())
    }

    fn command(&self, script: &Path) -> Command {
        let mut command = Command::new(&self.pgbench);
        let (clients, seconds) = (self.connections.to_string(), self.duration.as_secs().max(1));
        command.args(["--no-vacuum", "--protocol=prepared", "--jobs=2"]);
        command.args(["--client", &clients, "--time", &seconds.to_string(), "--file"]).arg(script);
        if let Some(host) = self.server.get_hosts().first() {
            match host {
                Host::Tcp(name) => command.arg("--host").arg(name),
                Host::Unix(path) => command.arg("--host").arg(path),
            };
        }
        if let Some(port) = self.server.get_ports().first() {
            command.arg("--port").arg(port.to_string());
        }
        if let Some(user) = self.server.get_user() {
            command.arg("--username").arg(user);
        }
        if let Some(password) = self.server.get_password() {
            command.env("PGPASSWORD", String::from_utf8_lossy(password).as_ref());
        }
        command.args(self.server.get_dbname()).stdin(Stdio::null());
        command
    }
}

/// Finds `tps = 1234.5 (without initial connection time)`.
fn read(output: &str) -> Option<f64> {
    let line = output.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_what_pgbench_prints() {
        let output = "latency average = 1.2 ms\ntps = 2345.67 (without initial connection time)\n";
        assert_eq!(read(output), Some(2345.67));
        assert_eq!(read("connection refused"), None);
    }
}
