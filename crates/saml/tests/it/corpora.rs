//! Room `saml`: responses and logout requests of other projects, forged and genuine. The genuine
//! ones are signed with SHA-1 or hold further assertions as advice, which is reason enough here;
//! what matters is that of the forged ones not one gets in, whatever the reason.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use misy_saml::{Incoming, Peer, Refusal, Response, ServiceProvider, Strict, Us};

use crate::provider::{peer, us};

fn root() -> Option<PathBuf> {
    let given = option_env!("MISYBOT_CORPORA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = given.unwrap_or(beside).join("auth");
    if root.is_dir() {
        return Some(root);
    }
    eprintln!("SKIPPED: the collections of forged SAML are not here (MISYBOT_CORPORA)");
    None
}

fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!(" {name}=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!(":{name}>"))?;
    Some(rest.split_once('<')?.0.to_owned())
}

/// The file at the time, for the address and from the issuer that it names itself.
fn judge(text: &str, certificate: &str) -> Result<(), Refusal> {
    let or = |found: Option<String>, other: &str| found.unwrap_or_else(|| other.to_owned());
    let (us, peer) = (us(), peer());
    let us = Us {
        acs_url: or(attribute(text, "Destination"), &us.acs_url),
        entity_id: or(element(text, "Audience"), &us.entity_id),
        ..us
    };
    let peer = Peer {
        entity_id: or(element(text, "Issuer"), &peer.entity_id),
        certificates: vec![certificate.to_owned()],
        ..peer
    };
    let instant = or(attribute(text, "IssueInstant"), "2020-09-25T16:00:00Z");
    let message = STANDARD.encode(text);
    let request = attribute(text, "InResponseTo");
    let response = Response {
        message: &message,
        relay_state: Some("s"),
        request_id: request.as_deref(),
        now: instant.parse().expect("a time"),
        skew_s: 60,
    };
    Strict.accept(&us, &peer, response).map(drop)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .collect();
    files.sort();
    files
}

#[test]
fn of_every_forged_response_of_other_projects_none_gets_in() {
    let Some(root) = root() else { return };
    let certificate = fs::read_to_string(root.join("node-saml/cert.pem")).expect("readable");
    let forged = files(&root.join("node-saml/signatures/invalid"));
    assert!(forged.len() >= 20, "{} files", forged.len());
    let others = [root.join("samlify/attack_response_signed.xml")];
    for path in forged.iter().chain(&others) {
        let text = fs::read_to_string(path).expect("readable");
        assert!(judge(&text, &certificate).is_err(), "{}", path.display());
    }
}

#[test]
fn genuine_responses_with_broken_hashes_or_several_assertions_are_refused_as_well() {
    let Some(root) = root() else { return };
    let certificate = fs::read_to_string(root.join("node-saml/cert.pem")).expect("readable");
    for path in files(&root.join("node-saml/signatures/valid")) {
        let text = fs::read_to_string(&path).expect("readable");
        let broken = text.contains("#rsa-sha1");
        let several = text.matches(":Assertion ").count() > 1;
        assert!(broken || several, "{}: then it has to be believed", path.display());
        assert!(judge(&text, &certificate).is_err(), "{}", path.display());
    }
}

#[test]
fn logout_requests_with_broken_signatures_end_no_session() {
    let Some(root) = root() else { return };
    let certificate = fs::read_to_string(root.join("node-saml/cert.pem")).expect("readable");
    for name in ["logout_request_with_bad_signature.xml", "logout_request_with_good_signature.xml"]
    {
        let text = fs::read_to_string(root.join("node-saml").join(name)).expect("readable");
        let peer = Peer { certificates: vec![certificate.clone()], ..peer() };
        let us = Us { slo_url: attribute(&text, "Destination").unwrap_or(us().slo_url), ..us() };
        let form = [("SAMLRequest".to_owned(), STANDARD.encode(&text))];
        let now = "2014-10-20T06:00:00Z".parse().expect("a time");
        let refused = Strict.accept_logout(&us, &peer, Incoming::Post(&form), now, 60);
        assert!(refused.is_err(), "{name}: SHA-1 at best");
    }
}
