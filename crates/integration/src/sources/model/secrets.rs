//! Room `integration`: what a source's senders are known by.

use misy_core::error::Fault;
use misy_core::{Secret, Timestamp};
use serde::{Deserialize, Serialize};

use super::check::key;
use super::coded::bare;
use super::scheme::{Algorithm, Scheme};
use crate::signatures::SigningKey;

/// Secrets that are good at the same time, at most.
pub const SECRETS_MAX: usize = 5;

/// Characters of a secret, at most.
const SECRET_MAX: usize = 8_192;

/// Everything of a source that is secret.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Newest first, each with the time until which it is good.
    pub keys: Vec<(Secret, Option<Timestamp>)>,
    /// What a provider's handshake has to name.
    pub verify_token: Option<Secret>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    keys: Vec<(String, Option<Timestamp>)>,
    verify_token: Option<String>,
}

impl Secrets {
    /// As bytes to be sealed.
    pub(crate) fn write(&self) -> Vec<u8> {
        let expose = |secret: &Secret| secret.expose().to_owned();
        let sealed = Sealed {
            keys: self.keys.iter().map(|(secret, until)| (expose(secret), *until)).collect(),
            verify_token: self.verify_token.as_ref().map(expose),
        };
        serde_json::to_vec(&sealed).expect("texts and times serialise")
    }

    /// Reads [`Secrets::write`].
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let sealed: Sealed = serde_json::from_slice(bytes).ok()?;
        let keys = sealed.keys.into_iter().map(|(text, until)| (Secret::new(text), until));
        Some(Self { keys: keys.collect(), verify_token: sealed.verify_token.map(Secret::new) })
    }

    /// Those that are good now.
    pub(crate) fn live(&self, now: Timestamp) -> Vec<Secret> {
        let live = self.keys.iter().filter(|(_, until)| until.is_none_or(|until| now < until));
        live.map(|(secret, _)| secret.clone()).collect()
    }

    /// Puts a new one before the others, which stay good until then.
    pub(crate) fn rotate(&mut self, secret: Secret, now: Timestamp, until: Timestamp) {
        self.keys.retain(|(_, end)| end.is_none_or(|end| end > now));
        for (_, end) in &mut self.keys {
            *end = Some(end.map_or(until, |end| end.min(until)));
        }
        self.keys.insert(0, (secret, None));
        self.keys.truncate(SECRETS_MAX);
    }
}

/// What is wrong with a secret for a scheme.
pub(crate) fn fault(scheme: &Scheme, secret: &Secret) -> Option<Fault> {
    let text = secret.expose();
    let usable = match scheme.algorithm {
        Algorithm::Standard => {
            let bare = bare(secret);
            bare.expose().starts_with("whpk_") || SigningKey::parse(bare.expose()).is_ok()
        }
        Algorithm::Basic => text.contains(':'),
        Algorithm::Token | Algorithm::Twilio | Algorithm::Paypal | Algorithm::Jwt => true,
        algorithm => key(algorithm, scheme.key, secret).is_some(),
    };
    let detail = match () {
        () if text.is_empty() => "is empty",
        () if text.len() > SECRET_MAX => "is too long",
        () if !usable => "is no key of the form that the scheme has",
        () => return None,
    };
    Some(Fault { pointer: "/secret".to_owned(), detail: detail.to_owned() })
}
