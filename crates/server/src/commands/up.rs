//! Room `server`: `misybot up`: everything in one process on embedded defaults.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use misy_core::{Ambient, Secret};
use misy_sandbox::Sandbox;
use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};
use misy_store::{Db, RolePasswords, migrate};
use serde_json::{Value, json};

use super::Installation;
use crate::app::{App, Listeners};
use crate::cli::Up;
use crate::config::Config;
use crate::{ambient, root_key, telemetry};

/// Starts database, sandbox, API and workers, and stops them all in reverse order.
pub async fn run(options: &Up, file: Option<&Path>) -> anyhow::Result<()> {
    let config = configure(options, file)?;
    telemetry::start(&config.log, &config.telemetry)?;
    let ambient = ambient::machine();
    let root = root_key::load_or_make_in(&config.server.data, &ambient)?;
    let (postgres, admin) = database(&config, &ambient).await?;
    let outcome = Box::pin(run_on(options, config, ambient, root, admin)).await;
    if let Some(postgres) = postgres {
        postgres.stop().await?;
    }
    outcome
}

fn configure(options: &Up, file: Option<&Path>) -> anyhow::Result<Config> {
    let mut config = options.place.over(file)?;
    // The sandbox is a provider on this very machine, real ones never are; and real ones find no
    // installation that has no public address.
    if !options.no_sandbox || config.server.public_url.is_none() {
        config.conversation.private_hosts_allowed = true;
        config.egress.private_hosts_allowed = true;
        config.webhooks.private_hosts_allowed = true;
    }
    config.jobs.sole = config.database.address()?.is_none();
    config.webhooks.courier.sole = config.jobs.sole;
    if let Some(listen) = options.sandbox_listen {
        config.sandbox.listen = listen;
    } else if config.sandbox.listen.port() == 0 && config.server.listen.port() != 0 {
        config.sandbox.listen.set_port(8090);
    }
    if config.sandbox.data.is_none() {
        config.sandbox.data = Some(config.server.data.join("sandbox"));
    }
    if options.place.listen.is_some_and(|listen| listen.port() == 0)
        && options.place.admin_listen.is_none()
    {
        config.server.admin_listen.set_port(0);
    }
    Ok(config)
}

/// The operator's own server, or an embedded one that belongs to this process.
async fn database(
    config: &Config,
    ambient: &Ambient,
) -> anyhow::Result<(Option<EmbeddedPostgres>, tokio_postgres::Config)> {
    if let Some(address) = config.database.address()? {
        let admin = address.expose().parse().context("the database address cannot be read")?;
        return Ok((None, admin));
    }
    let folder = config.server.data.join("postgres");
    let postgres = EmbeddedPostgres::start(EmbeddedConfig::new(folder, ambient.clone())).await?;
    let admin = postgres.config("postgres");
    Ok((Some(postgres), admin))
}

async fn run_on(
    options: &Up,
    config: Config,
    ambient: Ambient,
    root: misy_core::crypto::Key,
    admin: tokio_postgres::Config,
) -> anyhow::Result<()> {
    let passwords = RolePasswords::derive(&root);
    migrate::migrate(&admin, &passwords).await?;
    let db = Db::open(&admin, &passwords, &config.database.pool, ambient.clone());
    let installation = Installation { config, ambient, root, admin, db };
    installation.ensure_isolation().await?;
    let Installation { config, ambient, .. } = &installation;
    let listeners = Listeners::bind(&config.server).await?;
    let sandbox = if options.no_sandbox {
        None
    } else {
        Some(Sandbox::start(config.sandbox.clone(), ambient.clone()).await?)
    };
    let data = config.server.data.clone();
    let mails = match config.mail.mode {
        misy_egress::mail::Mode::Outbox => Some(crate::app::outbox(&config.server)),
        misy_egress::mail::Mode::Smtp => None,
    };
    let public_url = listeners.public_url(config.server.public_url.as_deref())?;
    let app = App::build(installation, &public_url).await?;
    let (email, password) = app.ensure_operator(&data).await?;
    let worker = app.start_worker();
    let ready = json!({
        "api": format!("http://{}", listeners.api_address()?),
        "admin": format!("http://{}", listeners.admin_address()?),
        "sandbox": sandbox.as_ref().map(|sandbox| format!("http://{}", sandbox.address())),
        "outbox": mails,
        "operator": { "email": email, "password": password.as_ref().map(Secret::expose) },
    });
    greet(&ready);
    if let Some(file) = &options.ready_file {
        write_ready(file, &ready)?;
    }
    let served = app.serve(listeners, super::stop_asked()).await;
    worker.stop().await;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    served
}

fn greet(ready: &Value) {
    let place = |name: &str| ready[name].as_str().unwrap_or("off");
    let operator = &ready["operator"];
    println!();
    println!("  MisyBot is up.");
    println!();
    println!("  API       {}  (reference: {}/docs)", place("api"), place("api"));
    println!("  Sandbox   {}", place("sandbox"));
    if let Some(outbox) = ready["outbox"].as_str() {
        println!("  Mails     {outbox}  (no mail server is configured: read them there)");
    }
    println!("  Metrics   {}/metrics", place("admin"));
    println!();
    println!("  Sign in as the operator:");
    println!("    e-mail    {}", operator["email"].as_str().unwrap_or_default());
    println!("    password  {}", operator["password"].as_str().unwrap_or("as you have set it"));
    println!();
    println!("  Ctrl-C stops everything; the data stays.");
    println!();
}

/// Writes what a script needs to go on, at once and readable by the owner alone.
pub fn write_ready(file: &Path, ready: &Value) -> anyhow::Result<()> {
    let draft = file.with_extension("partial");
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .with_context(|| format!("cannot write the ready file {}", file.display()))?;
    writeln!(out, "{ready:#}")?;
    out.sync_all()?;
    std::fs::rename(&draft, file)?;
    Ok(())
}
