//! Room `server`: `misybot serve`.

use std::path::Path;

use super::Installation;
use crate::app::{App, Listeners};
use crate::cli::Place;

/// Serves the API until it is stopped; workers run elsewhere.
pub async fn run(place: &Place, file: Option<&Path>) -> anyhow::Result<()> {
    let installation = Installation::open(place, file)?;
    installation.ensure_isolation().await?;
    let server = installation.config.server.clone();
    let listeners = Listeners::bind(&server).await?;
    let app =
        App::build(installation, &listeners.public_url(server.public_url.as_deref())?).await?;
    println!("api: http://{}", listeners.api_address()?);
    app.serve(listeners, super::stop_asked()).await
}
