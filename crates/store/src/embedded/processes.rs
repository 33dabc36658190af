//! Room `store`: finds and ends the processes that work on a cluster, whoever started them.
//!
//! The server's processes stand in their data directory, so `/proc/<pid>/cwd` says for certain what
//! a number in a stale `postmaster.pid` only claims.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Error;

const POLL: Duration = Duration::from_millis(5);

/// What a server is asked, from polite to final, and how long each may take. The first is
/// PostgreSQL's fast shutdown (it writes a checkpoint), the second its immediate one (recovery at
/// next start).
pub(super) const ESCALATION: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(30)),
    (Signal::QUIT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// Sends a signal; that the process is gone already is no error.
pub(super) fn signal(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(pid = pid.as_raw_nonzero().get(), %error, "cannot signal PostgreSQL");
    }
}

/// All live processes whose working directory is the cluster.
pub(super) fn list_in(pgdata: &Path) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stands_there =
        |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == pgdata);
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(stands_there)
        .filter_map(Pid::from_raw)
        .collect()
}

/// The server's main process by its pid file.
fn postmaster(pgdata: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(pgdata.join("postmaster.pid")).ok()?;
    Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
}

/// Whether the server of this pid file is `pid` and takes connections: line 8 of `postmaster.pid`
/// (`LOCK_FILE_LINE_PM_STATUS` in PostgreSQL's `pidfile.h`).
pub(super) fn is_ready(pgdata: &Path, pid: Pid) -> bool {
    let text = std::fs::read_to_string(pgdata.join("postmaster.pid")).unwrap_or_default();
    let status = text.lines().nth(7).unwrap_or_default();
    postmaster(pgdata) == Some(pid) && status.trim() == "ready"
}

/// Ends every process that works on the cluster, and removes the pid file that would make a new
/// server refuse to start. The caller holds the lock of the data directory.
pub(super) fn clear(pgdata: &Path) -> Result<(), Error> {
    for (polite, limit) in ESCALATION {
        let alive = list_in(pgdata);
        if alive.is_empty() {
            break;
        }
        tracing::info!(processes = alive.len(), "ending a PostgreSQL left over from before");
        ask(&alive, postmaster(pgdata), polite);
        wait_until(limit, || list_in(pgdata).is_empty());
    }
    let alive = list_in(pgdata);
    if !alive.is_empty() {
        let pids = alive.iter().map(|pid| pid.as_raw_nonzero().get()).collect();
        return Err(Error::StillRunning { pids, pgdata: pgdata.to_owned() });
    }
    match std::fs::remove_file(pgdata.join("postmaster.pid")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", &pgdata.join("postmaster.pid"))(error))
        }
        _ => Ok(()),
    }
}

/// A postmaster ends its children itself; children without one are asked directly, for whom the
/// fast shutdown's signal would only mean "cancel the statement".
fn ask(alive: &[Pid], postmaster: Option<Pid>, polite: Signal) {
    match postmaster.filter(|pid| alive.contains(pid)) {
        Some(pid) if polite != Signal::KILL => signal(pid, polite),
        _ => {
            let direct = if polite == Signal::INT { Signal::QUIT } else { polite };
            for pid in alive {
                signal(*pid, direct);
            }
        }
    }
}

fn wait_until(limit: Duration, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() && begun.elapsed() < limit {
        sleep(POLL);
    }
}
