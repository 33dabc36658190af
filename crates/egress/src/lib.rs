//! Room `egress`: every outgoing connection.

/// The one way out.
#[derive(Clone, Debug)]
pub struct Egress;
