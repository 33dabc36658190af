//! Room `xtask`: faults of the database, put into the template of which every test database is a
//! clone.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The template as the migrations made it; its name is one that nobody sweeps.
const PRISTINE: &str = "misy_as_migrated";
const DRAFT: &str = "misy_with_fault";

/// The server whose template is changed: one of our own, for whoever clones it gets the fault.
#[derive(Debug)]
pub(crate) struct Template {
    url: String,
    name: String,
}

impl Template {
    /// Finds the template that a test has made before, and keeps a copy of it.
    pub(crate) fn keep(url: &str) -> Result<Self> {
        let find = "select datname from pg_database
            where datistemplate and starts_with(datname, 'misy_tpl_')";
        let names = psql(url, find)?;
        let [name] = names.lines().collect::<Vec<_>>()[..] else {
            bail!("expected one template of test databases, found: {names}");
        };
        psql(url, &format!("drop database if exists {PRISTINE}"))?;
        psql(url, &format!("create database {PRISTINE} template {name}"))?;
        Ok(Self { url: url.to_owned(), name: name.to_owned() })
    }

    /// Makes a template with the statements run in it, in place of the one that is there.
    pub(crate) fn with(&self, sql: &str) -> Result<()> {
        let (url, name) = (&self.url, &self.name);
        psql(url, &format!("drop database if exists {DRAFT}"))?;
        psql(url, &format!("create database {DRAFT} template {PRISTINE}"))?;
        psql(url, &format!("\\c {DRAFT}\n{sql}\n"))?;
        psql(url, &format!("alter database {name} with is_template false"))?;
        psql(url, &format!("drop database {name}"))?;
        psql(url, &format!("alter database {DRAFT} rename to {name}"))?;
        let close = format!("alter database {name} with is_template true allow_connections false");
        psql(url, &close).map(drop)
    }

    /// Runs statements that take back what a fault did to the whole server.
    pub(crate) fn undo(&self, sql: &str) -> Result<()> {
        psql(&self.url, sql).map(drop)
    }
}

/// Runs statements as superuser and gives the rows, unadorned.
fn psql(url: &str, sql: &str) -> Result<String> {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
    command.args(["--set", "ON_ERROR_STOP=1", "--file", "-", url]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start `psql`")?;
    child.stdin.take().context("it has an input")?.write_all(sql.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{sql}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
