//! Room `sandbox`: the shapes of the names that Meta gives to things.

use data_encoding::{BASE64, HEXUPPER};
use misy_core::{Ambient, crypto};

/// Which way a message goes; it is written into its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// From a customer to the business.
    In,
    /// From the business to a customer.
    Out,
}

/// A new message id of the shape `wamid.HBgL...`: base64 of a small record with the phone number
/// and random digits, as observed in real payloads.
pub(crate) fn wamid(ambient: &Ambient, chat: &str, direction: Direction) -> String {
    let serial = HEXUPPER.encode(ambient.uuid().as_bytes());
    let marker = if direction == Direction::In { 0x12 } else { 0x11 };
    let chat = chat.as_bytes();
    let chat_length = u8::try_from(chat.len()).unwrap_or(u8::MAX);
    let mut record = vec![0x1c, 0x18, chat_length];
    record.extend_from_slice(chat);
    record.extend_from_slice(&[0x15, 0x02, 0x00, marker, 0x18, 0x20]);
    record.extend_from_slice(serial.as_bytes());
    record.push(0);
    format!("wamid.{}", BASE64.encode(&record))
}

/// A new number of `digits` digits that does not begin with zero, as Meta names its objects.
pub(crate) fn number(ambient: &Ambient, digits: u32) -> String {
    let low = 10_u64.pow(digits - 1);
    let fresh = crypto::sha256(ambient.uuid().as_bytes());
    let random = fresh.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    (low + random % (9 * low)).to_string()
}

/// A new access token, recognisable as one of the sandbox.
pub(crate) fn access_token(ambient: &Ambient) -> String {
    format!("EAASANDBOX{}", crypto::to_hex(&ambient.bytes::<24>()))
}

/// A new secret of 32 hexadecimal digits, the shape of an app secret.
pub(crate) fn secret(ambient: &Ambient) -> String {
    crypto::to_hex(&ambient.bytes::<16>())
}

/// A trace id as it stands in Meta's errors.
pub(crate) fn trace_id(ambient: &Ambient) -> String {
    format!("A{}", crypto::to_base64url(&ambient.bytes::<16>()))
}

/// The digits of a phone number written in any usual way; `None` if it is not one (E.164 has 7 to
/// 15).
pub(crate) fn phone_digits(text: &str) -> Option<String> {
    let mut digits = String::new();
    for letter in text.chars() {
        match letter {
            '0'..='9' => digits.push(letter),
            '+' | ' ' | '-' | '(' | ')' | '.' => {}
            _ => return None,
        }
    }
    (7..=15).contains(&digits.len()).then_some(digits)
}

/// Whether a text has the shape of a business-scoped user id: `CC.` or `CC.ENT.`, then up to 128
/// letters and digits.
pub(crate) fn is_user_id(text: &str) -> bool {
    let Some((country, rest)) = text.split_once('.') else { return false };
    let rest = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=128).contains(&rest.len())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The business-scoped id of a phone's user: the same for the same WABA and phone, another for
/// another.
pub(crate) fn user_id(waba_id: &str, phone: &str) -> String {
    let digest = crypto::hmac_sha256(waba_id.as_bytes(), phone.as_bytes());
    let number = digest.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    format!("{}.{number:020}", country_of(phone))
}

/// Country codes of the calling codes most used in tests; any other is taken for the United States.
fn country_of(phone: &str) -> &'static str {
    const CALLING_CODES: [(&str, &str); 16] = [
        ("49", "DE"),
        ("44", "GB"),
        ("43", "AT"),
        ("41", "CH"),
        ("33", "FR"),
        ("34", "ES"),
        ("39", "IT"),
        ("31", "NL"),
        ("55", "BR"),
        ("52", "MX"),
        ("91", "IN"),
        ("62", "ID"),
        ("972", "IL"),
        ("971", "AE"),
        ("90", "TR"),
        ("81", "JP"),
    ];
    CALLING_CODES.iter().find(|(code, _)| phone.starts_with(code)).map_or("US", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_is_read_in_any_usual_spelling() {
        assert_eq!(phone_digits("+49 (151) 555-0001").as_deref(), Some("491515550001"));
        assert_eq!(phone_digits("12345"), None);
        assert_eq!(phone_digits("US.123456789"), None);
        assert_eq!(phone_digits("1234567890123456"), None);
    }

    #[test]
    fn user_ids_are_told_from_phone_numbers() {
        assert!(is_user_id("US.13491208655302741918"));
        assert!(is_user_id("US.ENT.11815799212886844830"));
        assert!(!is_user_id("491515550001"));
        assert!(!is_user_id("us.1"));
        assert!(!is_user_id("US."));
        assert!(!is_user_id(&format!("US.{}", "1".repeat(129))));
    }

    #[test]
    fn a_user_id_depends_on_business_and_phone() {
        assert_eq!(user_id("1", "491515550001"), user_id("1", "491515550001"));
        assert_ne!(user_id("1", "491515550001"), user_id("2", "491515550001"));
        assert!(user_id("1", "491515550001").starts_with("DE."));
        assert!(is_user_id(&user_id("1", "15550001111")));
    }
}
