//! Room `adapters`: ids, times and objects as Meta's payloads really have them: ids are numbers or
//! texts, times seconds or milliseconds, and any part may be of an unexpected form without the rest
//! being wrong.

use std::collections::BTreeMap;
use std::fmt;

use misy_core::Timestamp;
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// From this number on a time is in milliseconds; as seconds it would be in the year 33658.
const MILLISECONDS_FROM: i64 = 1_000_000_000_000;
/// Longest name of an unknown event, in characters.
const LABEL_MAX: usize = 64;

/// An id: a text or a number on the wire, a text here; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id as a text or a number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
        let text = text.trim();
        if text.is_empty() { Err(E::custom("an empty id")) } else { Ok(Id(text.to_owned())) }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Id, E> {
        Ok(Id(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Id, E> {
        Ok(Id(number.to_string()))
    }
}

/// A point in time: seconds or milliseconds, as a text or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Id(text) = Id::deserialize(deserializer)?;
        let number: i64 = text.parse().map_err(|_| D::Error::custom("a time is a number"))?;
        let read = if number.saturating_abs() >= MILLISECONDS_FROM {
            Timestamp::from_millisecond(number)
        } else {
            Timestamp::from_second(number)
        };
        read.map(Self).map_err(D::Error::custom)
    }
}

/// An object whose fields are read one by one, so that one of an unexpected form spoils no other.
pub(crate) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// `None` if it is no object.
    pub(crate) fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok().map(Self)
    }

    /// A field in a form that is wanted; `None` if it is absent or has another form.
    pub(crate) fn find<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.0.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// A field as it stands, unless it is `null`.
    pub(crate) fn find_raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    /// The elements of a field that is a list.
    pub(crate) fn find_list(&self, name: &str) -> Option<Vec<&'a RawValue>> {
        self.find_raw(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// A text that is not empty.
    pub(crate) fn find_text(&self, name: &str) -> Option<String> {
        self.find(name).filter(|text: &String| !text.is_empty())
    }

    /// All fields, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, raw)| (name.as_str(), *raw))
    }
}

/// A part of a payload as data; as its own text where it is not even that (a torn surrogate pair,
/// nesting without end).
pub(crate) fn whole(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| Value::String(raw.get().to_owned()))
}

/// A name for an unknown event that is safe as a label: lower-case letters, digits, `_` and `.`.
pub(crate) fn label(parts: &[&str]) -> String {
    let joined = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>();
    let safe = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '.') => c,
        _ => '_',
    };
    joined.join(".").chars().take(LABEL_MAX).map(safe).collect()
}

/// A phone number in E.164 from whatever spelling of its international form.
pub(crate) fn phone(text: &str) -> Option<String> {
    let plain = |c: &char| !matches!(c, '+' | '-' | ' ' | '(' | ')' | '.');
    let digits: String = text.chars().filter(plain).collect();
    let is_number = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_text_or_a_number_and_not_empty() {
        for (json, expected) in [("\"12\"", Some("12")), ("12", Some("12")), ("\" \"", None)] {
            let id = serde_json::from_str::<Id>(json).ok().map(|id| id.0);
            assert_eq!(id.as_deref(), expected, "{json}");
        }
        assert!(serde_json::from_str::<Id>("[1]").is_err());
    }

    #[test]
    fn a_time_is_read_in_all_four_forms() {
        for json in ["1697043223", "\"1697043223\"", "1697043223000", "\"1697043223000\""] {
            let Moment(at) = serde_json::from_str(json).expect(json);
            assert_eq!(at.as_second(), 1_697_043_223, "{json}");
        }
        for json in ["\"soon\"", "99999999999999999", "null", "\"\""] {
            assert!(serde_json::from_str::<Moment>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_label_holds_nothing_of_a_stranger() {
        assert_eq!(label(&["messages", "", "Evil{a=\"b\"}\n"]), "messages.evil_a__b___");
        assert_eq!(label(&[&"x".repeat(200)]).len(), LABEL_MAX);
    }

    #[test]
    fn a_phone_number_has_one_form() {
        assert_eq!(phone("4915551234"), phone("+49 1555-1234"));
        assert_eq!(phone("US.13491208655302741918"), None);
        assert_eq!(phone("<WHATSAPP_USER_PHONE_NUMBER>"), None);
        assert_eq!(phone("1234567890123456"), None);
    }
}
