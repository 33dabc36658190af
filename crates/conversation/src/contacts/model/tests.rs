//! Room `conversation`: tests of the rules.
