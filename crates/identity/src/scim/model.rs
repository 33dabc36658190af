//! Room `identity`: what a directory may ask for and what it is answered.

pub(crate) mod errors;
pub(crate) mod filters;
pub(crate) mod groups;
pub(crate) mod patches;
pub(crate) mod paths;
pub(crate) mod people;
pub(crate) mod queries;
pub(crate) mod schemas;
pub(crate) mod values;

pub use errors::Error;
