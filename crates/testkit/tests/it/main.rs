//! Room `testkit`: integration tests of what the other rooms' tests stand on.

mod postgres;
