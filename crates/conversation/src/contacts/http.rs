//! Room `conversation`: routes of contacts.
