//! Room `store`: a context is not made by filling in its fields.

use misy_core::{Actor, Ctx, Grants, Proof, RequestId, TenantId, Trace};

fn forge(tenant: TenantId, request: RequestId, trace: Trace, proof: Proof) -> Ctx {
    Ctx { tenant, actor: Actor::System, grants: Grants::NONE, request, trace, proof } //~ E0451
}

fn main() {}
