//! Room `identity`: making and changing policies, deciding by them, and telling why.

mod asking;
mod deciding;
mod keeping;

pub(super) use asking::{Named, Who, explain, who_can};
pub use deciding::Engine;
pub(super) use keeping::{
    Draft, NewText, PolicyChange, create, delete, get, get_schema, list, put_schema, update,
    validate,
};
