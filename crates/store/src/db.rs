//! Room `store`: the door to the database. Two pools, one a role; no way in without a context.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, PoolError, RecyclingMethod, Runtime};
use futures_util::{StreamExt, join};
use misy_core::id::TypedId;
use misy_core::{Ambient, Ctx, PlatformCtx};
use serde::{Deserialize, Serialize};
use tokio_postgres::AsyncMessage;

use crate::idempotency;
use crate::roles::{DbRole, RolePasswords};
use crate::session::{Mode, Session};
use crate::tx::{PlatformTx, TenantTx};
use crate::{Error, Wake, queue, tls, wake};

/// How the program uses the database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Connections for work inside tenants.
    pub tenant_connections: usize,
    /// Connections for work across tenants: routing, the queue, sweeps.
    pub platform_connections: usize,
    /// How long a request waits for a connection before it is answered 503, in milliseconds.
    pub wait_ms: u64,
    /// How long one statement may run, in milliseconds.
    pub statement_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tenant_connections: 24,
            platform_connections: 8,
            wait_ms: 5_000,
            statement_ms: 30_000,
        }
    }
}

type Pool = deadpool_postgres::Pool;

struct Inner {
    tenant: Pool,
    platform: Pool,
    listener: tokio_postgres::Config,
    ambient: Ambient,
    wake: Wake,
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Db")
    }
}

impl Db {
    /// Opens the pools; connects to nothing yet. `server` names host, port and database; user and
    /// password are the roles' own. With `sslmode=require` the server's certificate is verified.
    pub fn open(
        server: &tokio_postgres::Config,
        passwords: &RolePasswords,
        config: &Config,
        ambient: Ambient,
    ) -> Self {
        let pool = |role, size| pool(server, passwords, config, role, size);
        Self(Arc::new(Inner {
            tenant: pool(DbRole::Tenant, config.tenant_connections),
            platform: pool(DbRole::Platform, config.platform_connections),
            listener: sign_in(server, passwords, DbRole::Platform),
            ambient,
            wake: Wake::default(),
        }))
    }

    /// A transaction inside the context's tenant. Nothing is sent until its first statement.
    pub async fn tenant(&self, ctx: &Ctx) -> Result<TenantTx, Error> {
        let session = match idempotency::take_prepared(ctx.tenant()).await? {
            Some(session) => session,
            None => self.tenant_session(ctx, Mode::Whole).await?,
        };
        Ok(TenantTx::new(self.clone(), session, ctx.clone()))
    }

    /// Reads inside the context's tenant, each statement on its own and in one round trip.
    pub async fn read(&self, ctx: &Ctx) -> Result<TenantTx, Error> {
        idempotency::settle().await?;
        let session = self.tenant_session(ctx, Mode::Each).await?;
        Ok(TenantTx::new(self.clone(), session, ctx.clone()))
    }

    /// A transaction across tenants, on control tables only.
    pub async fn platform(&self, ctx: &PlatformCtx) -> Result<PlatformTx, Error> {
        let session = match idempotency::take_prepared_platform().await? {
            Some(session) => session,
            None => self.platform_session(Mode::Whole).await?,
        };
        Ok(PlatformTx::new(self.clone(), session, ctx.clone()))
    }

    /// Reads across tenants, each statement on its own and in one round trip.
    pub async fn platform_read(&self, ctx: &PlatformCtx) -> Result<PlatformTx, Error> {
        idempotency::settle().await?;
        let session = self.platform_session(Mode::Each).await?;
        Ok(PlatformTx::new(self.clone(), session, ctx.clone()))
    }

    /// The queue's turn: a transaction across tenants that only one worker of all processes is in
    /// at a time, so that it sees the queue as it is. For `misy_jobs`.
    pub async fn queue(&self, ctx: &PlatformCtx) -> Result<PlatformTx, Error> {
        let client = connection(&self.0.platform).await?;
        let session = Session::new(client, queue::BEGIN.to_owned(), Mode::Whole);
        Ok(PlatformTx::new(self.clone(), session, ctx.clone()))
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut session = self.platform_session(Mode::Each).await?;
        session.query("select 1", &[]).await.map(drop)
    }

    /// Hears of commits that enqueued jobs.
    pub fn wake(&self) -> &Wake {
        &self.0.wake
    }

    /// Clock, entropy and ids.
    pub fn ambient(&self) -> &Ambient {
        &self.0.ambient
    }

    /// Hears of jobs that other processes commit, until the connection ends; never gives `Ok`.
    pub async fn listen(&self) -> Result<Never, Error> {
        let (client, mut connection) = tls::connect(&self.0.listener)
            .await
            .map_err(|error| Error::Unavailable(Box::new(error)))?;
        let mut messages = futures_util::stream::poll_fn(|cx| connection.poll_message(cx));
        let subscribe = client.batch_execute(wake::LISTEN);
        let hear = async {
            while let Some(message) = messages.next().await {
                if matches!(message?, AsyncMessage::Notification(_)) {
                    self.wake().signal_from_afar();
                }
            }
            Ok::<(), tokio_postgres::Error>(())
        };
        let (subscribed, heard) = join!(subscribe, hear);
        subscribed?;
        heard?;
        Err(Error::Unavailable("the listening connection was closed".into()))
    }

    /// Tells other processes that this one has committed jobs since the last time.
    pub async fn tell(&self) -> Result<(), Error> {
        let mut session = self.platform_session(Mode::Whole).await?;
        session.execute(wake::NOTIFY, &[]).await?;
        session.commit(Vec::new()).await
    }

    pub(crate) async fn tenant_session(&self, ctx: &Ctx, mode: Mode) -> Result<Session, Error> {
        let begin = format!(
            "{}; SET LOCAL misy.tenant = '{}'",
            begin(mode),
            ctx.tenant().uuid().hyphenated()
        );
        Ok(Session::new(connection(&self.0.tenant).await?, begin, mode))
    }

    pub(crate) async fn platform_session(&self, mode: Mode) -> Result<Session, Error> {
        Ok(Session::new(connection(&self.0.platform).await?, begin(mode).to_owned(), mode))
    }
}

/// The answer of what never ends well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Never {}

const fn begin(mode: Mode) -> &'static str {
    match mode {
        Mode::Whole => "BEGIN",
        Mode::Each => "BEGIN READ ONLY",
    }
}

pub(crate) fn sign_in(
    server: &tokio_postgres::Config,
    passwords: &RolePasswords,
    role: DbRole,
) -> tokio_postgres::Config {
    let mut server = server.clone();
    server.user(role.name());
    server.password(passwords.of(role).expose());
    server.application_name(role.name());
    server.connect_timeout(Duration::from_secs(5));
    server
}

async fn connection(pool: &Pool) -> Result<Object, Error> {
    pool.get().await.map_err(|error| match error {
        PoolError::Backend(error) => Error::Unavailable(Box::new(error)),
        other => Error::Unavailable(Box::new(other)),
    })
}

fn pool(
    server: &tokio_postgres::Config,
    passwords: &RolePasswords,
    config: &Config,
    role: DbRole,
    size: usize,
) -> Pool {
    let mut server = sign_in(server, passwords, role);
    server.options(format!(
        "-c statement_timeout={} -c idle_in_transaction_session_timeout=30000 -c timezone=UTC",
        config.statement_ms
    ));
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let connector = tls::connector(&server);
    Pool::builder(Manager::from_config(tls::settled(&server), connector, manager))
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_millis(config.wait_ms)))
        .create_timeout(Some(Duration::from_secs(5)))
        .build()
        .expect("time-outs are given together with a runtime, which is all that is checked")
}
