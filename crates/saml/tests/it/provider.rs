//! Room `saml`: a provider that signs what it is told to, and us beside it.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use misy_core::Timestamp;
use misy_saml::{Binding, KeyPair, Peer, Refusal, Response, ServiceProvider, Strict, Subject, Us};
use saml_rs::crypto::keys::load_private_key;

pub(crate) const IDP: &str = "https://idp.example/metadata";
pub(crate) const SP: &str = "https://api.example/v1/auth/saml/sso_1/metadata";
pub(crate) const ACS: &str = "https://api.example/v1/auth/saml/sso_1/acs";
pub(crate) const SLO: &str = "https://api.example/v1/auth/saml/sso_1/slo";
pub(crate) const REQUEST: &str = "_q1";
pub(crate) const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";

/// Noon, when everything here happens.
pub(crate) fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

fn made(place: &'static OnceLock<KeyPair>, name: &str) -> &'static KeyPair {
    place.get_or_init(|| KeyPair::generate(name).expect("a key"))
}

/// The provider's key.
pub(crate) fn idp_key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    made(&KEY, "idp")
}

/// A key of somebody else.
pub(crate) fn evil_key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    made(&KEY, "idp")
}

/// Our key.
pub(crate) fn our_key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    made(&KEY, "sp")
}

pub(crate) fn us() -> Us {
    Us {
        entity_id: SP.to_owned(),
        acs_url: ACS.to_owned(),
        slo_url: SLO.to_owned(),
        key: Some(our_key().clone()),
        sign_requests: false,
    }
}

pub(crate) fn peer() -> Peer {
    Peer {
        entity_id: IDP.to_owned(),
        sso_url: "https://idp.example/sso".to_owned(),
        sso_binding: Binding::Redirect,
        slo_url: Some("https://idp.example/slo".to_owned()),
        certificates: vec![idp_key().certificate.clone()],
    }
}

/// What a response says; the fields of an honest one.
#[derive(Clone)]
pub(crate) struct Says {
    pub(crate) response_issuer: &'static str,
    pub(crate) issuer: &'static str,
    pub(crate) destination: &'static str,
    pub(crate) recipient: &'static str,
    pub(crate) audience: Option<&'static str>,
    pub(crate) answers: Option<&'static str>,
    pub(crate) confirmed_for: Option<&'static str>,
    pub(crate) method: &'static str,
    pub(crate) status: &'static str,
    pub(crate) from: &'static str,
    pub(crate) until: &'static str,
    pub(crate) name_id: &'static str,
}

impl Default for Says {
    fn default() -> Self {
        Self {
            response_issuer: IDP,
            issuer: IDP,
            destination: ACS,
            recipient: ACS,
            audience: Some(SP),
            answers: Some(REQUEST),
            confirmed_for: Some(REQUEST),
            method: "urn:oasis:names:tc:SAML:2.0:cm:bearer",
            status: "urn:oasis:names:tc:SAML:2.0:status:Success",
            from: "2026-03-01T11:59:00Z",
            until: "2026-03-01T12:05:00Z",
            name_id: "ana-1",
        }
    }
}

fn answering(request: Option<&str>) -> String {
    request.map(|id| format!(" InResponseTo=\"{id}\"")).unwrap_or_default()
}

impl Says {
    /// The assertion, unsigned.
    pub(crate) fn assertion(&self, id: &str) -> String {
        let Self { issuer, recipient, method, from, until, name_id, .. } = self;
        let audience = self.audience.map(|audience| {
            format!(
                "<saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience>\
                 </saml:AudienceRestriction>"
            )
        });
        format!(
            "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{id}\" \
             Version=\"2.0\" IssueInstant=\"2026-03-01T12:00:00Z\"><saml:Issuer>{issuer}\
             </saml:Issuer><saml:Subject><saml:NameID \
             Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">{name_id}\
             </saml:NameID><saml:SubjectConfirmation Method=\"{method}\">\
             <saml:SubjectConfirmationData NotOnOrAfter=\"{until}\" Recipient=\"{recipient}\"\
             {answers}/></saml:SubjectConfirmation></saml:Subject><saml:Conditions \
             NotBefore=\"{from}\" NotOnOrAfter=\"{until}\">{audience}</saml:Conditions>\
             <saml:AuthnStatement AuthnInstant=\"2026-03-01T11:58:00Z\" SessionIndex=\"s1\">\
             <saml:AuthnContext><saml:AuthnContextClassRef>\
             urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport\
             </saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>\
             <saml:AttributeStatement><saml:Attribute Name=\"email\" \
             NameFormat=\"urn:oasis:names:tc:SAML:2.0:attrname-format:basic\">\
             <saml:AttributeValue>ana@acme.example</saml:AttributeValue></saml:Attribute>\
             <saml:Attribute Name=\"groups\" \
             NameFormat=\"urn:oasis:names:tc:SAML:2.0:attrname-format:basic\">\
             <saml:AttributeValue>support</saml:AttributeValue>\
             <saml:AttributeValue>leads</saml:AttributeValue></saml:Attribute>\
             </saml:AttributeStatement></saml:Assertion>",
            audience = audience.unwrap_or_default(),
            answers = answering(self.confirmed_for),
        )
    }

    /// The response around an assertion.
    pub(crate) fn response(&self, inside: &str) -> String {
        let Self { response_issuer, destination, status, .. } = self;
        format!(
            "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_r1\" Version=\"2.0\" \
             IssueInstant=\"2026-03-01T12:00:00Z\" Destination=\"{destination}\"{answers}>\
             <saml:Issuer>{response_issuer}</saml:Issuer><samlp:Status><samlp:StatusCode \
             Value=\"{status}\"/></samlp:Status>{inside}</samlp:Response>",
            answers = answering(self.answers),
        )
    }

    /// The response with its assertion signed, as most providers send it.
    pub(crate) fn signed(&self) -> String {
        sign(&self.response(&self.assertion("_a1")), false, idp_key())
    }
}

/// Signs the response or the assertion in it.
pub(crate) fn sign(xml: &str, whole: bool, key: &KeyPair) -> String {
    let private = load_private_key(key.private.expose(), None).expect("a key");
    let transforms = [
        "http://www.w3.org/2000/09/xmldsig#enveloped-signature".to_owned(),
        "http://www.w3.org/2001/10/xml-exc-c14n#".to_owned(),
    ];
    let certificate = &key.certificate;
    saml_rs::crypto::construct_saml_signature(
        xml,
        whole,
        &private,
        certificate,
        RSA_SHA256,
        &transforms,
        None,
    )
    .expect("it signs")
}

/// Encrypts the assertion of a response for us.
pub(crate) fn encrypt(xml: &str, algorithm: &str) -> String {
    let oaep = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
    let certificate = &our_key().certificate;
    let encrypted = saml_rs::crypto::encrypt_assertion(xml, certificate, algorithm, oaep, "saml");
    let encrypted = encrypted.expect("it encrypts");
    if encrypted.starts_with('<') {
        return encrypted;
    }
    String::from_utf8(STANDARD.decode(encrypted).expect("base64")).expect("UTF-8")
}

/// What we make of a text that came to us at noon.
pub(crate) fn accept(xml: &str) -> Result<Subject, Refusal> {
    accept_at(xml, noon(), Some(REQUEST))
}

/// The same at another time, or with another request.
pub(crate) fn accept_at(
    xml: &str,
    now: Timestamp,
    request_id: Option<&str>,
) -> Result<Subject, Refusal> {
    let message = STANDARD.encode(xml);
    let relay_state = Some("state");
    let response = Response { message: &message, relay_state, request_id, now, skew_s: 60 };
    Strict.accept(&us(), &peer(), response)
}
