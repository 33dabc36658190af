//! Room `adapters`: an account's settings: what may be entered, and how it is read.

use misy_channel::account::{Account, AccountDraft, PRIVATE_HOST_RULE};
use misy_core::Secret;
use misy_core::error::Fault;
use misy_egress::guard::{Reach, check_url};
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::meta::graph::Graph;

const HOST: &str = "https://graph.facebook.com";
const VERSION: &str = "v25.0";
const CREDENTIALS: [&str; 3] = ["access_token", "app_secret", "verify_token"];
const SECRET_MAX: usize = 4096;

/// The way to an account's object, by its settings or their defaults.
pub(crate) fn graph(account: &Account) -> Graph<'_> {
    Graph {
        account,
        host: account.setting("api_host").unwrap_or(HOST).trim_end_matches('/'),
        version: account.setting("api_version").unwrap_or(VERSION),
        proof: account.settings.get("appsecret_proof").and_then(Value::as_bool).unwrap_or(false),
    }
}

/// The business account above a number, if it is known.
pub(crate) fn waba_id(settings: &Map<String, Value>) -> Option<String> {
    settings.get("waba_id").and_then(Value::as_str).map(str::to_owned)
}

/// Checks a draft; tells every fault at once.
pub(crate) fn check(draft: &AccountDraft) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut fault = |pointer: String, detail: &str| {
        faults.push(Fault { pointer, detail: detail.to_owned() });
    };
    if !is_object_id(&draft.external_id) {
        fault("/external_id".into(), "the phone-number id, a number of at most 32 digits");
    }
    for name in CREDENTIALS {
        let secret = draft.credentials.find(name).map(Secret::expose);
        if let Some(detail) = secret_fault(secret) {
            fault(format!("/credentials/{name}"), detail);
        }
    }
    let strangers = draft.credentials.0.keys().filter(|name| !CREDENTIALS.contains(&&***name));
    for name in strangers {
        fault(pointer("credentials", name), "not a credential of WhatsApp");
    }
    for (name, value) in &draft.settings {
        if let Err(detail) = check_setting(name, value, draft.private_hosts_allowed) {
            fault(pointer("settings", name), &detail);
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// A JSON pointer escapes two characters (RFC 6901).
fn pointer(parent: &str, name: &str) -> String {
    format!("/{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn is_object_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn secret_fault(secret: Option<&str>) -> Option<&'static str> {
    match secret {
        None => Some("is required"),
        Some(text) if text.len() > SECRET_MAX => Some("is longer than 4096 bytes"),
        Some(text) if !text.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) => {
            Some("holds a space or a character that no credential has; was it pasted whole?")
        }
        Some(_) => None,
    }
}

fn check_setting(name: &str, value: &Value, private_hosts_allowed: bool) -> Result<(), String> {
    let text = || value.as_str().ok_or_else(|| "must be a text".to_owned());
    match name {
        "api_host" => check_host(text()?, private_hosts_allowed),
        "api_version" if is_version(text()?) => Ok(()),
        "api_version" => Err("must look like v25.0".to_owned()),
        "waba_id" if is_object_id(text()?) => Ok(()),
        "waba_id" => Err("must be a number of at most 32 digits".to_owned()),
        "appsecret_proof" if value.is_boolean() => Ok(()),
        "appsecret_proof" => Err("must be true or false".to_owned()),
        _ => {
            Err("not a setting of WhatsApp: api_host, api_version, waba_id, appsecret_proof".into())
        }
    }
}

fn is_version(text: &str) -> bool {
    let number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let parts = text.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(major, minor)| number(major) && number(minor))
}

fn check_host(text: &str, private_hosts_allowed: bool) -> Result<(), String> {
    let url = Url::parse(text).map_err(|_| "must be a URL such as https://graph.facebook.com")?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must be a URL without query and fragment".to_owned());
    }
    let (public, private) = (check_url(&url, Reach::Public), check_url(&url, Reach::Private));
    if let Err(error) = private {
        return Err(error.to_string());
    }
    if (public.is_err() || is_inner_name(&url)) && !private_hosts_allowed {
        return Err(format!("{PRIVATE_HOST_RULE}; public hosts need https"));
    }
    Ok(())
}

/// Names that lead inside wherever they are resolved. Others are judged by their address, at each
/// call.
fn is_inner_name(url: &Url) -> bool {
    let Some(Host::Domain(name)) = url.host() else { return false };
    let name = name.trim_end_matches('.');
    let inner = ["localhost", "local", "internal", "lan", "home.arpa"];
    !name.contains('.') || inner.iter().any(|end| name.ends_with(&format!(".{end}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_channel::account::Credentials;
    use serde_json::json;

    fn draft(settings: Value) -> AccountDraft {
        let credentials = CREDENTIALS.map(|name| (name.to_owned(), Secret::new("secret")));
        AccountDraft {
            external_id: "106540352242922".to_owned(),
            credentials: Credentials(credentials.into()),
            settings: serde_json::from_value(settings).expect("an object"),
            private_hosts_allowed: false,
        }
    }

    fn faults(draft: &AccountDraft) -> Vec<String> {
        let faults = check(draft).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn a_plain_account_needs_no_settings() {
        assert_eq!(check(&draft(json!({}))), Ok(()));
        let full = json!({"api_host": "https://graph.facebook.com/", "api_version": "v25.0",
            "waba_id": "102290129340398", "appsecret_proof": true});
        assert_eq!(check(&draft(full)), Ok(()));
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let mut broken =
            draft(json!({"api_version": "25", "waba_id": 3, "colour": "red", "a/b": 1}));
        broken.external_id = "+49 155".to_owned();
        broken.credentials.0.remove("app_secret");
        broken.credentials.0.insert("verify_token".into(), Secret::new("two words"));
        broken.credentials.0.insert("password".into(), Secret::new("x"));
        let expected = [
            "/external_id",
            "/credentials/app_secret",
            "/credentials/verify_token",
            "/credentials/password",
            "/settings/api_version",
            "/settings/waba_id",
            "/settings/colour",
            "/settings/a~1b",
        ];
        assert_eq!(faults(&broken), expected);
    }

    #[test]
    fn a_private_host_needs_the_operators_word_and_the_fault_names_the_rule() {
        for host in [
            "http://127.0.0.1:9000",
            "https://10.1.2.3",
            "http://localhost:8080/graph",
            "https://graph.internal",
            "https://[::1]",
            "http://graph.facebook.com",
        ] {
            let mut draft = draft(json!({ "api_host": host }));
            let told = check(&draft).expect_err(host);
            assert!(told[0].detail.contains(PRIVATE_HOST_RULE), "{host}: {told:?}");
            draft.private_hosts_allowed = true;
            assert_eq!(check(&draft), Ok(()), "{host}");
        }
    }

    #[test]
    fn some_hosts_are_refused_whatever_the_operator_says() {
        for host in [
            "http://169.254.169.254",
            "ftp://example.org",
            "https://u:p@example.org",
            "https://example.org/?a=b",
            "graph.facebook.com",
            "http://0.0.0.0",
        ] {
            let mut draft = draft(json!({ "api_host": host }));
            draft.private_hosts_allowed = true;
            assert_eq!(faults(&draft), ["/settings/api_host"], "{host}");
        }
    }
}
