//! Room `bench`: loads that are measured against a floor or a peer in the same run. Each prints a
//! figure and what stood beside it; none judges.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and percentiles of counts far below 2^52"
)]

mod apart;
pub mod authz;
mod awake;
pub mod cache;
pub mod cpu;
pub mod deliver;
mod dice;
pub mod http;
pub mod ingest;
pub mod logins;
pub mod pgbench;
pub mod queue;
pub mod quotas;
pub mod report;
pub mod rls;
mod sql;
pub mod storm;
pub mod tenants;

pub use report::Report;

/// Why a bench could not be run to its end.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
