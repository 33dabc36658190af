//! Room `web`: callers who are nobody of a tenant and come from its pages: which page calls, what
//! they hold, and how often they have called.

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use misy_core::{Ambient, Code, Secret, TenantId};
use uuid::Uuid;

use crate::app::Shared;
use crate::cookies::{Page, page};
use crate::gate::bearer;
use crate::rates::{Buckets, Class, Quota, Subject, refuse};
use crate::{Problem, TenantDirectory};

/// From which page a browser calls. 403 for what is no browser, or does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallingPage {
    /// From one of our own.
    Own,
    /// From a page of this origin.
    Of(String),
}

impl CallingPage {
    /// Whether the tenant allows the page.
    pub async fn is_allowed(
        &self,
        tenants: &dyn TenantDirectory,
        tenant: TenantId,
    ) -> Result<bool, misy_store::Error> {
        match self {
            Self::Own => Ok(true),
            Self::Of(origin) => tenants.allows_origin(Some(tenant), origin).await,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for CallingPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match page(&parts.headers) {
            Page::Own => Ok(Self::Own),
            Page::Foreign(origin) => Ok(Self::Of(origin)),
            Page::Unknown => Err(Problem::new(Code::OriginNotAllowed)),
        }
    }
}

/// The credential of a caller whom the handler knows and the door does not. 401 for a header that
/// is none.
#[derive(Debug, Clone)]
pub struct Held(pub Option<Secret>);

impl<S: Sync> FromRequestParts<S> for Held {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut sent = parts.headers.get_all(AUTHORIZATION).iter();
        let Some(first) = sent.next() else { return Ok(Self(None)) };
        let held = bearer(first).filter(|_| sent.next().is_none());
        held.map(|held| Self(Some(held))).ok_or_else(|| Problem::new(Code::Unauthenticated))
    }
}

/// Counts callers whom the handler knows and the door does not.
#[derive(Debug, Clone)]
pub struct Meter {
    buckets: Buckets,
    visitor: Quota,
    tenant: Quota,
    ambient: Ambient,
}

impl Meter {
    pub(crate) fn of(shared: &Shared) -> Self {
        let rates = shared.kit.config.rates;
        Self {
            buckets: shared.buckets.clone(),
            visitor: rates.visitor,
            tenant: rates.widget.tenant,
            ambient: shared.kit.ambient.clone(),
        }
    }

    /// Takes a request out of the visitor's bucket and out of that of all visitors of the tenant.
    /// One noisy visitor does not use up what all share.
    pub fn take(&self, tenant: TenantId, visitor: Uuid) -> Result<(), Problem> {
        let now = self.ambient.now();
        let whose = [
            (Subject::Visitor(tenant, visitor), self.visitor),
            (Subject::Tenant(tenant), self.tenant),
        ];
        for (subject, quota) in whose {
            let verdict = self.buckets.take(subject, Class::Widget, quota, now);
            if !verdict.allowed {
                return Err(refuse(&verdict));
            }
        }
        Ok(())
    }
}

impl<S: Sync> FromRequestParts<S> for Meter {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(crate::admission::outside)
    }
}
