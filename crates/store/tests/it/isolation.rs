//! Room `store`: proof that tenants are apart, generated from the catalog of a migrated database.

mod behaviour;
mod gateway;
mod ledger;
mod mutations;
mod searches;
mod starts;
