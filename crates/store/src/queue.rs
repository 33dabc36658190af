//! Room `store`: how jobs enter the queue, which is only ever at the end of a transaction.

use misy_core::{JobId, Timestamp};
use serde_json::Value;

/// Begins a turn at the queue. The lock is what makes a turn see every earlier one: each statement
/// that follows takes its snapshot after the lock was had. A process that freezes inside its turn
/// is thrown out after five seconds, so that it stops nobody else for longer. The queue is small
/// or all of it is wanted in index order, and its size changes faster than its statistics: so the
/// planner gets no choice.
pub(crate) const BEGIN: &str = "BEGIN;
    SET LOCAL idle_in_transaction_session_timeout = 5000;
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    SET LOCAL jit = off;
    SELECT pg_advisory_xact_lock(7883940282014786931)";

/// The same for parcels, which have a turn of their own. A claim that the server forgets when it
/// crashes is made again, and an event delivered twice has the same id: so nobody waits for the
/// disk.
pub(crate) const BEGIN_PARCELS: &str = "BEGIN;
    SET LOCAL idle_in_transaction_session_timeout = 5000;
    SET LOCAL synchronous_commit = off;
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    SET LOCAL jit = off;
    SELECT pg_advisory_xact_lock(7883940282014786932)";

/// What a transaction begins with that settles parcels: as above, and one plan for all times,
/// because planning for each partition anew would cost more than the work.
pub(crate) const LIGHTLY: &str = "SET LOCAL synchronous_commit = off;
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan";

/// A job on its way into the queue. Rooms above write this through `misy_jobs::Job::enqueue`.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// Its id; ids order the jobs of a lane.
    pub id: JobId,
    /// Which job, for example `conversation.messages.deliver`.
    pub name: &'static str,
    /// Jobs of one tenant with the same lane run one after another, in the order of their ids.
    pub lane: Option<String>,
    /// Ids of what it works on, never content.
    pub payload: Value,
    /// Actor, grants, request and trace, from which the worker rebuilds the context.
    pub envelope: Value,
    /// Not before this time.
    pub run_at: Option<Timestamp>,
}
