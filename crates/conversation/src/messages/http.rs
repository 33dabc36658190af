//! Room `conversation`: routes of messages.
