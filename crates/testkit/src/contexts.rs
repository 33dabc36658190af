//! Room `testkit`: contexts without a credential.

use misy_core::id::TypedId;
use misy_core::{Actor, Ctx, PlatformCtx, RequestId, Role, TenantId, Trace, UserId};
use uuid::Uuid;

fn request() -> RequestId {
    RequestId::parse("req_test").expect("visible ASCII")
}

const TRACE: Trace = Trace { trace_id: 1, span_id: 1, sampled: false };

/// A person of a tenant with a role.
pub fn ctx(tenant: TenantId, role: Role) -> Ctx {
    let user = UserId::from_uuid(Uuid::from_u128(0xace));
    Ctx::mint(tenant, Actor::User(user), role.grants(), request(), TRACE)
}

/// The platform itself with every right of an operator.
pub fn platform_ctx() -> PlatformCtx {
    PlatformCtx::mint(Actor::System, Role::Operator.grants(), request(), TRACE)
}
