//! Room `server`: `misybot openapi`.

/// The description that `cargo xtask golden` writes and a test holds against the running API.
const DOCUMENT: &str = include_str!("../../../../docs/openapi.json");

/// Prints the API's description.
pub fn run() -> anyhow::Result<()> {
    print!("{DOCUMENT}");
    Ok(())
}
