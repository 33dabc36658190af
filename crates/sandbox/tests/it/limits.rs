//! Room `sandbox`: tests.
