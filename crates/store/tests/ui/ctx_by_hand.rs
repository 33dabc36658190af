//! Room `store`: a context is not made by filling in its fields.

use misy_core::{Actor, Ctx, Grants, RequestId, TenantId, Trace};

fn forge(tenant: TenantId, request: RequestId, trace: Trace) -> Ctx {
    Ctx { tenant, actor: Actor::System, grants: Grants::NONE, request, trace } //~ E0451
}

fn main() {}
