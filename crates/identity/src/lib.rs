//! Room `identity`: who somebody is and what they may do. Accounts and their passwords, sessions
//! and tokens, people and roles of a tenant, API keys.
//!
//! Never: channels, conversations.

pub mod accounts;
pub mod api_keys;
pub mod attempts;
pub mod authentication;
pub mod config;
pub mod decisions;
pub mod domains;
pub mod entities;
pub mod evaluations;
pub mod exchanges;
pub mod impersonations;
pub mod invitations;
pub mod letters;
pub mod notices;
pub mod oidc;
pub mod operators;
pub mod passwords;
pub mod policies;
pub mod recoveries;
pub mod revocations;
pub mod roles;
pub mod saml;
pub mod scim;
pub mod searches;
pub mod second_factors;
pub mod service_accounts;
pub mod sessions;
pub mod sightings;
pub mod signing_keys;
pub mod sso;
pub mod sso_connections;
pub mod tokens;
pub mod users;
pub mod verifications;

use std::sync::Arc;

use misy_core::crypto::{Key, OpenError};
use misy_core::ctx::Denied;
use misy_core::error::Fault;
use misy_core::mail::NoMailer;
use misy_core::{Ambient, Code, MailError, Mailer, PlatformCtx, Public};
use misy_jobs::Registry;
use misy_store::{Db, Quota, Unlimited};
use utoipa_axum::router::OpenApiRouter;

pub use accounts::{Email, ensure_operator};
pub use authentication::Bearers;
pub use config::Config;
pub use letters::Stewards;
pub use sso::Outside;
pub use users::{Provisioner, TABLES};

use attempts::Attempts;

/// What the services of this room work with.
pub struct Deps {
    pub(crate) db: Db,
    pub(crate) ambient: Ambient,
    /// For what happens before anybody is known: checking a credential, renewing views.
    pub(crate) system: PlatformCtx,
    pub(crate) config: Config,
    pub(crate) hasher: passwords::Hasher,
    pub(crate) keys: signing_keys::KeyRing,
    pub(crate) known_tokens: tokens::KnownTokens,
    pub(crate) revocations: revocations::Revocations,
    pub(crate) notices: Arc<notices::Notices>,
    pub(crate) decisions: Arc<decisions::Log>,
    pub(crate) policies: Arc<policies::Engine>,
    pub(crate) sightings: sightings::Sightings,
    pub(crate) known_keys: api_keys::KnownKeys,
    pub(crate) by_address: Attempts,
    pub(crate) by_account: Attempts,
    outside: Option<Outside>,
    pub(crate) quotas: Arc<dyn Quota>,
    pub(crate) mailer: Arc<dyn Mailer>,
    /// Makes the links in mails.
    pub(crate) link_key: Key,
    /// Seals what one-time passwords are made from.
    pub(crate) factor_key: Key,
}

impl Deps {
    /// Loads the signing keys, or makes the first one. `root` is the installation's key derived for
    /// this room; `system` is the program itself, as an operator.
    pub async fn open(
        db: Db,
        root: &Key,
        system: PlatformCtx,
        config: Config,
    ) -> Result<Self, Error> {
        let ambient = db.ambient().clone();
        let revocations =
            revocations::Revocations::new(db.clone(), system.clone(), config.access_token_s);
        let notices = Arc::new(notices::Notices::new(db.clone(), system.clone()));
        let decisions = Arc::<decisions::Log>::default();
        Ok(Self {
            keys: signing_keys::KeyRing::open(db.clone(), system.clone(), root, &config).await?,
            known_tokens: tokens::KnownTokens::new(config.access_token_s),
            hasher: passwords::Hasher::new(&config, root),
            revocations,
            policies: Arc::new(policies::Engine::new(
                db.clone(),
                system.clone(),
                Arc::clone(&notices),
                Arc::clone(&decisions),
            )),
            notices,
            decisions,
            sightings: sightings::Sightings::new(config.access_token_s),
            known_keys: api_keys::KnownKeys::new(),
            by_address: Attempts::new(config.per_address, ambient.clone()),
            by_account: Attempts::new(config.per_account, ambient.clone()),
            outside: None,
            quotas: Arc::new(Unlimited),
            mailer: Arc::new(NoMailer),
            link_key: root.derive("links"),
            factor_key: root.derive("second-factors"),
            db,
            ambient,
            system,
            config,
        })
    }

    /// With ways out and tenants' keys, which single sign-on needs.
    #[must_use]
    pub fn with_outside(self, outside: Outside) -> Self {
        Self { outside: Some(outside), ..self }
    }

    /// With limits of plans; without this there may be as many people as one likes.
    #[must_use]
    pub fn with_quotas(self, quotas: Arc<dyn Quota>) -> Self {
        Self { quotas, ..self }
    }

    pub(crate) fn outside(&self) -> Result<&Outside, sso_connections::Error> {
        self.outside.as_ref().ok_or(sso_connections::Error::NoWayOut)
    }

    /// Lets mails leave; without this they wait.
    #[must_use]
    pub fn with_mailer(self, mailer: Arc<dyn Mailer>) -> Self {
        Self { mailer, ..self }
    }

    /// Renews what this process knows of revocations and keys, and writes down what it has seen
    /// used. The server calls it about every 400 ms, so that no request has to wait for it; a
    /// request that comes later than that does it itself.
    pub async fn tick(&self) -> Result<(), Error> {
        self.revocations.renew().await?;
        self.notices.renew().await?;
        decisions::service::flush(self).await;
        sightings::flush(self).await
    }

    /// Who decides whether a policy forbids what a role grants, for the other rooms.
    pub fn policies(&self) -> Arc<dyn misy_web::Policies> {
        Arc::<policies::Engine>::clone(&self.policies)
    }

    /// Signing keys, to rotate them.
    pub fn keys(&self) -> &signing_keys::KeyRing {
        &self.keys
    }
}

/// Every route of this room.
pub fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    sessions::http::router(deps)
        .merge(users::http::router(deps))
        .merge(roles::http::router(deps))
        .merge(api_keys::http::router(deps))
        .merge(service_accounts::http::router(deps))
        .merge(operators::http::router(deps))
        .merge(entities::http::router(deps))
        .merge(policies::http::router(deps))
        .merge(decisions::http::router(deps))
        .merge(evaluations::http::router(deps))
        .merge(searches::http::router(deps))
        .merge(signing_keys::http::router(deps))
        .merge(scim::http::router(deps))
        .merge(sso_connections::http::router(deps))
        .merge(sso::http::router(deps))
        .merge(oidc::http::router(deps))
        .merge(saml::http::router(deps))
        .merge(domains::http::router(deps))
        .merge(exchanges::http::router(deps))
        .merge(impersonations::http::router(deps))
        .merge(invitations::http::router(deps))
        .merge(recoveries::http::router(deps))
        .merge(verifications::http::router(deps))
        .merge(second_factors::http::router(deps))
}

/// Every job of this room.
pub fn jobs(registry: Registry, deps: &Arc<Deps>) -> Registry {
    let registry = letters::jobs::register(sessions::jobs::register(registry, deps), deps);
    domains::jobs::register(registry, deps)
}

/// What fails in this room, each kind as its resource defines it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A permission is missing.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// More rights would be handed out than the actor has.
    #[error(transparent)]
    Beyond(#[from] roles::model::Beyond),
    /// A limit of the plan.
    #[error(transparent)]
    Quota(#[from] misy_store::QuotaError),
    /// About people.
    #[error(transparent)]
    User(#[from] users::Error),
    /// About sessions.
    #[error(transparent)]
    Session(#[from] sessions::Error),
    /// About API keys.
    #[error(transparent)]
    ApiKey(#[from] api_keys::Error),
    /// About people of the platform.
    #[error(transparent)]
    Operator(#[from] operators::Error),
    /// About policies.
    #[error(transparent)]
    Policy(#[from] policies::Error),
    /// A policy forbids what the role grants.
    #[error(transparent)]
    Forbidden(#[from] misy_core::access::Forbidden),
    /// About roles.
    #[error(transparent)]
    Role(#[from] roles::Error),
    /// About service accounts.
    #[error(transparent)]
    ServiceAccount(#[from] service_accounts::Error),
    /// About passwords.
    #[error(transparent)]
    Password(#[from] passwords::Error),
    /// An access token is not believed.
    #[error(transparent)]
    Token(#[from] tokens::Error),
    /// About what a directory asks for.
    #[error(transparent)]
    Scim(#[from] scim::Error),
    /// Tried too often.
    #[error(transparent)]
    Attempts(#[from] attempts::Error),
    /// About connections to identity providers.
    #[error(transparent)]
    SsoConnection(#[from] sso_connections::Error),
    /// About token exchange.
    #[error(transparent)]
    Exchange(#[from] exchanges::Error),
    /// About visits of operators.
    #[error(transparent)]
    Impersonation(#[from] impersonations::Error),
    /// About domains.
    #[error(transparent)]
    Domain(#[from] domains::Error),
    /// About logins through them.
    #[error(transparent)]
    Sso(#[from] sso::Error),
    /// About invitations.
    #[error(transparent)]
    Invitation(#[from] invitations::Error),
    /// A link does not work.
    #[error(transparent)]
    Link(#[from] letters::Error),
    /// About second factors.
    #[error(transparent)]
    SecondFactor(#[from] second_factors::Error),
    /// A mail did not leave.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// Changed since it was read.
    #[error(transparent)]
    Stale(#[from] misy_web::Stale),
    /// A signing key does not open: the root key is not the one it was sealed under.
    #[error("the signing keys cannot be used")]
    SigningKey(#[source] OpenError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] misy_store::Error),
}

impl Error {
    fn inner(&self) -> Option<&dyn Public> {
        Some(match self {
            Self::Denied(error) => error,
            Self::Beyond(error) => error,
            Self::Quota(error) => error,
            Self::User(error) => error,
            Self::Session(error) => error,
            Self::ApiKey(error) => error,
            Self::Operator(error) => error,
            Self::Policy(error) => error,
            Self::Forbidden(error) => error,
            Self::Role(error) => error,
            Self::ServiceAccount(error) => error,
            Self::Password(error) => error,
            Self::Token(error) => error,
            Self::Scim(error) => error,
            Self::Attempts(error) => error,
            Self::SsoConnection(error) => error,
            Self::Exchange(error) => error,
            Self::Impersonation(error) => error,
            Self::Domain(error) => error,
            Self::Sso(error) => error,
            Self::Invitation(error) => error,
            Self::Link(error) => error,
            Self::SecondFactor(error) => error,
            Self::Mail(error) => error,
            Self::Stale(error) => error,
            Self::Store(error) => error,
            Self::SigningKey(_) => return None,
        })
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        self.inner().map_or(Code::Internal, Public::code)
    }
    fn detail(&self) -> Option<String> {
        self.inner().and_then(Public::detail)
    }
    fn faults(&self) -> Vec<Fault> {
        self.inner().map(Public::faults).unwrap_or_default()
    }
    fn retry_after_s(&self) -> Option<u32> {
        self.inner().and_then(Public::retry_after_s)
    }
}

impl From<users::model::Refusal> for Error {
    fn from(refusal: users::model::Refusal) -> Self {
        match refusal {
            users::model::Refusal::Beyond(error) => error.into(),
            users::model::Refusal::Rule(error) => error.into(),
        }
    }
}

impl From<scim::model::groups::MappingRefusal> for Error {
    fn from(refusal: scim::model::groups::MappingRefusal) -> Self {
        match refusal {
            scim::model::groups::MappingRefusal::Beyond(error) => error.into(),
            scim::model::groups::MappingRefusal::Rule(error) => error.into(),
        }
    }
}

impl From<api_keys::model::Refusal> for Error {
    fn from(refusal: api_keys::model::Refusal) -> Self {
        match refusal {
            api_keys::model::Refusal::Beyond(error) => error.into(),
            api_keys::model::Refusal::Rule(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_keeps_its_code() {
        let fault = || Fault { pointer: "/x".to_owned(), detail: "is wrong".to_owned() };
        let denied = Denied { permission: misy_core::Permission::UserManage };
        let cases: [(Error, Code); 10] = [
            (denied.into(), Code::PermissionDenied),
            (roles::model::Beyond.into(), Code::PermissionDenied),
            (users::Error::LastOwner.into(), Code::Conflict),
            (sessions::Error::InvalidLogin.into(), Code::InvalidLogin),
            (api_keys::Error::NotFound.into(), Code::NotFound),
            (passwords::Error::Weak(fault()).into(), Code::Invalid),
            (passwords::Error::Busy.into(), Code::Unavailable),
            (tokens::Error::Forged.into(), Code::Unauthenticated),
            (attempts::Error { retry_after_ms: 1 }.into(), Code::RateLimited),
            (Error::SigningKey(OpenError), Code::Internal),
        ];
        for (error, code) in cases {
            assert_eq!(error.code(), code, "{error}");
            let waits = matches!(code, Code::Unavailable | Code::RateLimited);
            assert_eq!(error.retry_after_s().is_some(), waits, "{error}");
            assert_eq!(error.faults().is_empty(), code != Code::Invalid, "{error}");
        }
    }

    #[test]
    fn why_a_token_is_refused_is_told_to_nobody() {
        use tokens::Error as Token;
        for reason in [Token::Malformed, Token::UnknownKey, Token::Forged, Token::Revoked] {
            assert_eq!(Error::from(reason).detail(), None);
        }
    }
}
