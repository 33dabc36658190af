//! Room `identity`: what a provider publishes and says, and whether it is believed. Pure: time and
//! keys are arguments.

mod keys;
mod tokens;

use misy_core::Secret;
use serde::Deserialize;

pub(crate) use keys::{Doubt, KeySet, verify};
pub(crate) use tokens::{Awaited, check_id_token, check_logout_token, is_email_verified};

/// What discovery says (`OpenID` Connect Discovery 1.0 section 3), as far as we use it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    pub(crate) jwks_uri: String,
    pub(crate) userinfo_endpoint: Option<String>,
    pub(crate) end_session_endpoint: Option<String>,
    /// Whether `iss` comes with every answer (RFC 9207 section 3).
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Reads a document; it must be the issuer's own, to the letter (section 4.3).
    pub(crate) fn read(json: &[u8], issuer: &str) -> Result<Self, &'static str> {
        let read: Self = serde_json::from_slice(json)
            .map_err(|_| "the discovery document is not what the standard says")?;
        if read.issuer == issuer {
            return Ok(read);
        }
        Err("the discovery document names another issuer; `settings.issuer` has to be the same")
    }
}

/// Where discovery is (section 4).
pub(crate) fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// What the token endpoint gives (`OpenID` Connect Core section 3.1.3.3).
#[derive(Deserialize)]
pub(crate) struct Tokens {
    pub(crate) id_token: Secret,
    pub(crate) access_token: Secret,
}

/// What a browser comes back with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Callback {
    pub(crate) state: String,
    /// The code, or that the provider refused.
    pub(crate) code: Option<Secret>,
    pub(crate) iss: Option<String>,
}

impl Callback {
    /// Reads the parameters of a query. One that comes twice makes all of it void: of two values,
    /// one may have been added by somebody else.
    pub(crate) fn read(pairs: impl Iterator<Item = (String, String)>) -> Option<Self> {
        let mut read = Self::default();
        let (mut state, mut refused) = (None, None);
        for (name, value) in pairs {
            let before = match name.as_str() {
                "state" => state.replace(value).is_some(),
                "code" => read.code.replace(Secret::new(value)).is_some(),
                "iss" => read.iss.replace(value).is_some(),
                "error" => refused.replace(value).is_some(),
                _ => false,
            };
            if before {
                return None;
            }
        }
        if refused.is_some() {
            read.code = None;
        }
        read.state = state?;
        Some(read)
    }

    /// Whether the answer comes from this provider and not from another one that the same browser
    /// was sent to (mix-up, RFC 9207 section 2.4).
    pub(crate) fn is_from(&self, metadata: &Metadata) -> bool {
        match &self.iss {
            Some(iss) => *iss == metadata.issuer,
            None => !metadata.authorization_response_iss_parameter_supported,
        }
    }
}

#[cfg(test)]
mod tests;
