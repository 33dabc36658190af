//! Room `store`: why the embedded PostgreSQL could not be started or kept, in words that say what
//! to do. An operator at a terminal reads these; no client ever does.

use std::path::{Path, PathBuf};

use super::installation::Version;

/// A failure of the embedded server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server was found.
    #[error(
        "no PostgreSQL server is installed (looked in {searched}): `cargo xtask up` installs it, \
         or run `apt-get install postgresql`, or name a server with `--database-url`"
    )]
    NotInstalled {
        /// The directories that were looked at.
        searched: String,
    },
    /// Only servers without the last fixes to row-level security were found.
    #[error(
        "PostgreSQL {found} in {dir} lacks the last fixes to row-level security; 15.14, 16.10, \
         17.6, 18.0 or later is needed: run `apt-get update && apt-get install postgresql`, or \
         name a server with `--database-url`"
    )]
    TooOld {
        /// The newest version that was found.
        found: Version,
        /// Where it is.
        dir: PathBuf,
    },
    /// The data were written by a major version that is not installed.
    #[error(
        "the data in {data} were written by PostgreSQL {major}, which is not installed (looked in \
         {searched}): run `apt-get install postgresql-{major}`, or move the data with pg_upgrade"
    )]
    MajorMissing {
        /// The data directory.
        data: PathBuf,
        /// The major version that wrote it.
        major: u32,
        /// The directories that were looked at.
        searched: String,
    },
    /// Another process works on the data directory.
    #[error(
        "{data} is in use by another MisyBot process; stop that one or choose another `--data`"
    )]
    InUse {
        /// The data directory.
        data: PathBuf,
    },
    /// The data directory is a copy whose original is still there.
    #[error(
        "{data} names the database that belongs to {owner}: a copied data directory has no \
         database of its own. Restore a backup, or delete {location} to begin with an empty one"
    )]
    Copied {
        /// The copy.
        data: PathBuf,
        /// The original.
        owner: PathBuf,
        /// The file that names the database.
        location: PathBuf,
    },
    /// The database that the data directory names is gone.
    #[error(
        "{location} names {home}, which is not there. Restore it, or delete {location} to begin \
         with an empty database"
    )]
    Gone {
        /// The file that names the database.
        location: PathBuf,
        /// Where the database should be.
        home: PathBuf,
    },
    /// The server's user cannot reach what it must.
    #[error(
        "the user `{user}`, as whom PostgreSQL runs, cannot enter {path}: let others pass through \
         its parent directories (chmod o+x), or choose another place"
    )]
    Unreachable {
        /// The user's name.
        user: String,
        /// The directory or program.
        path: PathBuf,
    },
    /// The program runs as root and no unprivileged user exists.
    #[error(
        "PostgreSQL does not run as root and none of the users {tried} exists: make one \
         (`useradd --system misybot`) or start MisyBot as another user"
    )]
    NoUser {
        /// The names that were tried.
        tried: String,
    },
    /// A server left over from before cannot be ended.
    #[error("processes {pids:?} still work on {pgdata} and do not end; end them by hand")]
    StillRunning {
        /// The processes.
        pids: Vec<i32>,
        /// The cluster.
        pgdata: PathBuf,
    },
    /// A program failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Its name.
        program: &'static str,
        /// The end of what it said.
        output: String,
    },
    /// The server ended or was not ready in time.
    #[error("PostgreSQL {what}; the end of {log} says:\n{tail}")]
    NotReady {
        /// What happened instead.
        what: String,
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server runs but cannot be signed in to.
    #[error("PostgreSQL runs but refuses its superuser with the password in {secret}")]
    SignIn {
        /// The file with the password.
        secret: PathBuf,
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
    /// Something on disk could not be read or written.
    #[error("cannot {what} {path}")]
    Io {
        /// The verb.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The supervisor's thread is gone.
    #[error("the supervisor of PostgreSQL has ended")]
    Ended,
}

impl Error {
    /// For `map_err`: what was tried with which path.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }
}
