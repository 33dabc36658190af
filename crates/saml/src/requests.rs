//! Room `saml`: the text of an authentication request (saml-core-2.0-os section 3.4.1). Its id and
//! time come from the caller, so that it can be correlated without being kept.

use crate::xml::escape;
use crate::{Peer, Request, Us};

/// The request. The person's address or a lasting name is welcome; which one comes is for the
/// provider to say.
pub(crate) fn text(us: &Us, peer: &Peer, request: Request<'_>) -> String {
    let second = request.now.as_second();
    let time = misy_core::Timestamp::from_second(second).unwrap_or(request.now);
    format!(
        "<samlp:AuthnRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
         xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{id}\" Version=\"2.0\" \
         IssueInstant=\"{time}\" Destination=\"{destination}\" \
         ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" \
         AssertionConsumerServiceURL=\"{acs}\"><saml:Issuer>{issuer}</saml:Issuer>\
         <samlp:NameIDPolicy AllowCreate=\"true\"/></samlp:AuthnRequest>",
        id = escape(request.id),
        destination = escape(&peer.sso_url),
        acs = escape(&us.acs_url),
        issuer = escape(&us.entity_id),
    )
}
