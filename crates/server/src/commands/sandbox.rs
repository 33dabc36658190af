//! Room `server`: `misybot sandbox`.

use std::path::Path;

use misy_sandbox::Sandbox;

use crate::{ambient, cli, config, telemetry};

/// Runs the emulator until it is stopped.
pub async fn run(options: &cli::Sandbox, file: Option<&Path>) -> anyhow::Result<()> {
    let config = config::load(file)?;
    telemetry::start(&config.log, &config.telemetry)?;
    let settings = misy_sandbox::Config {
        listen: options.listen,
        data: options.data.clone().or(config.sandbox.data),
        ..config.sandbox
    };
    let running = Sandbox::start(settings, ambient::machine()).await?;
    let address = format!("http://{}", running.address());
    println!("sandbox: {address}");
    if let Some(file) = &options.ready_file {
        super::up::write_ready(file, &serde_json::json!({ "sandbox": address }))?;
    }
    super::stop_asked().await?;
    running.stop().await;
    Ok(())
}
