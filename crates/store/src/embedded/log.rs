//! Room `store`: writes what the server says to `<data>/postgres.log`, in two files of bounded
//! size.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ChildStderr;

/// When the log begins anew and what was is kept as `postgres.log.1`.
const MAX_BYTES: u64 = 4 << 20;

/// Copies until the last process of the server has closed its end. A log that cannot be written is
/// no reason to let the server block on it, so the reading goes on.
pub(super) fn follow(mut from: ChildStderr, path: &Path) {
    let mut buffer = [0; 8192];
    let mut log = Log::open(path);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Err(error) = log.append(&buffer[..count]) {
            tracing::warn!(%error, "cannot write PostgreSQL's log");
        }
    }
}

struct Log {
    path: PathBuf,
    file: Option<File>,
    written_bytes: u64,
}

impl Log {
    fn open(path: &Path) -> Self {
        let written_bytes = std::fs::metadata(path).map_or(0, |file| file.len());
        Self { path: path.to_owned(), file: None, written_bytes }
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.written_bytes > MAX_BYTES {
            std::fs::rename(&self.path, self.path.with_added_extension("1"))?;
            (self.file, self.written_bytes) = (None, 0);
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => File::options().append(true).create(true).mode(0o600).open(&self.path)?,
        };
        file.write_all(bytes)?;
        self.written_bytes += bytes.len() as u64;
        self.file = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_begins_anew_and_the_last_one_is_kept() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("postgres.log");
        std::fs::write(&path, vec![b'x'; usize::try_from(MAX_BYTES).expect("fits") + 1])
            .expect("written");
        let mut log = Log::open(&path);
        log.append(b"one\n").expect("appended");
        log.append(b"two\n").expect("appended");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "one\ntwo\n");
        let kept = std::fs::metadata(path.with_added_extension("1")).expect("kept");
        assert_eq!(kept.len(), MAX_BYTES + 1);
    }
}
