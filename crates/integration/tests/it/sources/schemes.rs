//! Room `integration`: every preset against vectors that were not made by this program: those that
//! vendors publish, and others that were computed with other libraries by the vendor's description.

use std::collections::BTreeSet;

use base64::Engine;
use http::{HeaderMap, HeaderName, HeaderValue};
use misy_core::{Secret, Timestamp};
use misy_integration::sources::model::{
    Algorithm, Challenge, Incoming, Refusal, Repetition, Scheme, With, answer_signed,
    answer_unsigned, check, external_id, find_preset, marks, presets, shake_hands,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
pub(super) struct Vector {
    pub(super) preset: String,
    origin: String,
    pub(super) secret: String,
    wrong_secret: String,
    pub(super) now: i64,
    pub(super) url: String,
    pub(super) headers: std::collections::BTreeMap<String, String>,
    pub(super) body: String,
    #[serde(default)]
    pub(super) body_unsigned: bool,
    certificate: Option<String>,
}

pub(super) fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).expect("vectors")
}

impl Vector {
    pub(super) fn header_map(&self) -> HeaderMap {
        let pairs = self.headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        });
        pairs.collect()
    }

    pub(super) fn scheme(&self) -> Scheme {
        find_preset(&self.preset).expect("a preset").scheme
    }

    fn judged(&self, secrets: &[&str], body: &str, now_s: i64) -> Result<(), Refusal> {
        let headers = self.header_map();
        let url = self.url.parse().expect("a URL");
        let request = Incoming::new("POST", url, &headers, body.as_bytes());
        let secrets: Vec<Secret> = secrets.iter().map(|one| Secret::new(*one)).collect();
        let der = self.certificate.as_deref().map(|pem| {
            let inner: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
            base64::engine::general_purpose::STANDARD.decode(inner).expect("base64")
        });
        let now = Timestamp::from_second(now_s).expect("a time");
        let certificate = der.as_deref();
        check(
            &self.scheme(),
            &request,
            With { secrets: &secrets, certificate, tolerance_s: None, now },
        )
    }

    pub(super) fn tampered(&self) -> String {
        let form = self.headers.get("content-type").is_some_and(|kind| kind.contains("form"));
        format!("{}{}", self.body, if form { "&Extra=1" } else { " " })
    }

    pub(super) fn is_timed(&self) -> bool {
        let scheme = self.scheme();
        scheme.timestamp.is_some()
            || matches!(scheme.algorithm, Algorithm::Standard | Algorithm::Jwt)
    }
}

#[test]
fn every_preset_takes_a_genuine_request() {
    let mut seen = BTreeSet::new();
    for one in vectors() {
        let judged = one.judged(&[&one.secret], &one.body, one.now);
        assert_eq!(judged, Ok(()), "{} ({})", one.preset, one.origin);
        seen.insert(one.preset);
    }
    let all: BTreeSet<String> = presets().iter().map(|one| one.slug.to_owned()).collect();
    assert_eq!(seen, all, "each preset has a vector");
}

#[test]
fn another_body_is_refused_by_every_preset_that_signs_it() {
    for one in vectors().into_iter().filter(|one| !one.body_unsigned) {
        let judged = one.judged(&[&one.secret], &one.tampered(), one.now);
        let wrong = [Err(Refusal::SignatureMismatch), Err(Refusal::BodyMismatch)];
        assert!(wrong.contains(&judged), "{}: {judged:?}", one.preset);
    }
}

#[test]
fn another_secret_is_refused_by_every_preset() {
    for one in vectors() {
        let judged = one.judged(&[&one.wrong_secret], &one.body, one.now);
        assert_eq!(judged, Err(Refusal::SignatureMismatch), "{}", one.preset);
        assert!(one.judged(&[], &one.body, one.now).is_err(), "{}: without any", one.preset);
    }
}

#[test]
fn either_of_two_secrets_may_have_signed() {
    for one in vectors() {
        let both = [one.wrong_secret.as_str(), one.secret.as_str()];
        assert_eq!(one.judged(&both, &one.body, one.now), Ok(()), "{}", one.preset);
    }
}

#[test]
fn without_a_signature_every_preset_refuses() {
    for mut one in vectors() {
        one.headers.clear();
        one.url = "https://bot.example/".to_owned();
        assert!(one.judged(&[&one.secret], "{}", one.now).is_err(), "{}", one.preset);
    }
}

#[test]
fn an_old_time_is_refused_by_every_preset_that_signs_one() {
    let timed = vectors().into_iter().filter(Vector::is_timed);
    let timed: Vec<Vector> = timed.collect();
    assert!(timed.len() > 15);
    for one in timed {
        let at = |seconds| one.judged(&[&one.secret], &one.body, one.now + seconds);
        assert_eq!(at(3_600), Err(Refusal::TooOld), "{}", one.preset);
        assert_eq!(at(-3_600), Err(Refusal::TooNew), "{}", one.preset);
    }
}

#[test]
fn a_repetition_is_known_by_every_preset_that_can() {
    for one in vectors() {
        let (headers, scheme) = (one.header_map(), one.scheme());
        let of = |headers: &HeaderMap, body: &str| {
            let url = one.url.parse().expect("a URL");
            marks(&scheme, &Incoming::new("POST", url, headers, body.as_bytes()))
        };
        let first = of(&headers, &one.body);
        assert_eq!(first, of(&headers, &one.body), "{}", one.preset);
        assert_eq!(first.is_empty(), scheme.repetition == Repetition::Never, "{}", one.preset);
        if scheme.repetition != Repetition::IdAndBody {
            continue;
        }
        // Whoever repeats it under another id, which is not signed, is known by the body.
        let mut other = headers.clone();
        for (name, value) in &mut other {
            if name.as_str().contains("deliver") || name.as_str().contains("webhook-id") {
                *value = HeaderValue::from_static("changed");
            }
        }
        let again = of(&other, &one.body);
        assert!(first.iter().any(|mark| again.contains(mark)), "{}", one.preset);
        assert_ne!(first, again, "{}", one.preset);
    }
}

#[test]
fn an_algorithm_that_the_token_names_never_turns_a_public_key_into_a_password() {
    let vector = vectors().into_iter().rfind(|one| one.preset == "fusionauth").expect("RS256");
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let digest = base64::engine::general_purpose::STANDARD
        .encode(misy_core::crypto::sha256(vector.body.as_bytes()));
    let claims = json!({ "request_body_sha256": digest }).to_string();
    for algorithm in ["HS256", "none"] {
        let header = json!({ "alg": algorithm }).to_string();
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let tag = misy_core::crypto::hmac_sha256(vector.secret.as_bytes(), signed.as_bytes());
        let token = format!("{signed}.{}", encode(&tag));
        let forged = Vector {
            headers: [("x-fusionauth-signature-jwt".to_owned(), token)].into(),
            preset: vector.preset.clone(),
            origin: String::new(),
            secret: vector.secret.clone(),
            wrong_secret: String::new(),
            now: vector.now,
            url: vector.url.clone(),
            body: vector.body.clone(),
            body_unsigned: false,
            certificate: None,
        };
        let judged = forged.judged(&[&forged.secret], &forged.body, forged.now);
        assert_eq!(judged, Err(Refusal::SignatureMismatch), "{algorithm}");
    }
}

#[test]
fn one_wrong_state_among_several_is_refused() {
    let one = vectors().into_iter().find(|one| one.preset == "microsoft_graph").expect("it");
    let body = json!({"value": [{"clientState": "state"}, {"clientState": "other"}]}).to_string();
    let judged = |body: &str| one.judged(&["state"], body, one.now);
    assert_eq!(judged(&body), Err(Refusal::SignatureMismatch));
    let body = json!({"value": [{"clientState": "state"}, {}]}).to_string();
    assert_eq!(judged(&body), Err(Refusal::SignatureMissing));
    assert_eq!(judged("{\"value\": []}"), Err(Refusal::SignatureMissing));
}

fn asked(url: &str, challenge: Challenge, secret: &str) -> Option<String> {
    let headers = HeaderMap::new();
    let request = Incoming::new("GET", url.parse().expect("a URL"), &headers, b"");
    let token = Secret::new("mine");
    let answer = shake_hands(challenge, &request, &[Secret::new(secret)], Some(&token));
    answer.map(|answer| answer.body)
}

#[test]
fn handshakes_are_answered_as_the_provider_wants() {
    let meta = |token: &str| {
        let url = "https://b.example/?hub.mode=subscribe&hub.challenge=115&hub.verify_token=";
        asked(&format!("{url}{token}"), Challenge::Meta, "s")
    };
    assert_eq!(meta("mine").as_deref(), Some("115"));
    assert_eq!(meta("other"), None);
    let dropbox = asked("https://b.example/?challenge=abc", Challenge::Dropbox, "s");
    assert_eq!(dropbox.as_deref(), Some("abc"));
    assert_eq!(asked("https://b.example/?challenge=abc", Challenge::None, "s"), None);
}

#[test]
fn a_check_of_x_signs_nothing_that_could_be_a_delivery() {
    let url = "https://b.example/?crc_token=challenge_string";
    let answer = asked(url, Challenge::X, "secret").expect("an answer");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let tag = misy_core::crypto::hmac_sha256(b"secret", b"challenge_string");
    let tag = base64::engine::general_purpose::STANDARD.encode(tag);
    assert_eq!(answer["response_token"], format!("sha256={tag}"));
    assert_eq!(asked("https://b.example/?crc_token=%7B%22a%22:1%7D", Challenge::X, "secret"), None);
}

#[test]
fn questions_that_come_like_deliveries_are_answered() {
    let headers = HeaderMap::new();
    let url = "https://b.example/?validationToken=a%20b";
    let ask = |challenge, body: Value| {
        let body = body.to_string();
        let request = Incoming::new("POST", url.parse().expect("a URL"), &headers, body.as_bytes());
        let signed = answer_signed(challenge, &request, &Secret::new("secret"));
        signed.or_else(|| answer_unsigned(challenge, &request)).map(|answer| answer.body)
    };
    let slack = json!({"type": "url_verification", "challenge": "3eZb"});
    assert_eq!(ask(Challenge::Slack, slack).as_deref(), Some("3eZb"));
    assert_eq!(ask(Challenge::Slack, json!({"type": "event_callback"})), None);
    assert_eq!(ask(Challenge::Graph, json!({})).as_deref(), Some("a b"));
    assert_eq!(ask(Challenge::Discord, json!({"type": 1})).as_deref(), Some("{\"type\":1}"));
    assert_eq!(ask(Challenge::Discord, json!({"type": 2})), None);
    let zoom = json!({"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8"}});
    let answer: Value =
        serde_json::from_str(&ask(Challenge::Zoom, zoom).expect("an answer")).expect("JSON");
    let tag = misy_core::crypto::hmac_sha256(b"secret", b"qgg8");
    assert_eq!(answer["encryptedToken"], misy_core::crypto::to_hex(&tag));
}

#[test]
fn a_scheme_of_ones_own_is_data() {
    let scheme: Scheme = serde_json::from_value(json!({
        "algorithm": "hmac_sha512", "encoding": "base64url", "key": "hex",
        "signature": {"field": {"header": "X-Proof", "name": "sig"}}, "prefix": "k1:",
        "signed": "{method}|{path}|{header:X-Shop}|{timestamp}|{body}",
        "timestamp": {"part": {"header": "X-Time"}, "form": "rfc3339", "tolerance_s": 60},
        "id": {"json": "/order/id"}, "repetition": "id",
    }))
    .expect("a scheme");
    let body = b"{\"order\":{\"id\":77}}";
    let signed = [b"POST|/in|acme|2026-03-01T12:00:00Z|".as_slice(), body].concat();
    let hash = misy_core::crypto::others::Hash::Sha512;
    let tag = misy_core::crypto::others::hmac(hash, &[1, 2, 255], &signed);
    let tag = base64::engine::general_purpose::URL_SAFE.encode(tag);
    let mut headers = HeaderMap::new();
    let proof = format!("t=1, sig=k1:AAAA, sig=k1:{tag}");
    headers.insert("x-proof", proof.parse().expect("a value"));
    headers.insert("x-shop", HeaderValue::from_static("acme"));
    headers.insert("x-time", HeaderValue::from_static("2026-03-01T12:00:00Z"));
    let url = "https://bot.example/in?x=1".parse().expect("a URL");
    let request = Incoming::new("POST", url, &headers, body);
    let secrets = [Secret::new("0102ff")];
    let at = |text: &str| {
        let now = text.parse().expect("a time");
        check(
            &scheme,
            &request,
            With { secrets: &secrets, certificate: None, tolerance_s: None, now },
        )
    };
    assert_eq!(at("2026-03-01T12:01:00Z"), Ok(()));
    assert_eq!(at("2026-03-01T12:01:01Z"), Err(Refusal::TooOld));
    assert_eq!(external_id(&scheme, &request).as_deref(), Some("77"));
}
