//! Room `saml`: honest responses get in, and dishonestly addressed ones do not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use misy_saml::{KeyPair, Peer, Refusal, Response, ServiceProvider, Strict};

use crate::provider::{
    REQUEST, Says, accept, accept_at, encrypt, evil_key, idp_key, noon, peer, sign, us,
};

const GCM: &str = "http://www.w3.org/2009/xmlenc11#aes128-gcm";
const CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes256-cbc";

#[test]
fn a_signed_assertion_says_who_it_is() {
    let subject = accept(&Says::default().signed()).expect("it is honest");
    assert_eq!(subject.name_id.0, "ana-1");
    let format = subject.name_id_format.as_deref();
    assert_eq!(format, Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"));
    let groups = vec!["support".to_owned(), "leads".to_owned()];
    let email = vec!["ana@acme.example".to_owned()];
    let expected = vec![("email".to_owned(), email), ("groups".to_owned(), groups)];
    assert_eq!(subject.attributes.0, expected);
    assert_eq!(subject.session_index.as_deref(), Some("s1"));
    let proved = "2026-03-01T11:58:00Z".parse().ok();
    assert_eq!(subject.authenticated_at, proved);
    let keys: Vec<_> = subject.once.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["response_id:_r1", "assertion_id:_a1"]);
    assert!(subject.once.iter().all(|one| one.until > noon()));
    assert!(!format!("{subject:?}").contains("ana"), "nobody is printed");
}

#[test]
fn a_response_that_is_signed_as_well_gets_in() {
    assert!(accept(&sign(&Says::default().signed(), true, idp_key())).is_ok());
}

#[test]
fn an_encrypted_assertion_gets_in_if_it_is_signed_inside() {
    let signed = Says::default().signed();
    let subject = accept(&encrypt(&signed, GCM)).expect("it opens");
    assert_eq!(subject.name_id.0, "ana-1");
    let around = sign(&encrypt(&signed, CBC), true, idp_key());
    assert!(accept(&around).is_ok(), "with CBC the response has to be signed around it");
    assert!(accept(&encrypt(&signed, CBC)).is_err());
    let bare = Says::default().response(&Says::default().assertion("_a1"));
    for algorithm in [GCM, CBC] {
        // Everybody knows the key that is encrypted for: it proves nothing.
        assert!(accept(&encrypt(&bare, algorithm)).is_err());
        assert!(accept(&sign(&encrypt(&bare, algorithm), true, idp_key())).is_err());
    }
}

#[test]
fn two_keys_of_a_provider_that_rotates_are_both_believed() {
    let next = KeyPair::generate("next").expect("a key");
    let certificates = vec![idp_key().certificate.clone(), next.certificate.clone()];
    let peer = Peer { certificates, ..peer() };
    let bare = Says::default().response(&Says::default().assertion("_a1"));
    let with = |key: &KeyPair, peer: &Peer| {
        let message = STANDARD.encode(sign(&bare, false, key));
        let (relay_state, request_id) = (Some("s"), Some(REQUEST));
        let response =
            Response { message: &message, relay_state, request_id, now: noon(), skew_s: 0 };
        Strict.accept(&us(), peer, response).map(drop)
    };
    assert_eq!(with(idp_key(), &peer), Ok(()));
    assert_eq!(with(&next, &peer), Ok(()));
    assert!(with(evil_key(), &peer).is_err());
    let rotated = Peer { certificates: vec![next.certificate.clone()], ..peer };
    assert_eq!(with(&next, &rotated), Ok(()));
    assert!(with(idp_key(), &rotated).is_err(), "the old key is out");
}

#[test]
fn a_response_to_nothing_gets_in_only_where_one_is_awaited() {
    let unsolicited = Says { answers: None, confirmed_for: None, ..Says::default() }.signed();
    assert!(accept_at(&unsolicited, noon(), None).is_ok());
    assert!(accept(&unsolicited).is_err());
    let answer = Says::default().signed();
    assert_eq!(accept_at(&answer, noon(), None).err(), Some(Refusal::InResponseTo));
    assert!(accept_at(&answer, noon(), Some("_q2")).is_err());
}

#[test]
fn the_clocks_may_differ_by_as_much_as_is_allowed() {
    let at =
        |time: &str| accept_at(&Says::default().signed(), time.parse().unwrap(), Some(REQUEST));
    for time in ["2026-03-01T11:58:01Z", "2026-03-01T12:05:59Z"] {
        assert!(at(time).is_ok(), "{time}");
    }
    for time in ["2026-03-01T11:57:59Z", "2026-03-01T12:06:00Z", "2026-04-01T00:00:00Z"] {
        assert!(at(time).is_err(), "{time}");
    }
    assert_eq!(at("2026-04-01T00:00:00Z").err(), Some(Refusal::Expired));
}

#[test]
fn what_is_signed_and_not_meant_for_us_is_refused() {
    let usual = Says::default;
    let other = "https://other.example/acs";
    for (what, says, expected) in [
        ("issuer", Says { issuer: "https://evil.example", ..usual() }, None),
        (
            "both",
            Says { issuer: "https://e.example", response_issuer: "https://e.example", ..usual() },
            Some(Refusal::Issuer),
        ),
        ("destination", Says { destination: other, ..usual() }, Some(Refusal::Destination)),
        ("recipient", Says { recipient: other, ..usual() }, Some(Refusal::Confirmation)),
        ("audience", Says { audience: Some(other), ..usual() }, Some(Refusal::Audience)),
        ("no audience", Says { audience: None, ..usual() }, None),
        ("request", Says { answers: Some("_q2"), ..usual() }, Some(Refusal::InResponseTo)),
        ("confirmed", Says { confirmed_for: Some("_q2"), ..usual() }, Some(Refusal::Confirmation)),
        (
            "method",
            Says { method: "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches", ..usual() },
            Some(Refusal::Confirmation),
        ),
        (
            "status",
            Says { status: "urn:oasis:names:tc:SAML:2.0:status:Responder", ..usual() },
            Some(Refusal::Status),
        ),
        (
            "over",
            Says { until: "2026-03-01T11:58:00Z", from: "2026-03-01T11:00:00Z", ..usual() },
            None,
        ),
        ("to come", Says { from: "2026-03-01T13:00:00Z", ..usual() }, Some(Refusal::Expired)),
        ("nobody", Says { name_id: " ", ..usual() }, None),
    ] {
        let refused = accept(&says.signed()).err();
        assert!(refused.is_some(), "{what}");
        assert!(expected.is_none() || refused == expected, "{what}: {refused:?}");
    }
}
