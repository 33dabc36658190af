//! Room `tenancy`: which slugs, names, places and pages a tenant may give.

use misy_core::error::Fault;
use serde_json::{Map, Value};
use unicode_security::MixedScript;

use super::{Brand, Change, Contact, NewTenant};

/// Slugs that are or may become addresses of the platform's own.
const RESERVED: &[&str] = &[
    "about",
    "account",
    "admin",
    "api",
    "app",
    "assets",
    "auth",
    "billing",
    "blog",
    "cdn",
    "dashboard",
    "docs",
    "healthz",
    "help",
    "hooks",
    "internal",
    "login",
    "mail",
    "metrics",
    "misy",
    "misybot",
    "platform",
    "public",
    "readyz",
    "root",
    "sandbox",
    "scim",
    "security",
    "signup",
    "static",
    "status",
    "support",
    "system",
    "test",
    "widget",
    "www",
];

fn fault(faults: &mut Vec<Fault>, pointer: &str, rule: Result<(), &'static str>) {
    if let Err(detail) = rule {
        faults.push(Fault { pointer: pointer.to_owned(), detail: detail.to_owned() });
    }
}

/// Every fault of a new tenant's own fields.
pub fn check_new(new: &NewTenant) -> Vec<Fault> {
    let mut faults = Vec::new();
    fault(&mut faults, "/slug", check_slug(&new.slug));
    fault(&mut faults, "/name", check_name(&new.name));
    check_look(&mut faults, Some(&new.brand), Some(&new.contacts));
    fault(&mut faults, "/owner/name", check_text(&new.owner.name.0));
    fault(&mut faults, "/locale", check_locale(&new.locale));
    fault(&mut faults, "/time_zone", check_time_zone(&new.time_zone));
    fault(&mut faults, "/business", check_business(&new.business));
    for (index, origin) in new.allowed_origins.iter().enumerate() {
        fault(&mut faults, &format!("/allowed_origins/{index}"), check_origin(origin));
    }
    faults
}

/// Every fault of what is changed; what stays is not looked at, for the rules may have changed.
pub fn check_change(change: &Change) -> Vec<Fault> {
    let mut faults = Vec::new();
    let holds = |rule: Option<Result<(), &'static str>>| rule.unwrap_or(Ok(()));
    fault(&mut faults, "/name", holds(change.name.as_deref().map(check_name)));
    check_look(&mut faults, change.brand.as_ref(), change.contacts.as_deref());
    fault(&mut faults, "/locale", holds(change.locale.as_deref().map(check_locale)));
    fault(&mut faults, "/time_zone", holds(change.time_zone.as_deref().map(check_time_zone)));
    fault(&mut faults, "/business", holds(change.business.as_ref().map(check_business)));
    for (index, origin) in change.allowed_origins.iter().flatten().enumerate() {
        fault(&mut faults, &format!("/allowed_origins/{index}"), check_origin(origin));
    }
    faults
}

/// Slugs are host labels (RFC 1123) of 2 to 63 ASCII characters, so that none can look like another
/// in a foreign script, and none is an encoded one (`xn--`).
pub fn check_slug(slug: &str) -> Result<(), &'static str> {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if !(2..=63).contains(&slug.len()) || !slug.bytes().all(plain) {
        return Err("expected 2 to 63 characters of a-z, 0-9 and hyphens");
    }
    if slug.starts_with('-') || slug.ends_with('-') || slug.contains("--") {
        return Err("hyphens stand only between other characters, one at a time");
    }
    if RESERVED.contains(&slug) {
        return Err("this name is reserved; choose another");
    }
    Ok(())
}

/// A name for people: no line breaks and nothing that cannot be seen or stored.
pub fn check_text(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("expected some text");
    }
    if text.chars().any(char::is_control) {
        return Err("expected text without control characters");
    }
    Ok(())
}

/// The name of a business: text in which no word mixes scripts, for such a word looks like another
/// one (Unicode Technical Standard 39, section 5.1). Scripts that are written together, such as the
/// three of Japanese, count as one.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    check_text(name)?;
    let words = name.split(|letter: char| !letter.is_alphanumeric());
    if words.into_iter().all(MixedScript::is_single_script) {
        return Ok(());
    }
    Err("a word mixes letters of several scripts that look alike; write it in one")
}

/// Every fault of how a tenant looks and whom to ask there.
fn check_look(faults: &mut Vec<Fault>, brand: Option<&Brand>, contacts: Option<&[Contact]>) {
    let holds = |rule: Option<Result<(), &'static str>>| rule.unwrap_or(Ok(()));
    if let Some(brand) = brand {
        fault(faults, "/brand/name", holds(brand.name.as_deref().map(check_name)));
        let sender = brand.mail_sender_name.as_deref();
        fault(faults, "/brand/mail_sender_name", holds(sender.map(check_name)));
        fault(faults, "/brand/logo_url", holds(brand.logo_url.as_deref().map(check_logo)));
        fault(faults, "/brand/app_url", holds(brand.app_url.as_deref().map(check_page)));
        let address = brand.mail_sender_address.as_deref();
        fault(faults, "/brand/mail_sender_address", holds(address.map(check_address)));
    }
    for (index, contact) in contacts.unwrap_or_default().iter().enumerate() {
        fault(faults, &format!("/contacts/{index}/name"), check_text(&contact.name.0));
        fault(faults, &format!("/contacts/{index}/email"), check_address(&contact.email.0));
        let phone = contact.phone.as_ref().map(|phone| check_text(&phone.0));
        fault(faults, &format!("/contacts/{index}/phone"), holds(phone));
    }
}

/// Pages show it as a picture, so nothing but a page's own kind of address will do.
fn check_logo(url: &str) -> Result<(), &'static str> {
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    let host = url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty());
    if plain && host { Ok(()) } else { Err("expected an address that begins with `https://`") }
}

/// Links begin with it, so it has neither a user nor a query nor a fragment.
fn check_page(url: &str) -> Result<(), &'static str> {
    check_logo(url)?;
    let odd = url.contains(['@', '?', '#']);
    if odd { Err("expected an address without user, query and fragment") } else { Ok(()) }
}

fn check_address(address: &str) -> Result<(), &'static str> {
    let good = address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !domain.contains('@')
    });
    let plain = address.chars().all(|one| !one.is_control() && !one.is_whitespace());
    if good && plain && address.len() <= 254 {
        return Ok(());
    }
    Err("expected an e-mail address")
}

/// An IANA time zone.
pub fn check_time_zone(name: &str) -> Result<(), &'static str> {
    let found = jiff::tz::TimeZone::get(name);
    found.map(drop).map_err(|_| "expected an IANA time zone such as `Europe/Berlin`")
}

/// What a business says of itself: 16 KiB of JSON, without the character that PostgreSQL cannot
/// hold.
pub fn check_business(business: &Map<String, Value>) -> Result<(), &'static str> {
    const LIMIT_BYTES: usize = 16 << 10;
    let text = Value::Object(business.clone()).to_string();
    if text.len() > LIMIT_BYTES {
        return Err("expected at most 16 KiB of JSON");
    }
    // In JSON the character is this escape; an escaped backslash before `u0000` means no such
    // thing.
    if text.replace(r"\\", "").contains(r"\u0000") {
        return Err("expected text without the character U+0000");
    }
    Ok(())
}

/// `language[-script][-region]` of BCP 47.
pub fn check_locale(locale: &str) -> Result<(), &'static str> {
    let mut parts = locale.split('-');
    let language = parts.next().is_some_and(|part| {
        (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_lowercase())
    });
    let good = language
        && parts.clone().count() <= 2
        && parts.all(|part| {
            (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    if good { Ok(()) } else { Err("expected a language tag such as `en` or `de-DE`") }
}

/// A browser's `Origin` (RFC 6454): scheme, host and port, in lower case as browsers send it.
pub fn check_origin(origin: &str) -> Result<(), &'static str> {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let good = rest.is_some_and(|host| {
        let known =
            |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b".-:[]".contains(&byte);
        !host.is_empty() && host.len() <= 253 && host.bytes().all(known)
    });
    if good {
        return Ok(());
    }
    Err("expected an origin such as `https://www.example.com`, in lower case and without a path")
}
