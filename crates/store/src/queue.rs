//! Room `store`: how jobs enter the queue, which is only ever at the end of a transaction.

use misy_core::{JobId, Timestamp};
use serde_json::Value;

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
