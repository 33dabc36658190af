//! Room `store`: a database, a door to it and rows to write, for tests of transactions.

use misy_core::id::TypedId;
use misy_core::{Ctx, Role, TenantId};
use misy_store::{Config, Db, Error, TenantTx};
use misy_testkit::{TestDatabase, ambient};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::wire::wire;

const INSERT: &str = "insert into contacts (tenant_id, id, display_name) values ($1, $2, 'x')";
const COUNT: &str = "select count(*) from contacts where tenant_id = $1";

/// A database and a door to it with as many connections as a test needs.
pub(crate) struct Stage {
    pub(crate) database: TestDatabase,
    pub(crate) db: Db,
}

impl Stage {
    /// With one connection a role: whoever comes next gets the one that was used before.
    pub(crate) async fn narrow() -> Self {
        let database = TestDatabase::create().await;
        let config = Config {
            tenant_connections: 1,
            platform_connections: 1,
            wait_ms: 20_000,
            ..Config::default()
        };
        let db = open(&database, &config);
        Self { database, db }
    }

    pub(crate) async fn wide() -> Self {
        let database = TestDatabase::create().await;
        let db = database.db(ambient());
        Self { database, db }
    }

    pub(crate) async fn tenant(&self, number: u128) -> TenantTx {
        self.db.tenant(&ctx(number)).await.expect("a connection")
    }

    pub(crate) async fn read(&self, number: u128) -> TenantTx {
        self.db.read(&ctx(number)).await.expect("a connection")
    }

    pub(crate) async fn contacts(&self, number: u128) -> i64 {
        count(&mut self.read(number).await).await
    }

    /// Looks as the superuser, whom no policy binds.
    pub(crate) async fn look(&self, sql: &str) -> Vec<Row> {
        wire(self.database.superuser()).await.query(sql, &[]).await.expect("the statement runs")
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.look(sql).await[0].get(0)
    }
}

pub(crate) fn open(database: &TestDatabase, config: &Config) -> Db {
    Db::open(database.superuser(), database.passwords(), config, ambient())
}

pub(crate) fn ctx(number: u128) -> Ctx {
    misy_testkit::ctx(TenantId::from_uuid(Uuid::from_u128(number)), Role::Owner)
}

pub(crate) async fn count(tx: &mut TenantTx) -> i64 {
    let tenant = tx.tenant();
    tx.query(COUNT, &[&tenant]).await.expect("it counts")[0].get(0)
}

pub(crate) async fn try_add(tx: &mut TenantTx, id: u128) -> Result<u64, Error> {
    let tenant = tx.tenant();
    tx.execute(INSERT, &[&tenant, &Uuid::from_u128(id)]).await
}

pub(crate) async fn add(tx: &mut TenantTx, id: u128) {
    assert_eq!(try_add(tx, id).await.expect("it is written"), 1);
}
