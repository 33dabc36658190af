//! Room `bench`: processor time that this process, the program and the database server of the
//! same machine use.

use std::time::Duration;

use crate::{Failure, sql};

/// All of them, since they started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// This process.
    pub own: Duration,
    /// The program, where it has processes of its own.
    pub program: Duration,
    /// The server with all its processes.
    pub server: Duration,
}

impl Used {
    /// All together.
    pub fn total(self) -> Duration {
        self.own + self.program + self.server
    }

    /// What was used since an earlier look.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            own: self.own.saturating_sub(earlier.own),
            program: self.program.saturating_sub(earlier.program),
            server: self.server.saturating_sub(earlier.server),
        }
    }
}

/// Looks at processes by what Linux says about them in `/proc`.
#[derive(Debug, Clone)]
pub struct Meter {
    server: u32,
    program: Vec<u32>,
}

/// Linux counts processor time for other programs in hundredths of a second, whatever it does
/// itself.
const TICK: Duration = Duration::from_millis(10);

impl Meter {
    /// Finds the server that answers here; it must run on this machine.
    pub async fn find(server: &tokio_postgres::Config) -> Result<Self, Failure> {
        let parent = sql::with(server, async |client| {
            let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await?.get(0);
            Ok(stat(u32::try_from(pid)?).map(|stat| stat.parent))
        });
        let server = parent.await?.ok_or("the server is not on this machine")?;
        Ok(Self { server, program: Vec::new() })
    }

    /// Looks at the program's processes too.
    #[must_use]
    pub fn beside(self, program: &[u32]) -> Self {
        Self { program: program.to_vec(), ..self }
    }

    /// Processor time so far.
    pub fn read(&self) -> Used {
        let own = stat(std::process::id()).map_or(Duration::ZERO, |stat| stat.used);
        let server = processes().filter_map(stat).filter(|stat| self.belongs(*stat));
        let program = self.program.iter().filter_map(|pid| stat(*pid)).map(|stat| stat.used).sum();
        Used { own, program, server: server.map(|stat| stat.used).sum() }
    }

    fn belongs(&self, stat: Stat) -> bool {
        stat.pid == self.server || stat.parent == self.server
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    used: Duration,
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads `pid (name) state ppid ... utime stime` (proc(5)); the name may hold anything, so what
/// follows is counted from its last parenthesis.
fn parse(text: &str) -> Option<Stat> {
    let pid = text.split_whitespace().next()?.parse().ok()?;
    let rest: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| rest.get(at)?.parse::<u32>().ok();
    Some(Stat { pid, parent: number(1)?, used: TICK * (number(11)? + number(12)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_read_past() {
        let text = "42 (post) gres)) S 7 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 99";
        let expected = Stat { pid: 42, parent: 7, used: Duration::from_secs(2) };
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn this_process_is_found() {
        assert!(stat(std::process::id()).is_some());
    }
}
