//! Room `tenancy`: how far the making of a tenant is.

use misy_core::Timestamp;

/// The saga that makes tenants. Rows carry its name.
pub const MAKING: &str = "tenancy.making";

/// The saga that removes them.
pub const REMOVAL: &str = "tenancy.removal";

/// How far the making or the removal of a tenant is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioning {
    /// `making` or `removal`.
    pub kind: &'static str,
    /// Where it is: `doing`, `done`, `undoing`, `undone`, `parked`.
    pub state: &'static str,
    /// Its steps, in the order of making.
    pub steps: Vec<StepShown>,
    /// When it began.
    pub began_at: Timestamp,
    /// When anything of it changed last.
    pub changed_at: Timestamp,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepShown {
    /// Its name.
    pub name: String,
    /// `waiting`, `failing`, `done`, `undone` or `stuck`.
    pub state: String,
    /// Tries that failed.
    pub attempts: i32,
    /// What the last of them said.
    pub error: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What would be made, told without making it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps in order.
    pub steps: Vec<&'static str>,
    /// The channels that the tenant would have from the start.
    pub channels: Vec<String>,
    /// The limits that would be in force.
    pub limits: Vec<(String, i64)>,
}
