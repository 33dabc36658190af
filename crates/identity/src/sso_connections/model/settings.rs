//! Room `identity`: the settings of each kind of connection.

use misy_core::error::Fault;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fault;
use crate::saml::model::Profile;

/// How we prove to the token endpoint who we are (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenAuth {
    /// `client_secret_basic`.
    #[default]
    ClientSecretBasic,
    /// `client_secret_post`.
    ClientSecretPost,
    /// A public client: PKCE alone.
    None,
}

/// Signatures that we believe. There is no `none` and no HMAC: with one, the client's secret or the
/// provider's public key would sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SigningAlgorithm {
    /// RSA PKCS #1 v1.5 with SHA-256, which every provider can.
    RS256,
    /// RSA-PSS with SHA-256.
    PS256,
    /// ECDSA on P-256.
    ES256,
    /// ECDSA on P-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

impl SigningAlgorithm {
    /// The name in headers (RFC 7518 section 3.1, RFC 8037).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }
}

fn default_scopes() -> Vec<String> {
    ["openid", "email", "profile"].map(str::to_owned).to_vec()
}

fn default_algorithms() -> Vec<SigningAlgorithm> {
    vec![SigningAlgorithm::RS256]
}

/// How to speak with an `OpenID` Connect provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidcSettings {
    /// The issuer, to the letter; discovery is below it.
    pub(crate) issuer: String,
    /// What the provider calls us.
    pub(crate) client_id: String,
    /// What we ask for; `openid` is always among it.
    #[serde(default = "default_scopes")]
    pub(crate) scopes: Vec<String>,
    /// How we prove who we are.
    #[serde(default)]
    pub(crate) token_auth: TokenAuth,
    /// The signatures of ID tokens that we believe.
    #[serde(default = "default_algorithms")]
    pub(crate) algorithms: Vec<SigningAlgorithm>,
    /// Whether claims are also asked from the userinfo endpoint.
    #[serde(default)]
    pub(crate) userinfo: bool,
    /// Whether addresses without `email_verified` count as verified, for providers whose
    /// administrators alone set them.
    #[serde(default)]
    pub(crate) trust_email: bool,
}

impl OidcSettings {
    /// Reads settings or tells everything that is wrong with them.
    pub(crate) fn read(settings: &Map<String, Value>) -> Result<Self, Vec<Fault>> {
        let read: Self = typed(settings)?;
        let mut faults = Vec::new();
        let mut demand = |good: bool, name: &str, detail: &str| {
            if !good {
                faults.push(fault(&format!("/settings/{name}"), detail));
            }
        };
        let issuer = plain_url(&read.issuer) && !read.issuer.contains(['?', '#']);
        demand(issuer, "issuer", "has to be a URL without query and fragment (`https://..`)");
        let id = (1..=512).contains(&read.client_id.len());
        demand(id, "client_id", "has to have 1 to 512 characters");
        let scope = |one: &String| {
            (1..=200).contains(&one.len())
                && one.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
        };
        let scopes = read.scopes.len() <= 20 && read.scopes.iter().all(scope);
        demand(scopes, "scopes", "has to hold at most 20 scopes of visible characters");
        let openid = read.scopes.iter().any(|one| one == "openid");
        demand(openid, "scopes", "has to hold `openid`");
        demand(!read.algorithms.is_empty(), "algorithms", "has to name one at least");
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }

    /// Whether there has to be a `client_secret`.
    pub(crate) fn needs_secret(&self) -> bool {
        self.token_auth != TokenAuth::None
    }
}

/// How to speak with a SAML 2.0 identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SamlSettings {
    /// The provider's entity id.
    pub(crate) entity_id: String,
    /// Where it takes authentication requests.
    pub(crate) sso_url: String,
    /// Where it takes logout requests.
    #[serde(default)]
    pub(crate) slo_url: Option<String>,
    /// Certificates that its signatures are verified with, as PEM.
    pub(crate) certificates: Vec<String>,
    /// Whether it may begin a login by itself. Off unless set: such a login can be slipped to
    /// somebody else's browser.
    #[serde(default)]
    pub(crate) idp_initiated: bool,
    /// Whether it takes requests by a form only.
    #[serde(default)]
    pub(crate) sso_by_post: bool,
    /// Whether our requests are signed; there has to be a `signing_key` then.
    #[serde(default)]
    pub(crate) sign_requests: bool,
    /// How far its clock may be off, in seconds.
    #[serde(default = "default_skew")]
    pub(crate) clock_skew_s: u32,
    /// What it calls the facts about a person.
    #[serde(default)]
    pub(crate) profile: Profile,
}

fn default_skew() -> u32 {
    60
}

impl SamlSettings {
    /// Reads settings or tells everything that is wrong with them.
    pub(crate) fn read(settings: &Map<String, Value>) -> Result<Self, Vec<Fault>> {
        let read: Self = typed(settings)?;
        let mut faults = Vec::new();
        let mut demand = |good: bool, name: &str, detail: &str| {
            if !good {
                faults.push(fault(&format!("/settings/{name}"), detail));
            }
        };
        demand(!read.entity_id.is_empty(), "entity_id", "has to be there");
        demand(plain_url(&read.sso_url), "sso_url", "has to be a URL (`https://..`)");
        let slo = read.slo_url.as_deref().is_none_or(plain_url);
        demand(slo, "slo_url", "has to be a URL (`https://..`)");
        let certificates = (1..=8).contains(&read.certificates.len())
            && read.certificates.iter().all(|one| misy_saml::is_certificate(one));
        demand(certificates, "certificates", "has to hold 1 to 8 certificates of RSA keys");
        demand(read.clock_skew_s <= 600, "clock_skew_s", "has to be 600 or less");
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }
}

fn typed<T: DeserializeOwned>(settings: &Map<String, Value>) -> Result<T, Vec<Fault>> {
    serde_path_to_error::deserialize(Value::Object(settings.clone())).map_err(|error| {
        let at = error.path().iter().fold("/settings".to_owned(), |pointer, segment| {
            use serde_path_to_error::Segment;
            match segment {
                Segment::Map { key } => format!("{pointer}/{key}"),
                Segment::Seq { index } => format!("{pointer}/{index}"),
                Segment::Enum { .. } | Segment::Unknown => pointer,
            }
        });
        vec![fault(&at, &said(&error.into_inner().to_string()))]
    })
}

/// A reader's message without the content that it repeats.
fn said(message: &str) -> String {
    let harmless = ["missing field ", "unknown field "];
    if harmless.iter().any(|start| message.starts_with(start)) {
        return message.to_owned();
    }
    let expected = message.rfind("expected ").map(|at| &message[at..]);
    expected.map_or_else(|| "is not valid".to_owned(), |text| format!("is not valid: {text}"))
}

/// Which hosts may be called is for `egress` to say, at every call.
fn plain_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    text.len() <= 2_048 && visible && !host.is_empty() && !host.contains('@')
}
