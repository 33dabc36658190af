//! Room `identity`: exchanging tokens.

use misy_core::{Actor, Grants, OperatorId, Permission, PlatformCtx, Secret, TenantId};
use misy_store::{Audit, PlatformTx};
use misy_web::{Peer, Principal};
use serde_json::json;

use super::model::{self, Error, Exchange};
use super::store;
use crate::accounts::model::Person;
use crate::impersonations::service::{self as impersonations, Wanted};
use crate::second_factors::service as factors;
use crate::sessions::model::{Method, Pair};
use crate::sessions::service::Opening;
use crate::tokens::{Claims, Subject};
use crate::{Deps, Error as Failure, authentication, sessions};

/// What is given for a token.
pub(super) struct Given {
    pub(super) access: Secret,
    /// Only a person's own sign-in goes on.
    pub(super) refresh: Option<Secret>,
    pub(super) expires_in_s: u64,
    pub(super) read_only: bool,
}

/// Exchanges a token. A person goes where the same sign-in would have led; an operator goes
/// anywhere, for a while and with a reason.
pub(super) async fn exchange(
    deps: &Deps,
    ctx: &PlatformCtx,
    exchange: Exchange,
    device: Option<String>,
    peer: Peer,
) -> Result<Given, Failure> {
    let address = peer.network().0.to_string();
    deps.by_address.take(&address)?;
    let principal = authentication::by_token(deps, &exchange.subject).await;
    let principal = principal.map_err(|error| match error {
        Failure::Token(_) => Error::Subject.into(),
        error => error,
    })?;
    let mut tx = deps.db.platform_read(ctx).await?;
    let (slug, id) = (exchange.audience.as_str(), exchange.audience.parse().ok());
    let tenant = store::find_tenant(&mut tx, slug, id).await?;
    drop(tx);
    let given = match principal {
        Principal::Operator { actor: Actor::Operator(operator), grants } => {
            visit(deps, ctx, exchange, operator, grants, tenant).await?
        }
        Principal::Tenant { actor: Actor::User(_), .. } => {
            switch(deps, ctx, &exchange, device, peer, tenant).await?
        }
        // A visit is not taken further, and a program belongs to one tenant.
        Principal::Operator { .. } | Principal::Tenant { .. } => return Err(Error::Subject.into()),
    };
    deps.by_address.put_back(&address);
    Ok(given)
}

async fn visit(
    deps: &Deps,
    ctx: &PlatformCtx,
    exchange: Exchange,
    operator: OperatorId,
    grants: Grants,
    tenant: Option<TenantId>,
) -> Result<Given, Failure> {
    let Exchange { user, reason, read_only, lasts_s, .. } = exchange;
    let needed = if read_only {
        Permission::PlatformImpersonateRead
    } else {
        Permission::PlatformImpersonate
    };
    if !grants.has(needed) {
        return Err(Error::NotAllowed.into());
    }
    let reason = model::check_reason(reason)?;
    let tenant = tenant.ok_or(Error::Target)?;
    let wanted = Wanted { operator, tenant, user, read_only, reason, lasts_s };
    let access = impersonations::begin(deps, ctx, wanted).await?.ok_or(Error::Target)?;
    Ok(Given { access, refresh: None, expires_in_s: lasts_s.into(), read_only })
}

/// Whether the session has shown the person's second factor of this tenant: each has its own.
async fn has_shown(
    tx: &mut PlatformTx,
    claims: &Claims,
    tenant: TenantId,
) -> Result<bool, Failure> {
    if !matches!(claims.subject, Subject::User { tenant: own, .. } if own == tenant) {
        return Ok(false);
    }
    let found = sessions::store::find_account(tx, claims.session).await?;
    Ok(found.is_some_and(|(_, origin)| origin.second_factor_at.is_some()))
}

/// The tenant's own password must have been proved with this sign-in and be the same still: an
/// administrator of one tenant, who can set passwords there, gets into no other.
async fn switch(
    deps: &Deps,
    ctx: &PlatformCtx,
    exchange: &Exchange,
    device: Option<String>,
    peer: Peer,
    tenant: Option<TenantId>,
) -> Result<Given, Failure> {
    if exchange.user.is_some() || exchange.reason.is_some() || exchange.read_only {
        return Err(Error::Unknown.into());
    }
    let claims = authentication::verify(deps, &exchange.subject).await?;
    let tenant = tenant.ok_or(Error::Target)?;
    let mut tx = deps.db.platform_read(ctx).await?;
    let reached = store::find_reached(&mut tx, claims.session, tenant).await?;
    let same = |reached: &store::Reached| {
        misy_core::crypto::equal(&reached.proof, &model::proof_of(&reached.password_hash))
    };
    let standing = reached.filter(same).and_then(|reached| reached.standing);
    let standing = standing.ok_or(Error::Target)?;
    let Person::User { user, .. } = standing.person else { return Err(Error::Target.into()) };
    let second_factor = has_shown(&mut tx, &claims, tenant).await?;
    if !second_factor && factors::is_set_up(&mut tx, factors::owner(&standing)).await? {
        return Err(Error::SecondFactor.into());
    }
    drop(tx);
    let method = Method::Exchange;
    let opening = Opening { tenant, user, method, second_factor, device, peer };
    let pair = sessions::service::open(deps, ctx, opening).await?;
    let mut tx = deps.db.platform(ctx).await?;
    store::copy_reach(&mut tx, claims.session, pair.session).await?;
    let detail = json!({"tenant": tenant, "from": claims.session});
    tx.audit(Audit::new("session.switched", "session", pair.session).with(detail));
    tx.commit().await?;
    let Pair { access, refresh, expires_in_s, .. } = pair;
    Ok(Given { access, refresh: Some(refresh), expires_in_s, read_only: false })
}
