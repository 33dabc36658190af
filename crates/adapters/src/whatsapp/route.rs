//! Room `adapters`: whose payload it is. One URL serves all numbers of an app, and one payload may
//! hold the changes of several.

use std::collections::BTreeMap;

use misy_channel::{ReceiveError, Routed};
use serde_json::value::RawValue;

use super::wire::{Metadata, OBJECT, Payload};
use crate::meta::values::{Fields, Id};

/// Reads the outermost shape, or says that it is not a payload of this channel.
pub(crate) fn read(raw: &[u8]) -> Result<Payload<'_>, ReceiveError> {
    let payload: Payload<'_> = serde_json::from_slice(raw).map_err(|fault| {
        let (line, column) = (fault.line(), fault.column());
        ReceiveError(format!("not a webhook of the Graph API: line {line}, column {column}"))
    })?;
    match payload.object.as_deref() {
        Some(OBJECT) => Ok(payload),
        _ => Err(ReceiveError(format!("the object is not {OBJECT}"))),
    }
}

/// Splits a payload by account. A change belongs to the phone number that its metadata names, else
/// to the business account (the entry's id); what names neither routes to the empty id, which no
/// account has.
pub(crate) fn route(raw: &[u8]) -> Result<Vec<Routed>, ReceiveError> {
    let payload = read(raw)?;
    let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in &payload.entry {
        for (account, changes) in split_entry(entry) {
            let copy = copy_entry(entry, &changes);
            parts.entry(account).or_default().push(copy);
        }
    }
    if parts.len() == 1 {
        let external_id = parts.into_keys().collect();
        return Ok(vec![Routed { external_id, raw: raw.to_vec() }]);
    }
    let wrap = |entries: Vec<String>| {
        format!(r#"{{"object":"{OBJECT}","entry":[{}]}}"#, entries.join(",")).into_bytes()
    };
    let routed = parts.into_iter();
    Ok(routed.map(|(external_id, entries)| Routed { external_id, raw: wrap(entries) }).collect())
}

/// The changes of one entry by account; an entry without any counts as one of the business account.
fn split_entry(entry: &RawValue) -> BTreeMap<String, Vec<&RawValue>> {
    let mut split: BTreeMap<String, Vec<&RawValue>> = BTreeMap::new();
    let fields = Fields::read(entry);
    let business =
        fields.as_ref().and_then(|it| it.find::<Id>("id")).map_or_else(String::new, |id| id.0);
    let changes = fields.and_then(|it| it.find_list("changes")).unwrap_or_default();
    for change in changes {
        let number = find_number(change).unwrap_or_else(|| business.clone());
        split.entry(number).or_default().push(change);
    }
    if split.is_empty() {
        split.insert(business, Vec::new());
    }
    split
}

fn find_number(change: &RawValue) -> Option<String> {
    let value = Fields::read(change)?.find_raw("value")?;
    let metadata: Metadata = Fields::read(value)?.find("metadata")?;
    metadata.phone_number_id.map(|id| id.0)
}

/// The same entry with these changes only, each letter for letter.
fn copy_entry(entry: &RawValue, changes: &[&RawValue]) -> String {
    let Some(fields) = Fields::read(entry) else { return entry.get().to_owned() };
    if fields.find_list("changes").is_none_or(|all| all.len() == changes.len()) {
        return entry.get().to_owned();
    }
    let changes: Vec<&str> = changes.iter().map(|change| change.get()).collect();
    let mut parts = vec![format!(r#""changes":[{}]"#, changes.join(","))];
    for (name, raw) in fields.iter().filter(|(name, _)| matches!(*name, "id" | "time")) {
        parts.push(format!(r#""{name}":{}"#, raw.get()));
    }
    format!("{{{}}}", parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: &str, text: &str) -> String {
        let metadata = format!(r#"{{"phone_number_id":{number}}}"#);
        let value = format!(r#"{{"metadata":{metadata},"t":"{text}"}}"#);
        format!(r#"{{"field":"messages","value":{value}}}"#)
    }

    fn payload(entries: &[(&str, &[String])]) -> Vec<u8> {
        let entry = |(id, changes): &(&str, &[String])| {
            format!(r#"{{"id":{id},"time":7,"changes":[{}]}}"#, changes.join(","))
        };
        let entries: Vec<String> = entries.iter().map(entry).collect();
        format!(r#" {{"object":"{OBJECT}", "entry":[{}]}}"#, entries.join(",")).into_bytes()
    }

    #[test]
    fn the_payload_of_one_number_keeps_its_bytes() {
        let raw = payload(&[("\"1\"", &[change("\"42\"", "a\\u00e4"), change("42", "b")])]);
        let routed = route(&raw).expect("a payload");
        assert_eq!(routed, [Routed { external_id: "42".into(), raw }]);
    }

    #[test]
    fn a_mixed_payload_gives_each_number_its_own_parts_only() {
        let notice = r#"{"field":"account_update","value":{"event":"X"}}"#.to_owned();
        let both = [change("\"42\"", "first\\u00e4"), change("43", "second"), notice];
        let raw = payload(&[("\"1\"", &both), ("2", &[change("42", "third")])]);
        let routed = route(&raw).expect("a payload");
        let ids: Vec<&str> = routed.iter().map(|one| one.external_id.as_str()).collect();
        assert_eq!(ids, ["1", "42", "43"]);
        let texts: Vec<&str> =
            routed.iter().map(|one| std::str::from_utf8(&one.raw).expect("text")).collect();
        assert!(texts[0].contains("account_update") && !texts[0].contains("first"));
        assert!(texts[1].contains("first\\u00e4") && texts[1].contains("third"));
        assert!(!texts[1].contains("second") && texts[2].contains("second"));
        for one in &routed {
            assert_eq!(route(&one.raw).expect("a payload").len(), 1);
        }
    }

    #[test]
    fn what_names_no_account_routes_to_none() {
        for entry in ["{}", "7", r#"{"changes":[{}]}"#] {
            let raw = format!(r#"{{"object":"{OBJECT}","entry":[{entry}]}}"#);
            let routed = route(raw.as_bytes()).expect("a payload");
            assert_eq!(routed.len(), 1, "{raw}");
            assert_eq!(routed[0].external_id, "", "{raw}");
        }
        let empty = format!(r#"{{"object":"{OBJECT}","entry":[]}}"#);
        assert_eq!(route(empty.as_bytes()), Ok(Vec::new()));
    }

    #[test]
    fn another_channels_payload_is_refused() {
        for raw in [
            r#"{"object":"page","entry":[]}"#,
            r#"{"entry":[]}"#,
            "{}",
            "[]",
            "",
            "{\"entry\":[",
            "\u{0}",
        ] {
            assert!(route(raw.as_bytes()).is_err(), "{raw}");
        }
    }
}
