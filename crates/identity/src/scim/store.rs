//! Room `identity`: rows of what a directory keeps.

pub(crate) mod groups;
pub(crate) mod people;
pub(crate) mod roles;
