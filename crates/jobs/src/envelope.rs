//! Room `jobs`: on whose behalf a job runs, as it rides beside the payload.

use misy_core::{Actor, Ambient, Ctx, Grants, PlatformCtx, RequestId, Role, TenantId, Trace};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Written by a context, read back into the same one. Short names, because every job carries it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Envelope {
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
    write(ctx.actor(), ctx.grants(), ctx.request(), ctx.trace())
}

pub(crate) fn of_platform(ctx: &PlatformCtx) -> Value {
    write(ctx.actor(), ctx.grants(), ctx.request(), ctx.trace())
}

fn write(actor: Actor, grants: Grants, request: &RequestId, trace: Trace) -> Value {
    let envelope = Envelope { actor, grants, request: request.clone(), trace: trace.to_string() };
    serde_json::to_value(envelope).expect("every field serialises to text or an array of text")
}

impl Envelope {
    pub(crate) fn actor(&self) -> Actor {
        self.actor
    }

    /// For log lines; empty if it is unreadable.
    pub(crate) fn trace_id(&self) -> String {
        Trace::parse(&self.trace)
            .map_or_else(String::new, |trace| format!("{:032x}", trace.trace_id))
    }

    /// One span further in the trace that enqueued the job; a trace of its own if that is
    /// unreadable.
    fn trace(&self, ambient: &Ambient) -> Trace {
        match Trace::parse(&self.trace) {
            Some(trace) => trace.child(ambient),
            None => Trace::start(ambient),
        }
    }

    pub(crate) fn open(self, tenant: TenantId, ambient: &Ambient) -> Ctx {
        let trace = self.trace(ambient);
        Ctx::mint(tenant, self.actor, self.grants, self.request, trace)
    }

    pub(crate) fn open_platform(self, ambient: &Ambient) -> PlatformCtx {
        let trace = self.trace(ambient);
        PlatformCtx::mint(self.actor, self.grants, self.request, trace)
    }
}

/// The context in which the queue keeps itself, and which scheduled jobs run in.
pub(crate) fn keeper(ambient: &Ambient) -> PlatformCtx {
    let request = RequestId::new(ambient);
    PlatformCtx::mint(Actor::System, Role::Operator.grants(), request, Trace::start(ambient))
}
