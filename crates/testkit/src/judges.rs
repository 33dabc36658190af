//! Room `testkit`: where the programs of others are that judge ours.

use std::path::{Path, PathBuf};

/// The Python environment with `scim2-tester`, `schemathesis` and `pysaml2`.
/// Panics with advice if it is not there.
pub fn judges() -> PathBuf {
    folder("judges-venv")
}

fn folder(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target").join(name);
    assert!(place.join("whole").is_file(), "no {name}: run `cargo xtask test` once, or `db start`");
    place
}
