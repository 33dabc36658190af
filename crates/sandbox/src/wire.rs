//! Room `sandbox`: webhooks as Meta writes them: the changes, the envelope, the escaping and the
//! signature.

use std::fmt::Write;

use misy_core::{Timestamp, crypto};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::graph::errors::status_error;
use crate::model::{Account, Hook, Message, Phone, Status};
use crate::names;

/// The `contacts` element for a phone; the number is left out if it is hidden.
fn contact(phone: &Phone) -> Value {
    let mut contact = json!({"profile": {"name": phone.name}, "user_id": phone.user_id});
    if !phone.bsuid_only {
        contact["wa_id"] = phone.chat.clone().into();
    }
    contact
}

/// A change of the field `messages` with one item in one list.
fn change(account: &Account, phone: &Phone, list: &str, item: &Value) -> Box<RawValue> {
    let digits = names::phone_digits(&account.display_phone_number);
    raw(&json!({
        "value": {
            "messaging_product": "whatsapp",
            "metadata": {
                "display_phone_number": digits.as_ref().unwrap_or(&account.display_phone_number),
                "phone_number_id": account.phone_number_id,
            },
            "contacts": [contact(phone)],
            list: [item],
        },
        "field": "messages",
    }))
}

/// Text of a value, kept as it is.
pub(crate) fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("a value prints as valid JSON")
}

/// A customer's message as a change of the field `messages`.
pub(crate) fn message_change(account: &Account, phone: &Phone, message: &Value) -> Box<RawValue> {
    change(account, phone, "messages", message)
}

/// A status of the business's message as a change of the field `messages`.
pub(crate) fn status_change(
    account: &Account,
    phone: &Phone,
    message: &Message,
    status: Status,
    at: Timestamp,
) -> Box<RawValue> {
    let mut item = json!({
        "id": message.id,
        "status": status.word(),
        "timestamp": at.as_second().to_string(),
        "recipient_user_id": phone.user_id,
    });
    if !phone.bsuid_only {
        item["recipient_id"] = phone.chat.clone().into();
    }
    if let Some(opaque) = &message.opaque {
        item["biz_opaque_callback_data"] = opaque.clone().into();
    }
    if status == Status::Failed {
        item["errors"] = json!([status_error(message.fate.unwrap_or(131_000))]);
        return change(account, phone, "statuses", &item);
    }
    let free = message.category == "service";
    item["pricing"] = json!({
        "billable": !free,
        "pricing_model": "PMP",
        "category": message.category,
        "type": if free { "free_customer_service" } else { "regular" },
    });
    item["conversation"] = conversation(account, phone, message, status);
    change(account, phone, "statuses", &item)
}

/// The conversation that is billed: one for a chat and category. Its end stands only in `sent`.
fn conversation(account: &Account, phone: &Phone, message: &Message, status: Status) -> Value {
    let name = format!("{}:{}", phone.chat, message.category);
    let digest = crypto::hmac_sha256(account.phone_number_id.as_bytes(), name.as_bytes());
    let mut conversation = json!({
        "id": crypto::to_hex(&digest[..16]), "origin": {"type": message.category},
    });
    if status == Status::Sent {
        let expires_at = message.at.as_second() + 24 * 3_600;
        conversation["expiration_timestamp"] = expires_at.to_string().into();
    }
    conversation
}

/// The body of a POST that carries these webhooks.
///
/// One travels alone as one change of one entry. Several are packed so that a receiver meets every
/// kind of plural: neighbours of the same list share a change, two changes share an entry.
pub(crate) fn envelope<'a>(waba_id: &str, hooks: impl IntoIterator<Item = &'a Hook>) -> Vec<u8> {
    let mut changes: Vec<Value> = Vec::new();
    for hook in hooks {
        let fresh: Value = serde_json::from_str(hook.change.get()).unwrap_or(Value::Null);
        let merged = changes.last_mut().is_some_and(|last| merge(last, &fresh));
        if !merged {
            changes.push(fresh);
        }
    }
    let entries: Vec<Value> =
        changes.chunks(2).map(|changes| json!({"id": waba_id, "changes": changes})).collect();
    escape(&json!({"object": "whatsapp_business_account", "entry": entries}).to_string())
        .into_bytes()
}

/// Puts the single item of `fresh` beside that of `last`, if both are lists of the same kind and
/// `last` has one item yet.
fn merge(last: &mut Value, fresh: &Value) -> bool {
    for list in ["messages", "statuses"] {
        let Some(item) = fresh["value"][list].get(0) else { continue };
        let Some(items) = last["value"][list].as_array_mut() else { continue };
        if items.len() > 1 {
            return false;
        }
        items.push(item.clone());
        let contact = fresh["value"]["contacts"][0].clone();
        if let Some(contacts) = last["value"]["contacts"].as_array_mut()
            && !contacts.contains(&contact)
        {
            contacts.push(contact);
        }
        return true;
    }
    false
}

/// Escapes a JSON text as PHP's `json_encode` does, which is what Meta signs: every character
/// outside ASCII as `\uXXXX` (in surrogate pairs) and `/` as `\/`.
pub(crate) fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + 16);
    let mut units = [0_u16; 2];
    for letter in json.chars() {
        match letter {
            '/' => escaped.push_str("\\/"),
            letter if letter.is_ascii() => escaped.push(letter),
            letter => {
                for unit in letter.encode_utf16(&mut units) {
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
        }
    }
    escaped
}

/// The value of `X-Hub-Signature-256` for exactly these bytes.
pub(crate) fn signature(app_secret: &str, body: &[u8]) -> String {
    let tag = crypto::hmac_sha256(app_secret.as_bytes(), body);
    format!("sha256={}", crypto::to_hex(&tag))
}

/// What a body says, in a few words without content, for the log of deliveries.
pub(crate) fn summary(hook: &Hook) -> String {
    let change: Value = serde_json::from_str(hook.change.get()).unwrap_or(Value::Null);
    let value = &change["value"];
    let word = |item: &Value, key: &str| item[key].as_str().unwrap_or("?").to_owned();
    match (value["messages"].get(0), value["statuses"].get(0)) {
        (Some(message), _) => format!("message {}", word(message, "type")),
        (_, Some(status)) => format!("status {}", word(status, "status")),
        _ => change["field"].as_str().unwrap_or("change").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_outside_ascii_and_every_slash_is_escaped() {
        let escaped = escape(r#"{"t":"Grüße 😀 </a>"}"#);
        assert_eq!(escaped, r#"{"t":"Gr\u00fc\u00dfe \ud83d\ude00 <\/a>"}"#);
        let value: Value = serde_json::from_str(&escaped).expect("still JSON");
        assert_eq!(value["t"], "Grüße 😀 </a>");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_escaped_reads_back(text: String) {
            let escaped = escape(&json!({"text": text}).to_string());
            proptest::prop_assert!(escaped.is_ascii());
            proptest::prop_assert!(!escaped.replace("\\/", "").contains('/'));
            let value: Value = serde_json::from_str(&escaped).expect("still JSON");
            proptest::prop_assert_eq!(value["text"].as_str(), Some(text.as_str()));
        }
    }

    fn hook(serial: u64, list: &str, id: &str) -> Hook {
        let value = json!({"contacts": [{"wa_id": "1"}], list: [{"id": id}]});
        let change = json!({"field": "messages", "value": value});
        Hook { serial, chat: String::new(), change: raw(&change) }
    }

    #[test]
    fn a_batch_has_several_items_changes_and_entries() {
        let hooks: Vec<Hook> = (1..=7).map(|n| hook(n, "messages", &n.to_string())).collect();
        let body: Value = serde_json::from_slice(&envelope("9", &hooks)).expect("JSON");
        let entries = body["entry"].as_array().expect("entries");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0]["changes"].as_array().map(Vec::len), Some(2));
        let of = |e: usize, c: usize| {
            entries[e]["changes"][c]["value"]["messages"].as_array().map(Vec::len)
        };
        assert_eq!((of(0, 0), of(0, 1), of(1, 0), of(1, 1)), (Some(2), Some(2), Some(2), Some(1)));
    }

    #[test]
    fn statuses_and_messages_do_not_share_a_change() {
        let hooks = [hook(1, "messages", "a"), hook(2, "statuses", "b")];
        let body: Value = serde_json::from_slice(&envelope("9", &hooks)).expect("JSON");
        assert_eq!(body["entry"][0]["changes"].as_array().map(Vec::len), Some(2));
    }
}
