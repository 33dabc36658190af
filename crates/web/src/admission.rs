//! Room `web`: who is calling. The one place where a credential becomes a context.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::FromRequestParts;
use http::request::Parts;
use misy_core::{
    Actor, Claim, Code, Ctx, Grants, Misplaced, Permission, PlatformCtx, Proof, Public, Secret,
    TenantId,
};

use crate::Problem;
use crate::problem::chain;
use crate::request::Origin;

/// The address that a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Nobody knows: a request that came through no socket.
    pub const UNKNOWN: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    /// The unit that limits count by: an IPv6 customer owns a whole /64.
    #[must_use]
    pub fn network(self) -> Self {
        match self.0.to_canonical() {
            IpAddr::V4(address) => Self(IpAddr::V4(address)),
            IpAddr::V6(address) => {
                Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)))
            }
        }
    }
}

/// Whom a credential names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// A person or program of a tenant.
    Tenant {
        /// Whose they are.
        tenant: TenantId,
        /// Who they are.
        actor: Actor,
        /// What they may do.
        grants: Grants,
        /// What their sign-in has proven.
        proof: Proof,
    },
    /// A person who runs the platform.
    Operator {
        /// Who they are.
        actor: Actor,
        /// What they may do.
        grants: Grants,
    },
}

/// Why a credential lets nobody in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// It is not one of ours, or was revoked.
    #[error("the credential is not valid")]
    Invalid,
    /// It was good once.
    #[error("the credential has expired")]
    Expired,
    /// The database could not be asked.
    #[error("the credential could not be checked")]
    Store(#[from] misy_store::Error),
}

/// Turns a bearer credential into a principal. Implemented by `identity`.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who holds this credential.
    async fn authenticate(&self, bearer: &Secret, peer: Peer) -> Result<Principal, AuthError>;

    /// Hears that somebody who was let in was refused because no role grants them what they asked
    /// for.
    fn lacked(&self, _ctx: &Ctx, _permission: Permission) {}
}

/// What the kit must know of tenants. Implemented by `tenancy`, which caches.
#[async_trait]
pub trait TenantDirectory: Send + Sync {
    /// Whether the tenant's people and programs may act now.
    async fn is_active(&self, tenant: TenantId) -> Result<bool, misy_store::Error>;

    /// Whether a browser page of this origin may call: for the tenant, or, before a credential is
    /// known, for any.
    async fn allows_origin(
        &self,
        tenant: Option<TenantId>,
        origin: &str,
    ) -> Result<bool, misy_store::Error>;

    /// The origins from which the tenant's pages come.
    async fn list_origins(&self, _tenant: TenantId) -> Result<Vec<String>, misy_store::Error> {
        Ok(Vec::new())
    }

    /// Whose pages are known under this site id.
    async fn find_site(&self, _site_id: &str) -> Result<Option<TenantId>, misy_store::Error> {
        Ok(None)
    }
}

/// What the credential of a request came to.
#[derive(Debug, Clone)]
pub(crate) enum Admission {
    /// None was sent.
    Anonymous,
    /// It lets nobody in.
    Refused(Arc<Refusal>),
    /// Let in to a tenant.
    Tenant(Ctx),
    /// Let in to the platform.
    Operator(PlatformCtx),
}

#[derive(Debug)]
pub(crate) enum Refusal {
    Malformed,
    CrossSite,
    Credential(AuthError),
    Misplaced(Misplaced),
    Directory(misy_store::Error),
}

impl Refusal {
    /// Says which of the credentials' faults it is: whoever holds a credential may know why it
    /// fails.
    fn problem(&self) -> Problem {
        let unauthenticated = Problem::new(Code::Unauthenticated).with_invalid_token();
        match self {
            Self::Malformed => Problem::new(Code::Unauthenticated)
                .with_detail("The `Authorization` header has to be `Bearer <credential>`."),
            Self::Credential(AuthError::Invalid) => unauthenticated
                .with_detail("The credential is not known; it may have been revoked."),
            Self::Credential(AuthError::Expired) => unauthenticated
                .with_detail("The credential has expired; refresh it or sign in again."),
            Self::CrossSite => crate::cookies::stranger(),
            Self::Misplaced(refusal) => Problem::from(*refusal),
            Self::Credential(error @ AuthError::Store(source)) => broken(error, source),
            Self::Directory(error) => broken(error, error),
        }
    }
}

/// A credential that could not be checked is no bad credential: the caller keeps it and comes back.
fn broken(error: &(dyn std::error::Error + 'static), source: &misy_store::Error) -> Problem {
    let problem = Problem::new(source.code()).with_cause(chain(error));
    match source.retry_after_s() {
        Some(seconds) => problem.with_retry_after_s(seconds),
        None => problem,
    }
}

impl Admission {
    /// Whose request it is, if a tenant's.
    pub(crate) fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Tenant(ctx) => Some(ctx.tenant()),
            _ => None,
        }
    }

    /// Who was let in.
    pub(crate) fn actor(&self) -> Option<Actor> {
        match self {
            Self::Tenant(ctx) => Some(ctx.actor()),
            Self::Operator(ctx) => Some(ctx.actor()),
            Self::Anonymous | Self::Refused(_) => None,
        }
    }

    /// Outside of [`crate::app`] nobody is let in.
    fn of(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or(Self::Anonymous)
    }
}

/// A request of a tenant's person or program, with the context that lets it in. 401 without a good
/// credential, 403 for an operator or a tenant that is not active.
#[derive(Debug, Clone)]
pub struct Tenant(pub Ctx);

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Admission::of(parts) {
            Admission::Tenant(ctx) => Ok(Self(ctx)),
            Admission::Operator(_) => Err(Problem::from(Misplaced::Missing).with_detail(
                "This works inside a tenant and the credential is an operator's. Exchange it for \
                 a token of the tenant, with a reason, at `POST /v1/auth/token`.",
            )),
            Admission::Refused(refusal) => Err(refusal.problem()),
            Admission::Anonymous => Err(Problem::new(Code::Unauthenticated)),
        }
    }
}

/// A request of an operator. 401 without a good credential, 403 for a tenant's.
#[derive(Debug, Clone)]
pub struct Operator(pub PlatformCtx);

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Admission::of(parts) {
            Admission::Operator(ctx) => Ok(Self(ctx)),
            Admission::Tenant(_) => Err(Problem::new(Code::PermissionDenied).with_detail(
                "This is for operators of the platform; the credential is a tenant's.",
            )),
            Admission::Refused(refusal) => Err(refusal.problem()),
            Admission::Anonymous => Err(Problem::new(Code::Unauthenticated)),
        }
    }
}

/// Either kind of caller, for what both may ask, such as `GET /v1/auth/me`.
#[derive(Debug, Clone)]
pub enum Caller {
    /// A person or program of a tenant.
    Tenant(Ctx),
    /// A person who runs the platform.
    Operator(PlatformCtx),
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Admission::of(parts) {
            Admission::Tenant(ctx) => Ok(Self::Tenant(ctx)),
            Admission::Operator(ctx) => Ok(Self::Operator(ctx)),
            Admission::Refused(refusal) => Err(refusal.problem()),
            Admission::Anonymous => Err(Problem::new(Code::Unauthenticated)),
        }
    }
}

/// A request that needs no credential (sign-in, sign-up): a context with the request's id and trace
/// that may do nothing by itself. A credential that was sent anyway is not looked at.
#[derive(Debug, Clone)]
pub struct Anyone(pub PlatformCtx);

impl<S: Sync> FromRequestParts<S> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        unvouched(parts, Actor::System).map(Self)
    }
}

/// A request of a provider, whose signature the handler has yet to verify.
#[derive(Debug, Clone)]
pub struct Hook(pub PlatformCtx);

impl<S: Sync> FromRequestParts<S> for Hook {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        unvouched(parts, Actor::Channel).map(Self)
    }
}

/// What the message says of its tenant, for handlers whose tenant comes from elsewhere than a
/// credential: they compare, once the sender is verified, and refuse.
#[derive(Debug, Clone, Copy)]
pub struct Claimed(pub Claim);

impl<S: Sync> FromRequestParts<S> for Claimed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get::<Origin>().ok_or_else(outside)?.claim))
    }
}

/// A context without any grant, so that what it may do is the handler's own decision.
fn unvouched(parts: &Parts, actor: Actor) -> Result<PlatformCtx, Problem> {
    let origin = parts.extensions.get::<Origin>().ok_or_else(outside)?;
    Ok(PlatformCtx::mint(actor, Grants::NONE, origin.id.clone(), origin.trace))
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get().copied().unwrap_or(Self::UNKNOWN))
    }
}

/// A fault of the program, which its first request shows.
pub(crate) fn outside() -> Problem {
    Problem::new(Code::Internal).with_cause("the route was not put into web::app")
}
