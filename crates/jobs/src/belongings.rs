//! Room `jobs`: what the queue holds of one tenant, to be counted and to be removed with it.

use misy_core::id::TypedId;
use misy_core::{PlatformCtx, TenantId};
use misy_store::{Db, Error};

const COUNT: &str = "
    select (select count(*) from jobs where owner = $1) as jobs,
        (select count(*) from dead_letters where owner = $1) as dead_letters";

const REMOVE_JOBS: &str = "
    delete from jobs where id in (select id from jobs where owner = $1 limit 10000)";

const REMOVE_DEAD_LETTERS: &str = "
    delete from dead_letters
    where id in (select id from dead_letters where owner = $1 limit 10000)";

/// How many jobs and dead letters a tenant has.
pub async fn count(db: &Db, ctx: &PlatformCtx, tenant: TenantId) -> Result<(i64, i64), Error> {
    let mut tx = db.platform_read(ctx).await?;
    let row = tx.query_opt(COUNT, &[&tenant.uuid()]).await?;
    Ok(row.map_or((0, 0), |row| (row.get("jobs"), row.get("dead_letters"))))
}

/// Removes all of them, those that run included: their ends find nothing to enter.
pub async fn remove(db: &Db, ctx: &PlatformCtx, tenant: TenantId) -> Result<(), Error> {
    for sql in [REMOVE_JOBS, REMOVE_DEAD_LETTERS] {
        loop {
            // The queue's turn: no claim is under way while its rows go.
            let mut tx = db.queue(ctx).await?;
            let removed = tx.execute(sql, &[&tenant.uuid()]).await?;
            tx.commit().await?;
            if removed == 0 {
                break;
            }
        }
    }
    Ok(())
}
