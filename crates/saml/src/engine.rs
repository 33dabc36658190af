//! Room `saml`: the service provider behind the trait, on the crate `saml-rs`. What that crate
//! leaves to its user is fixed here: only signed assertions, only RSA with SHA-2, an audience that
//! names us, one assertion a response, nothing twice.

use std::time::{Duration, SystemTime};

use misy_core::{Personal, Timestamp};
use saml_rs::{
    AcsEndpoint, AssertionEncryptionPolicy, AssertionSignaturePolicy, AudienceValidationPolicy,
    AuthnRequestSigningPolicy, BrowserInput, CertificatePem, ClockSkew, Credentials, EntityId,
    FormField, IdpDescriptor, LogoutRequest, MessageId, MetadataTrustPolicy, NameIdFormat,
    Outbound, PendingAuthnRequest, PrivateKeyPem, RelayStateParam, ReplayCache, ReplayKey,
    ReplayPolicy, RespondSlo, Saml, SamlError, SamlValidationContext, SloEndpoint, Sp, SpConfig,
    SpValidationPolicy, SsoResponse, SsoResponseBinding, SsoSession, StartSso, TemplatePolicy,
    VerifiedXmlSignatureCoverage, XmlPolicy, XmlSignatureProfile,
};

use crate::bounds::{MESSAGE_BYTES_MAX, decode, look_over};
use crate::{
    Binding, Incoming, Logout, Once, Outgoing, Peer, Refusal, Request, Response, ServiceProvider,
    Subject, Us, metadata, requests,
};

/// Messages without an end of their own are remembered this long.
const KEPT: Duration = Duration::from_hours(1);

/// The one service provider there is: it believes nothing that is not signed twice over.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strict;

impl ServiceProvider for Strict {
    fn metadata(&self, us: &Us) -> Result<String, Refusal> {
        Ok(local(us, None, us.key.is_some())?.metadata_xml().to_owned())
    }

    fn begin(&self, us: &Us, peer: &Peer, request: Request<'_>) -> Result<Outgoing, Refusal> {
        let template = requests::text(us, peer, request);
        let ours = local(us, Some(template), false)?;
        let start = match peer.sso_binding {
            Binding::Redirect => StartSso::redirect(),
            Binding::Post => StartSso::post(),
        };
        let relay = RelayStateParam::try_from_option(Some(request.relay_state))?;
        let begun = ours.start_sso(&remote(peer, us.sign_requests)?, start.relay_state(relay))?;
        outgoing(&begun.outbound)
    }

    fn accept(&self, us: &Us, peer: &Peer, response: Response<'_>) -> Result<Subject, Refusal> {
        let (text, shape) = decode(response.message)?;
        shape.check_single()?;
        if text.contains("xmlenc#rsa-1_5") {
            // Its padding tells who asks often enough what was encrypted.
            return Err(Refusal::Algorithm);
        }
        let ours = local(us, None, shape.encrypted > 0)?;
        let theirs = remote(peer, us.sign_requests)?;
        let mut used = Used::default();
        let input = BrowserInput::<SsoResponse>::post(fields(response));
        let context = context(response.now, response.skew_s, &mut used);
        let session = match response.request_id {
            Some(id) => {
                let pending = pending(us, peer, id, response.relay_state)?;
                ours.finish_sso(&theirs, &pending, input, context)?
            }
            None => ours.accept_unsolicited_sso(&theirs, input, context)?,
        };
        check(&session, response.request_id, us)?;
        Ok(Subject { once: used.done()?, ..subject(&session) })
    }

    fn accept_logout(
        &self,
        us: &Us,
        peer: &Peer,
        message: Incoming<'_>,
        now: Timestamp,
        skew_s: u32,
    ) -> Result<Logout, Refusal> {
        let (ours, theirs) = (local(us, None, false)?, remote(peer, us.sign_requests)?);
        let input = match message {
            Incoming::Redirect(query) if query.len() > MESSAGE_BYTES_MAX => {
                return Err(Refusal::TooLarge);
            }
            Incoming::Redirect(query) => BrowserInput::<LogoutRequest>::redirect(query),
            Incoming::Post(form) => {
                let sent = form.iter().find(|(name, _)| name == "SAMLRequest");
                decode(sent.map_or("", |(_, value)| value.as_str()))?;
                let fields = form.iter().map(|(name, value)| FormField::new(name, value));
                BrowserInput::<LogoutRequest>::post(fields.collect())
            }
        };
        let mut used = Used::default();
        let received = ours.receive_slo(&theirs, input, context(now, skew_s, &mut used))?;
        let request = received.message();
        let name_id = request.name_id().map(|name| name.value().to_owned());
        let indexes = request.session_indexes().iter().map(|one| one.as_str().to_owned());
        let answer = ours.respond_slo(&theirs, &received, RespondSlo::redirect())?;
        Ok(Logout {
            name_id: Personal(name_id.ok_or(Refusal::Malformed)?),
            session_indexes: indexes.collect(),
            once: used.done()?,
            answer: outgoing(&answer)?,
        })
    }
}

/// What the library may believe.
fn policy(us: &Us) -> SpValidationPolicy {
    SpValidationPolicy {
        assertions: AssertionSignaturePolicy::RequireSigned,
        xml_signatures: XmlSignatureProfile::StrictRsaSha2,
        audience: AudienceValidationPolicy::Validate,
        authn_requests: if us.sign_requests {
            AuthnRequestSigningPolicy::Sign
        } else {
            AuthnRequestSigningPolicy::DoNotSignForCompatibility
        },
        ..SpValidationPolicy::recommended()
    }
}

/// How large and deep a message may be, once more in the library's own reader.
fn xml_policy(opens: bool) -> XmlPolicy {
    let mut policy =
        XmlPolicy { redirect_inflate_max_bytes: MESSAGE_BYTES_MAX, ..XmlPolicy::default() };
    policy.limits.max_bytes = MESSAGE_BYTES_MAX;
    policy.limits.max_depth = 64;
    policy.limits.max_nodes = 5_000;
    if opens {
        policy.encryption.assertions = AssertionEncryptionPolicy::EncryptAssertions;
    }
    policy
}

fn local(us: &Us, template: Option<String>, opens: bool) -> Result<Saml<Sp>, Refusal> {
    if opens && us.key.is_none() {
        return Err(Refusal::Encryption);
    }
    let key = us.key.as_ref();
    let certificate = key.map(|key| CertificatePem::new(&key.certificate));
    let private = key.map(|key| PrivateKeyPem::new(key.private.expose()));
    let credentials = Credentials {
        signing_key: private.clone(),
        signing_certificate: certificate.clone(),
        encryption_certificate: certificate,
        decryption_key: private,
        ..Credentials::default()
    };
    let templates =
        TemplatePolicy { login_request_template: template, ..TemplatePolicy::default() };
    let config = SpConfig::builder(EntityId::try_new(&us.entity_id)?)
        .acs_endpoint(AcsEndpoint::post(&us.acs_url)?)
        .slo_endpoint(SloEndpoint::redirect(&us.slo_url)?)
        .slo_endpoint(SloEndpoint::post(&us.slo_url)?)
        // A provider takes the first one that it can give. Without any the library says addresses
        // alone, for which some give a name that is another one at each login.
        .name_id_format(NameIdFormat::Persistent)
        .name_id_format(NameIdFormat::EmailAddress)
        .credentials(credentials)
        .validation(policy(us))
        .xml(xml_policy(opens))
        .templates(templates)
        .build()?;
    Ok(Saml::sp(config)?)
}

fn remote(peer: &Peer, wants_signed: bool) -> Result<IdpDescriptor, Refusal> {
    if peer.certificates.is_empty() {
        return Err(Refusal::Settings);
    }
    let text = metadata::write(peer, wants_signed);
    look_over(&text, MESSAGE_BYTES_MAX)?;
    let trust = MetadataTrustPolicy::UnsignedForCompatibility;
    let id = EntityId::try_new(&peer.entity_id)?;
    Ok(IdpDescriptor::from_metadata_xml_for(id, &text, trust)?)
}

fn pending(
    us: &Us,
    peer: &Peer,
    id: &str,
    relay_state: Option<&str>,
) -> Result<PendingAuthnRequest, Refusal> {
    Ok(PendingAuthnRequest::try_new(
        MessageId::try_new(id)?,
        RelayStateParam::try_from_option(relay_state)?,
        AcsEndpoint::post(&us.acs_url)?,
        SsoResponseBinding::Post,
        EntityId::try_new(&peer.entity_id)?,
    )?)
}

fn fields(response: Response<'_>) -> Vec<FormField> {
    let plain: String = response.message.split_ascii_whitespace().collect();
    let relay = response.relay_state.map(|state| FormField::new("RelayState", state));
    [FormField::new("SAMLResponse", plain)].into_iter().chain(relay).collect()
}

fn context(now: Timestamp, skew_s: u32, used: &mut Used) -> SamlValidationContext<'_> {
    let skew_ms = i64::from(skew_s) * 1_000;
    SamlValidationContext::new(SystemTime::from(now), ReplayPolicy::RequireCache(used))
        .with_clock_skew(ClockSkew::from_millis(-skew_ms, skew_ms))
        .with_replay_retention(KEPT)
}

/// What the library has accepted, looked at once more.
fn check(session: &SsoSession, request_id: Option<&str>, us: &Us) -> Result<(), Refusal> {
    let answers = session.in_response_to().map(MessageId::as_str);
    if answers != request_id {
        return Err(Refusal::InResponseTo);
    }
    if !session.audience().iter().any(|one| one.as_str() == us.entity_id) {
        return Err(Refusal::Audience);
    }
    let covers = |one: &saml_rs::VerifiedXmlSignature| {
        !matches!(one.coverage(), VerifiedXmlSignatureCoverage::ResponseRoot)
    };
    if !session.verified_xml_signatures().iter().any(covers) {
        return Err(Refusal::Unsigned);
    }
    if session.name_id().value().trim().is_empty() {
        return Err(Refusal::Malformed);
    }
    Ok(())
}

fn subject(session: &SsoSession) -> Subject {
    let name_id = session.name_id();
    let attributes = session.attributes().as_slice().iter().map(|attribute| {
        let values = attribute.values().iter().map(|value| value.as_str().to_owned());
        (attribute.name().to_owned(), values.collect())
    });
    let authentication = session.authn_session();
    Subject {
        name_id: Personal(name_id.value().to_owned()),
        name_id_format: name_id.format().map(|format| format.as_uri().to_owned()),
        attributes: Personal(attributes.collect()),
        session_index: authentication.session_index().map(|one| one.as_str().to_owned()),
        authenticated_at: authentication
            .authn_instant()
            .and_then(|instant| instant.as_str().parse().ok()),
        once: Vec::new(),
    }
}

fn outgoing<M>(outbound: &Outbound<M>) -> Result<Outgoing, Refusal> {
    if let Ok(url) = outbound.redirect_url() {
        return Ok(Outgoing::Redirect(url.to_owned()));
    }
    let form = outbound.post_form()?;
    let fields = form.fields().iter().map(|one| (one.name().to_owned(), one.value().to_owned()));
    Ok(Outgoing::Post(form.action().as_str().to_owned(), fields.collect()))
}

/// Notes what may be used once; whether it was is for a table to say that all nodes share.
#[derive(Debug, Default)]
struct Used(Vec<(String, SystemTime)>);

impl ReplayCache for Used {
    fn check_and_store(&mut self, key: ReplayKey, expires_at: SystemTime) -> Result<(), SamlError> {
        let key = key.cache_key();
        if self.0.iter().any(|(known, _)| *known == key) {
            return Err(SamlError::ReplayDetected { key });
        }
        self.0.push((key, expires_at));
        Ok(())
    }
}

impl Used {
    /// An end that cannot be told is none that can be kept.
    fn done(self) -> Result<Vec<Once>, Refusal> {
        let read = |(key, until): (String, SystemTime)| {
            Ok(Once { key, until: Timestamp::try_from(until).map_err(|_| Refusal::Expired)? })
        };
        let once = self.0.into_iter().map(read).collect::<Result<Vec<_>, Refusal>>()?;
        if once.is_empty() { Err(Refusal::Replayed) } else { Ok(once) }
    }
}
