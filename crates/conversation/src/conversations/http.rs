//! Room `conversation`: routes of conversations.
