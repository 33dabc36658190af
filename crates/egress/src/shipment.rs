//! Room `egress`: one delivery of a webhook. The guard and the total deadline are those of every
//! call; pace, breaker and the number under way are the delivery queue's business, which parks what
//! would have to wait. Of the answer only so much is read as is kept.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use misy_core::{Misplaced, Secret, TenantId};
use reqwest::{Client, Response};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;
use url::{Host, Url};

use crate::body::Watched;
use crate::client::{self, classify, retry_after_ms};
use crate::guard::{Net, Reach, check_url};
use crate::{Egress, Error, record};

/// One delivery.
pub struct Shipment {
    /// For whom.
    pub tenant: TenantId,
    /// Where; its query may hold secrets and is never logged.
    pub url: Url,
    /// Headers; those with secrets are marked sensitive.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// From now to the last byte of the answer that is read, in milliseconds.
    pub deadline_ms: u64,
    /// Bytes of the answer's body that are read; the rest is not taken in.
    pub read_max_bytes: usize,
    /// Whether the target may be a private host where the operator's configuration allows them.
    pub private_hosts_allowed: bool,
    /// A way of its own, for receivers that ask for more.
    pub by: Option<Arc<Way>>,
}

/// Shows where it goes, never what it carries.
impl std::fmt::Debug for Shipment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shipment").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// What came back, of whatever status.
#[derive(Clone)]
pub struct Receipt {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as much of it as was read.
    pub body: Bytes,
    /// Whether there was more.
    pub truncated: bool,
    /// The address that the connection has.
    pub address: Option<SocketAddr>,
    /// What `Retry-After` says (RFC 9110 section 10.2.3), in milliseconds from now.
    pub retry_after_ms: Option<u64>,
}

/// Shows what kind of answer it is, never what it says.
impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A way out with an identity of its own (mutual TLS), or to some addresses only. It shares its
/// connections with nobody.
pub struct Way {
    client: Client,
    nets: Vec<Net>,
    reach: Reach,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Way")
    }
}

/// Who we are to a receiver that asks: certificates and key, as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate and those between it and the authority that the receiver trusts.
    pub certificates: String,
    /// Its key.
    pub key: Secret,
}

impl Way {
    fn literal_is_outside(&self, url: &Url) -> bool {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return false,
        };
        !Net::admit(&self.nets, address)
    }
}

impl Egress {
    /// A way with an identity, to these networks only (`192.0.2.0/24`, `2001:db8::/32`; none means
    /// all). Refuses what is not PEM, a key that does not belong to the certificate, and what is no
    /// network.
    pub fn way(
        &self,
        identity: Option<&Identity>,
        networks: &[String],
        private_hosts_allowed: bool,
    ) -> Result<Way, Error> {
        let (config, ground) = (&self.inner.config, &self.inner.ground);
        let reach = Reach::of(private_hosts_allowed && config.private_hosts_allowed);
        let nets: Result<Vec<Net>, _> = networks.iter().map(|text| Net::from_str(text)).collect();
        let nets = nets.map_err(|_| Error::Refused("it is no network".to_owned()))?;
        let client = client::build_apart(config, ground, reach, identity, nets.clone())?;
        Ok(Way { client, nets, reach })
    }

    /// Whether a URL may be delivered to as far as it shows: scheme, credentials, literal address.
    pub fn check_target(&self, url: &Url, private_hosts_allowed: bool) -> Result<(), Error> {
        let allowed = private_hosts_allowed && self.inner.config.private_hosts_allowed;
        check_url(url, Reach::of(allowed)).map(drop)
    }

    /// Delivers once. The answer may be of any status; redirects are not followed.
    pub async fn ship(&self, shipment: Shipment) -> Result<Receipt, Error> {
        let started = Instant::now();
        let url = &shipment.url;
        let (span, _) = record::span(&self.ctx, &Method::POST, url, &self.inner.ambient);
        let outcome = self.carry(shipment, started).instrument(span.clone()).await;
        record::tell(&span, outcome.as_ref().map(|receipt| receipt.status));
        let label = match &outcome {
            Ok(receipt) if receipt.status.is_success() => "ok",
            Ok(receipt) if receipt.status.is_server_error() => "status_5xx",
            Ok(_) => "status_other",
            Err(error) => error.label(),
        };
        metrics::counter!("misy_egress_shipments_total", "outcome" => label).increment(1);
        metrics::histogram!("misy_egress_shipment_seconds", "outcome" => label)
            .record(started.elapsed());
        outcome
    }

    async fn carry(&self, shipment: Shipment, started: Instant) -> Result<Receipt, Error> {
        let inner = &*self.inner;
        if shipment.tenant != self.ctx.tenant() {
            return Err(Error::Misplaced(Misplaced::Ambiguous));
        }
        let reach = Reach::of(shipment.private_hosts_allowed && inner.config.private_hosts_allowed);
        check_url(&shipment.url, reach)?;
        let client = match &shipment.by {
            Some(way) if way.reach != reach || way.literal_is_outside(&shipment.url) => {
                return Err(Error::Refused("the address is not one of those allowed".to_owned()));
            }
            Some(way) => &way.client,
            None => inner.shipping.of(reach),
        };
        let deadline = started + Duration::from_millis(shipment.deadline_ms);
        let (body, sent) = Watched::new(shipment.body);
        let request = client
            .request(Method::POST, shipment.url)
            .headers(shipment.headers)
            .body(reqwest::Body::wrap(body));
        let now = inner.ambient.now();
        let work = async {
            let response = request.send().await.map_err(|error| classify(&error, &sent))?;
            let retry_after_ms = retry_after_ms(response.headers(), now);
            let receipt = read(response, shipment.read_max_bytes).await?;
            Ok(Receipt { retry_after_ms, ..receipt })
        };
        match timeout_at(deadline, work).await {
            Ok(outcome) => outcome,
            Err(_) if sent.certainly_not() => Err(Error::NotSent("no connection in time".into())),
            Err(_) => Err(Error::Unknown("no complete answer in time".into())),
        }
    }
}

/// Reads as much as is wanted. What is left makes the connection useless, and it is closed.
async fn read(mut response: Response, max_bytes: usize) -> Result<Receipt, Error> {
    let (status, address) = (response.status(), response.remote_addr());
    let headers = std::mem::take(response.headers_mut());
    let (mut body, mut truncated) = (BytesMut::new(), false);
    while let Some(part) = client::chunk(&mut response).await? {
        let room = max_bytes - body.len();
        body.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() > room {
            truncated = true;
            break;
        }
    }
    let body = body.freeze();
    Ok(Receipt { status, headers, body, truncated, address, retry_after_ms: None })
}
