//! Room `policy`: decisions, checks, and that the index changes nothing.

mod checking;
mod corpus;
mod deciding;
mod judging;
mod reference;
mod slicing;
