//! Room `tenancy`: tenants, keys, quotas and the audit log on a real database, through an
//! in-process router.

mod audit;
mod directory;
mod failed_jobs;
mod house;
mod keys;
mod provisioning;
mod quotas;
mod tenants;
mod walls;
