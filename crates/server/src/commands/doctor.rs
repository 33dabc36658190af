//! Room `server`: `misybot doctor`.

use std::path::Path;

use misy_store::embedded::Installation as Installed;

use super::Installation;
use crate::cli::Place;

/// Says of each thing the program needs whether it is there, and fails if one is not.
pub async fn run(place: &Place, file: Option<&Path>) -> anyhow::Result<()> {
    match Installed::find(None, None) {
        Ok(found) => println!("ok    PostgreSQL server {} is installed", found.version),
        Err(error) => println!("note  {error}"),
    }
    let installation = Installation::open(place, file)?;
    println!("ok    the configuration is valid and the root key is private");
    installation.db.ping().await?;
    println!("ok    the database answers");
    Ok(())
}
