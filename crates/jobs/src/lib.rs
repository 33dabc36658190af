//! Room `jobs`: everything that happens later. A [`Job`] is enqueued inside a transaction and only
//! there, so it exists exactly if what it follows from was committed. A [`Worker`] claims jobs
//! fairly between tenants, keeps the jobs of a lane in order, holds each by a lease, and retries,
//! parks or buries what does not succeed. What goes out by the hundred is a parcel, in a queue of
//! its own ([`parcels`]).
//!
//! Never: what any job does.

pub mod belongings;
pub mod dead_letters;
mod dispatcher;
mod envelope;
pub mod job;
mod outcome;
pub mod parcels;
pub mod provision;
pub mod registry;
mod run;
pub mod sagas;
mod schedules;
mod slots;
mod store;
mod tasks;
pub mod worker;

pub use job::{Job, JobError, PlatformJob, Retry};
pub use provision::{Provision, TenantSeed};
pub use registry::{Registry, Tenants};
pub use sagas::{Saga, Step, StepError};
pub use worker::{Config, Running, Tally, Worker};
