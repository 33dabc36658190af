//! Room `store`: as whom the server runs. PostgreSQL refuses root, so root hands it to another
//! user.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{getegid, geteuid};

use super::Error;

/// Users that a program started by root may run the server as, the first that exists.
const CANDIDATES: [&str; 3] = ["postgres", "misybot", "nobody"];

/// The user that runs the server and owns its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunAs {
    pub(super) name: String,
    pub(super) uid: u32,
    gid: u32,
    /// Whether it is another user than ours, which only root can have.
    pub(super) switched: bool,
}

impl RunAs {
    /// Ourselves, unless we are root: then the owner of the cluster if there is one already, else
    /// the first of the candidates.
    pub(super) fn choose(cluster: &Path) -> Result<Self, Error> {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name_of = |uid: u32| name_of(&passwd, uid).unwrap_or_else(|| uid.to_string());
        if uid != 0 {
            return Ok(Self { name: name_of(uid), uid, gid, switched: false });
        }
        let owner = std::fs::metadata(cluster).ok().filter(|owner| owner.uid() != 0);
        if let Some(owner) = owner {
            let (uid, gid) = (owner.uid(), owner.gid());
            return Ok(Self { name: name_of(uid), uid, gid, switched: true });
        }
        let found = CANDIDATES.into_iter().find_map(|name| {
            let (uid, gid) = ids_of(&passwd, name)?;
            Some(Self { name: name.to_owned(), uid, gid, switched: true })
        });
        found.ok_or_else(|| Error::NoUser { tried: CANDIDATES.join(", ") })
    }

    /// A command that runs as this user, with nothing of our environment: PostgreSQL takes settings
    /// from a dozen variables.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if self.switched {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// The same, but when the thread that spawns it ends, the kernel sends it the signal. Where
    /// there is no `setpriv` (util-linux) it lives on, and the next start ends it.
    pub(super) fn bound_command(&self, program: &Path, signal: &str) -> Command {
        let Some(setpriv) = find_setpriv() else { return self.command(program) };
        let mut command = self.command(&setpriv);
        command.args(["--pdeathsig", signal, "--"]).arg(program);
        command
    }

    /// Whether the user can run `program` while standing in `dir`. The kernel answers, so access
    /// lists, mount options and security modules count too.
    pub(super) fn can_run_in(&self, program: &Path, dir: &Path) -> bool {
        let status = self.command(program).arg("--version").current_dir(dir).status();
        status.is_ok_and(|status| status.success())
    }

    /// Gives a file or directory to the user.
    pub(super) fn own(&self, path: &Path) -> Result<(), Error> {
        if !self.switched {
            return Ok(());
        }
        chown(path, Some(self.uid), Some(self.gid)).map_err(Error::io("give away", path))
    }
}

/// Busybox has a `setpriv` that does not know the option.
fn find_setpriv() -> Option<PathBuf> {
    ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().find_map(|path| {
        let real = std::fs::canonicalize(path).ok()?;
        real.ends_with("setpriv").then_some(real)
    })
}

/// User and group id of a name, from the text of `/etc/passwd` (passwd(5)); system accounts are
/// local.
fn ids_of(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let mut entries = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = entries.find(|entry| entry.first() == Some(&name))?;
    Some((entry.get(2)?.parse().ok()?, entry.get(3)?.parse().ok()?))
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let mut entries = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let uid = uid.to_string();
    entries.find(|entry| entry.get(2) == Some(&uid.as_str())).map(|entry| entry[0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn users_are_found_by_name_and_by_number() {
        assert_eq!(ids_of(PASSWD, "postgres"), Some((101, 104)));
        assert_eq!(ids_of(PASSWD, "post"), None);
        assert_eq!(name_of(PASSWD, 101).as_deref(), Some("postgres"));
        assert_eq!(name_of(PASSWD, 1010), None);
    }
}
