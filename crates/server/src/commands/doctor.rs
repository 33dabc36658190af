//! Room `server`: `misybot doctor`.

use std::path::Path;

use misy_store::Cache;

use super::Installation;
use crate::cli::Place;

/// Says of each thing the program needs whether it is there, and fails if one is not.
pub async fn run(place: &Place, file: Option<&Path>) -> anyhow::Result<()> {
    let installation = Installation::open(place, file)?;
    println!("ok    the configuration is valid and the root key is private");
    installation.db.ping().await?;
    println!("ok    the database answers");
    check_cache(&installation).await
}

/// A Redis that is away is no failure: the program goes on without it.
async fn check_cache(installation: &Installation) -> anyhow::Result<()> {
    let Installation { config, ambient, root, .. } = installation;
    let cache = Cache::open(&config.cache, root, ambient.clone()).await?;
    match cache.inspect().await {
        Ok(report) => {
            println!("ok    the cache is {}", report.name);
            report.notes.iter().for_each(|note| println!("note  {note}"));
        }
        Err(reason) => println!("note  the cache is away, the program goes on without: {reason}"),
    }
    Ok(())
}
