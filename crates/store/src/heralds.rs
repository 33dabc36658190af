//! Room `store`: how a room that has news for those who run a tenant has them told. The vertical
//! that knows people implements it; `server` ties the two.

pub use misy_core::News;

use crate::TenantTx;

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
