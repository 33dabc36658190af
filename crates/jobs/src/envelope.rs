//! Room `jobs`: on whose behalf a job runs, as it rides beside the payload.

use misy_core::{
    Actor, Ambient, Claim, Ctx, Grants, Misplaced, PlatformCtx, RequestId, Role, TenantId, Trace,
};
use misy_trace::spans;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::Span;

/// Written by a context, read back into the same one. Short names, because every job carries it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// The tenant on whose behalf it was written; none for the platform's own.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    #[serde(rename = "a")]
    actor: Actor,
    #[serde(rename = "g")]
    grants: Grants,
    #[serde(rename = "r")]
    request: RequestId,
    /// In the form of a `traceparent` header.
    #[serde(rename = "t")]
    trace: String,
}

pub(crate) fn of_tenant(ctx: &Ctx) -> Value {
    write(Some(ctx.tenant()), ctx.actor(), ctx.grants(), ctx.request(), ctx.trace())
}

pub(crate) fn of_platform(ctx: &PlatformCtx) -> Value {
    write(None, ctx.actor(), ctx.grants(), ctx.request(), ctx.trace())
}

fn write(
    tenant: Option<TenantId>,
    actor: Actor,
    grants: Grants,
    request: &RequestId,
    trace: Trace,
) -> Value {
    let (request, trace) = (request.clone(), trace.to_string());
    let envelope = Envelope { tenant, actor, grants, request, trace };
    serde_json::to_value(envelope).expect("every field serialises to text or an array of text")
}

impl Envelope {
    pub(crate) fn actor(&self) -> Actor {
        self.actor
    }

    pub(crate) fn request(&self) -> &RequestId {
        &self.request
    }

    /// For log lines; empty if it is unreadable.
    pub(crate) fn trace_id(&self) -> String {
        Trace::parse(&self.trace)
            .map_or_else(String::new, |trace| format!("{:032x}", trace.trace_id))
    }

    /// Puts the span of an attempt into the trace that enqueued the job, and what the attempt
    /// causes in turn below that span.
    pub(crate) fn follow(&mut self, span: &Span, ambient: &Ambient) {
        self.trace = spans::enter(span, Trace::parse(&self.trace), ambient).to_string();
    }

    /// Where the attempt is; a trace of its own if that is unreadable.
    fn trace(&self, ambient: &Ambient) -> Trace {
        Trace::parse(&self.trace).unwrap_or_else(|| Trace::start(ambient))
    }

    /// The context in which it was written, if that is one of the tenant whose row the job lies in.
    /// Row and envelope are written together; if they differ, a foreign hand was in the table.
    pub(crate) fn open(self, row: Option<TenantId>, ambient: &Ambient) -> Result<Ctx, Misplaced> {
        let (Some(tenant), Some(own)) = (row, self.tenant) else { return Err(Misplaced::Missing) };
        Claim::Of(own).check(tenant)?;
        let trace = self.trace(ambient);
        Ok(Ctx::mint(tenant, self.actor, self.grants, self.request, trace))
    }

    /// The same for a job of the platform, which belongs to no tenant.
    pub(crate) fn open_platform(
        self,
        row: Option<TenantId>,
        ambient: &Ambient,
    ) -> Result<PlatformCtx, Misplaced> {
        if row.is_some() || self.tenant.is_some() {
            return Err(Misplaced::Ambiguous);
        }
        let trace = self.trace(ambient);
        Ok(PlatformCtx::mint(self.actor, self.grants, self.request, trace))
    }
}

/// The context in which the queue keeps itself, and which scheduled jobs run in.
pub(crate) fn keeper(ambient: &Ambient) -> PlatformCtx {
    let request = RequestId::new(ambient);
    PlatformCtx::mint(Actor::System, Role::Operator.grants(), request, Trace::start(ambient))
}
