//! Room `bench`: what deliveries take on disk, so that a month of them can be planned for.

use serde_json::{Value, json};
use tokio_postgres::Config;

use crate::{Failure, sql};

/// Heap, indexes and long values of every day, and how many tries lie in them.
const SIZES: &str = "
    select parent.relname::text as name,
        sum(pg_total_relation_size(leaf.inhrelid))::bigint as bytes
    from pg_inherits as leaf join pg_class as parent on parent.oid = leaf.inhparent
    where parent.relname in ('webhook_events', 'webhook_deliveries', 'webhook_attempts')
        and parent.relkind = 'p'
    group by parent.relname";
const ATTEMPTS: &str = "select count(*) as number from webhook_attempts";

/// Tries of a month at a thousand a second.
const MONTH: f64 = 1_000.0 * 86_400.0 * 30.0;

/// Bytes a try of each table, and a month at a thousand a second.
pub(super) async fn measure(server: &Config) -> Result<Value, Failure> {
    let (sizes, attempts) = sql::with(server, async |client| {
        let attempts: i64 = client.query_one(ATTEMPTS, &[]).await?.get("number");
        Ok((client.query(SIZES, &[]).await?, attempts.max(1)))
    })
    .await?;
    let mut found = json!({ "attempts": attempts });
    let mut all = 0.0;
    for row in sizes {
        let bytes: i64 = row.get("bytes");
        let each = bytes as f64 / attempts as f64;
        found[row.get::<_, String>("name")] = each.into();
        all += each;
    }
    found["bytes_per_attempt"] = all.into();
    found["gib_per_month_at_1000_per_s"] = (all * MONTH / f64::from(1 << 30)).into();
    Ok(found)
}
