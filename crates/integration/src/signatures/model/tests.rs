//! Room `integration`: signatures against published vectors, and every way to get one wrong.

use super::*;
use proptest::prelude::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PRIVATE: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4\
AJ6p9lMicMFs6Kvg==";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const V1A: &str = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mN\
l8EM+m7TBAg==";

fn sign(key: &str, id: &str, at: i64, body: &[u8]) -> String {
    SigningKey::parse(key).and_then(|key| key.signer()).expect("a key").sign(id, at, body)
}

fn check(secret: &str, signature: &str, body: &[u8], late_s: i64) -> Verdict {
    let (secret, timestamp) = (Secret::new(secret), AT.to_string());
    let received = Received { secret: &secret, id: ID, timestamp: &timestamp, signature, body };
    verify(&received, Timestamp::from_second(AT + late_s).expect("a time"))
}

#[test]
fn the_published_vectors_are_reproduced() {
    assert_eq!(sign(SECRET, ID, AT, BODY), V1);
    assert_eq!(sign(PRIVATE, ID, AT, BODY), V1A);
    let body = br#"{"email":"test@example.com","username":"test_user"}"#;
    let id = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    let signature = sign("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", id, 1_649_367_553, body);
    assert_eq!(signature, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    let key = SigningKey::parse(PRIVATE).expect("a key");
    assert_eq!(key.checked_by().expose(), PUBLIC);
}

#[test]
fn a_delivery_is_genuine_within_five_minutes_both_ways() {
    for late_s in [0, 300, -300] {
        assert_eq!(check(SECRET, V1, BODY, late_s), Verdict::Genuine);
        assert_eq!(check(PUBLIC, V1A, BODY, late_s), Verdict::Genuine);
    }
    assert_eq!(check(SECRET, V1, BODY, 301), Verdict::TooOld);
    assert_eq!(check(SECRET, V1, BODY, -301), Verdict::TooNew);
}

#[test]
fn any_of_several_signatures_is_enough() {
    let several = format!("v1,AAAA {V1A} v2,?? {V1}");
    assert_eq!(check(SECRET, &several, BODY, 0), Verdict::Genuine);
    assert_eq!(check(PUBLIC, &several, BODY, 0), Verdict::Genuine);
}

#[test]
fn each_mistake_is_told_from_the_others() {
    let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    assert_eq!(check(other, V1, BODY, 0), Verdict::Mismatch);
    assert_eq!(check(SECRET, V1, br#"{"test": 2432232315}"#, 0), Verdict::Mismatch);
    assert_eq!(check("whsec_?", V1, BODY, 0), Verdict::BadSecret);
    assert_eq!(check("whpk_AAAA", V1A, BODY, 0), Verdict::BadSecret);
    assert_eq!(check(SECRET, V1A, BODY, 0), Verdict::NoSignature);
    assert_eq!(check(SECRET, "", BODY, 0), Verdict::NoSignature);
    assert_eq!(check(SECRET, V1, b"{\"test\": 2432232314}\n", 0), Verdict::BodyTrimmed);
    let compact = sign(SECRET, ID, AT, br#"{"test":2432232314}"#);
    assert_eq!(check(SECRET, &compact, BODY, 0), Verdict::BodyRewritten);
    let secret = Secret::new(SECRET);
    let received =
        Received { secret: &secret, id: ID, timestamp: "soon", signature: V1, body: BODY };
    assert_eq!(verify(&received, Timestamp::UNIX_EPOCH), Verdict::BadTimestamp);
}

#[test]
fn a_secret_of_the_wrong_form_is_no_key() {
    let damaged = PRIVATE.replace("6Xb/", "7Xb/");
    for text in ["", "whsec_", "whsec_AAAA", "whsk_AAAA", "whsec_!!", damaged.as_str()] {
        assert_eq!(SigningKey::parse(text), Err(NoKey), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_is_signed_is_genuine_and_one_bit_more_is_not(
        seed: [u8; 32], body in prop::collection::vec(any::<u8>(), 1..200),
        at: usize, bit in 0u8..8,
    ) {
        for key in [SigningKey::symmetric(seed), SigningKey::asymmetric(seed)] {
            prop_assert_eq!(SigningKey::parse(key.expose()), Ok(key.clone()));
            let signature = key.signer().expect("a key").sign(ID, AT, &body);
            let secret = key.checked_by();
            prop_assert_eq!(check(secret.expose(), &signature, &body, 0), Verdict::Genuine);
            let mut other = body.clone();
            let at = at % other.len();
            other[at] ^= 1 << bit;
            prop_assert_ne!(check(secret.expose(), &signature, &other, 0), Verdict::Genuine);
        }
    }
}
