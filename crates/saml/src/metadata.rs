//! Room `saml`: reading a provider's metadata (saml-metadata-2.0-os). It is imported by an
//! administrator, over a body or a fetch that they asked for; what is in it is trusted from then on
//! because they confirm it, not because it is signed.

use saml_rs::metadata::IdpMetadata;
use saml_rs::{IdpDescriptor, MetadataTrustPolicy};

use crate::bounds::{METADATA_BYTES_MAX, look_over};
use crate::xml::escape;
use crate::{Binding, Peer, Refusal};

/// What metadata says of the provider. Redirect is preferred: it works without a page that submits
/// itself.
pub fn read(text: &str) -> Result<Peer, Refusal> {
    // Published metadata often carries comments; they decide nothing and are taken out.
    let text = without_comments(text);
    look_over(&text, METADATA_BYTES_MAX)?;
    let trust = MetadataTrustPolicy::UnsignedForCompatibility;
    let descriptor = IdpDescriptor::from_metadata_xml(&text, trust)?;
    let metadata: &IdpMetadata = descriptor.metadata();
    let kinds = [
        (saml_rs::constants::Binding::Redirect, Binding::Redirect),
        (saml_rs::constants::Binding::Post, Binding::Post),
    ];
    let place = kinds
        .into_iter()
        .find_map(|(theirs, ours)| Some((metadata.get_single_sign_on_service(theirs)?, ours)));
    let (sso_url, sso_binding) = place.ok_or(Refusal::Settings)?;
    let logout =
        kinds.into_iter().find_map(|(theirs, _)| metadata.get_single_logout_service(theirs));
    let mut certificates = metadata.x509_certificates(saml_rs::constants::CertUse::Signing);
    for one in &mut certificates {
        *one = crate::certificate_text(one);
    }
    certificates.dedup();
    if certificates.is_empty() {
        return Err(Refusal::Settings);
    }
    Ok(Peer {
        entity_id: descriptor.entity_id().as_str().to_owned(),
        sso_url,
        sso_binding,
        slo_url: logout,
        certificates,
    })
}

fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        kept.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, after)| after);
    }
    kept + rest
}

/// The provider as the library wants to read it.
pub(crate) fn write(peer: &Peer, wants_signed: bool) -> String {
    let keys = peer.certificates.iter().map(|certificate| {
        let text = escape(&crate::certificate_text(certificate));
        format!(
            "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>\
             {text}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
        )
    });
    let keys = keys.collect::<Vec<_>>().concat();
    let bindings = ["HTTP-Redirect", "HTTP-POST"];
    let services = |element: &str, url: &str| -> String {
        let url = escape(url);
        let one = |binding: &str| {
            format!(
                "<md:{element} Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:{binding}\" \
                 Location=\"{url}\"/>"
            )
        };
        bindings.into_iter().map(one).collect()
    };
    let logout = peer.slo_url.as_deref().map(|url| services("SingleLogoutService", url));
    format!(
        "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" entityID=\"{entity}\">\
         <md:IDPSSODescriptor WantAuthnRequestsSigned=\"{wants_signed}\" \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">{keys}{logout}{login}\
         </md:IDPSSODescriptor></md:EntityDescriptor>",
        entity = escape(&peer.entity_id),
        logout = logout.unwrap_or_default(),
        login = services("SingleSignOnService", &peer.sso_url),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer {
            entity_id: "https://idp.example/a?b&c".to_owned(),
            sso_url: "https://idp.example/sso?x=1&y=2".to_owned(),
            sso_binding: Binding::Redirect,
            slo_url: Some("https://idp.example/slo".to_owned()),
            certificates: vec!["QUJD".to_owned(), "REVG".to_owned()],
        }
    }

    #[test]
    fn what_is_written_reads_back_with_every_certificate() {
        assert_eq!(read(&write(&peer(), true)), Ok(peer()));
        let one = Peer { certificates: vec!["QUJD".to_owned()], slo_url: None, ..peer() };
        let commented = write(&one, false).replace("<md:IDP", "<!-- a -- b --><md:IDP");
        assert_eq!(read(&commented), Ok(one));
    }

    #[test]
    fn metadata_of_no_provider_is_refused() {
        let whole = write(&peer(), false);
        for text in [
            String::new(),
            "<a/>".to_owned(),
            whole.replace("entityID", "name"),
            whole.replace("SingleSignOnService", "OtherService"),
            whole.replace("KeyDescriptor", "OtherDescriptor"),
            format!("<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>{whole}"),
            format!("{whole}{}", " ".repeat(METADATA_BYTES_MAX)),
        ] {
            let start: String = text.chars().take(60).collect();
            assert!(read(&text).is_err(), "{start}");
        }
    }
}
