//! Room `web`: reads JSON strictly. UTF-8, no key twice in an object, not nested without end; a
//! fault is told by its place, never by repeating what was sent.

use std::fmt;

use misy_core::Code;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::Problem;

/// Objects and arrays inside each other; no body of the API needs a quarter of it.
const MAX_DEPTH: u8 = 64;

/// Reads one complete JSON text.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let malformed = |detail: String| Problem::new(Code::MalformedRequest).with_detail(detail);
    if bytes.is_empty() {
        return Err(malformed("The body is empty and has to be JSON.".to_owned()));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        malformed(format!("The body is not UTF-8 from byte {}.", error.valid_up_to()))
    })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: MAX_DEPTH }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| malformed(format!("The body is not valid JSON: {error}.")))
}

#[derive(Clone, Copy)]
struct Strict {
    depth: u8,
}

impl Strict {
    /// One level further in, or a refusal.
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        depth.map(|depth| Self { depth }).ok_or_else(|| E::custom("it is nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("a key occurs twice in one object"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(bytes: &[u8]) -> String {
        parse(bytes).expect_err("refused").document().detail
    }

    #[test]
    fn a_fault_is_told_by_its_place_and_not_by_its_content() {
        assert_eq!(
            detail(b"{\"password\": hunter2}"),
            "The body is not valid JSON: expected value at line 1 column 14."
        );
        assert_eq!(
            detail(b"{\"a\": 1"),
            "The body is not valid JSON: EOF while parsing an object at line 1 column 7."
        );
        assert_eq!(detail(b"\"caf\xe9\""), "The body is not UTF-8 from byte 4.");
        assert_eq!(detail(b""), "The body is empty and has to be JSON.");
        assert_eq!(
            detail(b"{} {}"),
            "The body is not valid JSON: trailing characters at line 1 column 4."
        );
    }

    #[test]
    fn a_key_that_occurs_twice_is_refused() {
        assert!(detail(br#"{"role": "viewer", "role": "owner"}"#).contains("occurs twice"));
        assert!(parse(br#"{"a": {"role": 1}, "b": {"role": 2}}"#).is_ok());
    }

    #[test]
    fn endless_nesting_is_refused() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(64).as_bytes()).is_ok());
        assert!(detail(nested(65).as_bytes()).contains("nested too deeply"));
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
    }

    #[test]
    fn numbers_and_texts_read_as_they_are() {
        let text =
            br#"{"a": [0, -7, 18446744073709551615, 1.5, true, null, "\u00e9\ud83d\ude00"]}"#;
        let expected: Value = serde_json::from_slice(text).expect("valid");
        assert_eq!(parse(text).expect("valid"), expected);
    }
}
