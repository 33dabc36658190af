//! Room `server`: `misybot bench`.

use crate::cli::Bench;

/// Runs a bench by its name.
pub async fn run(options: &Bench) -> anyhow::Result<()> {
    anyhow::bail!("there is no bench `{}`", options.name)
}
