//! Room `store`: the only holder of connections. [`Db`] gives a [`TenantTx`] to whoever has a
//! `Ctx` and a [`PlatformTx`] to whoever has a `PlatformCtx`; nothing else leads to a row.
//! Migrations, the embedded PostgreSQL, the tenant handles of cache and documents, and the audit
//! log's writing side.
//!
//! Never: a rule of a feature, JSON of the API.

pub mod audit;
pub mod bars;
pub mod cache;
pub mod db;
pub mod documents;
pub mod embedded;
pub mod error;
pub mod heralds;
pub mod idempotency;
pub mod isolation;
pub mod meter;
pub mod migrate;
pub mod outbox;
pub mod pool_settings;
mod pools;
pub mod precedence;
pub mod queue;
pub mod quota;
pub mod roles;
mod seats;
mod session;
pub mod tenant_data;
mod tls;
pub mod tx;
pub mod vault;
pub mod wake;

pub use audit::Audit;
pub use bars::{Bar, Bars};
pub use cache::{Cache, CacheConfig, Space, TenantCache};
pub use db::{Config, Db};
pub use documents::{Documents, Kind};
pub use error::Error;
pub use heralds::{Herald, News, Silence};
pub use outbox::NewEvent;
pub use precedence::Precedence;
pub use queue::JobRow;
pub use quota::{Limited, Quota, QuotaError, Unlimited};
pub use roles::{DbRole, RolePasswords};
pub use tenant_data::{TenantData, TenantTable};
pub use tx::{PlatformTx, TenantTx};
pub use vault::{TenantKey, Vault};
pub use wake::Wake;

/// A row as the driver gives it; read only in a resource's `store.rs`.
pub use tokio_postgres::Row;
/// A value that can be a parameter of a statement.
pub use tokio_postgres::types::ToSql;
