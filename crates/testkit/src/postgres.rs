//! Room `testkit`: a real database of its own for each test, cloned from a migrated template in
//! tens of milliseconds.

pub(crate) mod server;
mod sweep;
mod template;

use std::sync::Arc;

use misy_core::crypto::{Key, to_hex};
use misy_core::{Ambient, Entropy};
use misy_store::{Db, DbRole, RolePasswords};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::WallClock;

pub use server::Ready;
pub use sweep::{sweep, sweep_templates};

/// What every failure to get a database ends with.
const ADVICE: &str =
    "run `cargo xtask test`, or `cargo xtask db start` and set MISYBOT_TEST_DATABASE_URL";

/// A database that only this test uses. It is removed by `misy-testdb` once the test's process has
/// ended, off the test's path: dropping a database costs more than cloning one.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    superuser: Config,
    passwords: RolePasswords,
}

impl TestDatabase {
    /// A fresh database with all migrations. Panics with advice if no server is there.
    pub async fn create() -> Self {
        match Self::try_create().await {
            Ok(database) => database,
            Err(error) => panic!("no test database ({}): {ADVICE}", chain(&*error)),
        }
    }

    async fn try_create() -> Result<Self, Box<dyn std::error::Error>> {
        let server = server::find()?;
        let passwords = passwords();
        let name = sweep::new_name(&unpredictable());
        connected(&server, async |client| {
            template::clone(client, &server, &passwords, &name).await
        })
        .await?;
        let mut superuser = server;
        superuser.dbname(&name);
        Ok(Self { superuser, passwords })
    }

    /// The way in for one of the program's roles.
    pub fn config(&self, role: DbRole) -> Config {
        let mut config = self.superuser.clone();
        config.user(role.name()).password(self.passwords.of(role).expose());
        config
    }

    /// The way in for the owner of the tables, whom row-level security binds as well.
    pub fn owner(&self) -> Config {
        let mut config = self.superuser.clone();
        config.options("-c role=misy_owner");
        config
    }

    /// The way in for the superuser, whom nothing binds.
    pub fn superuser(&self) -> &Config {
        &self.superuser
    }

    /// The superuser's address, for a program that is told where its database is.
    pub fn url(&self) -> String {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let (user, name) = (text(self.superuser.get_user()), text(self.superuser.get_dbname()));
        let password = self.superuser.get_password().unwrap_or_default();
        let password = String::from_utf8_lossy(password);
        let host = match self.superuser.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(folder)) => folder.to_string_lossy().replace('/', "%2F"),
            None => "localhost".to_owned(),
        };
        let port = self.superuser.get_ports().first().copied().unwrap_or(5432);
        format!("postgresql://{user}:{password}@{host}:{port}/{name}")
    }

    /// The passwords that the roles of the test server have.
    pub fn passwords(&self) -> &RolePasswords {
        &self.passwords
    }

    /// The program's own door to it, with small pools.
    pub fn db(&self, ambient: Ambient) -> Db {
        let small = misy_store::Config {
            tenant_connections: 8,
            platform_connections: 4,
            ..misy_store::Config::default()
        };
        Db::open(&self.superuser, &self.passwords, &small, ambient)
    }
}

/// The machine's clock and real randomness, for whatever outlives the test: passwords, directories,
/// names on a shared server.
pub fn unpredictable() -> Ambient {
    struct Machine;
    impl Entropy for Machine {
        fn fill(&self, buffer: &mut [u8]) {
            let filled = getrandom::fill(buffer);
            filled.expect("the kernel gives random bytes");
        }
    }
    Ambient::new(Arc::new(WallClock), Arc::new(Machine))
}

/// One root key for all tests: roles belong to the server, not to a database.
fn passwords() -> RolePasswords {
    RolePasswords::derive(&Key::new([0x7e; 32]))
}

/// Runs statements on a connection of their own, each outside a transaction.
async fn execute(config: &Config, sql: &str) -> Result<(), tokio_postgres::Error> {
    connected(config, async |client| client.batch_execute(sql).await).await
}

/// Runs one statement on a connection of its own, below the pools and their roles.
pub async fn query(config: &Config, sql: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
    connected(config, async |client| client.query(sql, &[]).await).await
}

/// Every row of every table as one text a table, for a search in all that is kept. Bytes are in it
/// in hexadecimal.
pub async fn contents(config: &Config) -> Result<Vec<(String, String)>, tokio_postgres::Error> {
    connected(config, async |client| {
        let tables = "
            select relname::text from pg_class
            where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1";
        let mut all = Vec::new();
        for table in client.query(tables, &[]).await? {
            let table: String = table.get(0);
            let rows =
                format!("select coalesce(string_agg(one::text, e'\\n'), '') from {table} one");
            all.push((table, client.query_one(&rows, &[]).await?.get(0)));
        }
        Ok(all)
    })
    .await
}

/// Lends a connection outside the pools for as long as the work takes.
async fn connected<T, E: From<tokio_postgres::Error>>(
    config: &Config,
    work: impl AsyncFnOnce(&Client) -> Result<T, E>,
) -> Result<T, E> {
    let (client, connection) = config.connect(NoTls).await?;
    let driver = async { connection.await.map_err(E::from) };
    let work = async move { work(&client).await };
    let (done, ()) = futures_util::try_join!(work, driver)?;
    Ok(done)
}

/// An error and its reasons in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let reasons = std::iter::successors(Some(error), |error| error.source());
    reasons.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A short unpredictable text for names.
pub(crate) fn random_name(ambient: &Ambient) -> String {
    to_hex(&ambient.bytes::<6>())
}
