//! Room `server`: `misybot migrate`.

use std::path::Path;

use misy_store::{RolePasswords, migrate};

use super::Installation;
use crate::cli::Place;

/// Brings the database to this program's schema; a second run does nothing.
pub async fn run(place: &Place, file: Option<&Path>) -> anyhow::Result<()> {
    let installation = Installation::open(place, file)?;
    let passwords = RolePasswords::derive(&installation.root);
    let report = migrate::migrate(&installation.admin, &passwords).await?;
    for name in &report.applied {
        println!("applied {name}");
    }
    println!("{} applied, {} were there", report.applied.len(), report.present);
    Ok(())
}
