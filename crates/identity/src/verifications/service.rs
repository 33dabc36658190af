//! Room `identity`: a link to the address of a person whose password somebody else has set.

use misy_core::id::TypedId;
use misy_core::{PlatformCtx, Secret};
use misy_store::Audit;
use misy_web::Peer;

use crate::accounts::store::{self as accounts_store, PLATFORM};
use crate::letters::model::{Error as LinkError, Kind};
use crate::sessions::model::Error as SessionError;
use crate::tokens::Claims;
use crate::{Deps, Error, letters, sessions};

/// Sends a link to the caller's address.
pub(super) async fn begin(deps: &Deps, ctx: &PlatformCtx, claims: &Claims) -> Result<(), Error> {
    deps.by_account.take(&format!("verification {}", claims.subject.uuid()))?;
    let mut tx = deps.db.platform(ctx).await?;
    let found = sessions::service::locate(&mut tx, claims).await?;
    let standing = found.ok_or(SessionError::NotFound)?.standing;
    letters::service::write(deps, &mut tx, Kind::Verification, &standing).await?;
    tx.commit().await?;
    Ok(())
}

/// Notes that whoever reads the mail confirmed it. The link names the realm it was asked for.
pub(super) async fn complete(
    deps: &Deps,
    ctx: &PlatformCtx,
    link: &Secret,
    peer: Peer,
) -> Result<(), Error> {
    let address = peer.network().0.to_string();
    deps.by_address.take(&address)?;
    let found = letters::service::open(deps, Kind::Verification, link).await?;
    deps.by_address.put_back(&address);
    let account = found.letter.account.ok_or(LinkError)?;
    let realm = found.letter.tenant.map_or(PLATFORM, TypedId::uuid);
    let now = deps.ambient.now();
    let mut tx = deps.db.platform(ctx).await?;
    let fresh = letters::store::spend(&mut tx, &found.letter, now).await?;
    if !fresh || !accounts_store::prove(&mut tx, account, realm, now).await? {
        return Err(LinkError.into());
    }
    tx.audit(Audit::new("address.verified", "account", account));
    tx.commit().await?;
    Ok(())
}
