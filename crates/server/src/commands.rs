//! Room `server`: the commands, one a file.

pub mod bench;
pub mod config;
pub mod dead_letters;
pub mod doctor;
pub mod documents;
pub mod migrate;
pub mod openapi;
pub mod sandbox;
pub mod serve;
pub mod tenants;
pub mod up;
pub mod webhooks;
pub mod work;

use std::path::Path;

use anyhow::Context;
use misy_core::crypto::Key;
use misy_core::{Actor, Ambient, PlatformCtx, RequestId, Role, Trace};
use misy_store::documents::mongo::Mongo;
use misy_store::{Db, RolePasswords, isolation};

use crate::cli::Place;
use crate::config::Config;
use crate::{ambient, root_key, telemetry};

/// A command on an installation with a database of its own: configuration, key and pools.
pub struct Installation {
    /// The configuration in force.
    pub config: Config,
    /// Clock, entropy, ids.
    pub ambient: Ambient,
    /// The root key.
    pub root: Key,
    /// Where the database is, signed in as its administrator.
    pub admin: tokio_postgres::Config,
    /// The pools.
    pub db: Db,
}

impl Installation {
    /// Opens what `place` names; starts nothing.
    pub fn open(place: &Place, file: Option<&Path>) -> anyhow::Result<Self> {
        let config = place.over(file)?;
        telemetry::start(&config.log, &config.telemetry)?;
        let ambient = ambient::machine();
        let root = root_key::load_or_make_in(&config.server.data, &ambient)?;
        let address = config.database.address()?.context(
            "no database is named: pass --database-url, set MISYBOT__DATABASE__URL or \
             `database.url` in misybot.toml; `misybot up` brings its own",
        )?;
        let admin: tokio_postgres::Config =
            address.expose().parse().context("the database address cannot be read")?;
        let passwords = RolePasswords::derive(&root);
        let db = Db::open(&admin, &passwords, &config.database.pool, ambient.clone());
        Ok(Self { config, ambient, root, admin, db })
    }

    /// Refuses to go on with a database in which a tenant could reach what is not its own.
    pub async fn ensure_isolation(&self) -> anyhow::Result<()> {
        let report = isolation::ensure(&self.admin, &RolePasswords::derive(&self.root)).await?;
        let (elapsed_ms, server) = (report.elapsed.as_millis(), report.server());
        tracing::info!(%server, elapsed_ms, "the database keeps tenants apart");
        for fault in &report.faults {
            tracing::warn!(%fault, "a wall between tenants is weaker than it could be");
        }
        Ok(())
    }
}

impl Installation {
    /// The document server, if one is configured; nothing is asked of it yet.
    pub async fn mongo(&self) -> anyhow::Result<Option<Mongo>> {
        let opened = Mongo::open(&self.config.documents, &self.root).await;
        opened.context("the document server's address cannot be used")
    }
}

/// The context of what the program does by itself when it starts.
pub fn platform_ctx(ambient: &Ambient) -> PlatformCtx {
    let (request, trace) = (RequestId::new(ambient), Trace::start(ambient));
    PlatformCtx::mint(Actor::System, Role::Operator.grants(), request, trace)
}

/// Waits for Ctrl-C or the service manager's stop.
pub async fn stop_asked() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
