//! Room `xtask`: running commands one after the other, timed, and stopping them when we are stopped.

use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How often a running child is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);

/// On Ctrl-C the terminal tells the child too; only one that stays gets told again.
const CTRL_C_GRACE: Duration = Duration::from_secs(3);

/// A runner of steps: remembers how each ended, and that we were asked to stop.
#[derive(Debug)]
pub(crate) struct Steps {
    stop: Arc<AtomicUsize>,
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    elapsed: Duration,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
    Skipped,
}

impl Steps {
    /// From now on SIGINT, SIGTERM and SIGHUP end the running step instead of this program.
    pub(crate) fn begin() -> Result<Self> {
        let stop = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let number = usize::try_from(signal).context("signals are positive")?;
            signal_hook::flag::register_usize(signal, Arc::clone(&stop), number)
                .context("cannot listen for signals")?;
        }
        Ok(Self { stop, done: Vec::new() })
    }

    /// Runs a command as a step; an `Err` means that it could not be run or that we were stopped.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) -> Result<bool> {
        self.step(name, |steps| Ok(steps.wait(command)?.success()))
    }

    /// Runs a step of our own; `false` or an `Err` is a failure.
    pub(crate) fn step(
        &mut self,
        name: &str,
        work: impl FnOnce(&Self) -> Result<bool>,
    ) -> Result<bool> {
        self.refuse_when_stopped()?;
        eprintln!("== {name}");
        let start = Instant::now();
        let result = work(self);
        let end = if matches!(result, Ok(true)) { End::Passed } else { End::Failed };
        self.done.push(Step { name: name.to_owned(), elapsed: start.elapsed(), end });
        self.refuse_when_stopped()?;
        result.with_context(|| format!("step `{name}`"))
    }

    /// Notes that a step could not be run here, and why.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        eprintln!("== {name}: skipped, {why}");
        let name = format!("{name} ({why})");
        self.done.push(Step { name, elapsed: Duration::ZERO, end: End::Skipped });
    }

    /// Prints how each step ended; fails if one did.
    pub(crate) fn finish(self) -> Result<()> {
        eprintln!();
        for step in &self.done {
            let seconds = step.elapsed.as_secs_f64();
            match step.end {
                End::Passed => eprintln!("  ok      {seconds:>7.1} s  {}", step.name),
                End::Failed => eprintln!("  FAILED  {seconds:>7.1} s  {}", step.name),
                End::Skipped => eprintln!("  skipped            {}", step.name),
            }
        }
        let failed = self.done.iter().filter(|step| step.end == End::Failed);
        let names: Vec<&str> = failed.map(|step| step.name.as_str()).collect();
        if names.is_empty() { Ok(()) } else { bail!("failed: {}", names.join(", ")) }
    }

    /// Whether we were asked to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0
    }

    fn refuse_when_stopped(&self) -> Result<()> {
        if self.stopped() {
            bail!("stopped");
        }
        Ok(())
    }

    fn wait(&self, command: &mut Command) -> Result<ExitStatus> {
        let mut child = spawn(command)?;
        let mut stopped_at = None;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if self.stopped() {
                let since = *stopped_at.get_or_insert_with(Instant::now);
                let by_terminal =
                    self.stop.load(Ordering::Relaxed) == SIGINT.unsigned_abs() as usize;
                if !by_terminal || since.elapsed() > CTRL_C_GRACE {
                    terminate(&mut child)?;
                    return Ok(child.wait()?);
                }
            }
            thread::sleep(GLANCE);
        }
    }
}

/// Starts a command; the error names the program.
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().with_context(|| format!("cannot start `{program}`"))
}

/// Asks a child to end; one that has ended already is no failure.
pub(crate) fn terminate(child: &mut Child) -> Result<()> {
    if child.try_wait()?.is_none() {
        signal(child.id(), Signal::TERM)?;
    }
    Ok(())
}

/// Sends a signal to a process.
pub(crate) fn signal(process: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    kill_process(pid.context("not a process id")?, signal).context("cannot signal the process")
}
