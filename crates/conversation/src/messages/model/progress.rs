//! Room `conversation`: how a message moves forward by what its provider reports.

use std::collections::BTreeMap;

use misy_channel::Failure;
use misy_channel::event::Status;
use misy_core::{ConversationId, MessageId, Timestamp};
use serde_json::{Map, Value};

/// How far a message has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Progress {
    pub(crate) id: MessageId,
    pub(crate) conversation: ConversationId,
    pub(crate) status: Status,
    pub(crate) status_at: BTreeMap<String, Timestamp>,
    pub(crate) external_id: Option<String>,
    pub(crate) failure: Option<Failure>,
    /// What the provider says of price and conversation.
    pub(crate) report: Map<String, Value>,
}

/// One report of a provider.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(crate) external_id: String,
    pub(crate) status: Status,
    pub(crate) at: Timestamp,
    pub(crate) failure: Option<Failure>,
    pub(crate) extra: Map<String, Value>,
}

/// Takes a report in. The status only moves forward; each status keeps the earliest time that was
/// reported for it; the reason of a failure is kept as long as the message counts as failed. Says
/// whether anything changed.
pub(crate) fn hear(progress: &mut Progress, report: &Report) -> bool {
    let before = progress.clone();
    progress.status = progress.status.advance(report.status);
    if report.status != Status::Queued {
        let at = progress.status_at.entry(report.status.slug().to_owned()).or_insert(report.at);
        *at = (*at).min(report.at);
    }
    if progress.external_id.is_none() {
        progress.external_id = Some(report.external_id.clone());
    }
    if progress.failure.is_none() {
        progress.failure.clone_from(&report.failure);
    }
    if progress.status != Status::Failed {
        progress.failure = None;
    }
    for (name, value) in &report.extra {
        progress.report.insert(name.clone(), value.clone());
    }
    *progress != before
}
