//! Room `server`: `misybot doctor`.

use std::path::Path;

use super::Installation;
use crate::cli::Place;

/// Says of each thing the program needs whether it is there, and fails if one is not.
pub async fn run(place: &Place, file: Option<&Path>) -> anyhow::Result<()> {
    let installation = Installation::open(place, file)?;
    println!("ok    the configuration is valid and the root key is private");
    installation.db.ping().await?;
    println!("ok    the database answers");
    Ok(())
}
