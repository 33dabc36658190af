//! Room `server`: `misybot work`.

use std::path::Path;

use super::Installation;
use crate::app::{self, App};
use crate::cli::Place;

/// Runs workers until it is stopped; the API is served elsewhere.
pub async fn run(place: &Place, file: Option<&Path>) -> anyhow::Result<()> {
    let installation = Installation::open(place, file)?;
    let public_url = app::public_url(&installation.config.server);
    let app = App::build(installation, &public_url).await?;
    let worker = app.start_worker();
    let stopped = tokio::select! {
        asked = super::stop_asked() => asked,
        () = app.keep_cache() => Ok(()),
    };
    worker.stop().await;
    stopped
}
