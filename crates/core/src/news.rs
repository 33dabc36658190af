//! Room `core`: what those who run a tenant are told without having asked.

use serde::{Deserialize, Serialize};

use crate::{EndpointId, Timestamp};

/// What those who run a tenant should hear of without looking for it. It lies in the queue, so it
/// holds ids and words of ours and nothing of the tenant's, as an address would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum News {
    /// An endpoint of webhooks was switched off, and not by its owner.
    EndpointDisabled {
        /// Which.
        endpoint: EndpointId,
        /// `gone` or `failing`.
        reason: String,
        /// When.
        at: Timestamp,
    },
}
