//! Room `xtask`: one command of a trial, in a process group of its own, with its lines in a file and
//! an end to patience.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::steps::{self, GLANCE, Steps};

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if it took longer than it may.
    pub(crate) status: Option<ExitStatus>,
    /// All it wrote.
    pub(crate) text: String,
}

impl Ended {
    /// Whether it ended by itself and well.
    pub(crate) fn well(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Runs a command to its end, or until `limit` is over or we are stopped: then it ends with all its
/// children.
pub(crate) fn run(
    command: &mut Command,
    log: &Path,
    limit: Duration,
    steps: &Steps,
) -> Result<Ended> {
    let lines = fs::File::options().create(true).append(true).open(log);
    let lines = lines.with_context(|| format!("cannot write {}", log.display()))?;
    let from = usize::try_from(lines.metadata()?.len())?;
    command.stdin(Stdio::null()).stdout(lines.try_clone()?).stderr(lines).process_group(0);
    let mut child = steps::spawn(command)?;
    let begun = Instant::now();
    let mut status = None;
    while status.is_none() && begun.elapsed() < limit && !steps.stopped() {
        thread::sleep(GLANCE);
        status = child.try_wait()?;
    }
    if status.is_none() {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process_group(group.context("not a process id")?, Signal::KILL)?;
        child.wait()?;
    }
    let text = fs::read(log)?.split_off(from);
    Ok(Ended { status, text: String::from_utf8_lossy(&text).into_owned() })
}
