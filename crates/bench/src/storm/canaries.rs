//! Room `bench`: the canaries of the storm: a text in each row that says whose it is.

use misy_core::TenantId;
use misy_core::id::TypedId;
use tokio_postgres::Config;
use uuid::Uuid;

use crate::{Failure, sql};

/// What is written by a transaction that is never committed.
pub(super) const NEVER: &str = "never ";

/// Eight rows a tenant. The text is the tenant's id, so that a row can be judged by itself.
const PLANT: &str = "
    insert into contacts (tenant_id, id, display_name)
    select tenant, gen_random_uuid(), 'canary ' || tenant
    from (select ('00000000-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid as tenant
          from generate_series(0, $1::bigint - 1) number) tenants, generate_series(1, 8)";

const FOREIGN: &str = "
    select count(*) from contacts
    where right(display_name, 36) is distinct from tenant_id::text";

const UNCOMMITTED: &str = "select count(*) from contacts where starts_with(display_name, 'never ')";

const OPEN: &str = "
    select count(*) from pg_stat_activity
    where datname = current_database() and usename = 'misy_tenant' and state <> 'idle'";

/// What is there when all is over.
pub(super) struct Left {
    /// Rows whose canary is another tenant's.
    pub(super) foreign: u64,
    /// Rows of transactions that were never committed.
    pub(super) uncommitted: u64,
    /// Connections that are still in a transaction.
    pub(super) open: u64,
}

/// A tenant by its number.
pub(super) fn tenant(number: u64) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(0x7000_8000_0000_0000_0000 | u128::from(number)))
}

/// The text that rows of a tenant carry.
pub(super) fn of(tenant: TenantId) -> String {
    format!("canary {}", tenant.uuid())
}

pub(super) async fn plant(server: &Config, tenants: usize) -> Result<(), Failure> {
    let tenants = i64::try_from(tenants)?;
    sql::with(server, async |client| Ok(client.execute(PLANT, &[&tenants]).await?)).await?;
    sql::run(server, "vacuum (analyze) contacts").await
}

/// Looks as the administrator, whom no policy binds. What was rolled back a moment ago may need one
/// more to be seen as over.
pub(super) async fn look(server: &Config) -> Result<Left, Failure> {
    sql::with(server, async |client| {
        let count = async |sql: &str| -> Result<u64, Failure> {
            Ok(u64::try_from(client.query_one(sql, &[]).await?.get::<_, i64>(0))?)
        };
        for _ in 0..100 {
            if count(OPEN).await? == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let (foreign, uncommitted) = (count(FOREIGN).await?, count(UNCOMMITTED).await?);
        Ok(Left { foreign, uncommitted, open: count(OPEN).await? })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_ends_with_its_tenant() {
        let canary = of(tenant(0xabc));
        assert_eq!(canary, "canary 00000000-0000-7000-8000-000000000abc");
        assert_eq!(canary[canary.len() - 36..], tenant(0xabc).uuid().to_string());
    }
}
