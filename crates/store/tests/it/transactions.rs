//! Room `store`: transactions of one tenant: all or nothing, whatever ends them, and nothing of a
//! tenant stays on a connection.

mod endings;
mod flights;
mod pools;
mod refusals;
mod writing;
