//! Room `adapters`: what the channels of Meta's Graph API share: signatures and handshake, ids and
//! times as they come in the wild, calls, error bodies and usage headers.

pub(crate) mod errors;
pub(crate) mod graph;
pub(crate) mod signature;
pub(crate) mod usage;
pub(crate) mod values;

/// One URL serves all accounts of an app at Meta, whatever their channel.
pub(crate) const HOOK: &str = "meta";
