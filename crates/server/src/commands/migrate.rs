//! Room `server`: `misybot migrate`.

use std::path::Path;

use misy_store::{RolePasswords, migrate};

use super::Installation;
use crate::app::{self, App};
use crate::cli::Place;

/// Brings the database to this program's schema and makes the first operator; a second run does
/// nothing.
pub async fn run(place: &Place, file: Option<&Path>) -> anyhow::Result<()> {
    let installation = Installation::open(place, file)?;
    let passwords = RolePasswords::derive(&installation.root);
    let report = migrate::migrate(&installation.admin, &passwords).await?;
    for name in &report.applied {
        println!("applied {name}");
    }
    println!("{} applied, {} were there", report.applied.len(), report.present);
    let (server, data) = (&installation.config.server, installation.config.server.data.clone());
    let public_url = app::public_url(server);
    let (email, password) =
        App::build(installation, &public_url).await?.ensure_operator(&data).await?;
    let place = data.join("operator.json");
    match password {
        Some(_) => println!("operator {email}; the password is in {}", place.display()),
        None => println!("operator {email}; the password is as you have set it"),
    }
    Ok(())
}
