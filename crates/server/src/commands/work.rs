//! Room `server`: `misybot work`.

use std::path::Path;

use super::Installation;
use crate::app::{self, App};
use crate::cli::Place;

/// Runs workers until it is stopped; the API is served elsewhere.
pub async fn run(place: &Place, file: Option<&Path>) -> anyhow::Result<()> {
    let installation = Installation::open(place, file)?;
    installation.ensure_isolation().await?;
    let public_url = app::public_url(&installation.config.server);
    let admin = app::bind(installation.config.server.work_admin_listen).await?;
    let app = App::build(installation, &public_url).await?;
    let worker = app.start_worker();
    println!("metrics: http://{}/metrics", admin.local_addr()?);
    let stopped = tokio::select! {
        stopped = app.serve_metrics(admin, super::stop_asked()) => stopped,
        () = app.keep_stores() => Ok(()),
    };
    worker.stop().await;
    stopped
}
