//! Room `identity`: the calls to a provider. All of them go out through `egress`, which refuses
//! inner networks; what was found is kept for a while, for each connection by itself.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{Method, StatusCode, header};
use misy_core::{Ctx, Secret, SsoConnectionId, TenantId};
use misy_egress::{Answer, Call};
use moka::future::Cache;
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::super::model::{self, Doubt, KeySet, Metadata, Tokens};
use crate::attempts::{Allowance, Attempts};
use crate::sso::model::Error;
use crate::sso_connections::model::{Connection, OidcSettings, SigningAlgorithm, TokenAuth};
use crate::sso_connections::service as connections;
use crate::{Deps, Error as Failure};

/// How long discovery and keys are believed. A key that a provider withdraws dies after it.
const BELIEVED_FOR: Duration = Duration::from_mins(10);
const KNOWN_MAX: u64 = 5_000;
/// Documents of providers are small.
const BODY_BYTES_MAX: usize = 512 << 10;
/// An unknown `kid` has the keys fetched again, so often at most: anybody can invent names.
const REFETCHES: Allowance = Allowance { burst: 5, refill_ms: 30_000 };

type Name = (TenantId, SsoConnectionId, String);

/// Providers that were looked up lately.
pub(crate) struct Providers {
    known: Cache<Name, Arc<Provider>>,
    refetches: Attempts,
}

impl Providers {
    pub(crate) fn new(ambient: misy_core::Ambient) -> Self {
        let known = Cache::builder().max_capacity(KNOWN_MAX).time_to_live(BELIEVED_FOR).build();
        Self { known, refetches: Attempts::new(REFETCHES, ambient) }
    }
}

/// A provider as it describes itself.
pub(crate) struct Provider {
    pub(crate) metadata: Metadata,
    keys: RwLock<Arc<KeySet>>,
}

impl Provider {
    pub(crate) fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The provider of a connection, looked up or remembered.
pub(super) async fn provider(
    deps: &Deps,
    inside: &Ctx,
    connection: &Connection,
    settings: &OidcSettings,
) -> Result<Arc<Provider>, Failure> {
    let name = (inside.tenant(), connection.id, settings.issuer.clone());
    let known = &deps.outside()?.providers.known;
    if let Some(provider) = known.get(&name).await {
        return Ok(provider);
    }
    let provider = Arc::new(fetch(deps, inside, connection, settings).await?);
    known.insert(name, Arc::clone(&provider)).await;
    Ok(provider)
}

/// Looks a provider up.
pub(super) async fn fetch(
    deps: &Deps,
    inside: &Ctx,
    connection: &Connection,
    settings: &OidcSettings,
) -> Result<Provider, Failure> {
    let site = Site { deps, inside, connection, settings };
    let url = model::discovery_url(&settings.issuer);
    let answer = site.get(&url, "/.well-known/openid-configuration").await?;
    let metadata = Metadata::read(&answer.body, &settings.issuer)
        .map_err(|why| Error::Provider(why.to_owned()))?;
    let keys = RwLock::new(Arc::new(site.fetch_keys(&metadata).await?));
    Ok(Provider { metadata, keys })
}

/// Reads an address that a provider gave.
pub(super) fn parse(url: &str) -> Result<Url, Error> {
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    parsed.ok_or_else(|| Error::Provider("one of its addresses is not a URL".to_owned()))
}

/// One connection, for the moment of a login.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) deps: &'a Deps,
    pub(super) inside: &'a Ctx,
    pub(super) connection: &'a Connection,
    pub(super) settings: &'a OidcSettings,
}

impl Site<'_> {
    /// A private host may be called if the operator allows it and it is the issuer's own: that one
    /// an administrator entered, the others came with data.
    fn call(&self, method: Method, url: &str, template: &'static str) -> Result<Call, Error> {
        let host = |text: &str| Url::parse(text).ok()?.host_str().map(str::to_owned);
        let refused = |error: misy_egress::Error| Error::Provider(error.to_string());
        let tenant = self.inside.tenant();
        let mut call = Call::new(tenant, self.connection.id, method, url, template)
            .map_err(refused)?
            .header(header::ACCEPT, header::HeaderValue::from_static("application/json"));
        call.private_hosts_allowed = host(url) == host(&self.settings.issuer);
        call.max_body_bytes = Some(BODY_BYTES_MAX);
        Ok(call)
    }

    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let egress = self.deps.outside()?.egress.of(self.inside);
        let answer = egress.call(call).await;
        Ok(answer.map_err(|error| Error::Provider(error.to_string()))?)
    }

    async fn get(&self, url: &str, template: &'static str) -> Result<Answer, Failure> {
        let answer = self.send(self.call(Method::GET, url, template)?).await?;
        if answer.status == StatusCode::OK {
            return Ok(answer);
        }
        let why = format!("it answered {} to {template}", answer.status.as_u16());
        Err(Error::Provider(why).into())
    }

    async fn fetch_keys(&self, metadata: &Metadata) -> Result<KeySet, Failure> {
        let answer = self.get(&metadata.jwks_uri, "/{jwks_uri}").await?;
        let why = || Error::Provider("its keys are not a JWK set".to_owned());
        Ok(KeySet::read(&answer.body).ok_or_else(why)?)
    }

    /// Believes a token's signature. A key that is not known yet is looked for once: the provider
    /// may have a new one.
    pub(super) async fn verify(
        &self,
        provider: &Provider,
        token: &str,
        types: &[&str],
    ) -> Result<(Map<String, Value>, SigningAlgorithm), Doubt> {
        let allowed = &self.settings.algorithms;
        let first = model::verify(token, allowed, types, &provider.keys());
        let providers = self.deps.outside().map(|outside| &outside.providers);
        let name = self.connection.id.to_string();
        match (first, providers) {
            (Err(Doubt::UnknownKey), Ok(providers)) if providers.refetches.take(&name).is_ok() => {
                let fresh = self.fetch_keys(&provider.metadata).await;
                let fresh = Arc::new(fresh.map_err(|_| Doubt::UnknownKey)?);
                let mut keys = provider.keys.write().unwrap_or_else(PoisonError::into_inner);
                *keys = Arc::clone(&fresh);
                drop(keys);
                model::verify(token, allowed, types, &fresh)
            }
            (first, _) => first,
        }
    }

    /// Exchanges a code (RFC 6749 section 4.1.3); `None` if the provider refuses it.
    pub(super) async fn redeem(
        &self,
        provider: &Provider,
        code: &Secret,
        verifier: &Secret,
        redirect_uri: &str,
    ) -> Result<Option<Tokens>, Failure> {
        let mut tx = self.deps.db.read(self.inside).await?;
        let secrets = connections::open(self.deps, &mut tx, self.connection).await?;
        drop(tx);
        let secret = secrets.get("client_secret");
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ];
        let mut call = self.call(Method::POST, &provider.metadata.token_endpoint, "/{token}")?;
        match (self.settings.token_auth, secret) {
            (TokenAuth::ClientSecretBasic, Some(secret)) => {
                let basic = basic(&self.settings.client_id, secret);
                call = call
                    .secret_header("authorization", "Basic ", &basic)
                    .map_err(|error| Error::Provider(error.to_string()))?;
            }
            (TokenAuth::ClientSecretPost, Some(secret)) => {
                form.push(("client_id", &self.settings.client_id));
                form.push(("client_secret", secret.expose()));
            }
            _ => form.push(("client_id", &self.settings.client_id)),
        }
        let form = Serializer::new(String::new()).extend_pairs(form).finish();
        let call = call.body("application/x-www-form-urlencoded", form);
        let Ok(answer) = self.send(call).await else { return Ok(None) };
        let read = || serde_json::from_slice(&answer.body).ok();
        Ok((answer.status == StatusCode::OK).then(read).flatten())
    }

    /// Asks for more claims (Core section 5.3); they count only if they are of the same person.
    pub(super) async fn userinfo(
        &self,
        provider: &Provider,
        access_token: &Secret,
        subject: &str,
    ) -> Option<Map<String, Value>> {
        let url = provider.metadata.userinfo_endpoint.as_deref()?;
        let call = self.call(Method::GET, url, "/{userinfo}").ok()?;
        let call = call.secret_header("authorization", "Bearer ", access_token).ok()?;
        let answer = self.send(call).await.ok()?;
        let claims: Map<String, Value> = serde_json::from_slice(&answer.body).ok()?;
        let same = claims.get("sub").and_then(Value::as_str) == Some(subject);
        (answer.status == StatusCode::OK && same).then_some(claims)
    }
}

/// RFC 6749 section 2.3.1: both halves are form-encoded first.
fn basic(client_id: &str, secret: &Secret) -> Secret {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(client_id), encode(secret.expose()));
    Secret::new(data_encoding::BASE64.encode(pair.as_bytes()))
}
