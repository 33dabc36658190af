//! Room `egress`: the HTTP clients: one for public hosts and one for where private ones are
//! allowed, so that a connection to an inner host is never found in the pool of the other.

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use misy_core::Timestamp;
use reqwest::{Client, Response};
use rustls::RootCertStore;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::Instant;

use crate::body::{Sent, Watched};
use crate::guard::{LookUp, Net, Reach, Refusal, Resolver};
use crate::shipment::Identity;
use crate::{Answer, Call, Config, Error};

/// What every client works with: whom it believes, and whom it asks for addresses.
pub(crate) struct Ground {
    authorities: Arc<RootCertStore>,
    asked: Arc<dyn LookUp>,
}

impl Ground {
    /// The machine's certificate authorities, and those that the operator adds.
    pub(crate) fn new(config: &Config, asked: Arc<dyn LookUp>) -> Self {
        let mut authorities = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (mut added, ignored) = authorities.add_parsable_certificates(found.certs);
        let own = config.authority_file.as_deref().map(read_authorities);
        match own.transpose() {
            Ok(own) => added += authorities.add_parsable_certificates(own.unwrap_or_default()).0,
            Err(error) => tracing::warn!(error, "the authority_file is not read"),
        }
        if added == 0 {
            tracing::warn!(ignored, "no certificate authorities found: calls by https will fail");
        }
        Self { authorities: Arc::new(authorities), asked }
    }

    fn resolver(&self, reach: Reach) -> Resolver {
        Resolver::new(reach, Arc::clone(&self.asked))
    }

    /// The provider is named here, so that no global default is needed and none can change it.
    fn tls(&self) -> rustls::ConfigBuilder<rustls::ClientConfig, WantsClientCert> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for TLS 1.2 and 1.3")
            .with_root_certificates(Arc::clone(&self.authorities))
    }

    /// The same with a certificate of ours.
    fn tls_as(&self, identity: &Identity) -> Result<rustls::ClientConfig, Error> {
        let refuse = |what: &str| Error::Refused(format!("the client certificate: {what}"));
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(identity.certificates.as_bytes()).collect();
        let certificates = certificates.map_err(|_| refuse("the certificates are not PEM"))?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.expose().as_bytes())
            .map_err(|_| refuse("the key is not PEM"))?;
        self.tls()
            .with_client_auth_cert(certificates, key)
            .map_err(|_| refuse("key and certificate do not fit together"))
    }
}

/// The certificates of a PEM file; it has to hold one at least.
pub(crate) fn read_authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let text = std::fs::read(file).map_err(|_| "the file cannot be read")?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let read = read.map_err(|_| "the file is not PEM")?;
    if read.is_empty() { Err("the file holds no certificate") } else { Ok(read) }
}

/// Both clients.
pub(crate) struct Clients {
    public: Client,
    private: Client,
}

impl Clients {
    /// Clients that keep so many idle connections open to one host.
    pub(crate) fn new(config: &Config, max_idle_per_host: usize, ground: &Ground) -> Self {
        let build = |reach| {
            let tls = ground.tls().with_no_client_auth();
            let built = builder(config, reach, ground.resolver(reach), tls)
                .pool_max_idle_per_host(max_idle_per_host)
                .build();
            built.expect("the TLS configuration is given and everything else is constant")
        };
        Self { public: build(Reach::Public), private: build(Reach::Private) }
    }

    /// The client of a reach.
    pub(crate) fn of(&self, reach: Reach) -> &Client {
        match reach {
            Reach::Public => &self.public,
            Reach::Private => &self.private,
        }
    }

    /// Begins a call. The first half tells at any time whether the request can have left.
    pub(crate) fn send(
        &self,
        reach: Reach,
        call: &Call,
        headers: HeaderMap,
        max_body_bytes: usize,
        now: Timestamp,
    ) -> (Sent, impl Future<Output = Result<Answer, Error>> + use<>) {
        let (body, sent) = Watched::new(call.body.clone());
        let request = self
            .of(reach)
            .request(call.method.clone(), call.url.clone())
            .headers(headers)
            .body(reqwest::Body::wrap(body));
        let heard = sent.clone();
        (sent, async move {
            let started = Instant::now();
            let response = request.send().await.map_err(|error| classify(&error, &heard))?;
            read(response, max_body_bytes, now, started).await
        })
    }
}

async fn read(
    mut response: Response,
    limit_bytes: usize,
    now: Timestamp,
    started: Instant,
) -> Result<Answer, Error> {
    let status = response.status();
    let too_large = || Error::TooLarge { limit_bytes, status: status.as_u16() };
    let declared = response.content_length().unwrap_or(0);
    if declared > limit_bytes as u64 {
        return Err(too_large());
    }
    let headers = std::mem::take(response.headers_mut());
    let mut body = BytesMut::new();
    while let Some(part) = chunk(&mut response).await? {
        if body.len() + part.len() > limit_bytes {
            return Err(too_large());
        }
        body.extend_from_slice(&part);
    }
    Ok(Answer {
        status,
        retry_after_ms: retry_after_ms(&headers, now),
        headers,
        body: body.freeze(),
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

pub(crate) async fn chunk(response: &mut Response) -> Result<Option<Bytes>, Error> {
    response.chunk().await.map_err(|_| Error::Unknown("the answer broke off".into()))
}

/// What an error of the client means for the request. Texts of the client are not passed on: they
/// hold the URL.
pub(crate) fn classify(error: &reqwest::Error, sent: &Sent) -> Error {
    let mut cause = error.source();
    while let Some(one) = cause {
        if one.is::<Refusal>() {
            return Error::Refused(Refusal.to_string());
        }
        cause = one.source();
    }
    if error.is_dns() {
        Error::NotSent("the name cannot be resolved".into())
    } else if error.is_connect() && error.is_timeout() {
        Error::NotSent("no connection in time".into())
    } else if error.is_connect() {
        Error::NotSent("no connection".into())
    } else if error.is_builder() {
        Error::NotSent("the request is malformed".into())
    } else if sent.certainly_not() {
        Error::NotSent("the connection broke before the request left".into())
    } else {
        Error::Unknown("the connection broke before the answer".into())
    }
}

/// Reads `Retry-After` in both its forms.
pub(crate) fn retry_after_ms(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(u64::try_from(at.as_millisecond() - now.as_millisecond()).unwrap_or(0))
}

/// A client for one receiver: with an identity of ours, to some networks only.
pub(crate) fn build_apart(
    config: &Config,
    ground: &Ground,
    reach: Reach,
    identity: Option<&Identity>,
    nets: Vec<Net>,
) -> Result<Client, Error> {
    let tls = match identity {
        None => ground.tls().with_no_client_auth(),
        Some(identity) => ground.tls_as(identity)?,
    };
    let resolver = ground.resolver(reach).within(nets);
    let refused = |_| Error::Refused("no connection can be set up like this".to_owned());
    builder(config, reach, resolver, tls).build().map_err(refused)
}

fn builder(
    config: &Config,
    reach: Reach,
    resolver: Resolver,
    tls: rustls::ClientConfig,
) -> reqwest::ClientBuilder {
    #[expect(clippy::disallowed_methods, reason = "the one place where clients are made")]
    Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(resolver))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .https_only(reach == Reach::Public)
        .user_agent(concat!("MisyBot/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
        .pool_idle_timeout(Duration::from_millis(config.idle_timeout_ms))
        .pool_max_idle_per_host(config.max_idle_per_host)
        .tcp_nodelay(true)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wait(text: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_str(text).expect("visible text"));
        retry_after_ms(&headers, "2026-11-21T10:00:00Z".parse().expect("a time"))
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(wait("120"), Some(120_000));
        assert_eq!(wait("Sat, 21 Nov 2026 10:00:30 GMT"), Some(30_000));
        assert_eq!(wait("Sat, 21 Nov 2026 09:00:00 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
    }
}
