//! Events as JSON with everything in the open, for snapshots and counts.

use misy_channel::Channel;
use misy_channel::event::{Event, IdentityClaim, Kind, Sender};
use serde_json::{Value, json};

pub(crate) fn whatsapp() -> std::sync::Arc<dyn Channel> {
    std::sync::Arc::clone(misy_adapters::registry().find("whatsapp").expect("it is built in"))
}

pub(crate) fn identities(all: &[IdentityClaim]) -> Value {
    all.iter().map(|one| json!(format!("{}:{}", one.namespace, one.value.0))).collect()
}

fn sender(who: &Sender) -> Value {
    json!({"identities": identities(&who.identities),
           "name": who.display_name.as_ref().map(|name| &name.0)})
}

pub(crate) fn shown(event: &Event) -> Value {
    let mut value = match &event.kind {
        Kind::Message(one) => json!({"message": one.external_id, "from": sender(&one.from),
            "content": one.content, "reply_to": one.reply_to, "extra": one.extra}),
        Kind::Echo(one) => {
            json!({"echo": one.external_id, "to": sender(&one.to), "content": one.content})
        }
        Kind::Status(one) => json!({"status": one.status, "of": one.external_id,
            "correlation": one.correlation, "recipient": identities(&one.recipient),
            "failure": one.failure, "extra": one.extra}),
        Kind::Edit { from, external_message_id, content } => {
            json!({"edit": external_message_id, "from": sender(from), "content": content})
        }
        Kind::Revoke { from, external_message_id } => {
            json!({"revoke": external_message_id, "from": sender(from)})
        }
        Kind::IdentityChanged { old, new } => json!({"identity_changed": {
            "old": identities(std::slice::from_ref(old)), "new": identities(new)}}),
        Kind::Unknown { name, raw } => json!({"unknown": name, "raw": raw}),
    };
    value["at"] = json!(event.at.map(|at| at.to_string()));
    value
}

pub(crate) const fn is_unknown(event: &Event) -> bool {
    matches!(event.kind, Kind::Unknown { .. })
}
