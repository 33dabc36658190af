//! Room `channel`: channels without a provider. The customer's page calls this program, and what is
//! stored here is sent: the page fetches it.

use misy_core::Timestamp;

use crate::content::Content;

/// The namespace of people who are known by a page's visit alone.
pub const VISITOR: &str = "visitor";

/// What a visitor said on a page of an account.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The account's external id.
    pub account: &'a str,
    /// Who: unique among all visitors of the account.
    pub visitor: &'a str,
    /// The message's id; unique among all messages of the account.
    pub external_id: &'a str,
    /// When.
    pub at: Timestamp,
    /// What: a text, or the press of a button.
    pub content: &'a Content,
}

/// The half of a channel that stands in for a provider. Who visits was verified before anything
/// gets here, so nothing is signed, and [`crate::Channel::verify`] lets nothing in from outside.
pub trait Front: Send + Sync {
    /// Writes down what was said as the payload that [`crate::Channel::receive`] reads, so that a
    /// visitor's message takes the way of every other one.
    fn write(&self, said: Said<'_>) -> Vec<u8>;
}
