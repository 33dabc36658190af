//! Room `saml`: what we send, read by the library's own provider.

use misy_saml::{
    Binding, Outgoing, Peer, Refusal, Request, ServiceProvider, Strict, Us, read_metadata,
};

use crate::provider::{ACS, SP, noon, our_key, peer, us};

fn request() -> Request<'static> {
    Request { id: "_id-of-mine", relay_state: "state-1", now: noon() }
}

#[test]
fn a_request_goes_in_the_query_or_in_a_form() {
    let Ok(Outgoing::Redirect(url)) = Strict.begin(&us(), &peer(), request()) else {
        panic!("a redirect")
    };
    assert!(url.starts_with("https://idp.example/sso?SAMLRequest="), "{url}");
    assert!(url.contains("RelayState=state-1") && !url.contains("Signature="), "{url}");
    let signing = Us { sign_requests: true, ..us() };
    let Ok(Outgoing::Redirect(url)) = Strict.begin(&signing, &peer(), request()) else {
        panic!("a redirect")
    };
    assert!(url.contains("&SigAlg=") && url.contains("&Signature="), "{url}");
    let by_form = Peer { sso_binding: Binding::Post, ..peer() };
    let Ok(Outgoing::Post(action, fields)) = Strict.begin(&signing, &by_form, request()) else {
        panic!("a form")
    };
    assert_eq!(action, "https://idp.example/sso");
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["SAMLRequest", "RelayState"]);
}

#[test]
fn the_request_names_us_and_its_id() {
    use base64::Engine as _;
    let by_form = Peer { sso_binding: Binding::Post, ..peer() };
    let Ok(Outgoing::Post(_, fields)) = Strict.begin(&us(), &by_form, request()) else {
        panic!("a form")
    };
    let text = base64::engine::general_purpose::STANDARD.decode(&fields[0].1).expect("base64");
    let text = String::from_utf8(text).expect("UTF-8");
    for part in ["ID=\"_id-of-mine\"", ACS, SP, "IssueInstant=\"2026-03-01T12:00:00Z\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let long = "s".repeat(81);
    let request = Request { relay_state: &long, ..request() };
    assert!(Strict.begin(&us(), &peer(), request).is_err());
    let keyless = Us { key: None, sign_requests: true, ..us() };
    let refused = Strict.begin(&keyless, &peer(), self::request());
    assert_eq!(refused, Err(Refusal::Settings));
    let nowhere = Peer { sso_url: "javascript:alert(1)".to_owned(), ..peer() };
    assert!(Strict.begin(&us(), &nowhere, self::request()).is_err());
}

#[test]
fn our_metadata_says_what_a_provider_needs() {
    let text = Strict.metadata(&us()).expect("metadata");
    let certificate = misy_saml::certificate_text(&our_key().certificate);
    for part in [SP, ACS, "WantAssertionsSigned=\"true\"", "AuthnRequestsSigned=\"false\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let squeezed: String = text.split_whitespace().collect();
    assert!(squeezed.contains(&certificate), "our certificate is in it");
    let keyless = Strict.metadata(&Us { key: None, ..us() }).expect("metadata");
    assert!(!keyless.contains("KeyDescriptor"));
    assert!(read_metadata(&text).is_err(), "we are no provider");
}
