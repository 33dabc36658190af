//! Payloads of other projects and of Meta's own reference: every one is read, no item is dropped.
//! They lie outside the tree; where they are absent the tests say so and pass.

use std::path::{Path, PathBuf};

use misy_channel::capability::{Capability, Unit};
use misy_channel::content::MediaKind;
use misy_channel::event::Kind;
use serde_json::{Value, json};

use crate::shown::{is_unknown, shown, whatsapp};

/// The folder of channel material, if it is on this machine.
pub(crate) fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = option_env!("MISYBOT_CORPORA").map_or(beside, PathBuf::from);
    let folder = root.join("channels");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no corpora on this machine (set MISYBOT_CORPORA to their folder)");
    None
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "json") {
            found.push(path);
        }
    }
}

fn is_payload(value: &Value) -> bool {
    value["object"] == "whatsapp_business_account" && value["entry"].is_array()
}

/// Every webhook of this channel in the corpora, with the place it comes from. A file is one, or an
/// object of cases of which each is one.
pub(crate) fn payloads() -> Vec<(String, Value)> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut files = Vec::new();
    files_below(&folder, &mut files);
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
        let name = path.strip_prefix(&folder).unwrap_or(&path).display().to_string();
        if is_payload(&value) {
            found.push((name.clone(), value.clone()));
        }
        let cases = value.as_object().into_iter().flatten().filter(|(_, case)| is_payload(case));
        found.extend(cases.map(|(case, value)| (format!("{name}#{case}"), value.clone())));
    }
    found
}

/// Counts the items of a payload without the adapter's help: the elements of each list of items,
/// and one for a change without any.
fn count(payload: &Value) -> usize {
    let lists = [
        "messages",
        "statuses",
        "message_echoes",
        "calls",
        "groups",
        "user_preferences",
        "state_sync",
        "user_id_update",
    ];
    let len = |value: &Value| value.as_array().map_or(0, Vec::len);
    let mut items = 0;
    for entry in payload["entry"].as_array().into_iter().flatten() {
        for change in entry["changes"].as_array().into_iter().flatten() {
            let value = &change["value"];
            let mut here: usize = lists.iter().map(|list| len(&value[list])).sum();
            for chunk in value["history"].as_array().into_iter().flatten() {
                let threads = chunk["threads"].as_array().into_iter().flatten();
                here += threads.map(|thread| len(&thread["messages"])).sum::<usize>().max(1);
            }
            if change["field"] == "messages" || here > 0 {
                here += len(&value["errors"]);
            }
            items += here.max(1);
        }
    }
    items
}

#[test]
fn every_payload_is_read_and_no_item_is_dropped() {
    let payloads = payloads();
    let mut events = 0;
    for (name, payload) in &payloads {
        let raw = payload.to_string();
        let read =
            whatsapp().receive(raw.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            read.len(),
            count(payload),
            "{name}: {:#?}",
            read.iter().map(shown).collect::<Vec<_>>()
        );
        events += read.len();
    }
    eprintln!("{} payloads, {events} events", payloads.len());
    assert!(folder().is_none() || payloads.len() >= 100, "only {} payloads", payloads.len());
}

/// A message or status of a known type must not fall through to the unknown ones.
#[test]
fn no_message_or_status_of_the_corpora_is_unknown() {
    for (name, payload) in payloads() {
        let raw = payload.to_string();
        for event in whatsapp().receive(raw.as_bytes()).expect("read above") {
            let Kind::Unknown { name: label, raw } = &event.kind else { continue };
            let is_item = label.starts_with("messages.") && raw.get("code").is_none();
            assert!(!is_item, "{name}: {label} {raw}");
        }
    }
}

#[test]
fn every_payload_routes_to_the_ids_it_names() {
    for (name, payload) in payloads() {
        let raw = payload.to_string();
        let routed = whatsapp().route(raw.as_bytes()).expect("a payload");
        assert!(!routed.is_empty(), "{name}");
        for one in routed {
            assert!(!one.external_id.is_empty() && raw.contains(&one.external_id), "{name}");
            assert!(whatsapp().receive(&one.raw).is_ok_and(|events| !events.is_empty()), "{name}");
        }
    }
}

/// Escapes, as Meta signs them, change nothing of what is read.
#[test]
fn escaped_unicode_reads_the_same() {
    for (name, payload) in payloads() {
        let plain = payload.to_string();
        let escaped: String = plain
            .chars()
            .map(|c| if c.is_ascii() && c != '/' { c.to_string() } else { escape(c) })
            .collect();
        let read = |raw: &str| whatsapp().receive(raw.as_bytes()).expect("a payload");
        assert_eq!(read(&plain), read(&escaped), "{name}");
    }
}

fn escape(c: char) -> String {
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units).iter();
    units.fold(String::new(), |text, unit| format!("{text}\\u{unit:04x}"))
}

#[test]
fn a_payload_of_another_channel_is_refused() {
    let Some(folder) = folder() else { return };
    let mut files = Vec::new();
    files_below(&folder.join("chatwoot/payloads"), &mut files);
    let mut refused = 0;
    for path in files {
        let value: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("readable")).expect("JSON");
        assert!(whatsapp().receive(value.to_string().as_bytes()).is_err(), "{}", path.display());
        refused += 1;
    }
    assert!(refused > 5, "only {refused} payloads of other channels");
}

fn limits() -> Option<Value> {
    let text = std::fs::read_to_string(folder()?.join("limits.json")).expect("readable");
    Some(serde_json::from_str::<Value>(&text).expect("JSON")["whatsapp_cloud"].take())
}

fn number(value: &Value) -> usize {
    let number = if value.is_object() { &value["n"] } else { value };
    usize::try_from(number.as_u64().expect("a number")).expect("small")
}

#[test]
fn the_capability_agrees_with_the_table_of_limits() {
    let Some(limits) = limits() else { return };
    let channel = whatsapp();
    let Capability { text, caption_max, buttons, list, window_hours, .. } = channel.capability();
    assert_eq!((text.max, text.unit), (number(&limits["text_max"]), Unit::Chars));
    assert_eq!(*caption_max, Some(number(&limits["caption_max"])));
    let table = &limits["interactive"];
    let buttons = buttons.expect("it has buttons");
    let ours = [
        buttons.text_max,
        buttons.header_max,
        buttons.footer_max,
        buttons.max,
        buttons.title_max,
        buttons.id_max,
    ];
    let names = ["body", "header_text", "footer", "buttons_max", "button_title", "button_id"];
    assert_eq!(ours, names.map(|name| number(&table[name])));
    let list = list.expect("it has lists");
    let ours = [
        list.text_max,
        list.rows_max,
        list.sections_max,
        list.row_title_max,
        list.row_id_max,
        list.row_description_max,
        list.section_title_max,
        list.button_max,
    ];
    let names = [
        "body",
        "rows_total_max",
        "sections_max",
        "row_title",
        "row_id",
        "row_desc",
        "section_title",
        "list_button",
    ];
    assert_eq!(ours, names.map(|name| number(&table[name])));
    assert_eq!(window_hours.map(|hours| hours as usize), Some(number(&limits["window_hours"])));
}

#[test]
fn the_kinds_of_file_agree_with_the_table_of_limits() {
    let Some(limits) = limits() else { return };
    let channel = whatsapp();
    let of = |kind| channel.capability().find_media(kind).expect("it takes this kind");
    for (kind, name) in [
        (MediaKind::Image, "image"),
        (MediaKind::Video, "video"),
        (MediaKind::Audio, "audio"),
        (MediaKind::Document, "document"),
    ] {
        let table = &limits["media"][name];
        assert_eq!(of(kind).max_bytes, number(&table["mb"]) as u64 * 1024 * 1024, "{name}");
        let types = table["mime"].as_array().into_iter().flatten().filter_map(Value::as_str);
        // The table writes the office formats in short.
        for mime in types.filter(|mime| mime.contains('/')) {
            assert!(of(kind).mime.contains(&mime), "{name}: {mime}");
        }
    }
    let sticker = number(&limits["media"]["sticker_animated"]["kb"]) as u64 * 1024;
    assert_eq!(of(MediaKind::Sticker).max_bytes, sticker);
}

/// The table of retries by code, read through `failed` statuses.
#[test]
fn the_table_of_errors_agrees_with_the_table_of_limits() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("limits.json")).expect("readable");
    let table = serde_json::from_str::<Value>(&text).expect("JSON")["retryable_codes"].take();
    let codes = |name: &str| -> Vec<u64> {
        table[name].as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
    };
    for code in codes("throttle_whatsapp").into_iter().chain(codes("graph_throttle")) {
        assert_eq!(kind_of(code), "throttled", "{code}");
    }
    for code in codes("transient") {
        assert_eq!(kind_of(code), "transient", "{code}");
    }
    for code in codes("reauth").into_iter().chain([200, 299]) {
        assert_eq!(kind_of(code), "account", "{code}");
    }
    for code in codes("permanent") {
        assert!(!["throttled", "transient"].contains(&kind_of(code).as_str()), "{code}");
    }
}

fn kind_of(code: u64) -> String {
    let status = json!({"id": "wamid.1", "status": "failed", "errors": [{ "code": code }]});
    let change = json!({"field": "messages", "value": {"statuses": [status]}});
    let entry = json!({"id": "1", "changes": [change]});
    let raw = json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string();
    let events = whatsapp().receive(raw.as_bytes()).expect("a payload");
    assert!(!is_unknown(&events[0]));
    shown(&events[0])["failure"]["kind"].as_str().expect("a kind").to_owned()
}
