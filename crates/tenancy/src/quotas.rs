//! Room `tenancy`: how much a tenant may use.

pub mod http;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::Quota;
pub use service::{PlanRates, Quotas, Rates};
