//! Room `tenancy`: a limit and where it comes from.

use std::collections::BTreeMap;

use serde_json::Value;

/// One limit of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// What is limited, for example `messages_per_month`.
    pub name: String,
    /// How many.
    pub max_count: i64,
    /// `plan` or `operator`.
    pub source: String,
}

/// The limits of a plan, read from its data; anything that is no count is left out.
pub fn of_plan(limits: &Value) -> (Vec<String>, Vec<i64>) {
    let Some(limits) = limits.as_object() else { return (Vec::new(), Vec::new()) };
    limits
        .iter()
        .filter_map(|(name, count)| {
            Some((name.clone(), count.as_i64().filter(|count| *count >= 0)?))
        })
        .unzip()
}

/// Whether these can be limits: at most 50, of plain names, none below zero.
pub fn check(limits: &BTreeMap<String, i64>) -> Result<(), &'static str> {
    let plain = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    if limits.len() > 50 || !limits.keys().all(|name| plain(name)) {
        return Err("expected at most 50 names of a-z and underscores");
    }
    if limits.values().any(|count| *count < 0) {
        return Err("expected counts of at least 0");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_count_is_no_limit() {
        let limits = serde_json::json!({"users": 3, "channels": "many", "contacts": -1});
        assert_eq!(of_plan(&limits), (vec!["users".to_owned()], vec![3]));
        assert_eq!(of_plan(&Value::Null), (vec![], vec![]));
    }
}
