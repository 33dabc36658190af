//! Room `identity`: signatures and claims of providers, without a provider.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use misy_core::{Timestamp, crypto};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::keys::signed;
use super::*;
use crate::sso_connections::model::SigningAlgorithm as Algorithm;

const ALL: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

fn set(keys: &[Value]) -> KeySet {
    KeySet::read(json!({"keys": keys}).to_string().as_bytes()).expect("a set")
}

fn head(header: &Value, body: &str) -> String {
    let part = |bytes: &[u8]| crypto::to_base64url(bytes);
    format!("{}.{}", part(header.to_string().as_bytes()), part(body.as_bytes()))
}

fn close(head: &str, signature: &[u8]) -> String {
    format!("{head}.{}", crypto::to_base64url(signature))
}

/// A token and the key that made it.
fn by_curve(kind: &'static EcdsaSigningAlgorithm, alg: &str, crv: &str) -> (String, Value) {
    let pair = EcdsaKeyPair::generate(kind).expect("generates");
    let head = head(&json!({"alg": alg, "kid": "k"}), r#"{"sub":"1"}"#);
    let signature = pair.sign(&SystemRandom::new(), head.as_bytes()).expect("signs");
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    let text = |bytes| crypto::to_base64url(bytes);
    let key = json!({"kty": "EC", "crv": crv, "kid": "k", "x": text(x), "y": text(y)});
    (close(&head, signature.as_ref()), key)
}

#[test]
fn signatures_on_curves_are_believed_with_their_own_key_and_algorithm_alone() {
    let ed = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed");
    let text = head(&json!({"alg": "EdDSA", "kid": "k"}), r#"{"sub":"1"}"#);
    let x = crypto::to_base64url(ed.public_key().as_ref());
    let ed_key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x});
    let ed_token = close(&text, ed.sign(text.as_bytes()).as_ref());
    let (p256, p256_key) = by_curve(&ECDSA_P256_SHA256_FIXED_SIGNING, "ES256", "P-256");
    let (p384, p384_key) = by_curve(&ECDSA_P384_SHA384_FIXED_SIGNING, "ES384", "P-384");
    let cases = [
        (&p256, &p256_key, Algorithm::ES256),
        (&p384, &p384_key, Algorithm::ES384),
        (&ed_token, &ed_key, Algorithm::EdDSA),
    ];
    for (token, key, algorithm) in cases {
        let keys = set(std::slice::from_ref(key));
        assert!(verify(token, &ALL, &[], &keys).is_ok(), "{algorithm:?}");
        let others: Vec<_> = ALL.into_iter().filter(|one| *one != algorithm).collect();
        assert_eq!(verify(token, &others, &[], &keys), Err(Doubt::Algorithm));
        for (_, other, _) in cases.iter().filter(|one| one.2 != algorithm) {
            let wrong = set(&[(*other).clone()]);
            assert_eq!(verify(token, &ALL, &[], &wrong), Err(Doubt::UnknownKey));
        }
    }
}

#[test]
fn a_set_keeps_the_keys_that_can_sign_for_us() {
    let good = json!({"kty": "OKP", "crv": "Ed25519", "x": crypto::to_base64url(&[1; 32])});
    let strange = [
        json!({"kty": "oct", "k": "c2VjcmV0"}),
        json!({"kty": "RSA", "n": "!!", "e": "AQAB"}),
        json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
        json!({"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"}),
        json!("no key"),
        json!({}),
        good,
    ];
    assert_eq!(set(&strange).len(), 1);
    assert_eq!(KeySet::read(b"[]"), None);
    assert_eq!(KeySet::read(br#"{"keys": {}}"#), None);
}

/// `result` of vectors that are mislabelled or rightly refused: RFC 7520's PS384 figure under a key
/// for PS256.
const MISLABELLED: [u64; 2] = [346, 350];

fn corpus() -> Option<Value> {
    let mut root =
        std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if let Some(given) = option_env!("MISYBOT_CORPORA") {
        root = given.into();
    }
    let file = root.join("auth/wycheproof/json_web_signature_test.json");
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

#[test]
fn wycheproofs_signatures_are_judged_as_they_should_be() {
    let Some(corpus) = corpus() else {
        eprintln!("SKIPPED: Wycheproof is not on this machine (MISYBOT_CORPORA)");
        return;
    };
    let (mut good, mut bad) = (0, 0);
    let groups = corpus["testGroups"].as_array().expect("groups");
    // Without a public key it is a MAC, which is never believed.
    for group in groups {
        let key = group.get("public").unwrap_or(&group["private"]);
        let allowed: Vec<_> = ALL.into_iter().filter(|one| key["alg"] == one.name()).collect();
        let keys = set(std::slice::from_ref(key));
        for case in group["tests"].as_array().expect("tests") {
            let (id, token) = (case["tcId"].as_u64(), case["jws"].as_str().unwrap_or_default());
            let believed = signed(token, &allowed, &[], &keys).is_ok();
            let valid = case["result"] == "valid" && !allowed.is_empty();
            let mislabelled = id.is_some_and(|id| MISLABELLED.contains(&id));
            assert!(!believed || valid, "{id:?} {} is believed", case["comment"]);
            assert!(believed || !valid || mislabelled, "{id:?} {} is refused", case["comment"]);
            if believed { good += 1 } else { bad += 1 }
        }
    }
    assert!(good > 10 && bad > 300, "{good} believed, {bad} refused");
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn awaited() -> Awaited<'static> {
    let now = Timestamp::from_second(1_000_000).expect("in range");
    Awaited { issuer: "https://id", client_id: "misy", now }
}

#[test]
fn the_hash_of_the_access_token_belongs_to_the_algorithm() {
    let with = |hash: &str| {
        object(
            json!({"iss": "https://id", "aud": "misy", "sub": "1", "nonce": "n", "iat": 1_000_000,
            "exp": 1_000_100, "at_hash": hash}),
        )
    };
    let check = |hash: &str, algorithm| {
        check_id_token(&with(hash), algorithm, awaited(), "n", "token").map(str::to_owned)
    };
    let half = |kind: &'static aws_lc_rs::digest::Algorithm| {
        let digest = aws_lc_rs::digest::digest(kind, b"token");
        crypto::to_base64url(&digest.as_ref()[..digest.as_ref().len() / 2])
    };
    let (short, long) = (half(&aws_lc_rs::digest::SHA256), half(&aws_lc_rs::digest::SHA384));
    assert!(check(&short, Algorithm::ES256).is_ok() && check(&long, Algorithm::ES384).is_ok());
    assert!(check(&half(&aws_lc_rs::digest::SHA512), Algorithm::EdDSA).is_ok());
    assert_eq!(check(&short, Algorithm::ES384), Err(Doubt::AccessToken));
}

#[test]
fn what_is_said_of_an_address_counts_before_what_is_trusted() {
    let said = |value: Value| is_email_verified(&object(json!({"email_verified": value})), true);
    assert!(said(json!(true)) && said(json!("true")));
    assert!(!said(json!(false)) && !said(json!("false")) && !said(json!(1)) && !said(json!(null)));
    assert!(is_email_verified(&Map::new(), true) && !is_email_verified(&Map::new(), false));
}

#[test]
fn discovery_is_below_the_issuer_and_names_it() {
    for issuer in ["https://id.example/a", "https://id.example/a/"] {
        let url = "https://id.example/a/.well-known/openid-configuration";
        assert_eq!(discovery_url(issuer), url);
    }
    let document = json!({"issuer": "https://id", "authorization_endpoint": "https://id/a",
        "token_endpoint": "https://id/t", "jwks_uri": "https://id/k"});
    let read = |issuer| Metadata::read(document.to_string().as_bytes(), issuer);
    assert!(read("https://id").is_ok());
    assert!(read("https://id/").is_err());
    assert!(Metadata::read(b"<html>", "https://id").is_err());
}

proptest! {
    #[test]
    fn no_token_makes_the_reader_panic(text in "[A-Za-z0-9_.-]{0,200}", claims in "\\PC{0,80}") {
        prop_assert!(verify(&text, &ALL, &[], &KeySet::default()).is_err());
        if let Ok(Value::Object(claims)) = serde_json::from_str(&claims) {
            let _ = check_logout_token(&claims, awaited());
        }
    }

    #[test]
    fn times_of_any_size_are_judged_without_a_panic(iat: i64, exp: i64, nbf: i64) {
        let claims = object(json!({"iss": "https://id", "aud": "misy", "sub": "1", "nonce": "n",
            "iat": iat, "exp": exp, "nbf": nbf, "jti": "j", "sid": "s",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}}}));
        let now = awaited().now.as_second();
        if check_id_token(&claims, Algorithm::RS256, awaited(), "n", "t").is_ok() {
            prop_assert!(exp > now - 61 && nbf <= now + 60 && iat <= now + 60);
        }
        let _ = check_logout_token(&claims, awaited());
    }
}
