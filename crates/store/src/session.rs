//! Room `store`: one pooled connection and the transaction on it, pipelined.
//!
//! `BEGIN`, the tenant and the first statement leave together; so do the last statements and
//! `COMMIT`. A read is one round trip, a write of n dependent statements is n + 1 at most.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::join;
use misy_core::TenantId;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use tracing::field::Empty;
use tracing::{Instrument, Level, Span};

use crate::pools::{Lent, Unclean};
use crate::{Error, meter};

/// How statements become transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All statements are one transaction.
    Whole,
    /// Each statement is a read-only transaction of its own, in one round trip.
    Each,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was sent yet.
    Fresh,
    /// `BEGIN` was sent.
    Open,
    /// A statement failed: the server will only roll back.
    Failed,
}

/// A statement that waits for the commit.
pub(crate) struct Deferred {
    pub(crate) sql: &'static str,
    pub(crate) params: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Deferred {
    fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect()
    }
}

pub(crate) struct Session {
    client: Option<Lent>,
    begin: String,
    state: State,
    mode: Mode,
    /// Something was sent and is not answered yet.
    in_flight: bool,
    prepared: bool,
    /// Goes out with the next statement, right after it.
    behind: Option<Deferred>,
    /// Rows that the last one of these has changed, until somebody asks.
    behind_count: Option<u64>,
    /// From here to where the connection is given back.
    span: Span,
}

/// Part of the trace of what the transaction is for. What belongs to none, as the queue's own
/// turns, has none.
fn span(mode: Mode) -> Span {
    if !tracing::span_enabled!(Level::TRACE) || Span::current().is_none() {
        return Span::none();
    }
    let mode = match mode {
        Mode::Whole => "transaction",
        Mode::Each => "reads",
    };
    tracing::trace_span!(
        "transaction",
        "otel.name" = mode,
        "db.system.name" = "postgresql",
        tenant = Empty,
        committed = Empty,
    )
}

impl Session {
    pub(crate) fn new(client: Lent, begin: String, mode: Mode) -> Self {
        let (state, span) = (State::Fresh, span(mode));
        let (in_flight, prepared, behind, behind_count) = (false, false, None, None);
        let client = Some(client);
        Self { client, begin, state, mode, in_flight, prepared, behind, behind_count, span }
    }

    /// Names the tenant in whose trace it is.
    pub(crate) fn of_tenant(self, tenant: TenantId) -> Self {
        self.span.record("tenant", tracing::field::display(tenant));
        self
    }

    /// Has a statement run right after `BEGIN`, in the same round trip.
    pub(crate) fn begin_with(&mut self, first: &str) {
        self.begin.push_str("; ");
        self.begin.push_str(first);
    }

    /// Marks it as the opened transaction of a request with an idempotency key.
    pub(crate) fn mark_prepared(&mut self) {
        self.prepared = true;
    }

    pub(crate) fn is_prepared(&self) -> bool {
        self.prepared
    }

    fn client(&self) -> &Lent {
        self.client.as_ref().expect("the connection is given back only by commit and drop")
    }

    pub(crate) async fn query(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.depart()?;
        let behind = self.prepare_behind().await?;
        let statement = self.prepare(sql).await?;
        let begin = self.open();
        let work = self.client().query(&statement, params);
        let result = self.pipelined(begin, behind, work).await;
        self.counted(result, |rows| rows.len() as u64)
    }

    pub(crate) async fn execute(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        self.depart()?;
        let behind = self.prepare_behind().await?;
        let statement = self.prepare(sql).await?;
        let begin = self.open();
        let work = self.client().execute(&statement, params);
        let result = self.pipelined(begin, behind, work).await;
        self.counted(result, |rows| *rows)
    }

    /// Notes that something leaves. What was sent before and never answered was cancelled: nobody
    /// knows what became of it, so the transaction it belongs to must not be committed.
    fn depart(&mut self) -> Result<(), Error> {
        if self.in_flight && self.mode == Mode::Whole {
            self.state = State::Failed;
            return Err(Error::Aborted);
        }
        self.in_flight = true;
        Ok(())
    }

    fn counted<T>(
        &mut self,
        result: Result<(T, Option<u64>), tokio_postgres::Error>,
        rows: impl Fn(&T) -> u64,
    ) -> Result<T, Error> {
        self.in_flight = false;
        match &result {
            Ok((done, behind)) => {
                meter::count(rows(done));
                behind.iter().copied().for_each(meter::count);
                self.behind_count = behind.or(self.behind_count);
            }
            Err(_) => self.fail(),
        }
        Ok(result?.0)
    }

    /// Has a statement sent with the next one, in its round trip and after it.
    pub(crate) fn send_behind(&mut self, statement: Deferred) {
        self.behind_count = None;
        self.behind = Some(statement);
    }

    /// How many rows the statement has changed that was sent behind; `None` if none was sent.
    pub(crate) fn take_behind_count(&mut self) -> Option<u64> {
        self.behind = None;
        self.behind_count.take()
    }

    async fn prepare_behind(&mut self) -> Result<Option<(Statement, Deferred)>, Error> {
        let Some(behind) = self.behind.take() else { return Ok(None) };
        Ok(Some((self.prepare(behind.sql).await?, behind)))
    }

    /// Parsing a statement needs no tenant, so it may happen outside the transaction; each
    /// connection does it once a statement.
    async fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        let result = self.client().prepare_cached(sql).await;
        self.in_flight &= result.is_ok();
        if result.is_err() && self.state == State::Open {
            self.state = State::Failed;
        }
        Ok(result?)
    }

    /// Sends a statement together with what must come before and after it.
    async fn pipelined<T>(
        &self,
        begin: bool,
        behind: Option<(Statement, Deferred)>,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<(T, Option<u64>), tokio_postgres::Error> {
        let client = self.client();
        let begin = async { if begin { client.batch_execute(&self.begin).await } else { Ok(()) } };
        let commit = self.mode == Mode::Each;
        let end = async { if commit { client.batch_execute("COMMIT").await } else { Ok(()) } };
        let behind = async {
            let Some((statement, one)) = &behind else { return Ok(None) };
            client.execute_raw(statement, one.params()).await.map(Some)
        };
        let (begun, done, behind, ended) = join!(begin, work, behind, end);
        begun.and(done).and_then(|done| Ok((done, behind?))).and_then(|done| ended.map(|()| done))
    }

    /// Marks the transaction as open before anything is awaited, so that a cancelled caller leaves
    /// a session that knows it must roll back. Says whether `BEGIN` has to go out.
    fn open(&mut self) -> bool {
        if self.mode == Mode::Each {
            return true;
        }
        let fresh = self.state == State::Fresh;
        if fresh {
            self.state = State::Open;
        }
        fresh
    }

    fn fail(&mut self) {
        if self.mode == Mode::Whole {
            self.state = State::Failed;
        }
    }

    /// Runs what was deferred and commits, all in one round trip. `COMMIT` of a failed transaction
    /// rolls back and reports success, so failures are looked for before it is believed.
    /// Gives the number of rows that each statement changed.
    pub(crate) async fn commit(mut self, deferred: Vec<Deferred>) -> Result<Vec<u64>, Error> {
        let counts = self.flush(deferred, true).await?;
        self.state = State::Fresh;
        self.span.record("committed", true);
        drop(self.client.take());
        Ok(counts)
    }

    /// Runs what was deferred without committing; the transaction stays open.
    pub(crate) async fn flush_open(&mut self, deferred: Vec<Deferred>) -> Result<Vec<u64>, Error> {
        self.flush(deferred, false).await
    }

    async fn flush(&mut self, deferred: Vec<Deferred>, commit: bool) -> Result<Vec<u64>, Error> {
        if self.state == State::Failed {
            return Err(Error::Aborted);
        }
        if self.mode == Mode::Each || (self.state == State::Fresh && deferred.is_empty()) {
            return Ok(Vec::new());
        }
        self.depart()?;
        let mut statements = Vec::with_capacity(deferred.len());
        for one in &deferred {
            statements.push(self.prepare(one.sql).await?);
        }
        let fresh = self.open();
        let client = self.client();
        let unsent = AtomicBool::new(false);
        let begin = async { if fresh { client.batch_execute(&self.begin).await } else { Ok(()) } };
        let work = async {
            let all = deferred.iter().zip(&statements).map(|(one, statement)| {
                let params = one.params();
                async move { client.execute_raw(statement, params).await }
            });
            let counts = futures_util::future::try_join_all(all).await;
            unsent.store(counts.is_err(), Ordering::Relaxed);
            counts
        };
        // A statement that cannot even be sent is known as failed here, and then nothing may
        // commit what was sent before it. One that the server refuses makes it roll back on
        // `COMMIT`.
        let end = async {
            let commit = commit && !unsent.load(Ordering::Relaxed);
            if commit { client.batch_execute("COMMIT").await } else { Ok(()) }
        };
        let (begun, counts, ended) = join!(begin, work, end);
        let result = begun.and(counts).and_then(|counts| ended.map(|()| counts));
        self.in_flight = false;
        match result {
            Ok(counts) => {
                counts.iter().copied().for_each(meter::count);
                Ok(counts)
            }
            Err(error) => {
                self.state = State::Failed;
                Err(error.into())
            }
        }
    }

    /// Ends the transaction without keeping anything of it.
    pub(crate) async fn roll_back(mut self) {
        if let Some(client) = self.client.take()
            && self.is_unclean()
        {
            Unclean::new(client).roll_back().await;
        }
    }

    fn is_unclean(&self) -> bool {
        self.in_flight || self.state != State::Fresh
    }
}

impl Drop for Session {
    /// A session dropped in mid-transaction or in mid-statement (an early return, a cancelled
    /// request, a panic) rolls back before its connection serves anybody else. A task that the end
    /// of the program cuts short closes the connection.
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        if !self.is_unclean() {
            return;
        }
        let unclean = Unclean::new(client);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(unclean.roll_back().in_current_span()));
        }
    }
}
