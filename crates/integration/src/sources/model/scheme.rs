//! Room `integration`: how a sender proves that a request is its own, as data: where the signature
//! is, what it is made of, when it is too old, by what a repetition is known.

use misy_core::crypto::others::{Hash, PublicScheme};
use misy_core::error::Fault;
use serde::{Deserialize, Serialize};

/// Seconds around now in which a signed time is good, if nothing else is said.
pub(super) const TOLERANCE_S: u32 = 300;

/// The longest tolerance: a week, which is how long the most patient provider tries again.
pub(super) const TOLERANCE_MAX_S: u32 = 7 * 86_400;

/// A part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = SourcePart)]
pub enum Part {
    /// A header.
    Header(String),
    /// A field of a header that is a list like `t=1,v1=ab,v1=cd` or `ts=1;h1=ab`.
    Field {
        /// The header.
        header: String,
        /// The field's name; there may be several of it.
        name: String,
    },
    /// What a JSON pointer (RFC 6901) finds in the body.
    Json(String),
    /// What a JSON pointer finds in each member of a list in the body; all of them have to be
    /// right.
    Each {
        /// The pointer to the list.
        list: String,
        /// The pointer within a member.
        pointer: String,
    },
    /// A field of the body, which is a form (`application/x-www-form-urlencoded`).
    Form(String),
    /// A parameter of the query.
    Query(String),
}

/// By what a request is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SourceAlgorithm)]
pub enum Algorithm {
    /// HMAC with SHA-1.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
    /// Ed25519; the secret is the sender's public key.
    Ed25519,
    /// RSA (PKCS #1 v1.5) with SHA-256; the secret is the sender's public key.
    RsaSha256,
    /// RSA (PKCS #1 v1.5) with SHA-512.
    RsaSha512,
    /// ECDSA on P-256 with SHA-256, the signature in DER.
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384, the signature in DER.
    EcdsaP384,
    /// The secret itself is sent along.
    Token,
    /// The secret is `user:password`, sent as HTTP Basic authentication.
    Basic,
    /// Standard Webhooks, `v1` and `v1a`; in code.
    #[serde(skip)]
    Standard,
    /// Twilio; in code.
    #[serde(skip)]
    Twilio,
    /// `PayPal`; in code.
    #[serde(skip)]
    Paypal,
    /// A JSON Web Token that names the body's hash; in code.
    #[serde(skip)]
    Jwt,
}

impl Algorithm {
    /// The hash under the HMAC, if it is one.
    pub(crate) const fn hash(self) -> Option<Hash> {
        match self {
            Self::HmacSha1 => Some(Hash::Sha1),
            Self::HmacSha256 => Some(Hash::Sha256),
            Self::HmacSha384 => Some(Hash::Sha384),
            Self::HmacSha512 => Some(Hash::Sha512),
            _ => None,
        }
    }

    /// The scheme by public key, if it is one.
    pub(crate) const fn public(self) -> Option<PublicScheme> {
        match self {
            Self::Ed25519 => Some(PublicScheme::Ed25519),
            Self::RsaSha256 => Some(PublicScheme::RsaSha256),
            Self::RsaSha512 => Some(PublicScheme::RsaSha512),
            Self::EcdsaP256 => Some(PublicScheme::EcdsaP256),
            Self::EcdsaP384 => Some(PublicScheme::EcdsaP384),
            _ => None,
        }
    }

    /// Whether it is checked by code of its own and not by what the scheme says.
    pub const fn is_coded(self) -> bool {
        matches!(self, Self::Standard | Self::Twilio | Self::Paypal | Self::Jwt)
    }
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SourceEncoding)]
pub enum Encoding {
    /// Hexadecimal, of either case.
    #[default]
    Hex,
    /// Base64 (RFC 4648 section 4).
    Base64,
    /// Base64 that is safe in URLs (RFC 4648 section 5), with padding or without.
    Base64url,
}

/// How the key is found in the secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SourceKeyForm)]
pub enum KeyForm {
    /// The bytes of its text.
    #[default]
    Text,
    /// It is hexadecimal.
    Hex,
    /// It is base64; a public key is a `SubjectPublicKeyInfo`, or 32 bytes of Ed25519.
    Base64,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SourceTimeForm)]
pub enum TimeForm {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// RFC 3339.
    Rfc3339,
}

/// When a request was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SourceTime)]
pub struct SignedTime {
    /// Where it is.
    pub part: Part,
    /// How it is written.
    #[serde(default)]
    pub form: TimeForm,
    /// Seconds before and after now in which it is good.
    #[serde(default = "tolerance")]
    #[schema(minimum = 1, maximum = 604_800)]
    pub tolerance_s: u32,
}

const fn tolerance() -> u32 {
    TOLERANCE_S
}

/// By what it is known that a request came before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SourceRepetition)]
pub enum Repetition {
    /// By its id; by its body if it has none.
    #[default]
    Id,
    /// By its id, and by its body as well: for an id that the signature does not cover, which
    /// somebody who repeats a request could change.
    IdAndBody,
    /// Not at all: equal requests are news each time.
    Never,
}

/// What a provider asks before it sends, and how that is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SourceChallenge)]
pub enum Challenge {
    /// Nothing.
    #[default]
    None,
    /// `GET` with `hub.mode=subscribe`, `hub.verify_token` and `hub.challenge`, which is given
    /// back.
    Meta,
    /// A signed `url_verification`, whose `challenge` is given back.
    Slack,
    /// A signed `endpoint.url_validation`, whose `plainToken` is given back with its HMAC.
    Zoom,
    /// `GET` with `crc_token`, whose HMAC is given back.
    X,
    /// `GET` with `challenge`, which is given back.
    Dropbox,
    /// `POST` with `validationToken` in the query, which is given back.
    Graph,
    /// A signed `PING`: an interaction's is answered by a pong, a webhook event's by 204.
    Discord,
}

/// How a sender proves that a request is its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SourceScheme)]
pub struct Scheme {
    /// By what.
    pub algorithm: Algorithm,
    /// Where the signature, or the token, is.
    pub signature: Part,
    /// What stands before the signature, like `sha256=`.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub prefix: String,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How the key is found in the secret.
    #[serde(default)]
    pub key: KeyForm,
    /// What is signed: text with `{body}`, `{timestamp}`, `{id}`, `{method}`, `{url}`, `{path}`,
    /// `{header:Name}`, `{json:/pointer}`, `{query:name}`, `{form:name}` in it.
    #[serde(default = "body_alone")]
    #[schema(max_length = 500, example = "{timestamp}.{body}")]
    pub signed: String,
    /// When it was signed. Without it only repetitions are noticed, no delay.
    #[serde(default)]
    pub timestamp: Option<SignedTime>,
    /// Where the sender's own id of the event is.
    #[serde(default)]
    pub id: Option<Part>,
    /// Where the sender's own type of the event is, if it is not in the body: two events with the
    /// same body and another type are two.
    #[serde(default, rename = "type")]
    pub kind: Option<Part>,
    /// By what a repetition is known.
    #[serde(default)]
    pub repetition: Repetition,
    /// What is asked before anything is sent.
    #[serde(default)]
    pub challenge: Challenge,
}

fn body_alone() -> String {
    "{body}".to_owned()
}

/// A piece of the text that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Body,
    Timestamp,
    Id,
    Method,
    Url,
    /// The URL with those characters decoded that `HubSpot` decodes.
    LooseUrl,
    Path,
    Part(Part),
}

/// Takes a template to pieces; `None` if something in braces is not known.
pub(crate) fn pieces(template: &str) -> Option<Vec<Piece<'_>>> {
    let (mut pieces, mut rest) = (Vec::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}')?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(piece(name)?);
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Some(pieces)
}

fn piece(name: &str) -> Option<Piece<'_>> {
    let plain = match name {
        "body" => Piece::Body,
        "timestamp" => Piece::Timestamp,
        "id" => Piece::Id,
        "method" => Piece::Method,
        "url" => Piece::Url,
        "loose_url" => Piece::LooseUrl,
        "path" => Piece::Path,
        _ => {
            let (kind, of) = name.split_once(':')?;
            return Some(Piece::Part(match kind {
                "header" => Part::Header(of.to_owned()),
                "json" => Part::Json(of.to_owned()),
                "query" => Part::Query(of.to_owned()),
                "form" => Part::Form(of.to_owned()),
                _ => return None,
            }));
        }
    };
    Some(plain)
}

/// What is wrong with a scheme of a tenant's own.
pub(crate) fn faults(scheme: &Scheme) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut say = |pointer: &str, detail: &str| {
        faults.push(Fault {
            pointer: format!("/settings/scheme{pointer}"),
            detail: detail.to_owned(),
        });
    };
    let signs = scheme.algorithm.hash().is_some() || scheme.algorithm.public().is_some();
    match pieces(&scheme.signed) {
        None => say("/signed", "holds something in braces that is not known"),
        Some(pieces) => {
            let has = |wanted: &Piece<'_>| pieces.contains(wanted);
            if signs && !has(&Piece::Body) {
                say("/signed", "does not hold {body}, so anybody could change it");
            }
            if has(&Piece::Timestamp) && scheme.timestamp.is_none() {
                say("/timestamp", "is missing, and what is signed holds {timestamp}");
            }
            if has(&Piece::Id) && scheme.id.is_none() {
                say("/id", "is missing, and what is signed holds {id}");
            }
        }
    }
    let tolerance = scheme.timestamp.as_ref().map_or(1, |time| time.tolerance_s);
    if !(1..=TOLERANCE_MAX_S).contains(&tolerance) {
        say("/timestamp/tolerance_s", "is not between 1 and 604800");
    }
    if scheme.prefix.len() > 100 || scheme.signed.len() > 500 {
        say("", "is too long");
    }
    let time = scheme.timestamp.as_ref().map(|time| ("/timestamp/part", &time.part));
    let id = scheme.id.as_ref().map(|id| ("/id", id));
    let kind = scheme.kind.as_ref().map(|kind| ("/type", kind));
    let parts = [Some(("/signature", &scheme.signature)), time, id, kind];
    for (at, part) in parts.into_iter().flatten() {
        if let Some(wrong) = part_fault(part) {
            say(at, wrong);
        }
        if at != "/signature" && matches!(part, Part::Each { .. }) {
            say(at, "cannot be one of each");
        }
    }
    faults
}

fn part_fault(part: &Part) -> Option<&'static str> {
    let pointer = |text: &str| (!text.starts_with('/')).then_some("a JSON pointer begins with /");
    let header =
        |text: &str| http::HeaderName::try_from(text).is_err().then_some("is no name of a header");
    let name = |text: &str| {
        (text.is_empty() || text.len() > 200).then_some("a name has 1 to 200 characters")
    };
    match part {
        Part::Header(of) => header(of),
        Part::Field { header: of, name: field } => header(of).or_else(|| name(field)),
        Part::Json(of) => pointer(of),
        Part::Each { list, pointer: of } => pointer(list).or_else(|| pointer(of)),
        Part::Form(of) | Part::Query(of) => name(of),
    }
}
