//! Room `server`: the installation's root key, from which every other key and password comes.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use misy_core::Ambient;
use misy_core::crypto::{self, Key};

/// The root key of an installation whose folder this is; makes the folder too.
pub fn load_or_make_in(data: &Path, ambient: &Ambient) -> anyhow::Result<Key> {
    std::fs::create_dir_all(data)
        .with_context(|| format!("cannot make the data folder {}", data.display()))?;
    load_or_make(&data.join("root.key"), ambient)
}

/// Reads the key's file, or makes it at the first start: 64 hexadecimal digits, mode 0600.
pub fn load_or_make(path: &Path, ambient: &Ambient) -> anyhow::Result<Key> {
    if path.exists() {
        return load(path);
    }
    let digits = crypto::to_hex(&ambient.bytes::<32>());
    let draft = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .with_context(|| format!("cannot make the root key {}", draft.display()))?;
    file.write_all(digits.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    load(path)
}

/// Reads the key's file; refuses one that others could read.
pub fn load(path: &Path) -> anyhow::Result<Key> {
    let shown = path.display();
    let file = std::fs::metadata(path)
        .with_context(|| format!("cannot find the root key {shown}; `misybot up` makes one"))?;
    if file.permissions().mode() & 0o077 != 0 {
        bail!("the root key {shown} can be read by others; run `chmod 600 {shown}`");
    }
    let text = std::fs::read_to_string(path)?;
    crypto::from_hex(text.trim())
        .and_then(|bytes| Key::from_slice(&bytes))
        .with_context(|| format!("{shown} is not a root key: it must hold 64 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str) -> std::path::PathBuf {
        let folder = tempfile::tempdir().expect("a folder").keep();
        folder.join(name)
    }

    #[test]
    fn a_second_start_finds_the_same_key() {
        let path = at("root.key");
        let ambient = crate::ambient::machine();
        let made = load_or_make(&path, &ambient).expect("made");
        let found = load_or_make(&path, &ambient).expect("found");
        assert_eq!(made.expose(), found.expose());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let path = at("root.key");
        load_or_make(&path, &crate::ambient::machine()).expect("made");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("changed");
        let error = load(&path).expect_err("refused").to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let path = at("root.key");
        std::fs::write(&path, "hello").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("changed");
        assert!(load(&path).is_err());
    }
}
