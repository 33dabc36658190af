//! Room `adapters`: the providers, one folder each, and what providers of one family share. An
//! adapter turns a provider's payloads into events and messages into a provider's calls; everything
//! else happens elsewhere.
//!
//! Never: a loop that waits, a sleep, a body in a log, a client of its own, SQL.

mod meta;
mod webchat;
mod whatsapp;

use std::sync::Arc;

use misy_channel::Registry;

/// Every channel of this program; a new one is one line here.
pub fn registry() -> Registry {
    Registry::new()
        .with(Arc::new(whatsapp::WhatsApp::new()))
        .with(Arc::new(webchat::WebChat::new()))
}
