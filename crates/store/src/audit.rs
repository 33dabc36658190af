//! Room `store`: the writing side of the audit log. A leaf is inserted in the transaction of what
//! it records, without a lock; trees and signatures are made from the leaves later.

use misy_core::{Actor, AuditId, RequestId};
use serde_json::Value;

/// What happened to what. Actor, request and time are taken from the transaction's context.
#[derive(Debug, Clone)]
pub struct Audit {
    /// A dotted name in the past tense, for example `channel.created`.
    pub action: &'static str,
    /// The kind of thing, for example `channel`.
    pub resource: &'static str,
    /// Its id in text form.
    pub resource_id: String,
    /// More about it. Never personal data, never a secret: ids, names of fields, counts.
    pub detail: Value,
}

impl Audit {
    /// A record without detail.
    pub fn new(action: &'static str, resource: &'static str, id: impl ToString) -> Self {
        Self { action, resource, resource_id: id.to_string(), detail: Value::Null }
    }

    /// The same with detail.
    #[must_use]
    pub fn with(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// A leaf with all it needs to be written.
pub(crate) struct Leaf {
    pub(crate) id: AuditId,
    pub(crate) actor: Actor,
    pub(crate) request: RequestId,
    pub(crate) audit: Audit,
}
