//! Room `adapters`: what a visitor said, as it is written into the inbox and read from it.

use misy_channel::ReceiveError;
use misy_channel::content::Content;
use misy_channel::front::Said;
use misy_core::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A payload. Its messages are read one by one, so that one of an unexpected form spoils no other.
#[derive(Debug, Deserialize)]
pub(crate) struct Payload {
    /// The account's external id.
    pub(crate) site: String,
    /// Who.
    pub(crate) visitor: String,
    /// What.
    pub(crate) messages: Vec<Value>,
}

/// One message of a visitor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Unique among all messages of the account.
    pub(crate) id: String,
    /// When it arrived here.
    pub(crate) at: Timestamp,
    /// What it says.
    pub(crate) content: Content,
}

/// Writes what [`read`] reads.
pub(crate) fn write(said: Said<'_>) -> Vec<u8> {
    let Said { account, visitor, external_id, at, content } = said;
    let message = json!({"id": external_id, "at": at, "content": content});
    json!({"site": account, "visitor": visitor, "messages": [message]}).to_string().into_bytes()
}

/// Reads a payload, if it is one of this channel at all.
pub(crate) fn read(raw: &[u8]) -> Result<Payload, ReceiveError> {
    serde_json::from_slice(raw).map_err(|fault| {
        let (line, column) = (fault.line(), fault.column());
        ReceiveError(format!("not a visit: line {line}, column {column}"))
    })
}
