//! Room `store`: what `misy_tenant` really gets from an installation. Everything is asked in
//! transactions that are read-only and rolled back; no row is written, locked or shown.

use tokio_postgres::{Client, SimpleQueryMessage};
use uuid::Uuid;

use super::as_tenants_role;
use super::catalog::Catalog;
use crate::Error;
use crate::roles::RolePasswords;

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What was tried, and on what.
    pub tried: String,
    /// What came of it that should not have; `None` if it went as it must.
    pub leaked: Option<String>,
}

/// What a statement must come to.
#[derive(Clone, Copy)]
enum Must {
    /// No row, although there may be many; or be refused.
    ShowNothing,
    /// Be refused.
    BeRefused,
}

/// How a statement is refused: a setting that was never set, one that is empty, a missing right.
const REFUSALS: [&str; 3] = ["42704", "22P02", "42501"];

/// Tries as `misy_tenant` to get at rows without a tenant, and as a tenant that does not exist.
/// `nobody` is that tenant's id. A table of which one row can be had fails.
pub async fn probe(
    server: &tokio_postgres::Config,
    passwords: &RolePasswords,
    catalog: &Catalog,
    nobody: Uuid,
) -> Result<Vec<Probe>, Error> {
    as_tenants_role(server, passwords, async |client| {
        let mut probes = Vec::new();
        for table in catalog.relations.iter().filter(|table| table.is_table()) {
            let sql = format!("select from {} limit 1", table.name);
            let open = table.rights_of("misy_tenant").iter().any(|one| one == "SELECT");
            let must = if open { Must::ShowNothing } else { Must::BeRefused };
            probes.push(tried(client, "without a tenant", None, &sql, must).await?);
            probes.push(tried(client, "as a tenant of no rows", Some(nobody), &sql, must).await?);
        }
        for sql in [
            "set local role misy_owner",
            "set local role misy_platform",
            "set local session authorization misy_platform",
            "copy (select 1) to program 'true'",
        ] {
            let must = Must::BeRefused;
            probes.push(tried(client, "as a tenant of no rows", Some(nobody), sql, must).await?);
        }
        Ok(probes)
    })
    .await
}

async fn tried(
    client: &Client,
    how: &str,
    tenant: Option<Uuid>,
    sql: &str,
    must: Must,
) -> Result<Probe, Error> {
    let context = tenant.map(|id| format!("; set local misy.tenant = '{id}'")).unwrap_or_default();
    client.batch_execute(&format!("begin read only{context}")).await?;
    let outcome = client.simple_query(sql).await;
    client.batch_execute("rollback").await?;
    let leaked = match outcome {
        Ok(rows) if matches!(must, Must::ShowNothing) => {
            rows.iter().any(is_row).then(|| "rows of tenants were shown".to_owned())
        }
        Ok(_) => Some("it was allowed".to_owned()),
        Err(error) => match error.code() {
            Some(state) if REFUSALS.contains(&state.code()) => None,
            Some(_) => Some(format!("another error: {error}")),
            None => return Err(error.into()),
        },
    };
    Ok(Probe { tried: format!("{sql} {how}"), leaked })
}

fn is_row(message: &SimpleQueryMessage) -> bool {
    matches!(message, SimpleQueryMessage::Row(_))
}
