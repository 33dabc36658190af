//! Room `server`: the entry of the program; picks the command.

use std::process::ExitCode;

use clap::Parser;
use misy_server::cli::{Cli, Command};
use misy_server::{commands, telemetry};

/// Many small pieces that one thread makes and another frees: docs/adr/0020.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("misybot: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let file = cli.config.as_deref();
    match &cli.command {
        Command::Config(command) => return commands::config::run(command, file),
        Command::Openapi => return commands::openapi::run(),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let outcome = match &cli.command {
            Command::Up(options) => Box::pin(commands::up::run(options, file)).await,
            Command::Serve(place) => Box::pin(commands::serve::run(place, file)).await,
            Command::Work(place) => commands::work::run(place, file).await,
            Command::Migrate(place) => commands::migrate::run(place, file).await,
            Command::Sandbox(options) => commands::sandbox::run(options, file).await,
            Command::Doctor(options) => commands::doctor::run(options, file).await,
            Command::DeadLetters(command) => commands::dead_letters::run(command, file).await,
            Command::Documents(command) => Box::pin(commands::documents::run(command, file)).await,
            Command::Tenant(options) => Box::pin(commands::tenants::run(options, file)).await,
            Command::Webhook(options) => Box::pin(commands::webhooks::run(options, file)).await,
            Command::Bench(options) => Box::pin(commands::bench::run(options)).await,
            Command::Config(_) | Command::Openapi => Ok(()),
        };
        telemetry::finish().await;
        outcome
    })
}
