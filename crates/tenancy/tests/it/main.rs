//! Room `tenancy`: tenants, keys, quotas and the audit log on a real database, through an
//! in-process router.

mod audit;
mod directory;
mod exports;
mod failed_jobs;
mod faults;
mod house;
mod interleavings;
mod keys;
mod lifecycles;
mod onboarding;
mod plans;
mod provisioning;
mod quotas;
mod removals;
mod signups;
mod tenants;
mod walls;
