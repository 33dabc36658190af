//! Room `testkit`: the migrated database that all others are cloned from, made once per set of
//! migrations and server however many test processes ask at once.

use misy_store::{RolePasswords, migrate};
use tokio_postgres::{Client, Config};

use super::execute;

/// Serialises the making of templates on one server; advisory locks belong to a database, so it is
/// taken in the maintenance database.
const LOCK: i64 = 0x6d69_7379_7470_6c00;

/// Names of templates begin with it.
pub(super) const PREFIX: &str = "misy_tpl_";

/// The template of this program's migrations.
pub(super) fn name() -> String {
    format!("{PREFIX}{}", migrate::fingerprint())
}

/// Makes a database like the template, which is made first if it is not there; in the common case
/// that is one look and no lock. Writing every block to the log is the faster way to clone: 40 ms
/// against 70 ms for copying the files between two checkpoints, and it does not disturb other tests
/// as much.
pub(super) async fn clone(
    client: &Client,
    server: &Config,
    passwords: &RolePasswords,
    name: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let template = self::name();
    if !is_there(client, &template).await? {
        client.execute("select pg_advisory_lock($1)", &[&LOCK]).await?;
        if !is_there(client, &template).await? {
            make(server, passwords, client, &template).await?;
        }
        client.execute("select pg_advisory_unlock($1)", &[&LOCK]).await?;
    }
    let clone = format!("create database {name} template {template} strategy wal_log");
    Ok(client.batch_execute(&clone).await?)
}

/// Only a complete one is marked as a template.
async fn is_there(client: &Client, name: &str) -> Result<bool, tokio_postgres::Error> {
    let sql = "select 1 from pg_database where datname = $1 and datistemplate";
    Ok(client.query_opt(sql, &[&name]).await?.is_some())
}

async fn make(
    server: &Config,
    passwords: &RolePasswords,
    client: &Client,
    name: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    client.execute(&format!("drop database if exists {name} with (force)"), &[]).await?;
    client.execute(&format!("create database {name}"), &[]).await?;
    let mut inside = server.clone();
    inside.dbname(name);
    migrate::migrate(&inside, passwords).await?;
    execute(&inside, "vacuum (freeze, analyze)").await?;
    let close = format!("alter database {name} with is_template true allow_connections false");
    client.execute(&close, &[]).await?;
    Ok(())
}
