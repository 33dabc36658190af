//! Room `xtask`: the servers of the tests: a program of testkit that runs a private PostgreSQL and a
//! document server beside it, tells their addresses in a file, and stops them when it is told to or
//! when its parent is gone.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::steps::{self, GLANCE, Steps};
use crate::verbs::Usage;
use crate::workshop::Workshop;
use crate::{judges, mongo, postgres, providers};

/// The variable by which tests find the server.
pub(crate) const URL_VARIABLE: &str = "MISYBOT_TEST_DATABASE_URL";

/// `initdb` on a slow disk takes seconds, never this long.
const START_LIMIT: Duration = Duration::from_mins(2);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A test server: started here and stopped when dropped, or the one of `cargo xtask db start`.
#[derive(Debug)]
pub(crate) struct Server {
    child: Option<Child>,
    /// Address of its maintenance database.
    pub(crate) url: String,
}

impl Server {
    /// The running development server, else a new one; built before, by `build`.
    pub(crate) fn for_tests(workshop: &Workshop, steps: &Steps) -> Result<Self> {
        let place = Place::of(workshop);
        match place.running_url() {
            Some(url) => Ok(Self { child: None, url }),
            None => Self::start(Program::of(workshop), &place, steps),
        }
    }

    /// A new one in a folder of its own, which nobody else is told of.
    pub(crate) fn of_its_own(workshop: &Workshop, folder: PathBuf, steps: &Steps) -> Result<Self> {
        Self::start(Program::of(workshop), &Place { folder }, steps)
    }

    /// Starts `misy-testdb` in a process group of its own, so that Ctrl-C ends the tests first.
    fn start(program: Program, place: &Place, steps: &Steps) -> Result<Self> {
        fs::create_dir_all(&place.folder)?;
        remove(&place.ready())?;
        let mut command = Command::new(program.path);
        if let Some(mongo) = program.mongo {
            command.arg("--mongo").arg(mongo);
        }
        command.arg("--dir").arg(&place.folder).arg("--ready-file").arg(place.ready());
        let child = steps::spawn(command.stdin(Stdio::null()).process_group(0))?;
        let mut server = Self { child: Some(child), url: String::new() };
        let start = Instant::now();
        while start.elapsed() < START_LIMIT && !steps.stopped() && !server.ended()? {
            if let Some(url) = place.url() {
                server.url = url;
                return Ok(server);
            }
            thread::sleep(GLANCE);
        }
        bail!("misy-testdb did not become ready; its own lines above say why")
    }

    fn ended(&mut self) -> Result<bool> {
        let Some(child) = &mut self.child else { return Ok(false) };
        Ok(child.try_wait()?.is_some())
    }

    fn stop(child: &mut Child) -> Result<()> {
        steps::terminate(child)?;
        let start = Instant::now();
        while start.elapsed() < STOP_LIMIT {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(GLANCE);
        }
        child.kill()?;
        bail!("misy-testdb (process {}) had to be killed: its server may still run", child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Err(error) = Self::stop(child) {
            eprintln!("xtask: stopping the test database: {error:#}");
        }
    }
}

/// The program that runs the servers, and the document server that it shall run.
struct Program {
    path: PathBuf,
    mongo: Option<PathBuf>,
}

impl Program {
    fn of(workshop: &Workshop) -> Self {
        Self { path: workshop.dev_program("misy-testdb"), mongo: mongo::find(workshop) }
    }
}

/// `cargo xtask db`.
pub(crate) fn db(workshop: &Workshop, arguments: &[String]) -> Result<()> {
    let place = Place::of(workshop);
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["start"] => start(workshop, &place),
        ["stop"] => stop(&place),
        ["url"] => {
            println!("{}", place.get_running_url()?);
            Ok(())
        }
        ["psql", rest @ ..] => {
            let url = place.get_running_url()?;
            Err(Command::new("psql").arg(url).args(rest).exec()).context("cannot start psql")
        }
        ["keep"] => keep(workshop, &place),
        _ => Err(Usage("`db` takes one of start, stop, psql, url".to_owned()).into()),
    }
}

/// Builds the program of the test server.
pub(crate) fn build(workshop: &Workshop) -> Command {
    workshop.cargo(&["build", "--package", "misy-testkit", "--bin", "misy-testdb"])
}

fn start(workshop: &Workshop, place: &Place) -> Result<()> {
    providers::ensure(workshop)?;
    if let Some(url) = place.running_url() {
        println!("already running: {url}");
        return Ok(());
    }
    postgres::ensure(workshop)?;
    mongo::ensure(workshop)?;
    judges::ensure(workshop)?;
    if !build(workshop).status().context("cannot start `cargo`")?.success() {
        bail!("the build failed");
    }
    fs::create_dir_all(&place.folder)?;
    remove(&place.ready())?;
    let log = fs::File::create(place.log()).context("cannot write the log")?;
    let mut keeper = Command::new(workshop.dev_program("xtask"));
    keeper.args(["db", "keep"]).current_dir(&workshop.root);
    keeper.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut keeper = steps::spawn(&mut keeper)?;
    while keeper.try_wait()?.is_none() {
        if let Some(url) = place.running_url() {
            println!("{url}\nruns until `cargo xtask db stop`; log: {}", place.log().display());
            return Ok(());
        }
        thread::sleep(GLANCE);
    }
    bail!("it did not start; {} says why", place.log().display())
}

/// Stays behind `start` as the parent whose end the server waits for.
fn keep(workshop: &Workshop, place: &Place) -> Result<()> {
    // It leads a group already when typed by hand; then the terminal's signals reach it, as they should.
    let _ = rustix::process::setsid();
    let steps = Steps::begin()?;
    let mut server = Server::start(Program::of(workshop), place, &steps)?;
    fs::write(place.pid(), std::process::id().to_string())?;
    while !steps.stopped() && !server.ended()? {
        thread::sleep(GLANCE);
    }
    drop(server);
    remove(&place.pid())
}

fn stop(place: &Place) -> Result<()> {
    let Some(keeper) = place.keeper() else {
        println!("not running");
        return Ok(());
    };
    steps::signal(keeper, Signal::TERM)?;
    let start = Instant::now();
    while start.elapsed() < STOP_LIMIT {
        if place.keeper().is_none() {
            println!("stopped");
            return Ok(());
        }
        thread::sleep(GLANCE);
    }
    bail!("process {keeper} did not end in {} s", STOP_LIMIT.as_secs())
}

/// The folder of the server and the files by which we find it again.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn of(workshop: &Workshop) -> Self {
        Self { folder: workshop.state("testdb") }
    }

    fn ready(&self) -> PathBuf {
        self.folder.join("ready.json")
    }

    fn pid(&self) -> PathBuf {
        self.folder.join("keeper.pid")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("keeper.log")
    }

    /// What the ready file says; `None` while it is absent or half written.
    fn url(&self) -> Option<String> {
        let text = fs::read_to_string(self.ready()).ok()?;
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(value.get("url")?.as_str()?.to_owned())
    }

    /// The process behind `db start`, if it still is one of ours: ids are given anew.
    fn keeper(&self) -> Option<u32> {
        let keeper: u32 = fs::read_to_string(self.pid()).ok()?.trim().parse().ok()?;
        let arguments = fs::read_to_string(format!("/proc/{keeper}/cmdline")).ok()?;
        arguments.contains("db\0keep").then_some(keeper)
    }

    fn running_url(&self) -> Option<String> {
        self.keeper()?;
        self.url()
    }

    fn get_running_url(&self) -> Result<String> {
        self.running_url().context("no test database runs: `cargo xtask db start`")
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Stage {
        folder: tempfile::TempDir,
    }

    impl Stage {
        /// A folder with a stand-in for `misy-testdb`: `$2` is its folder, `$4` its ready file.
        fn with(script: &str) -> Self {
            let stage = Self { folder: tempfile::tempdir().unwrap() };
            let text = format!("#!/bin/sh\n{script}\n");
            fs::write(stage.path(), text).unwrap();
            fs::set_permissions(stage.path(), fs::Permissions::from_mode(0o755)).unwrap();
            stage
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("misy-testdb")
        }

        fn program(&self) -> Program {
            Program { path: self.path(), mongo: None }
        }

        fn place(&self) -> Place {
            Place { folder: self.folder.path().join("testdb") }
        }
    }

    #[test]
    fn a_server_is_ready_when_its_file_is_whole_and_is_stopped_when_dropped() {
        let stage = Stage::with(
            "trap 'touch \"$2/stopped\"; exit 0' TERM; printf '{' > \"$4\"; sleep 0.1
             printf '{\"url\": \"postgresql://here\"}' > \"$4\"; while :; do sleep 0.01; done",
        );
        let steps = Steps::begin().unwrap();
        let server = Server::start(stage.program(), &stage.place(), &steps).unwrap();
        assert_eq!(server.url, "postgresql://here");
        drop(server);
        assert!(stage.place().folder.join("stopped").exists());
    }

    #[test]
    fn a_server_that_ends_before_it_is_ready_is_an_error() {
        let stage = Stage::with("exit 3");
        let steps = Steps::begin().unwrap();
        let error = Server::start(stage.program(), &stage.place(), &steps).unwrap_err();
        assert!(error.to_string().contains("did not become ready"));
    }

    #[test]
    fn a_ready_file_of_an_earlier_server_is_not_believed() {
        let stage = Stage::with("exit 3");
        fs::create_dir_all(stage.place().folder).unwrap();
        fs::write(stage.place().ready(), "{\"url\": \"postgresql://old\"}").unwrap();
        let steps = Steps::begin().unwrap();
        assert!(Server::start(stage.program(), &stage.place(), &steps).is_err());
    }

    #[test]
    fn a_process_that_only_has_the_keepers_number_is_not_the_keeper() {
        let stage = Stage::with("exit 0");
        fs::create_dir_all(stage.place().folder).unwrap();
        fs::write(stage.place().pid(), std::process::id().to_string()).unwrap();
        assert_eq!(stage.place().keeper(), None);
    }
}
