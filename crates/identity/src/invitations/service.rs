//! Room `identity`: inviting, withdrawing, sending again, accepting.

use misy_core::access::{Kind as Thing, Resource};
use misy_core::id::TypedId;
use misy_core::{
    Ctx, Cursor, Grants, InvitationId, Limit, Page, Permission, PlatformCtx, Secret, Timestamp,
};
use misy_store::{Audit, TenantTx};
use misy_web::Peer;

use super::model::{Error as InvitationError, Invitation};
use super::store;
use crate::letters::model::{Error as LinkError, Kind};
use crate::letters::{self};
use crate::roles::model::within;
use crate::sessions::model::{Method, Pair};
use crate::sessions::service::{Opening, open};
use crate::users::model::{NewUser, Status};
use crate::{Deps, Error, passwords, roles, users};

/// Adds a person without a password and sends them a link by which they choose one. The answer is
/// the same whether or not the address is known elsewhere, and holds no link: whoever may invite
/// need not be able to read the mail.
pub(super) async fn create(deps: &Deps, ctx: &Ctx, new: NewUser) -> Result<Invitation, Error> {
    let (user, letter) = users::service::add(deps, ctx, NewUser { password: None, ..new }).await?;
    let letter = letter.ok_or(InvitationError::NotFound)?;
    Ok(Invitation {
        id: InvitationId::from_uuid(letter.id),
        role: user.assigned(),
        user: user.id,
        email: user.email,
        name: user.name,
        created_at: letter.created_at,
        expires_at: letter.expires_at,
        sent_at: None,
    })
}

/// One page of the open invitations.
pub(super) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Invitation>, Error> {
    ctx.require(Permission::UserRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, cursor.map(|cursor| cursor.0), limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |invitation| invitation.id))
}

/// Whoever may do less than the person invited, or whom a policy forbids it, leaves it alone.
async fn may_touch(
    deps: &Deps,
    ctx: &Ctx,
    tx: &mut TenantTx,
    invitation: &Invitation,
) -> Result<(), Error> {
    let person = Resource::new(Thing::User, invitation.user).text("role", invitation.role.slug());
    deps.policies.require(ctx, Permission::UserManage, &person).await?;
    let book = roles::store::book(tx).await?;
    Ok(within(ctx.grants(), invitation.role.grants(&book))?)
}

/// Sends an invitation again with another link; the earlier one stops working.
pub(super) async fn resend(deps: &Deps, ctx: &Ctx, id: InvitationId) -> Result<Invitation, Error> {
    ctx.require(Permission::UserManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let before = store::lock(&mut tx, id).await?.ok_or(InvitationError::NotFound)?;
    may_touch(deps, ctx, &mut tx, &before).await?;
    let expires_at = letters::service::until(deps, Kind::Invitation, deps.ambient.now());
    store::renew(&mut tx, id, &deps.ambient.bytes::<16>(), expires_at).await?;
    letters::service::send_again(&mut tx, id.uuid());
    tx.audit(Audit::new("invitation.resent", "invitation", id));
    tx.commit().await?;
    Ok(Invitation { expires_at, sent_at: None, ..before })
}

/// Withdraws an invitation: its link stops working and the person is removed.
pub(super) async fn revoke(deps: &Deps, ctx: &Ctx, id: InvitationId) -> Result<(), Error> {
    ctx.require(Permission::UserManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let invitation = store::lock(&mut tx, id).await?.ok_or(InvitationError::NotFound)?;
    may_touch(deps, ctx, &mut tx, &invitation).await?;
    store::delete(&mut tx, id).await?;
    users::store::delete(&mut tx, invitation.user).await?;
    tx.audit(Audit::new("invitation.revoked", "invitation", id));
    tx.commit().await?;
    Ok(())
}

/// Somebody who comes with the link of an invitation.
pub(super) struct Accepting {
    pub(super) link: Secret,
    pub(super) password: Secret,
    pub(super) device: Option<String>,
    pub(super) peer: Peer,
}

/// Takes an invitation up: sets the password, which is proved to be of whoever reads the mail, and
/// signs in.
pub(super) async fn accept(
    deps: &Deps,
    ctx: &PlatformCtx,
    accepting: Accepting,
) -> Result<Pair, Error> {
    let address = accepting.peer.network().0.to_string();
    deps.by_address.take(&address)?;
    let found = letters::service::open(deps, Kind::Invitation, &accepting.link).await?;
    deps.by_address.put_back(&address);
    let (Some(tenant), Some(id), Some(email)) =
        (found.letter.tenant, found.letter.user, &found.email)
    else {
        return Err(LinkError.into());
    };
    passwords::model::check(&accepting.password, &[&email.0], "/password")?;
    let hash = deps.hasher.hash(&email.0, &accepting.password).await?;
    let now: Timestamp = deps.ambient.now();
    let mut tx = deps.db.tenant(&ctx.enter(tenant, Grants::NONE)).await?;
    let user = users::store::lock(&mut tx, id).await?.ok_or(LinkError)?;
    let fresh = letters::store::spend_inside(&mut tx, &found.letter, now).await?;
    if !fresh || user.status != Status::Invited {
        return Err(LinkError.into());
    }
    users::service::activate(&mut tx, user, &hash, Some(now)).await?;
    tx.audit(Audit::new("invitation.accepted", "user", id));
    tx.commit().await?;
    let Accepting { device, peer, .. } = accepting;
    let method = Method::Link;
    open(deps, ctx, Opening { tenant, user: id, method, second_factor: false, device, peer }).await
}
