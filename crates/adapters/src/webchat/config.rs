//! Room `adapters`: the settings of a web chat: what may be entered.

use misy_channel::account::AccountDraft;
use misy_core::error::Fault;

/// What the page calls itself.
pub(crate) const TITLE: &str = "title";
/// What the page says before anybody has said anything.
const GREETING: &str = "greeting";

/// Checks a draft; tells every fault at once. That the external id is the tenant's own site id, the
/// caller knows better.
pub(crate) fn check(draft: &AccountDraft) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut fault = |pointer: String, detail: &str| {
        faults.push(Fault { pointer, detail: detail.to_owned() });
    };
    for name in draft.credentials.0.keys() {
        fault(pointer("credentials", name), "a web chat needs no credentials");
    }
    for (name, value) in &draft.settings {
        match (name.as_str(), value.as_str()) {
            (TITLE, Some(text)) if is_within(text, 60) => {}
            (GREETING, Some(text)) if is_within(text, 500) => {}
            (TITLE, _) => fault(pointer("settings", name), "must be a text of 1 to 60 characters"),
            (GREETING, _) => {
                fault(pointer("settings", name), "must be a text of 1 to 500 characters");
            }
            _ => fault(pointer("settings", name), "not a setting of a web chat: title, greeting"),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn is_within(text: &str, max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= max && !text.contains('\0')
}

/// A JSON pointer escapes two characters (RFC 6901).
fn pointer(parent: &str, name: &str) -> String {
    format!("/{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_channel::account::Credentials;
    use misy_core::Secret;
    use serde_json::{Value, json};

    fn draft(settings: Value) -> AccountDraft {
        AccountDraft {
            external_id: "site_1".to_owned(),
            credentials: Credentials::default(),
            settings: serde_json::from_value(settings).expect("an object"),
            private_hosts_allowed: false,
        }
    }

    #[test]
    fn a_chat_needs_nothing_and_may_have_a_title_and_a_greeting() {
        assert_eq!(check(&draft(json!({}))), Ok(()));
        assert_eq!(check(&draft(json!({"title": "Ask us", "greeting": "Hello!"}))), Ok(()));
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let long = "x".repeat(501);
        let mut broken = draft(json!({"title": " ", "greeting": long, "colour": "red"}));
        broken.credentials.0.insert("secret".to_owned(), Secret::new("x"));
        let told = check(&broken).expect_err("broken");
        let pointers: Vec<&str> = told.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/credentials/secret", "/settings/title", "/settings/greeting", "/settings/colour"]
        );
    }
}
