//! Room `store`: where a data directory keeps its database, its socket and its locks.
//!
//! Normally in `<data>/postgres`. Where root's data directory lies under one that the server's user
//! cannot pass through, in `/var/lib/misybot/clusters/<id>`, and `<data>/postgres.location` names
//! it; nobody's directories are opened up for us.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use misy_core::{Ambient, crypto};
use serde::{Deserialize, Serialize};

use super::{Error, files, installation::Installation, processes, user::RunAs};

/// Clusters that cannot be where their data directory is.
const CLUSTERS: &str = "/var/lib/misybot/clusters";

/// `sun_path` (unix(7)) takes 107 bytes and a zero; PostgreSQL appends `/.s.PGSQL.5432`.
const SOCKET_DIR_MAX_BYTES: usize = 107 - "/.s.PGSQL.5432".len();

/// Directories whose content is gone after a while by nature, so that a cluster whose data
/// directory was there may be deleted. Elsewhere a missing directory may just be a disk not mounted
/// yet.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// The paths of one database.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// What the operator named.
    pub(super) data: PathBuf,
    /// Holds all below; 0700 and the server user's.
    pub(super) home: PathBuf,
}

/// Which data directory a cluster under [`CLUSTERS`] belongs to; its file `owner`.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    data: PathBuf,
    disposable: bool,
}

impl Owner {
    fn of(home: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(home.join("owner")).ok()?).ok()
    }

    fn is_gone(&self) -> bool {
        !self.data.exists()
    }

    fn may_be_swept(&self) -> bool {
        self.disposable || TEMPORARY.iter().any(|dir| self.data.starts_with(dir))
    }
}

impl Place {
    /// PostgreSQL's own data directory.
    pub(super) fn pgdata(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(super) fn secret(&self) -> PathBuf {
        self.data.join("postgres.secret")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.data.join("postgres.log")
    }

    /// Where the data directory keeps its database, or will: nothing is created but `data` itself.
    pub(super) fn find(data: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(data).map_err(Error::io("create", data))?;
        let data = std::fs::canonicalize(data).map_err(Error::io("find", data))?;
        let location = location(&data);
        let home = match std::fs::read_to_string(&location) {
            Ok(text) => PathBuf::from(text.trim()),
            Err(error) if error.kind() == ErrorKind::NotFound => data.join("postgres"),
            Err(error) => return Err(Error::io("read", &location)(error)),
        };
        if location.exists() && !home.is_dir() {
            return Err(Error::Gone { location, home });
        }
        let owner = Owner::of(&home).filter(|owner| owner.data != data && !owner.is_gone());
        let rival = owner.filter(|owner| named_by(&owner.data).as_ref() == Some(&home));
        match rival {
            Some(Owner { data: owner, .. }) => Err(Error::Copied { data, owner, location }),
            None => Ok(Self { data, home }),
        }
    }

    /// Makes the directories, elsewhere if the user cannot reach `data`.
    pub(super) fn prepare(
        &mut self,
        run_as: &RunAs,
        server: &Installation,
        ambient: &Ambient,
        disposable: bool,
    ) -> Result<(), Error> {
        let postgres = server.program("postgres");
        if !run_as.can_run_in(&postgres, Path::new("/")) {
            return Err(Error::Unreachable { user: run_as.name.clone(), path: postgres });
        }
        let is_new = !self.home.exists();
        if is_new && !run_as.can_run_in(&postgres, &self.data) {
            self.move_out(run_as, ambient, disposable)?;
        } else if is_new {
            make_private(&self.home, run_as)?;
        } else if self.home.starts_with(CLUSTERS) {
            self.claim(disposable)?;
        }
        if run_as.can_run_in(&postgres, &self.home) {
            return Ok(());
        }
        Err(Error::Unreachable { user: run_as.name.clone(), path: self.home.clone() })
    }

    /// The owner is written before the location, so a kill between them leaves an empty cluster
    /// that a later sweep finds, never a location that names nothing.
    fn move_out(
        &mut self,
        run_as: &RunAs,
        ambient: &Ambient,
        disposable: bool,
    ) -> Result<(), Error> {
        let clusters = Path::new(CLUSTERS);
        std::fs::create_dir_all(clusters).map_err(Error::io("create", clusters))?;
        self.home = clusters.join(random_id(ambient));
        make_private(&self.home, run_as)?;
        self.claim(disposable)?;
        files::write_private(&location(&self.data), self.home.as_os_str().as_encoded_bytes())
    }

    /// Says whose the cluster is; again at each start, since a data directory may have been moved.
    fn claim(&self, disposable: bool) -> Result<(), Error> {
        let owner = Owner { data: self.data.clone(), disposable };
        let path = self.home.join("owner");
        let text = serde_json::to_vec(&owner);
        let text = text.map_err(|error| Error::io("write", &path)(error.into()))?;
        files::write_private(&path, &text)
    }

    /// A private directory for the socket whose path is short enough: in the cluster, or a
    /// directory of its own whose name the file `socket` keeps for the next start.
    pub(super) fn socket_dir(&self, run_as: &RunAs, ambient: &Ambient) -> Result<PathBuf, Error> {
        let inside = self.home.join("run");
        if inside.as_os_str().len() <= SOCKET_DIR_MAX_BYTES {
            if !is_private(&inside, run_as) {
                make_private(&inside, run_as)?;
            }
            return Ok(inside);
        }
        let memo = self.home.join("socket");
        let known = std::fs::read_to_string(&memo).map(PathBuf::from).ok();
        if let Some(known) = known.filter(|dir| is_private(dir, run_as)) {
            return Ok(known);
        }
        let parent = if run_as.switched { "/run" } else { "/tmp" };
        let dir = Path::new(parent).join(format!("misybot-{}", random_id(ambient)));
        make_private(&dir, run_as)?;
        files::write_private(&memo, dir.as_os_str().as_encoded_bytes())?;
        Ok(dir)
    }

    /// Removes a socket directory that is not in the cluster. It holds nothing while no server
    /// runs.
    pub(super) fn forget_socket(&self, socket_dir: &Path) {
        if !socket_dir.starts_with(&self.home) {
            drop(std::fs::remove_dir(socket_dir));
        }
    }
}

/// Deletes clusters whose data directory is gone and was there to go, and names the others.
pub(super) fn sweep() {
    let homes = std::fs::read_dir(CLUSTERS).into_iter().flatten().flatten();
    for home in homes.map(|entry| entry.path()) {
        let Some(owner) = Owner::of(&home).filter(Owner::is_gone) else { continue };
        if !processes::list_in(&home.join("data")).is_empty() {
            continue;
        }
        if !owner.may_be_swept() {
            tracing::warn!(?home, data = ?owner.data, "a database has lost its data directory");
            continue;
        }
        match std::fs::remove_dir_all(&home) {
            Ok(()) => tracing::info!(?home, data = ?owner.data, "removed an abandoned database"),
            Err(error) => tracing::warn!(?home, %error, "cannot remove an abandoned database"),
        }
    }
}

/// Makes the data directory ours until the file is closed, which the kernel does for the killed.
pub(super) fn lock(data: &Path) -> Result<File, Error> {
    let path = data.join("lock");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(Error::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { data: data.to_owned() }),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
    }
}

fn location(data: &Path) -> PathBuf {
    data.join("postgres.location")
}

fn named_by(data: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(location(data)).ok()?;
    Some(PathBuf::from(text.trim()))
}

fn random_id(ambient: &Ambient) -> String {
    crypto::to_hex(&ambient.bytes::<8>())
}

fn make_private(dir: &Path, run_as: &RunAs) -> Result<(), Error> {
    DirBuilder::new().mode(0o700).create(dir).map_err(Error::io("create", dir))?;
    run_as.own(dir)
}

/// Whether it is a directory, no link to one, that only the user can enter (the lower six bits of
/// the mode are those of group and others).
fn is_private(dir: &Path, run_as: &RunAs) -> bool {
    std::fs::symlink_metadata(dir)
        .is_ok_and(|it| it.is_dir() && it.uid() == run_as.uid && it.mode().trailing_zeros() >= 6)
}
