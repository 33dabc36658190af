//! Room `identity`: making and changing policies, deciding by them, and telling why.

mod asking;
mod deciding;
mod keeping;

pub(super) use asking::{Named, Reply, Who, explain, who_can};
pub use deciding::Engine;
pub(crate) use deciding::roles_in;
pub(super) use keeping::{
    Draft, NewText, PolicyChange, Validated, create, delete, get, get_schema, list, put_schema,
    update, validate,
};
