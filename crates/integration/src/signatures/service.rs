//! Room `integration`: signing and checking at a client's wish.

use misy_core::{Ctx, Permission, Secret};

use super::model::{NoKey, Received, SigningKey, Verdict, verify};
use crate::{Below, Deps};

/// Signs content with a secret of the caller's; gives time and signature.
pub(crate) fn sign(
    deps: &Deps,
    ctx: &Ctx,
    secret: &Secret,
    id: &str,
    at_s: Option<i64>,
    body: &str,
) -> Result<Result<(i64, String), NoKey>, Below> {
    ctx.require(Permission::WebhookRead)?;
    let at_s = at_s.unwrap_or_else(|| deps.ambient.now().as_second());
    let signer = SigningKey::parse(secret.expose()).and_then(|key| key.signer());
    Ok(signer.map(|signer| (at_s, signer.sign(id, at_s, body.as_bytes()))))
}

/// Checks a delivery as its receiver should.
pub(crate) fn check(deps: &Deps, ctx: &Ctx, received: &Received<'_>) -> Result<Verdict, Below> {
    ctx.require(Permission::WebhookRead)?;
    Ok(verify(received, deps.ambient.now()))
}
