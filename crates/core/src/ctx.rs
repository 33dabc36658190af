//! Room `core`: on whose behalf something happens. No context, no connection.
//!
//! A [`Ctx`] is minted in three rooms only: `web` (from a verified credential), `jobs` (from an
//! envelope that a `Ctx` wrote) and `testkit`. `cargo xtask rooms` refuses `mint` anywhere else.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Public};
use crate::{Ambient, ApiKeyId, Grants, OperatorId, Permission, TenantId, Timestamp, UserId};

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Actor {
    /// A person of the tenant.
    User(UserId),
    /// A program of the tenant.
    ApiKey(ApiKeyId),
    /// A person who runs the platform.
    Operator(OperatorId),
    /// A person who runs the platform, as a person of the tenant.
    Impersonator {
        /// Who acts.
        operator: OperatorId,
        /// As whom.
        user: UserId,
    },
    /// A customer or provider whose payload was verified.
    Channel,
    /// MisyBot itself: schedules, sweeps, the first start.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::ApiKey(id) => id.fmt(f),
            Self::Operator(id) => id.fmt(f),
            // Both, so that every record of what was done names both.
            Self::Impersonator { operator, user } => write!(f, "{operator} as {user}"),
            Self::Channel => f.write_str("channel"),
            Self::System => f.write_str("system"),
        }
    }
}

/// Names one request through logs, jobs, audit and answers: 1 to 64 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestId(String);

impl RequestId {
    /// Takes a caller's id if it is safe to log and to echo.
    pub fn parse(text: &str) -> Option<Self> {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
        ((1..=64).contains(&text.len()) && text.bytes().all(safe)).then(|| Self(text.to_owned()))
    }

    /// A fresh one.
    pub fn new(ambient: &Ambient) -> Self {
        Self(format!("req_{}", crate::id::encode(ambient.uuid())))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A position in a distributed trace ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The whole trace; never zero.
    pub trace_id: u128,
    /// The span that caused this; never zero.
    pub span_id: u64,
    /// Whether the caller records it.
    pub sampled: bool,
}

impl Trace {
    /// Starts a trace of our own.
    pub fn start(ambient: &Ambient) -> Self {
        let trace_id = u128::from_be_bytes(ambient.bytes::<16>()) | 1;
        Self { trace_id, span_id: Self::span(ambient), sampled: true }
    }

    /// The same trace, one span further.
    #[must_use]
    pub fn child(self, ambient: &Ambient) -> Self {
        Self { span_id: Self::span(ambient), ..self }
    }

    fn span(ambient: &Ambient) -> u64 {
        u64::from_be_bytes(ambient.bytes::<8>()) | 1
    }

    /// Reads a `traceparent` header; `None` unless it is valid by the recommendation.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length: usize| {
            text.len() == length
                && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let extra = parts.next().is_some();
        if !hex(version, 2) || version == "ff" || (version == "00" && extra) {
            return None;
        }
        if !(hex(trace, 32) && hex(span, 16) && hex(flags, 2)) {
            return None;
        }
        let trace_id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span_id = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        Some(Self { trace_id, span_id, sampled })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// What the sign-in of who acts has proven beside a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Proof {
    /// Whether their role has to show a second factor.
    pub second_factor_needed: bool,
    /// When they showed it, in whole seconds.
    pub second_factor_at: Option<Timestamp>,
}

/// The context of work inside one tenant. Whoever holds one has been let in.
#[derive(Debug, Clone)]
pub struct Ctx {
    tenant: TenantId,
    actor: Actor,
    grants: Grants,
    request: RequestId,
    trace: Trace,
    proof: Proof,
}

impl Ctx {
    /// Makes a context. Only `web`, `jobs` and `testkit` may call this (`cargo xtask rooms`).
    pub fn mint(
        tenant: TenantId,
        actor: Actor,
        grants: Grants,
        request: RequestId,
        trace: Trace,
    ) -> Self {
        Self { tenant, actor, grants, request, trace, proof: Proof::default() }
    }

    /// With what the sign-in has proven. A job has no sign-in: it does what was allowed before.
    #[must_use]
    pub fn proven(self, proof: Proof) -> Self {
        Self { proof, ..self }
    }

    /// What the sign-in has proven.
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// The tenant inside which this happens.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Who acts.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// What the actor may do.
    pub fn grants(&self) -> Grants {
        self.grants
    }

    /// The request that began it.
    pub fn request(&self) -> &RequestId {
        &self.request
    }

    /// The trace it belongs to.
    pub fn trace(&self) -> Trace {
        self.trace
    }

    /// Refuses unless the actor has the permission.
    pub fn require(&self, permission: Permission) -> Result<(), Denied> {
        require(self.grants, permission)
    }
}

/// The context of work across tenants: the operator's API, the routing of inbound hooks, sweeps.
/// It opens another database role, one that can read no tenant's content.
#[derive(Debug, Clone)]
pub struct PlatformCtx {
    actor: Actor,
    grants: Grants,
    request: RequestId,
    trace: Trace,
}

impl PlatformCtx {
    /// Makes a context. Only `web`, `jobs`, `server` (first start) and `testkit` may call this.
    pub fn mint(actor: Actor, grants: Grants, request: RequestId, trace: Trace) -> Self {
        Self { actor, grants, request, trace }
    }

    /// Steps into one tenant, as the same actor, with the given grants: a hook that was routed to
    /// its tenant, a tenant that is being provisioned.
    pub fn enter(&self, tenant: TenantId, grants: Grants) -> Ctx {
        Ctx::mint(tenant, self.actor, grants, self.request.clone(), self.trace)
    }

    /// Who acts.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// What the actor may do.
    pub fn grants(&self) -> Grants {
        self.grants
    }

    /// The request that began it.
    pub fn request(&self) -> &RequestId {
        &self.request
    }

    /// The trace it belongs to.
    pub fn trace(&self) -> Trace {
        self.trace
    }

    /// Refuses unless the actor has the permission.
    pub fn require(&self, permission: Permission) -> Result<(), Denied> {
        require(self.grants, permission)
    }
}

fn require(grants: Grants, permission: Permission) -> Result<(), Denied> {
    if grants.has(permission) { Ok(()) } else { Err(Denied { permission }) }
}

/// The actor is known but lacks a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the permission `{permission}` is needed")]
pub struct Denied {
    /// What was missing.
    pub permission: Permission,
}

impl Public for Denied {
    fn code(&self) -> Code {
        Code::PermissionDenied
    }
    fn detail(&self) -> Option<String> {
        Some(format!("This needs the permission `{}`.", self.permission))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_traceparent_reads_back() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(Trace::parse(header).map(|trace| trace.to_string()), Some(header.to_owned()));
    }

    #[test]
    fn an_invalid_traceparent_is_ignored() {
        for header in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(Trace::parse(header), None, "{header}");
        }
    }

    #[test]
    fn a_request_id_that_could_forge_a_log_line_is_refused() {
        assert_eq!(RequestId::parse("a\nb"), None);
        assert_eq!(RequestId::parse(""), None);
        assert_eq!(RequestId::parse(&"a".repeat(65)), None);
        assert!(RequestId::parse("f3c1-22.a").is_some());
    }
}
