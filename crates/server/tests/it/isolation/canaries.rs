//! Room `server`: words that stand in one tenant's things only, and the search for them in
//! whatever leaves the program, also where it was written in another way.

use std::fmt::Write as _;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use misy_core::crypto::to_hex;

/// What was found where it should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Which canary.
    pub(crate) canary: String,
    /// In which writing.
    pub(crate) form: &'static str,
    /// What stands around it.
    pub(crate) around: String,
}

/// A search for many words in every writing.
pub(crate) struct Scanner {
    search: AhoCorasick,
    needles: Vec<(String, &'static str)>,
}

/// Characters that are shown on either side of a hit.
const AROUND: usize = 120;

impl Scanner {
    /// Looks for these, each by its name and its text. A text is found only if it is long enough
    /// not to stand anywhere by chance.
    pub(crate) fn of<'a>(canaries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut needles, mut patterns) = (Vec::new(), Vec::new());
        for (name, text) in canaries {
            assert!(text.len() >= 10, "{name} `{text}` is too short to be told from chance");
            for (form, pattern) in forms(text.as_bytes()) {
                needles.push((name.to_owned(), form));
                patterns.push(pattern);
            }
        }
        let built = AhoCorasickBuilder::new().ascii_case_insensitive(true).build(patterns);
        Self { search: built.expect("patterns fit into memory"), needles }
    }

    /// Everything found.
    pub(crate) fn scan(&self, text: &[u8]) -> Vec<Hit> {
        let hits = self.search.find_overlapping_iter(text).map(|found| {
            let (canary, form) = self.needles[found.pattern().as_usize()].clone();
            let from = found.start().saturating_sub(AROUND);
            let to = (found.end() + AROUND).min(text.len());
            Hit { canary, form, around: String::from_utf8_lossy(&text[from..to]).into_owned() }
        });
        hits.collect()
    }

    /// Fails with what was found.
    pub(crate) fn assert_clean(&self, place: &str, text: &[u8]) {
        let hits = self.scan(text);
        assert!(hits.is_empty(), "{place} holds what is another tenant's: {:#?}", &hits[..1]);
    }

    /// The names of the canaries that are nowhere in the text.
    pub(crate) fn missing(&self, text: &[u8]) -> Vec<String> {
        let found = self.scan(text);
        let mut names: Vec<String> = self.needles.iter().map(|(name, _)| name.clone()).collect();
        names.dedup();
        names.retain(|name| !found.iter().any(|hit| hit.canary == *name));
        names
    }
}

/// A text in every writing in which it may leave a program: as it is, as JSON or a URL may escape
/// it, as bytes in hexadecimal or decimal, in UTF-16, and in base64, where it may begin at any of
/// three places. Letters of either case are the same to the search.
fn forms(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let each = |write: fn(u8) -> String| {
        text.iter().fold(String::new(), |mut all, byte| {
            let _ = write!(all, "{}", write(*byte));
            all
        })
    };
    let decimal: Vec<String> = text.iter().map(u8::to_string).collect();
    let mut forms = vec![
        ("as it is", text.to_vec()),
        ("backwards", text.iter().rev().copied().collect()),
        ("JSON escapes", each(|byte| format!("\\u{byte:04x}")).into_bytes()),
        ("escapes of a URL", each(|byte| format!("%{byte:02x}")).into_bytes()),
        ("escapes of HTML", each(|byte| format!("&#{byte};")).into_bytes()),
        ("hexadecimal", to_hex(text).into_bytes()),
        ("decimal", decimal.join(", ").into_bytes()),
        ("decimal without spaces", decimal.join(",").into_bytes()),
        ("UTF-16", text.iter().flat_map(|byte| [*byte, 0]).collect()),
    ];
    forms.extend((0..3).map(|shift| ("base64", base64_within(text, shift))));
    forms
}

/// The characters of base64 that the text alone decides if `shift` other bytes stand before it. The
/// alphabets for URLs and for mail differ in two characters that letters and digits never give in
/// these places; texts of other characters would need both.
fn base64_within(text: &[u8], shift: usize) -> Vec<u8> {
    let padded: Vec<u8> = std::iter::repeat_n(0, shift).chain(text.iter().copied()).collect();
    let encoded = misy_core::crypto::to_base64url(&padded).into_bytes();
    let from = (shift * 8).div_ceil(6);
    let to = padded.len() * 8 / 6;
    encoded[from..to].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "c0ffee77aa55bb12";

    fn scanner() -> Scanner {
        Scanner::of([("a name", CANARY)])
    }

    fn form_of(text: &str) -> Vec<&'static str> {
        scanner().scan(text.as_bytes()).into_iter().map(|hit| hit.form).collect()
    }

    #[test]
    fn a_leak_is_found_in_every_writing() {
        let bytes = CANARY.as_bytes();
        let escaped: Vec<String> = bytes.iter().map(|byte| format!("\\u{byte:04x}")).collect();
        let percent: Vec<String> = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
        for (leak, form) in [
            (format!("{{\"name\":\"{CANARY}\"}}"), "as it is"),
            (CANARY.to_uppercase(), "as it is"),
            (escaped.concat(), "JSON escapes"),
            (percent.concat(), "escapes of a URL"),
            (format!("0x{}", to_hex(bytes).to_uppercase()), "hexadecimal"),
            (format!("{bytes:?}"), "decimal"),
            (serde_json::to_string(bytes).expect("JSON"), "decimal without spaces"),
            (CANARY.chars().rev().collect(), "backwards"),
        ] {
            assert!(form_of(&leak).contains(&form), "{form}: {leak}");
        }
        let wide: Vec<u8> = CANARY.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(scanner().scan(&wide).len(), 1);
    }

    #[test]
    fn a_leak_is_found_in_base64_wherever_it_begins() {
        for before in ["", "1", "12", "123", "a longer text before it: "] {
            for after in ["", "!", " and after"] {
                let leak = format!("{before}{CANARY}{after}");
                let text = misy_core::crypto::to_base64url(leak.as_bytes());
                assert_eq!(form_of(&text), ["base64"], "{leak}");
            }
        }
    }

    #[test]
    fn what_is_not_a_leak_is_not_found_and_what_is_missing_is_named() {
        assert_eq!(form_of("c0ffee77aa55bb1"), Vec::<&str>::new());
        let both = Scanner::of([("one", CANARY), ("other", "0123456789abcdef")]);
        assert_eq!(both.missing(CANARY.as_bytes()), ["other"]);
    }

    #[test]
    #[should_panic(expected = "holds what is another tenant's")]
    fn a_leak_fails_the_test_that_looks() {
        scanner().assert_clean("a log", format!("level=info text={CANARY}").as_bytes());
    }
}
