//! Room `adapters`: the provider's JSON, as lenient as it has to be, and nothing else. Lists are
//! kept as raw parts, so that each item is read on its own.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::meta::values::Id;

/// The outermost shape of a webhook.
#[derive(Deserialize)]
pub(crate) struct Payload<'a> {
    pub(crate) object: Option<String>,
    #[serde(borrow)]
    pub(crate) entry: Vec<&'a RawValue>,
}

/// The only `object` of this channel.
pub(crate) const OBJECT: &str = "whatsapp_business_account";

/// The number a change concerns.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) display_phone_number: Option<Id>,
    pub(crate) phone_number_id: Option<Id>,
}

/// A person as the list beside the messages names it.
#[derive(Deserialize)]
pub(crate) struct Contact {
    pub(crate) wa_id: Option<Id>,
    pub(crate) user_id: Option<Id>,
    #[serde(default)]
    pub(crate) profile: Profile,
}

#[derive(Deserialize, Default)]
pub(crate) struct Profile {
    pub(crate) name: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Text {
    pub(crate) body: String,
}

/// A file, inbound.
#[derive(Deserialize)]
pub(crate) struct Media {
    pub(crate) id: Option<Id>,
    pub(crate) url: Option<String>,
    pub(crate) mime_type: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) caption: Option<String>,
    pub(crate) filename: Option<String>,
    #[serde(default)]
    pub(crate) voice: bool,
    #[serde(default)]
    pub(crate) animated: bool,
}

#[derive(Deserialize)]
pub(crate) struct Location {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) name: Option<String>,
    pub(crate) address: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Reply {
    pub(crate) id: Id,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
}

/// The press of a template's button.
#[derive(Deserialize)]
pub(crate) struct Button {
    pub(crate) text: String,
    pub(crate) payload: Option<Id>,
}

#[derive(Deserialize)]
pub(crate) struct Reaction {
    pub(crate) message_id: Id,
    pub(crate) emoji: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Edit<'a> {
    pub(crate) original_message_id: Id,
    #[serde(borrow)]
    pub(crate) message: &'a RawValue,
}

#[derive(Deserialize)]
pub(crate) struct Revoke {
    pub(crate) original_message_id: Id,
}

/// A notice within a conversation.
#[derive(Deserialize)]
pub(crate) struct System {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) wa_id: Option<Id>,
    pub(crate) new_wa_id: Option<Id>,
    pub(crate) user_id: Option<Id>,
}

/// A person's new id.
#[derive(Deserialize)]
pub(crate) struct UserIdChange {
    pub(crate) previous: Id,
    pub(crate) current: Id,
}

#[derive(Deserialize)]
pub(crate) struct ContactCard {
    #[serde(default)]
    pub(crate) name: ContactName,
}

#[derive(Deserialize, Default)]
pub(crate) struct ContactName {
    pub(crate) formatted_name: Option<String>,
}

/// What is sent.
#[derive(Serialize)]
pub(crate) struct Message<'a> {
    pub(crate) messaging_product: &'static str,
    pub(crate) recipient_type: &'static str,
    /// A phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<&'a str>,
    /// A business-scoped user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recipient: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<Quote<'a>>,
    /// Comes back with every status.
    pub(crate) biz_opaque_callback_data: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    #[serde(flatten)]
    pub(crate) content: serde_json::Map<String, Value>,
}

#[derive(Serialize)]
pub(crate) struct Quote<'a> {
    pub(crate) message_id: &'a str,
}

/// What comes back for a message that was taken.
#[derive(Deserialize)]
pub(crate) struct Accepted {
    pub(crate) messages: Vec<AcceptedMessage>,
}

#[derive(Deserialize)]
pub(crate) struct AcceptedMessage {
    pub(crate) id: Id,
}

/// The account as its health shows it.
#[derive(Deserialize, Default)]
pub(crate) struct Shown {
    pub(crate) display_phone_number: Option<Id>,
    pub(crate) verified_name: Option<String>,
    pub(crate) quality_rating: Option<String>,
}
