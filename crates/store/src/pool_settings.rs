//! Room `store`: what the settings of the pools are for, in the form in which
//! `misybot config schema` tells it.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// Each setting of [`Config`](crate::Config) and what it is for.
const SETTINGS: [(&str, &str); 9] = [
    ("tenant_connections", "Connections for work inside tenants."),
    (
        "tenant_connections_per_tenant",
        "How many of them one tenant may have at once; the rest is always there for others.",
    ),
    ("platform_connections", "Connections for work across tenants: routing, the queue, sweeps."),
    (
        "keyed_connections",
        "How many connections of a pool requests with an `Idempotency-Key` may hold, each for its \
         whole length. Those of one tenant, and those of one pool, always leave one to others.",
    ),
    (
        "wait_ms",
        "How long a request waits for a connection before it is answered 503, in milliseconds.",
    ),
    ("waiting", "How many may wait for a connection of a pool; one more is answered 503 at once."),
    ("waiting_per_tenant", "How many of one tenant may wait."),
    ("statement_ms", "How long one statement may run, in milliseconds."),
    (
        "idle_in_transaction_ms",
        "How long a transaction may be open without a statement, in milliseconds; then its \
         connection is closed.",
    ),
];

/// The schema of [`Config`](crate::Config): all are whole numbers, and nothing else is read.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    let setting = |text: &str| json!({ "type": "integer", "minimum": 0, "description": text });
    let properties: Map<String, Value> =
        SETTINGS.iter().map(|(name, text)| ((*name).to_owned(), setting(text))).collect();
    json_schema!({
        "type": "object",
        "description": "Pools and time-outs.",
        "properties": properties,
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_the_pools_is_told_and_none_that_is_not_read() {
        let read = serde_json::to_value(crate::Config::default()).expect("JSON");
        let mut told: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
        let mut read: Vec<&str> =
            read.as_object().expect("settings").keys().map(String::as_str).collect();
        told.sort_unstable();
        read.sort_unstable();
        assert_eq!(told, read);
    }
}
