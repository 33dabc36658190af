//! Room `identity`: time-based one-time passwords (RFC 6238 over RFC 4226) and recovery codes.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use misy_core::error::Fault;
use misy_core::{Code, Public, Secret, Timestamp, crypto};
use uuid::Uuid;

/// What generators in the field support: six digits, SHA-1, a step of 30 seconds.
const STEP_S: i64 = 30;
const DIGITS: usize = 6;
/// RFC 4226 section 4 recommends 160 bits.
pub(crate) const SEED_BYTES: usize = 20;
/// Steps before and after the present one that are taken too, for clocks that differ.
const DRIFT_STEPS: i64 = 1;
/// 120 bits: more than can be guessed from a hash, and 24 characters to type.
pub(crate) const RECOVERY_BYTES: usize = 15;
/// Codes that are made at once.
pub(crate) const RECOVERY_CODES: usize = 10;
/// Wrong codes in a row before one has to wait.
const FREE_FAILURES: i32 = 5;
const WAIT_S: i64 = 30;
const WAIT_MAX_S: i64 = 3_600;

/// What fails around second factors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The code is wrong, was used, or is of another time; or the sign-in it is for is over.
    #[error("the code of the second factor is not right")]
    InvalidCode,
    /// There is one already.
    #[error("a second factor is set up already")]
    AlreadySetUp,
    /// There is none.
    #[error("no second factor is set up")]
    NotSetUp,
    /// The person's role needs one.
    #[error("the role needs a second factor")]
    Needed,
    /// A role that the tenant does not have.
    #[error("no such role")]
    UnknownRole,
    /// A sealed seed does not open: another root key, or a foreign hand.
    #[error("a stored seed is not readable")]
    Unreadable,
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::InvalidCode => Code::InvalidCode,
            Self::AlreadySetUp | Self::NotSetUp | Self::Needed => Code::Conflict,
            Self::UnknownRole => Code::Invalid,
            Self::Unreadable => Code::Internal,
        }
    }
    fn detail(&self) -> Option<String> {
        let text = match self {
            Self::AlreadySetUp => "A second factor is set up already: disable it first.",
            Self::NotSetUp => "No second factor is set up.",
            Self::Needed => "Your role needs a second factor, so it cannot be removed.",
            Self::InvalidCode | Self::UnknownRole | Self::Unreadable => return None,
        };
        Some(text.to_owned())
    }
    fn faults(&self) -> Vec<Fault> {
        if *self != Self::UnknownRole {
            return Vec::new();
        }
        let detail = "has to name built-in roles of a tenant".to_owned();
        vec![Fault { pointer: "/roles".to_owned(), detail }]
    }
}

/// A person's generator as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Factor {
    pub(crate) id: Uuid,
    pub(crate) sealed_seed: Vec<u8>,
    /// The newest step whose code was taken.
    pub(crate) last_step: i64,
    /// When a first code proved that the generator works; until then it guards nothing.
    pub(crate) confirmed_at: Option<Timestamp>,
    /// Wrong codes in a row.
    pub(crate) failures: i32,
    /// No code is looked at before.
    pub(crate) retry_at: Option<Timestamp>,
    pub(crate) recovery_codes_left: i64,
}

impl Factor {
    /// When codes are looked at again after one more wrong one; `None` while that is at once.
    pub(crate) fn wait_after_failure(&self, now: Timestamp) -> Option<Timestamp> {
        let beyond = self.failures + 1 - FREE_FAILURES;
        if beyond < 0 {
            return None;
        }
        let wait_s = WAIT_S.saturating_mul(1 << beyond.min(20)).min(WAIT_MAX_S);
        Timestamp::from_second(now.as_second().saturating_add(wait_s)).ok()
    }

    /// Milliseconds until a code is looked at again.
    pub(crate) fn waits_ms(&self, now: Timestamp) -> Option<u64> {
        let left_ms = self.retry_at?.as_millisecond() - now.as_millisecond();
        u64::try_from(left_ms).ok().filter(|left_ms| *left_ms > 0)
    }
}

/// What somebody typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Six digits.
    Code(u32),
    /// The hash of a recovery code.
    Recovery(Vec<u8>),
}

/// Reads what somebody typed, with or without spaces and dashes, in either case.
pub(crate) fn read(text: &Secret) -> Option<Typed> {
    let plain: String =
        text.expose().chars().filter(|one| !one.is_whitespace() && *one != '-').collect();
    if plain.len() == DIGITS && plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return plain.parse().ok().map(Typed::Code);
    }
    let bytes = BASE32_NOPAD.decode(plain.to_ascii_uppercase().as_bytes()).ok()?;
    (bytes.len() == RECOVERY_BYTES).then(|| Typed::Recovery(crypto::sha256(&bytes).to_vec()))
}

/// The text of a recovery code of these random bytes, in groups that can be typed.
pub(crate) fn recovery_text(bytes: &[u8; RECOVERY_BYTES]) -> String {
    let text = BASE32_NOPAD.encode(bytes).to_lowercase();
    let groups: Vec<&str> = (0..4).map(|at| &text[at * 6..at * 6 + 6]).collect();
    groups.join("-")
}

/// What is stored of a recovery code.
pub(crate) fn recovery_hash(bytes: &[u8; RECOVERY_BYTES]) -> Vec<u8> {
    crypto::sha256(bytes).to_vec()
}

/// The code of a step (RFC 4226 section 5.3).
pub(crate) fn code_at(seed: &[u8], step: i64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[tag.len() - 1] & 0xf);
    let word = [tag[offset] & 0x7f, tag[offset + 1], tag[offset + 2], tag[offset + 3]];
    u32::from_be_bytes(word) % 10u32.pow(6)
}

/// The step whose code this is now, later than the newest one that was taken.
pub(crate) fn find_step(seed: &[u8], code: u32, now: Timestamp, last_step: i64) -> Option<i64> {
    let present = now.as_second().div_euclid(STEP_S);
    let steps = present - DRIFT_STEPS..=present + DRIFT_STEPS;
    // Every candidate is compared, so that the time tells nothing.
    steps.fold(None, |found, step| {
        let same = crypto::equal(&code_at(seed, step).to_be_bytes(), &code.to_be_bytes());
        if same && step > last_step { found.or(Some(step)) } else { found }
    })
}

/// The seed as people type it.
pub(crate) fn seed_text(seed: &[u8]) -> String {
    BASE32_NOPAD.encode(seed)
}

/// What a generator reads from a picture
/// ([format](https://github.com/google/google-authenticator/wiki/Key-Uri-Format)).
pub(crate) fn uri(issuer: &str, email: &str, seed: &[u8]) -> String {
    let (issuer, email) = (percent(issuer), percent(email));
    let secret = seed_text(seed);
    format!(
        "otpauth://totp/{issuer}:{email}?secret={secret}&issuer={issuer}\
         &algorithm=SHA1&digits={DIGITS}&period={STEP_S}"
    )
}

/// RFC 3986 section 2.1, of everything that is not unreserved.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&crypto::to_hex(&[byte]).to_uppercase());
        }
        out
    })
}

#[cfg(test)]
mod tests;
