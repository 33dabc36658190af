//! Room `web`: schemas against values.
