//! Room `identity`: the platform's first operator.

use misy_core::{OperatorId, Permission, PlatformCtx, Secret, crypto};
use misy_store::Audit;

use super::model::Email;
use super::store;
use crate::{Deps, Error};

/// Makes the first operator of a new installation and gives the password made for them, which is
/// shown once and kept nowhere. `None` if there is an operator already.
pub async fn ensure_operator(
    deps: &Deps,
    ctx: &PlatformCtx,
    email: &Email,
) -> Result<Option<Secret>, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let mut tx = deps.db.platform(ctx).await?;
    if store::count_operators(&mut tx).await? > 0 {
        return Ok(None);
    }
    let password = Secret::new(crypto::to_base64url(&deps.ambient.bytes::<18>()));
    let hash = deps.hasher.hash(email.as_str(), &password).await?;
    let id: OperatorId = deps.ambient.id();
    store::insert_operator(&mut tx, id, email, &hash).await?;
    tx.audit(Audit::new("operator.created", "operator", id));
    tx.commit().await?;
    Ok(Some(password))
}
