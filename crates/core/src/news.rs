//! Room `core`: what those who run a tenant are told without having asked.

use serde::{Deserialize, Serialize};

use crate::{EndpointId, Timestamp};

/// What those who run a tenant should hear of without looking for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum News {
    /// An endpoint of webhooks was switched off, and not by its owner.
    EndpointDisabled {
        /// Which.
        endpoint: EndpointId,
        /// Where it is: scheme, host and port. The rest of an address may hold secrets.
        origin: String,
        /// `gone` or `failing`.
        reason: String,
        /// When.
        at: Timestamp,
    },
}
