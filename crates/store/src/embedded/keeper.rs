//! Room `store`: the thread that starts the server, waits for its end and starts it again.
//!
//! It is a thread of its own because the kernel ties a child's parent-death signal to the thread
//! that made it (prctl(2)): as long as this one lives, so may the server.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use tokio::sync::watch;

use super::installation::Installation;
use super::place::Place;
use super::settings::Settings;
use super::user::RunAs;
use super::{Error, PORT, files, log, processes};

/// Crash recovery reads at most `max_wal_size` and a bit; slow disks need minutes for that.
const READY_LIMIT: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(5);
/// A server that lived this long was healthy: the next one is started without a pause.
const HEALTHY: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// After so many starts in a row that did not become ready the supervisor gives up.
const ATTEMPTS: u32 = 5;

/// What the server is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    /// It is being started or recovers.
    Starting,
    /// It takes connections.
    Ready { pid: i32 },
    /// It was stopped on request.
    Stopped,
    /// It could not be started again.
    GaveUp(String),
}

/// What keeper and handle both touch.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    restarts: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    /// Set from the moment it exists until the moment before it is reaped, so that nobody signals a
    /// number that the kernel has given to somebody else.
    pid: Option<Pid>,
    stopping: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the server to end, in the given tone, and the keeper not to start it again.
    pub(super) fn stop(&self, tone: Signal) {
        let mut state = self.lock();
        state.stopping = true;
        if let Some(pid) = state.pid {
            processes::signal(pid, tone);
        }
        self.changed.notify_all();
    }

    /// How often the server was started again.
    pub(super) fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Sleeps, but not past the moment when somebody wants to stop.
    fn pause(&self, pause: Duration) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, pause, |state| !state.stopping);
        drop(waited);
    }
}

/// Everything that one start needs; the same at each.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) place: Place,
    pub(super) run_as: RunAs,
    pub(super) server: Installation,
    pub(super) socket_dir: PathBuf,
    pub(super) settings: Settings,
}

impl Launch {
    /// In a process group of its own, or Ctrl-C in a terminal would reach the server at the same
    /// time as us and break the work we are finishing. If we are killed, it is asked for a fast
    /// shutdown.
    fn command(&self) -> Command {
        let mut command = self.run_as.bound_command(&self.server.program("postgres"), "INT");
        command.arg("-D").arg(self.place.pgdata()).arg("-k").arg(&self.socket_dir);
        command.args(["-p", &PORT.to_string()]);
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.process_group(0).stderr(Stdio::piped()).current_dir(&self.place.home);
        command
    }

    fn not_ready(&self, what: impl Into<String>) -> Error {
        let log = self.place.log();
        Error::NotReady { what: what.into(), tail: files::tail(&log, 2_000), log }
    }
}

/// The supervisor proper.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) launch: Launch,
    pub(super) shared: Arc<Shared>,
    pub(super) status: watch::Sender<Status>,
    /// Held as long as a server may be running.
    pub(super) lock: File,
}

impl Keeper {
    /// Starts the server and waits until it takes connections.
    pub(super) fn launch(&self) -> Result<Child, Error> {
        let pgdata = self.launch.place.pgdata();
        processes::clear(&pgdata)?;
        self.remove_socket()?;
        self.status.send_replace(Status::Starting);
        let mut child = self.spawn()?;
        let said = child.stderr.take().map(|stderr| {
            let log = self.launch.place.log();
            spawn(move || log::follow(stderr, &log))
        });
        let ready = self.await_ready(&mut child, &pgdata);
        if let Err(what) = ready {
            processes::clear(&pgdata)?;
            self.reap(&mut child);
            said.map(std::thread::JoinHandle::join);
            return Err(self.launch.not_ready(what));
        }
        self.status.send_replace(Status::Ready { pid: child.id().cast_signed() });
        Ok(child)
    }

    fn spawn(&self) -> Result<Child, Error> {
        let mut state = self.shared.lock();
        if state.stopping {
            return Err(Error::Ended);
        }
        let program = self.launch.server.program("postgres");
        let child = self.launch.command().spawn().map_err(Error::io("run", &program))?;
        state.pid = pid_of(&child);
        Ok(child)
    }

    /// A socket whose lock file names a number that is somebody else's by now stops a server, too.
    fn remove_socket(&self) -> Result<(), Error> {
        for name in [format!(".s.PGSQL.{PORT}.lock"), format!(".s.PGSQL.{PORT}")] {
            let path = self.launch.socket_dir.join(name);
            files::remove_if_there(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }

    fn await_ready(&self, child: &mut Child, pgdata: &Path) -> Result<(), String> {
        let begun = Instant::now();
        let Some(pid) = pid_of(child) else { return Err("has no process id".to_owned()) };
        let mut told = Duration::ZERO;
        while !processes::is_ready(pgdata, pid) {
            if has_ended(pid) {
                return Err(format!("ended while it started ({})", self.reap(child)));
            }
            if begun.elapsed() > READY_LIMIT {
                return Err(format!("was not ready after {} s", READY_LIMIT.as_secs()));
            }
            if begun.elapsed() > told + Duration::from_secs(5) {
                told = begun.elapsed();
                tracing::info!(elapsed_s = told.as_secs(), "PostgreSQL is still recovering");
            }
            sleep(POLL);
        }
        Ok(())
    }

    /// Waits for the end of the process and takes its exit status.
    fn reap(&self, child: &mut Child) -> String {
        if let Some(pid) = pid_of(child) {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
        }
        let mut state = self.shared.lock();
        state.pid = None;
        child.wait().as_ref().map_or_else(ToString::to_string, ExitStatus::to_string)
    }

    /// Keeps the server running until it is stopped on request or cannot be started any more.
    pub(super) fn keep(self, mut child: Child) {
        let mut short_lives = 0_u32;
        let end = loop {
            let born = Instant::now();
            let how = self.reap(&mut child);
            if self.shared.is_stopping() {
                break Status::Stopped;
            }
            short_lives = if born.elapsed() < HEALTHY { short_lives + 1 } else { 0 };
            tracing::warn!(%how, "PostgreSQL ended unexpectedly; starting it again");
            self.shared.pause(PAUSE * short_lives.saturating_sub(1).min(25));
            match self.revive() {
                Ok(next) => child = next,
                Err(_) if self.shared.is_stopping() => break Status::Stopped,
                Err(error) => break Status::GaveUp(error.to_string()),
            }
        };
        self.finish(end);
    }

    fn revive(&self) -> Result<Child, Error> {
        let begun = Instant::now();
        let mut attempt = 1;
        loop {
            match self.launch() {
                Ok(child) => {
                    self.shared.restarts.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(elapsed_ms = begun.elapsed().as_millis(), "PostgreSQL is back");
                    return Ok(child);
                }
                Err(error) if attempt == ATTEMPTS || self.shared.is_stopping() => {
                    return Err(error);
                }
                Err(error) => tracing::warn!(%error, attempt, "PostgreSQL does not start"),
            }
            self.shared.pause(PAUSE * (1 << attempt));
            attempt += 1;
        }
    }

    /// The lock is given back before anybody can hear that the server is gone.
    fn finish(self, end: Status) {
        if let Err(error) = processes::clear(&self.launch.place.pgdata()) {
            tracing::warn!(%error, "PostgreSQL left processes behind");
        }
        self.launch.place.forget_socket(&self.launch.socket_dir);
        if let Status::GaveUp(reason) = &end {
            tracing::error!(%reason, "PostgreSQL cannot be kept running");
        }
        let Self { status, lock, .. } = self;
        drop(lock);
        status.send_replace(end);
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id().cast_signed())
}

/// Whether the process has ended; it stays to be reaped.
fn has_ended(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}
