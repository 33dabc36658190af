//! Room `bench`: the tenants and rows that the measured statements meet, and the door to them.

use misy_core::id::TypedId;
use misy_core::{Ctx, Grants, PlatformCtx, TenantId};
use misy_store::{Config, Db, TenantTx};
use tokio_postgres::Config as Server;
use uuid::Uuid;

use super::turns::AT_ONCE;
use super::{Settings, rows};
use crate::{Failure, sql};

/// Numbers of messages between the first of one conversation and the first of the next.
const SPAN: usize = 62_500;

/// How many messages the first tenant has, where there are a million or more in all.
const LARGE: usize = 400_000;
/// Of 25 messages so many are its at most, which are 400,000 of a million.
const LARGE_OF_25_MAX: usize = 10;

/// Of 25 messages so many belong to the first tenant.
fn large_of_25(size: usize) -> usize {
    (LARGE * 25).div_ceil(size.max(1)).clamp(1, LARGE_OF_25_MAX)
}

/// The numbers of messages begin here, so that ids of one length sort by number.
const FIRST: usize = 1;

/// Words of every message: one that all have, some that many, few and very few have, one of its
/// own.
const INSERT: &str = "
    set session_replication_role = replica; set synchronous_commit = off;
    insert into messages (tenant_id, id, conversation_id, channel_id, direction, author_kind,
        content, status, status_at, external_id)
    select lpad(to_hex(owner), 32, '0')::uuid,
        ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
        ('00000000-0000-7000-8001-' || lpad(to_hex(n / $span), 12, '0'))::uuid,
        lpad(to_hex(owner), 32, '0')::uuid, 'inbound', 'contact',
        jsonb_build_object('type', 'text', 'text', concat_ws(' ', 'hello',
            case when n % 17 = 0 then 'often' end, case when n % 103 = 0 then 'sometimes' end,
            case when n % 1009 = 0 then 'seldom' end, 'order' || n,
            'w' || n * 7919 % 20011, 'w' || n * 104729 % 20011, 'w' || n * 1299709 % 4001,
            'w' || n * 15485863 % 997, 'w' || n * 32452843 % 101)),
        'read', '{}', 'wamid.' || n
    from (select n, case when n % 25 < $large then 1 else 2 + n % ($tenants - 1) end as owner
        from generate_series($from::bigint, $to) n) as numbered";

/// What the messages belong to, and room for the floor's own writes.
const PARENTS: &str = "
    set session_replication_role = replica; set synchronous_commit = off;
    insert into channels (tenant_id, id, kind, name, external_id, settings, credentials)
    select lpad(to_hex(k), 32, '0')::uuid, lpad(to_hex(k), 32, '0')::uuid, 'whatsapp', 'x', k::text,
        '{}', '' from generate_series(1, $tenants) k;
    insert into contacts (tenant_id, id)
    select lpad(to_hex(k), 32, '0')::uuid,
        ('00000000-0000-7000-8001-' || lpad(to_hex(c), 12, '0'))::uuid
    from generate_series(1, $tenants) k, generate_series(0, greatest($size / $span, 160)) c;
    insert into conversations (tenant_id, id, contact_id, channel_id)
    select tenant_id, id, id, tenant_id from contacts";

/// What the tenant's role is, but that no policy binds it.
const UNBOUND: &str = "misy_bench_unbound";

/// The door, and how many rows there are behind it.
pub(super) struct Stage {
    /// The program's own way in; the platform's role is the floor's.
    pub(super) db: Db,
    pub(super) floor: PlatformCtx,
    server: Server,
    tenants: usize,
    size: usize,
    large_of_25: usize,
}

/// A message that is there, with the tenant and the conversation it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) tenant: Uuid,
    pub(super) message: Uuid,
    pub(super) conversation: Uuid,
}

impl Stage {
    /// Makes the database's schema and what messages belong to.
    pub(super) async fn set(settings: &Settings, server: &Server) -> Result<Self, Failure> {
        misy_store::migrate::migrate(server, &settings.passwords).await?;
        let name = server.get_dbname().unwrap_or_default();
        // Without waiting for the disk the statements' own cost is seen, and not hidden behind it.
        let prepare = format!(
            "alter role misy_platform bypassrls;
             grant select, insert, update on messages, message_attempts, contacts, conversations
                to misy_platform;
             grant execute on function misy_tenant_words(uuid, tsvector) to misy_platform;
             drop role if exists {UNBOUND};
             create role {UNBOUND} bypassrls role misy_tenant;
             grant select, insert, update on messages, message_attempts, contacts, conversations
                to {UNBOUND};
             alter database {name} set synchronous_commit = off;
             drop index messages_words_idx"
        );
        sql::run(server, &prepare).await?;
        let tenants = settings.tenants.max(2);
        let parents = PARENTS
            .replace("$tenants", &tenants.to_string())
            .replace("$size", &settings.size.to_string())
            .replace("$span", &SPAN.to_string());
        sql::run(server, &parents).await?;
        let pools = Config {
            tenant_connections: AT_ONCE,
            tenant_connections_per_tenant: AT_ONCE,
            platform_connections: AT_ONCE,
            ..Config::default()
        };
        let db = Db::open(server, &settings.passwords, &pools, settings.ambient.clone());
        let (floor, large_of_25) = (settings.ctx.clone(), large_of_25(settings.size));
        Ok(Self { db, floor, server: server.clone(), tenants, size: 0, large_of_25 })
    }

    /// Lets commits of every connection wait for the disk or not.
    pub(super) async fn wait_for_disk(&self, wait: bool) -> Result<(), Failure> {
        let set = format!("set synchronous_commit = {}", if wait { "on" } else { "off" });
        let mut open = Vec::new();
        for _ in 0..AT_ONCE {
            let mut tx = self.db.platform(&self.floor).await?;
            tx.execute(&set, &[]).await?;
            open.push(tx);
        }
        for tx in open {
            tx.commit().await?;
        }
        self.on_every_connection(async |tx| Ok(tx.execute(&set, &[]).await.map(drop)?)).await
    }

    /// Lets all connections of the door out of the policies. They stay the same: two that do the
    /// same work differ by more than policies cost.
    pub(super) async fn unbind(&self) -> Result<(), Failure> {
        self.on_every_connection(async |tx| {
            tx.execute(&format!("set role {UNBOUND}"), &[]).await?;
            Ok(())
        })
        .await
    }

    /// Puts them back under policies; an error if one was under them all the time, as one that was
    /// opened in between.
    pub(super) async fn bind(&self) -> Result<(), Failure> {
        self.on_every_connection(async |tx| {
            let role = tx.query("select current_user::text", &[]).await?;
            if role.first().is_none_or(|row| row.get::<_, &str>(0) != UNBOUND) {
                return Err("policies were back".into());
            }
            tx.execute("set role none", &[]).await?;
            Ok(())
        })
        .await
    }

    async fn on_every_connection(
        &self,
        work: impl AsyncFn(&mut TenantTx) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let ctx = self.ctx(rows::tenant(1));
        let mut open = Vec::new();
        for _ in 0..AT_ONCE {
            let mut tx = self.db.tenant(&ctx).await?;
            work(&mut tx).await?;
            open.push(tx);
        }
        // The first one is the last to go back, and so the next to be lent again. A role outlives
        // the transaction that is committed.
        for tx in open.into_iter().rev() {
            tx.commit().await?;
        }
        Ok(())
    }

    /// Adds messages until there are so many.
    pub(super) async fn grow(&mut self, size: usize) -> Result<(), Failure> {
        let insert = INSERT
            .replace("$from", &(self.size + FIRST).to_string())
            .replace("$to", &size.to_string())
            .replace("$tenants", &self.tenants.to_string())
            .replace("$large", &self.large_of_25.to_string())
            .replace("$span", &SPAN.to_string());
        sql::run(&self.server, &insert).await?;
        self.size = size;
        self.settle().await
    }

    /// Makes the index of words, which is faster over all rows than row by row, and fills what
    /// other statements read.
    pub(super) async fn index_words(&self) -> Result<(), Failure> {
        let index = "set maintenance_work_mem = '1GB';
            create index messages_words_idx on messages
                using gin (misy_tenant_words(tenant_id, words))
                with (gin_pending_list_limit = 256)";
        sql::run(&self.server, index).await?;
        sql::run(&self.server, &rows::fill(self.tenants, 20.max(8_000 / self.tenants))).await?;
        self.settle().await
    }

    async fn settle(&self) -> Result<(), Failure> {
        sql::run(&self.server, "vacuum (analyze)").await?;
        sql::run(&self.server, "checkpoint").await
    }

    /// The context of a tenant.
    pub(super) fn ctx(&self, tenant: Uuid) -> Ctx {
        self.floor.enter(TenantId::from_uuid(tenant), Grants::NONE)
    }

    /// How many messages the largest tenant has.
    pub(super) fn largest(&self) -> usize {
        self.size * self.large_of_25 / 25
    }

    /// The message of a number, which wraps at the number of rows.
    pub(super) fn spot(&self, number: u64) -> Spot {
        let number = FIRST + number as usize % self.size;
        let owner =
            if number % 25 < self.large_of_25 { 1 } else { 2 + number % (self.tenants - 1) };
        Spot {
            tenant: rows::tenant(owner),
            message: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | number as u128),
            conversation: Uuid::from_u128(
                0x0000_0000_0000_7000_8001_0000_0000_0000 | (number / SPAN) as u128,
            ),
        }
    }

    /// A new id.
    pub(super) fn id(&self) -> Uuid {
        self.db.ambient().uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_a_million_messages_on_one_tenant_has_400_000_and_below_its_share() {
        for size in [1_000_000, 5_000_000, 10_000_000] {
            assert_eq!(size * large_of_25(size) / 25, LARGE, "{size}");
        }
        assert_eq!(300_000 * large_of_25(300_000) / 25, 120_000);
        assert_eq!(large_of_25(0), LARGE_OF_25_MAX);
    }
}
