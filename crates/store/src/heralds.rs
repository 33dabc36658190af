//! Room `store`: how a room that has news for those who run a tenant has them told. The vertical
//! that knows people implements it; `server` ties the two.

use misy_core::{EndpointId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::TenantTx;

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

/// Tells those who run a tenant.
pub trait Herald: Send + Sync {
    /// Has them told once the transaction is committed, and not if it is not.
    fn tell(&self, tx: &mut TenantTx, news: News);
}

/// Tells nobody: for programs and tests in which there is nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silence;

impl Herald for Silence {
    fn tell(&self, _: &mut TenantTx, _: News) {}
}
