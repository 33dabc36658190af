//! Room `tenancy`: all of a tenant, to be taken along.

pub mod http;
pub mod model;
pub mod service;

pub use service::ExportError;
