//! Room `saml`: a provider ends sessions with a signed request, and with no other.

use misy_saml::{Incoming, KeyPair, Outgoing, Peer, Refusal, ServiceProvider, Strict, Us};
use saml_rs::{
    CertificatePem, Credentials, EntityId, IdpConfig, IdpValidationPolicy, LogoutSubject,
    MetadataTrustPolicy, NameId, PrivateKeyPem, Saml, SessionIndex, SloEndpoint, SpDescriptor,
    SsoEndpoint, StartSlo,
};

use crate::provider::{IDP, SLO, evil_key, idp_key, peer, us};

/// A request that the library's provider signs with this key; its times are of today.
fn request(key: &KeyPair) -> (String, misy_core::Timestamp) {
    let credentials = Credentials {
        signing_key: Some(PrivateKeyPem::new(key.private.expose())),
        signing_certificate: Some(CertificatePem::new(&key.certificate)),
        ..Credentials::default()
    };
    let idp = IdpConfig::builder(EntityId::try_new(IDP).expect("an id"))
        .sso_endpoint(SsoEndpoint::redirect("https://idp.example/sso").expect("a URL"))
        .slo_endpoint(SloEndpoint::redirect("https://idp.example/slo").expect("a URL"))
        .credentials(credentials)
        .validation(IdpValidationPolicy::recommended())
        .build()
        .and_then(Saml::idp)
        .expect("a provider");
    let metadata = Strict.metadata(&us()).expect("metadata");
    let trust = MetadataTrustPolicy::UnsignedForCompatibility;
    let sp = SpDescriptor::from_metadata_xml(&metadata, trust).expect("readable");
    let index = SessionIndex::try_new("s1").expect("an index");
    let subject = LogoutSubject::with_session_index(NameId::new("ana-1", None), index);
    let begun = idp.start_slo(&sp, subject, StartSlo::redirect()).expect("it begins");
    let issued = begun.pending.issued_at().expect("a time").as_str().parse().expect("a time");
    let url = begun.outbound.redirect_url().expect("a redirect").to_owned();
    assert!(url.starts_with(SLO), "{url}");
    (url.split_once('?').expect("a query").1.to_owned(), issued)
}

#[test]
fn a_signed_request_names_whose_sessions_end() {
    let (query, now) = request(idp_key());
    let read = Strict.accept_logout(&us(), &peer(), Incoming::Redirect(&query), now, 60);
    let read = read.expect("it is honest");
    assert_eq!(read.name_id.0, "ana-1");
    assert_eq!(read.session_indexes, ["s1"]);
    assert_eq!(read.once.len(), 1);
    let Outgoing::Redirect(url) = read.answer else { panic!("a redirect") };
    assert!(url.starts_with("https://idp.example/slo?SAMLResponse="), "{url}");
    assert!(url.contains("&Signature="));
}

#[test]
fn any_other_request_ends_nothing() {
    let (query, now) = request(idp_key());
    let (forged, _) = request(evil_key());
    let unsigned = query.split("&SigAlg").next().expect("a message").to_owned();
    let swapped = format!(
        "{}&SigAlg{}",
        forged.split("&SigAlg").next().unwrap_or_default(),
        query.split_once("&SigAlg").expect("signed").1
    );
    let twice = format!("{query}&RelayState=x");
    for (what, query) in [
        ("by another key", &forged),
        ("unsigned", &unsigned),
        ("with another's signature", &swapped),
        ("with something added", &twice),
        ("empty", &String::new()),
    ] {
        let read = Strict.accept_logout(&us(), &peer(), Incoming::Redirect(query), now, 60);
        assert!(read.is_err(), "{what}");
    }
    let incoming = Incoming::Redirect(&query);
    let other = Peer { entity_id: "https://other.example".to_owned(), ..peer() };
    assert!(Strict.accept_logout(&us(), &other, incoming, now, 60).is_err());
    let elsewhere = Us { slo_url: "https://other.example/slo".to_owned(), ..us() };
    assert!(Strict.accept_logout(&elsewhere, &peer(), incoming, now, 60).is_err());
    let later = now.checked_add(std::time::Duration::from_hours(2)).expect("in range");
    let late = Strict.accept_logout(&us(), &peer(), incoming, later, 60);
    assert_eq!(late.map(drop), Err(Refusal::Expired));
}
