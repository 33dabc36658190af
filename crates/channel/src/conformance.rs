//! Room `channel`: the suite that every adapter passes.
