//! Payloads damaged at random: nothing panics, and what is still a payload loses nothing.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::corpora;
use crate::shown::whatsapp;

/// Whole payloads of our own, and those of the corpora where they are.
static SAMPLES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let folder = format!("{}/src/whatsapp/testdata", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).expect("test data").flatten();
    let read =
        |path| serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
    let mut all: Vec<Value> = files.map(|file| read(file.path())).collect();
    all.extend(corpora::payloads().into_iter().map(|(_, payload)| payload));
    all
});

/// Every place in a document, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(inner, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                places(inner, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn any_scrap() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{}, null, 7])),
        Just(json!({"id": {"id": []}, "type": 3})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_damaged_payload_never_panics_and_each_change_gives_an_event(
        sample: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any_scrap()), 1..4),
    ) {
        let mut payload = sample.get(&SAMPLES).clone();
        for (place, scrap) in damage {
            let mut found = Vec::new();
            places(&payload, "", &mut found);
            let at = place.get(&found).clone();
            if let Some(part) = payload.pointer_mut(&at) {
                *part = scrap;
            }
        }
        let raw = payload.to_string();
        let channel = whatsapp();
        let (events, routed) = (channel.receive(raw.as_bytes()), channel.route(raw.as_bytes()));
        prop_assert_eq!(events.is_ok(), routed.is_ok());
        let Ok(events) = events else { return Ok(()) };
        let entries = payload["entry"].as_array().expect("it is a payload");
        let changes = |entry: &Value| entry["changes"].as_array().map_or(1, |all| all.len().max(1));
        prop_assert!(events.len() >= entries.iter().map(changes).sum());
        // The parts of all accounts together are the whole.
        let parts = routed.expect("checked above");
        let sum: usize = parts
            .iter()
            .map(|one| channel.receive(&one.raw).map_or(0, |events| events.len()))
            .sum();
        prop_assert_eq!(sum, events.len());
    }

    #[test]
    fn a_torn_payload_is_refused_and_never_panics(
        sample: prop::sample::Index,
        cut: prop::sample::Index,
    ) {
        let raw = sample.get(&SAMPLES).to_string();
        let cut = cut.index(raw.len());
        prop_assert!(whatsapp().receive(&raw.as_bytes()[..cut]).is_err());
    }

    #[test]
    fn garbage_never_panics(bytes: Vec<u8>) {
        let _ = (whatsapp().receive(&bytes), whatsapp().route(&bytes));
    }
}
