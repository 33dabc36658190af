//! Room `store`: small files beside the cluster, written whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Error;

/// Replaces the file by one that only its owner can read; after a crash it has the old or the new
/// content.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let draft = path.with_added_extension("tmp");
    let write = || {
        remove_if_there(&draft)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        sync_parent(path)
    };
    write().map_err(Error::io("write", path))
}

/// Makes a rename in the directory of `path` survive a crash of the machine.
pub(super) fn sync_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Removes a file; that it is not there is fine.
pub(super) fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The last lines of a text file, at most `max_bytes`; empty if there is none.
pub(super) fn tail(path: &Path, max_bytes: usize) -> String {
    let content = std::fs::read(path).unwrap_or_default();
    let from = content.len().saturating_sub(max_bytes);
    String::from_utf8_lossy(&content[from..]).trim().to_owned()
}
