//! Room `store`: the pools below the door: one a role, each with its seats. What is lent comes back
//! clean or not at all.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, PoolError, QueueMode, RecyclingMethod, Runtime,
};
use uuid::Uuid;

use crate::db::Config;
use crate::precedence::{Aside, Precedence};
use crate::roles::{DbRole, RolePasswords};
use crate::seats::{Hold, Limits, Seat, Seats};
use crate::{Error, tls};

/// How long a statement that nobody waits for any more may keep its connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// The connections of one role.
pub(crate) struct Pool {
    seats: Arc<Seats>,
    connections: deadpool_postgres::Pool,
    connector: tls::Connector,
    precedence: Precedence,
}

impl Pool {
    /// Connects to nothing yet.
    pub(crate) fn open(
        server: &tokio_postgres::Config,
        passwords: &RolePasswords,
        config: &Config,
        role: DbRole,
        precedence: Precedence,
    ) -> Self {
        let mut server = sign_in(server, passwords, role);
        server.options(format!(
            "-c statement_timeout={} -c idle_in_transaction_session_timeout={} -c timezone=UTC",
            config.statement_ms, config.idle_in_transaction_ms
        ));
        let limits = limits(config, role).settled();
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let connector = tls::connector(&server);
        let manager = Manager::from_config(tls::settled(&server), connector.clone(), manager);
        let connections = deadpool_postgres::Pool::builder(manager)
            .max_size(limits.total)
            // The connection that was used last: the server's process behind it has what it needs
            // in the processor's caches, and those of a quiet hour stay asleep.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(limits.patience))
            .create_timeout(Some(Duration::from_secs(5)))
            .build()
            .expect("time-outs are given together with a runtime, which is all that is checked");
        Self { seats: Seats::new(role.pool(), limits), connections, connector, precedence }
    }

    /// Lends a connection when it is the tenant's turn.
    pub(crate) async fn lend(&self, tenant: Uuid, hold: Hold) -> Result<Lent, Error> {
        let aside = self.precedence.step_aside().await;
        let seat = self.seats.take(tenant, hold).await?;
        let object = self.connections.get().await.map_err(|error| match error {
            PoolError::Backend(error) => Error::Unavailable(Box::new(error)),
            other => Error::Unavailable(Box::new(other)),
        })?;
        Ok(Lent { object, connector: self.connector.clone(), _seat: seat, _aside: aside })
    }
}

/// The role's own way in.
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

/// Work across tenants belongs to none, so its line is one.
fn limits(config: &Config, role: DbRole) -> Limits {
    let patience = Duration::from_millis(config.wait_ms);
    match role {
        DbRole::Tenant => Limits {
            total: config.tenant_connections,
            each: config.tenant_connections_per_tenant,
            long: config.keyed_connections,
            waiting: config.waiting,
            waiting_each: config.waiting_per_tenant,
            patience,
        },
        DbRole::Platform => Limits {
            total: config.platform_connections,
            each: config.platform_connections,
            long: config.keyed_connections,
            waiting: config.waiting,
            waiting_each: config.waiting,
            patience,
        },
    }
}

/// A connection with its seat. The connection goes back before the seat is free again.
pub(crate) struct Lent {
    object: Object,
    connector: tls::Connector,
    _seat: Seat,
    _aside: Option<Aside>,
}

impl std::ops::Deref for Lent {
    type Target = Object;

    fn deref(&self) -> &Object {
        &self.object
    }
}

/// A connection that may carry a tenant. It never goes back into the pool by itself: dropped before
/// it is clean (the program ends, nobody can wait), it is closed.
pub(crate) struct Unclean(Option<Lent>);

impl Unclean {
    pub(crate) fn new(lent: Lent) -> Self {
        Self(Some(lent))
    }

    /// Rolls back and gives it back to the pool, or closes it if that takes too long.
    pub(crate) async fn roll_back(mut self) {
        let Some(lent) = &self.0 else { return };
        let rolled_back = tokio::time::timeout(PATIENCE, lent.batch_execute("ROLLBACK")).await;
        match rolled_back {
            Ok(Ok(())) => drop(self.0.take()),
            Ok(Err(_)) => {}
            Err(_) => self.stop_statement().await,
        }
    }

    /// Tells the server to end what runs on it. It is closed afterwards all the same: the word may
    /// arrive late, and must not hit a statement of somebody else.
    async fn stop_statement(&self) {
        let Some(lent) = &self.0 else { return };
        let token = lent.object.cancel_token();
        let stop = token.cancel_query(lent.connector.clone());
        if !matches!(tokio::time::timeout(PATIENCE, stop).await, Ok(Ok(()))) {
            tracing::warn!("an abandoned statement could not be stopped; its time-out will end it");
        }
    }
}

impl Drop for Unclean {
    fn drop(&mut self) {
        let Some(Lent { object, _seat: seat, .. }) = self.0.take() else { return };
        drop(Object::take(object));
        drop(seat);
    }
}

#[cfg(test)]
mod tests;
