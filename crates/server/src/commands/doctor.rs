//! Room `server`: `misybot doctor`.

use std::path::Path;

use anyhow::Context;
use misy_store::documents::mongo::MongoReport;

use super::Installation;
use crate::cli::Place;

/// Says of each thing the program needs whether it is there, and fails if one is not.
pub async fn run(place: &Place, file: Option<&Path>) -> anyhow::Result<()> {
    let installation = Installation::open(place, file)?;
    println!("ok    the configuration is valid and the root key is private");
    installation.db.ping().await?;
    println!("ok    the database answers");
    match installation.mongo().await? {
        None => println!("ok    documents live in the database"),
        Some(mongo) => {
            let report = mongo.report().await.context("the document server")?;
            let MongoReport { version, database, collections, .. } = &report;
            println!(
                "ok    the document server answers: MongoDB {version}, database `{database}`, \
                 {collections} collections of tenants"
            );
            for warning in report.warnings() {
                println!("warn  {warning}");
            }
        }
    }
    Ok(())
}
