//! Room `store`: which tables a room keeps for its tenants, so that all of a tenant can be counted,
//! taken along and removed. A test holds the lists of all rooms against the catalog: a table that
//! is in none, or in two, does not pass.

use async_trait::async_trait;
use misy_core::Ctx;
use serde_json::Value;

use crate::{Db, Error};

/// Rows that are removed in one transaction.
const BATCH: i64 = 20_000;

/// Rows that are read at once when they are taken along: as many as fit into memory even if each is
/// as large as a request may be.
const FETCH: &str = "fetch 50 from misy_export";

/// What becomes of a table's rows when their tenant is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They are removed.
    Erased,
    /// They stay: the log of what was done outlives the tenant.
    Retained,
}

/// A table with rows of tenants.
#[derive(Debug, Clone, Copy)]
pub struct TenantTable {
    name: &'static str,
    owner: &'static str,
    fate: Fate,
    secrets: &'static [&'static str],
}

impl TenantTable {
    /// A table whose rows name their tenant in `tenant_id` and go with it. From the program's own
    /// text only: the name becomes part of statements.
    pub const fn new(name: &'static str) -> Self {
        assert!(crate::cache::is_plain_name(name), "a name is 1 to 40 of a-z and _");
        Self { name, owner: "tenant_id", fate: Fate::Erased, secrets: &[] }
    }

    /// The same where another column names the tenant.
    #[must_use]
    pub const fn of(self, owner: &'static str) -> Self {
        assert!(crate::cache::is_plain_name(owner), "a name is 1 to 40 of a-z and _");
        Self { owner, ..self }
    }

    /// The same with columns that are never taken along: keys, hashes, sealed values.
    #[must_use]
    pub const fn without(self, secrets: &'static [&'static str]) -> Self {
        Self { secrets, ..self }
    }

    /// The same with rows that stay.
    #[must_use]
    pub const fn retained(self) -> Self {
        Self { fate: Fate::Retained, ..self }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The columns that are never taken along.
    pub const fn secrets(&self) -> &'static [&'static str] {
        self.secrets
    }

    /// What becomes of its rows.
    pub const fn fate(&self) -> Fate {
        self.fate
    }
}

/// Where rows go that are taken along: a file for each table, a stream.
#[async_trait]
pub trait Sink: Send {
    /// Takes some rows of a table, in no order.
    async fn rows(&mut self, table: &str, rows: Vec<Value>) -> std::io::Result<()>;
}

/// Why data could not be taken along.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database.
    #[error(transparent)]
    Store(#[from] Error),
    /// The other side.
    #[error("the data could not be written")]
    Sink(#[from] std::io::Error),
}

/// What a room keeps of each tenant. Each method works inside the context's tenant, as a role that
/// can reach no other.
#[async_trait]
pub trait TenantData: Send + Sync {
    /// The tables, each before those that its rows refer to.
    fn tables(&self) -> &'static [TenantTable];

    /// The rows of each table.
    async fn count(&self, db: &Db, ctx: &Ctx) -> Result<Vec<(TenantTable, i64)>, Error> {
        count(db, ctx, self.tables()).await
    }

    /// Gives every row to the sink.
    async fn export(&self, db: &Db, ctx: &Ctx, sink: &mut dyn Sink) -> Result<(), ExportError> {
        for table in self.tables() {
            export(db, ctx, table, sink).await?;
        }
        Ok(())
    }

    /// Removes every row that does not outlive its tenant; says how many.
    async fn erase(&self, db: &Db, ctx: &Ctx) -> Result<u64, Error> {
        erase(db, ctx, self.tables()).await
    }
}

/// The tables of the store itself but documents, which have a life of their own.
#[derive(Debug, Clone, Copy)]
pub struct StoreData;

impl TenantData for StoreData {
    fn tables(&self) -> &'static [TenantTable] {
        const TABLES: [TenantTable; 2] = [
            TenantTable::new("idempotency_keys").without(&["headers", "body", "fingerprint"]),
            TenantTable::new("audit_records").retained(),
        ];
        &TABLES
    }
}

/// The rows of each table, by one statement.
pub async fn count(
    db: &Db,
    ctx: &Ctx,
    tables: &[TenantTable],
) -> Result<Vec<(TenantTable, i64)>, Error> {
    let one = |(at, table): (usize, &TenantTable)| {
        let TenantTable { name, owner, .. } = table;
        format!("select {at} as at, count(*) as rows from {name} where {owner} = $1")
    };
    let all: Vec<String> = tables.iter().enumerate().map(one).collect();
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = db.read(ctx).await?;
    let tenant = tx.tenant();
    let mut found = tx.query(&all.join(" union all "), &[&tenant]).await?;
    found.sort_by_key(|row| row.get::<_, i32>("at"));
    Ok(tables.iter().copied().zip(found.iter().map(|row| row.get("rows"))).collect())
}

/// Removes the rows of the tables that are erased, in their order, a batch at a time.
pub async fn erase(db: &Db, ctx: &Ctx, tables: &[TenantTable]) -> Result<u64, Error> {
    let mut removed = 0;
    for table in tables.iter().filter(|table| table.fate == Fate::Erased) {
        let TenantTable { name, owner, .. } = table;
        let sql = format!(
            "delete from {name} where {owner} = $1
             and ctid = any(array(select ctid from {name} where {owner} = $1 limit $2))"
        );
        loop {
            let mut tx = db.tenant(ctx).await?;
            let tenant = tx.tenant();
            let count = tx.execute(&sql, &[&tenant, &BATCH]).await?;
            tx.commit().await?;
            removed += count;
            if count == 0 {
                break;
            }
        }
    }
    Ok(removed)
}

async fn export(
    db: &Db,
    ctx: &Ctx,
    table: &TenantTable,
    sink: &mut dyn Sink,
) -> Result<(), ExportError> {
    let TenantTable { name, owner, secrets, .. } = table;
    let tenant = misy_core::id::TypedId::uuid(ctx.tenant());
    let hidden = secrets.iter().fold(String::new(), |all, column| all + " - '" + column + "'");
    let declare = format!(
        "declare misy_export no scroll cursor for
         select to_jsonb(one){hidden} as row from {name} one where {owner} = '{tenant}'"
    );
    let mut tx = db.tenant(ctx).await?;
    tx.execute(&declare, &[]).await?;
    loop {
        let rows = tx.query(FETCH, &[]).await?;
        if rows.is_empty() {
            return Ok(());
        }
        sink.rows(name, rows.iter().map(|row| row.get("row")).collect()).await?;
    }
}
