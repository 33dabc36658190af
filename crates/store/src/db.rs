//! Room `store`: the door to the database. Two pools, one a role; no way in without a context.

use std::sync::Arc;

use futures_util::{StreamExt, join};
use misy_core::error::Fault;
use misy_core::id::TypedId;
use misy_core::{Ambient, Ctx, PlatformCtx};
use serde::{Deserialize, Serialize};
use tokio_postgres::AsyncMessage;
use uuid::Uuid;

use crate::idempotency;
use crate::pools::{Pool, sign_in};
use crate::roles::{DbRole, RolePasswords};
use crate::seats::Hold;
use crate::session::{Mode, Session};
use crate::tx::{PlatformTx, TenantTx};
use crate::{Bars, Error, Precedence, Wake, queue, tls, wake};

/// How the program uses the database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Connections for work inside tenants.
    pub tenant_connections: usize,
    /// How many of them one tenant may have at once; the rest is always there for others.
    pub tenant_connections_per_tenant: usize,
    /// Connections for work across tenants: routing, the queue, sweeps.
    pub platform_connections: usize,
    /// How many connections of a pool requests with an `Idempotency-Key` may hold, each for its
    /// whole length. Those of one tenant, and those of one pool, always leave one to others.
    pub keyed_connections: usize,
    /// How long a request waits for a connection before it is answered 503, in milliseconds.
    pub wait_ms: u64,
    /// How many may wait for a connection of a pool; one more is answered 503 at once.
    pub waiting: usize,
    /// How many of one tenant may wait.
    pub waiting_per_tenant: usize,
    /// How long one statement may run, in milliseconds.
    pub statement_ms: u64,
    /// How long a transaction may be open without a statement, in milliseconds; then its connection
    /// is closed.
    pub idle_in_transaction_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tenant_connections: 24,
            tenant_connections_per_tenant: 16,
            platform_connections: 8,
            keyed_connections: 12,
            wait_ms: 5_000,
            waiting: 4_096,
            waiting_per_tenant: 1_024,
            statement_ms: 30_000,
            idle_in_transaction_ms: 30_000,
        }
    }
}

impl Config {
    /// Every value that cannot work, with its pointer.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let amounts = [
            ("/tenant_connections", self.tenant_connections),
            ("/tenant_connections_per_tenant", self.tenant_connections_per_tenant),
            ("/platform_connections", self.platform_connections),
            ("/keyed_connections", self.keyed_connections),
        ];
        let zeros = amounts.into_iter().filter(|(_, amount)| *amount == 0);
        let least = "has to be at least 1";
        let mut faults: Vec<_> = zeros.map(|(name, _)| fault(name, least)).collect();
        if self.tenant_connections_per_tenant > self.tenant_connections {
            let most = "has to be at most tenant_connections";
            faults.push(fault("/tenant_connections_per_tenant", most));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

fn fault(pointer: &str, detail: &str) -> Fault {
    Fault { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

/// How a transaction for deliveries begins. Its statements are planned once: with arrays of another
/// length each time, the planner would plan each anew, which takes longer than running it.
const GATEWAY: &str = "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; \
    SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL jit = off";

struct Inner {
    tenant: Pool,
    platform: Pool,
    listener: tokio_postgres::Config,
    ambient: Ambient,
    wake: Wake,
    parcel_wake: Wake,
    precedence: Precedence,
    bars: Bars,
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
        let precedence = Precedence::new(config.tenant_connections / 4);
        let pool = |role| Pool::open(server, passwords, config, role, precedence.clone());
        let wake = Wake::default();
        Self(Arc::new(Inner {
            tenant: pool(DbRole::Tenant),
            platform: pool(DbRole::Platform),
            listener: sign_in(server, passwords, DbRole::Platform),
            ambient,
            parcel_wake: wake.beside(),
            wake,
            precedence,
            bars: Bars::default(),
        }))
    }

    /// A transaction inside the context's tenant. Nothing is sent until its first statement.
    pub async fn tenant(&self, ctx: &Ctx) -> Result<TenantTx, Error> {
        self.0.bars.check(ctx)?;
        let session = match idempotency::take_prepared(ctx.tenant()).await? {
            Some(session) => session,
            None => self.tenant_session(ctx, Mode::Whole, Hold::Brief).await?,
        };
        Ok(TenantTx::new(self.clone(), session, ctx.clone()))
    }

    /// Reads inside the context's tenant, each statement on its own and in one round trip.
    pub async fn read(&self, ctx: &Ctx) -> Result<TenantTx, Error> {
        self.0.bars.check(ctx)?;
        idempotency::settle().await?;
        let session = self.tenant_session(ctx, Mode::Each, Hold::Brief).await?;
        Ok(TenantTx::new(self.clone(), session, ctx.clone()))
    }

    /// A transaction inside the context's tenant that is never the opened one of a keyed request,
    /// whose end is the answer's.
    pub(crate) async fn tenant_apart(&self, ctx: &Ctx) -> Result<TenantTx, Error> {
        let session = self.tenant_session(ctx, Mode::Whole, Hold::Brief).await?;
        Ok(TenantTx::new(self.clone(), session, ctx.clone()))
    }

    /// The same with a statement right after its `BEGIN`.
    pub(crate) async fn tenant_after(&self, ctx: &Ctx, first: &str) -> Result<TenantTx, Error> {
        let mut session = self.tenant_session(ctx, Mode::Whole, Hold::Brief).await?;
        session.begin_with(first);
        Ok(TenantTx::new(self.clone(), session, ctx.clone()))
    }

    /// A transaction across tenants, on control tables only.
    pub async fn platform(&self, ctx: &PlatformCtx) -> Result<PlatformTx, Error> {
        let session = match idempotency::take_prepared_platform().await? {
            Some(session) => session,
            None => self.platform_session(Mode::Whole, Hold::Brief).await?,
        };
        Ok(PlatformTx::new(self.clone(), session, ctx.clone()))
    }

    /// Reads across tenants, each statement on its own and in one round trip.
    pub async fn platform_read(&self, ctx: &PlatformCtx) -> Result<PlatformTx, Error> {
        idempotency::settle().await?;
        let session = self.platform_session(Mode::Each, Hold::Brief).await?;
        Ok(PlatformTx::new(self.clone(), session, ctx.clone()))
    }

    /// A transaction across tenants for what providers deliver. It asks small questions of large
    /// tables whose size changes faster than their statistics, so the planner gets no choice.
    pub async fn gateway(&self, ctx: &PlatformCtx) -> Result<PlatformTx, Error> {
        let client = self.0.platform.lend(Uuid::nil(), Hold::Brief).await?;
        let session = Session::new(client, GATEWAY.to_owned(), Mode::Whole);
        Ok(PlatformTx::new(self.clone(), session, ctx.clone()))
    }

    /// The queue's turn: a transaction across tenants that only one worker of all processes is in
    /// at a time, so that it sees the queue as it is. For `misy_jobs`.
    pub async fn queue(&self, ctx: &PlatformCtx) -> Result<PlatformTx, Error> {
        let client = self.0.platform.lend(Uuid::nil(), Hold::Brief).await?;
        let session = Session::new(client, queue::BEGIN.to_owned(), Mode::Whole);
        Ok(PlatformTx::new(self.clone(), session, ctx.clone()))
    }

    /// The same for parcels. For `misy_jobs`.
    pub async fn parcels(&self, ctx: &PlatformCtx) -> Result<PlatformTx, Error> {
        let client = self.0.platform.lend(Uuid::nil(), Hold::Brief).await?;
        let session = Session::new(client, queue::BEGIN_PARCELS.to_owned(), Mode::Whole);
        Ok(PlatformTx::new(self.clone(), session, ctx.clone()))
    }

    /// A transaction inside the tenant whose loss does no harm if the server crashes right after
    /// it: it does not wait for the disk. For work that would only be done once more.
    pub async fn tenant_lightly(&self, ctx: &Ctx) -> Result<TenantTx, Error> {
        self.tenant_after(ctx, queue::LIGHTLY).await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut session = self.platform_session(Mode::Each, Hold::Brief).await?;
        session.query("select 1", &[]).await.map(drop)
    }

    /// Hears of commits that enqueued jobs.
    pub fn wake(&self) -> &Wake {
        &self.0.wake
    }

    /// Tenants into which this process leads nobody.
    pub fn bars(&self) -> &Bars {
        &self.0.bars
    }

    /// Hears of commits that put parcels up.
    pub fn parcel_wake(&self) -> &Wake {
        &self.0.parcel_wake
    }

    /// Says what goes first when there is not enough of the machine for all.
    pub fn precedence(&self) -> &Precedence {
        &self.0.precedence
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
                    self.parcel_wake().signal_from_afar();
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
        let mut session = self.platform_session(Mode::Whole, Hold::Brief).await?;
        session.execute(wake::NOTIFY, &[]).await?;
        session.commit(Vec::new()).await.map(drop)
    }

    /// The pool below the door, for tests of what is left on its connections.
    #[cfg(test)]
    pub(crate) fn tenant_pool(&self) -> &Pool {
        &self.0.tenant
    }

    pub(crate) async fn tenant_session(
        &self,
        ctx: &Ctx,
        mode: Mode,
        hold: Hold,
    ) -> Result<Session, Error> {
        let tenant = ctx.tenant().uuid();
        let begin = format!("{}; SET LOCAL misy.tenant = '{}'", begin(mode), tenant.hyphenated());
        let lent = self.0.tenant.lend(tenant, hold).await?;
        Ok(Session::new(lent, begin, mode).of_tenant(ctx.tenant()))
    }

    pub(crate) async fn platform_session(&self, mode: Mode, hold: Hold) -> Result<Session, Error> {
        let client = self.0.platform.lend(Uuid::nil(), hold).await?;
        Ok(Session::new(client, begin(mode).to_owned(), mode))
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
