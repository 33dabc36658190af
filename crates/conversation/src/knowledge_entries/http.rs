//! Room `conversation`: routes of knowledge_entries.
