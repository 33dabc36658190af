//! Room `conversation`: tests.
