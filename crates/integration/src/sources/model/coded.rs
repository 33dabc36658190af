//! Room `integration`: the senders whose proof is more than a scheme can say.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use misy_core::crypto::others::{self, Hash, PublicScheme};
use misy_core::{Secret, Timestamp, crypto};
use serde_json::Value;
use url::Url;

use super::check::{Refusal, With, decode, near, public_key};
use super::request::Incoming;
use super::scheme::{Encoding, KeyForm, TOLERANCE_S};
use crate::signatures::model::{Received, Verdict, verify};

/// The names that Standard Webhooks and Svix give to the same three headers.
fn standard_headers(request: &Incoming<'_>) -> [&'static str; 3] {
    if request.headers.contains_key("webhook-signature") {
        ["webhook-id", "webhook-timestamp", "webhook-signature"]
    } else {
        ["svix-id", "svix-timestamp", "svix-signature"]
    }
}

pub(super) fn standard_id<'a>(request: &'a Incoming<'_>) -> Option<&'a str> {
    request.header(standard_headers(request)[0])
}

/// Supabase shows its secrets with the version of the signature before them.
pub(super) fn bare(secret: &Secret) -> Secret {
    let text = secret.expose();
    Secret::new(text.strip_prefix("v1,").unwrap_or(text))
}

/// Standard Webhooks, by our own signatures' check: `v1`, and `v1a` if the secret is `whpk_..`.
pub(super) fn standard(request: &Incoming<'_>, with: With<'_>) -> Result<(), Refusal> {
    let [id, timestamp, signature] = standard_headers(request).map(|name| request.header(name));
    let signature = signature.ok_or(Refusal::SignatureMissing)?;
    let timestamp = timestamp.ok_or(Refusal::TimestampMissing)?;
    let at = timestamp.parse().ok().and_then(|at| Timestamp::from_second(at).ok());
    let at = at.ok_or(Refusal::TimestampUnreadable)?;
    let id = id.ok_or(Refusal::SignatureMissing)?;
    let verdict = |secret: &Secret| {
        let secret = &bare(secret);
        let received = Received { secret, id, timestamp, signature, body: request.body };
        verify(&received, at)
    };
    let verdicts: Vec<Verdict> = with.secrets.iter().map(verdict).collect();
    if verdicts.contains(&Verdict::Genuine) {
        return near(at, with.tolerance_s.unwrap_or(TOLERANCE_S), with.now);
    }
    let all = |wanted: Verdict| verdicts.iter().all(|one| *one == wanted);
    Err(match () {
        () if all(Verdict::BadSecret) => Refusal::SecretUnusable,
        () if all(Verdict::NoSignature) => Refusal::SignatureUnreadable,
        () => Refusal::SignatureMismatch,
    })
}

/// Twilio (<https://www.twilio.com/docs/usage/security#validating-requests>): HMAC-SHA1 over the
/// URL and the sorted fields of the form; of JSON the hash is in the URL.
pub(super) fn twilio(request: &Incoming<'_>, with: With<'_>) -> Result<(), Refusal> {
    let tag = request.header("x-twilio-signature").ok_or(Refusal::SignatureMissing)?;
    let tag = decode(Encoding::Base64, tag).ok_or(Refusal::SignatureUnreadable)?;
    let hashed = request.query("bodySHA256");
    let fields = if hashed.is_some() { String::new() } else { sorted(request.form()) };
    let addresses = with_and_without_port(&request.url);
    let fits = |secret: &Secret| {
        let key = secret.expose().as_bytes();
        let signs = |address: &String| {
            let signed = [address.as_bytes(), fields.as_bytes()].concat();
            others::verify_hmac(Hash::Sha1, key, &signed, &tag)
        };
        addresses.iter().any(signs)
    };
    if !with.secrets.iter().any(fits) {
        return Err(Refusal::SignatureMismatch);
    }
    let Some(hashed) = hashed else { return Ok(()) };
    let named = crypto::from_hex(&hashed).ok_or(Refusal::SignatureUnreadable)?;
    let same = crypto::equal(&named, &crypto::sha256(request.body));
    same.then_some(()).ok_or(Refusal::BodyMismatch)
}

fn sorted(mut fields: Vec<(String, String)>) -> String {
    fields.sort();
    fields.dedup();
    fields.into_iter().fold(String::new(), |all, (name, value)| all + &name + &value)
}

/// Twilio signs the port of some of its requests and not of others.
fn with_and_without_port(url: &Url) -> Vec<String> {
    let plain = url.as_str().to_owned();
    let host = url.host_str().unwrap_or_default();
    let default = if url.scheme() == "https" { ":443" } else { ":80" };
    match url.port() {
        Some(port) => vec![plain.replacen(&format!("{host}:{port}"), host, 1), plain],
        None => vec![plain.replacen(host, &format!("{host}{default}"), 1), plain],
    }
}

/// `PayPal` (<https://developer.paypal.com/api/rest/webhooks/rest/>): RSA over id, time, the
/// webhook's id and the body's CRC, by a certificate that the request names. The secret is the
/// webhook's id. A CRC is no hash: who can repeat a signed request can find another body with the
/// same one, so the certificate proves where it comes from and less what it says; read what matters
/// from their API.
pub(super) fn paypal(request: &Incoming<'_>, with: With<'_>) -> Result<(), Refusal> {
    let part = |name: &str| request.header(name).ok_or(Refusal::SignatureMissing);
    let tag = decode(Encoding::Base64, part("paypal-transmission-sig")?);
    let tag = tag.ok_or(Refusal::SignatureUnreadable)?;
    if !part("paypal-auth-algo")?.eq_ignore_ascii_case("SHA256withRSA") {
        return Err(Refusal::SignatureUnreadable);
    }
    let (id, time) = (part("paypal-transmission-id")?, part("paypal-transmission-time")?);
    let certificate = with.certificate.ok_or(Refusal::CertificateUnavailable)?;
    let key = key_of_certificate(certificate).ok_or(Refusal::CertificateUnavailable)?;
    let crc = others::crc32(request.body);
    let fits = |webhook: &Secret| {
        let signed = format!("{id}|{time}|{}|{crc}", webhook.expose());
        others::verify_public(PublicScheme::RsaSha256, key, signed.as_bytes(), &tag)
    };
    with.secrets.iter().any(fits).then_some(()).ok_or(Refusal::SignatureMismatch)
}

/// The address of the certificate that such a request names, if it is one of `PayPal`'s.
pub(crate) fn paypal_certificate_url(request: &Incoming<'_>) -> Option<Url> {
    let url = Url::parse(request.header("paypal-cert-url")?).ok()?;
    let ours = ["api.paypal.com", "api.sandbox.paypal.com"].contains(&url.host_str()?);
    let plain = url.username().is_empty() && url.password().is_none() && url.port().is_none();
    let fits = url.scheme() == "https" && url.path().starts_with("/v1/notifications/certs/");
    (ours && plain && fits).then_some(url)
}

/// The DER of the first certificate in PEM.
pub(crate) fn certificate_der(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (inner, _) = rest.split_once("-----END CERTIFICATE-----")?;
    STANDARD.decode(inner.split_whitespace().collect::<String>()).ok()
}

/// One element of DER.
struct Element<'a> {
    inner: &'a [u8],
    whole: &'a [u8],
    after: &'a [u8],
}

fn element(der: &[u8]) -> Option<Element<'_>> {
    let (&first, rest) = der.get(1..)?.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (inner, after) = rest.split_at_checked(length)?;
    Some(Element { inner, whole: &der[..der.len() - after.len()], after })
}

/// The `SubjectPublicKeyInfo` of a certificate (RFC 5280 section 4.1).
fn key_of_certificate(der: &[u8]) -> Option<&[u8]> {
    let certificate = element(der)?.inner;
    let mut rest = element(certificate)?.inner;
    if rest.first() == Some(&0xa0) {
        rest = element(rest)?.after;
    }
    // Serial number, algorithm, issuer, validity, subject.
    for _ in 0..5 {
        rest = element(rest)?.after;
    }
    Some(element(rest)?.whole)
}

/// A JSON Web Token that names the body's SHA-256, as `FusionAuth` sends it
/// (<https://fusionauth.io/docs/extend/events-and-webhooks/signing>).
pub(super) fn jwt(request: &Incoming<'_>, with: With<'_>) -> Result<(), Refusal> {
    let token = request.header("x-fusionauth-signature-jwt").ok_or(Refusal::SignatureMissing)?;
    let (signed, tag) = token.rsplit_once('.').ok_or(Refusal::SignatureUnreadable)?;
    let (header, claims) = signed.split_once('.').ok_or(Refusal::SignatureUnreadable)?;
    let json = |text: &str| -> Option<Value> {
        serde_json::from_slice(&decode(Encoding::Base64url, text)?).ok()
    };
    let read = json(header).zip(json(claims)).zip(decode(Encoding::Base64url, tag));
    let ((header, claims), tag) = read.ok_or(Refusal::SignatureUnreadable)?;
    let algorithm = header["alg"].as_str().unwrap_or_default();
    if !with.secrets.iter().any(|secret| jwt_fits(algorithm, secret, signed.as_bytes(), &tag)) {
        return Err(Refusal::SignatureMismatch);
    }
    let named = claims["request_body_sha256"].as_str().unwrap_or_default();
    let named = decode(Encoding::Base64, named).ok_or(Refusal::SignatureUnreadable)?;
    if !crypto::equal(&named, &crypto::sha256(request.body)) {
        return Err(Refusal::BodyMismatch);
    }
    jwt_in_time(&claims, with)
}

/// A secret that is a public key never counts as the key of an HMAC, whatever the token says.
fn jwt_fits(algorithm: &str, secret: &Secret, signed: &[u8], tag: &[u8]) -> bool {
    let text = secret.expose();
    let public = text.contains("-----BEGIN");
    let hmac = |hash| !public && others::verify_hmac(hash, text.as_bytes(), signed, tag);
    let by_key = |scheme: PublicScheme| {
        let key = public_key(scheme == PublicScheme::Ed25519, KeyForm::Base64, text);
        public && key.is_some_and(|key| others::verify_public(scheme, &key, signed, tag))
    };
    match algorithm {
        "HS256" => hmac(Hash::Sha256),
        "HS384" => hmac(Hash::Sha384),
        "HS512" => hmac(Hash::Sha512),
        "RS256" => by_key(PublicScheme::RsaSha256),
        "RS384" => by_key(PublicScheme::RsaSha384),
        "RS512" => by_key(PublicScheme::RsaSha512),
        "ES256" => by_key(PublicScheme::EcdsaP256Fixed),
        "ES384" => by_key(PublicScheme::EcdsaP384Fixed),
        "EdDSA" => by_key(PublicScheme::Ed25519),
        _ => false,
    }
}

fn jwt_in_time(claims: &Value, with: With<'_>) -> Result<(), Refusal> {
    let tolerance_s = with.tolerance_s.unwrap_or(TOLERANCE_S);
    let at = |name: &str| claims[name].as_i64().and_then(|at| Timestamp::from_second(at).ok());
    if at("exp").is_some_and(|end| near(end, tolerance_s, with.now) == Err(Refusal::TooOld)) {
        return Err(Refusal::TooOld);
    }
    at("iat").map_or(Ok(()), |begun| near(begun, tolerance_s, with.now))
}
