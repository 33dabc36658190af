//! Room `identity`: adding, changing and removing people of a tenant, and the first of them.

mod provision;

use misy_core::access::{Kind as Thing, Resource};
use misy_core::id::TypedId;
use misy_core::{Ctx, Cursor, Limit, Page, Permission, Personal, Role, Timestamp, UserId};
use misy_store::{Audit, Limited, TenantTx};
use misy_web::IfMatch;
use serde_json::json;

use super::model::{self, Change, Decided, Error as UserError, NewUser, Status, User};
use super::store;
use crate::accounts::{self, Email};
use crate::letters::model::Letter;
use crate::notices::model::Kind;
use crate::revocations::model::NEVER;
use crate::roles::model::{Assigned, RoleBook, within};
use crate::{Deps, Error, letters, notices, passwords, revocations, roles};

pub use provision::{Provisioner, TABLES};

/// Adds a person, with a password that opens this tenant and nothing else. An account with the same
/// address in another tenant has no part in it, and the answer tells nothing of one.
pub(super) async fn create(deps: &Deps, ctx: &Ctx, new: NewUser) -> Result<User, Error> {
    add(deps, ctx, new).await.map(|(user, _)| user)
}

/// Adds a person; one without a password is sent an invitation, which is given as well.
pub(crate) async fn add(
    deps: &Deps,
    ctx: &Ctx,
    new: NewUser,
) -> Result<(User, Option<Letter>), Error> {
    ctx.require(Permission::UserManage)?;
    let email = new.address()?;
    let about = [email.as_str(), &new.name.0];
    let hash = match &new.password {
        Some(password) => {
            passwords::model::check(password, &about, "/password")?;
            Some(deps.hasher.hash(email.as_str(), password).await?)
        }
        None => None,
    };
    let mut tx = deps.db.tenant(ctx).await?;
    let (role, book) = find_role(&mut tx, &new.role).await?;
    within(ctx.grants(), role.grants(&book))?;
    make_room(deps, &mut tx).await?;
    let user = insert(&mut tx, &email, new.name, role, hash.as_deref()).await?;
    tell(&mut tx, &user, &book, user.own_role.is_some()).await?;
    let detail = json!({"role": user.role_slug(), "status": user.status});
    tx.audit(Audit::new("user.created", "user", user.id).with(detail));
    let mut letter = None;
    if hash.is_none() {
        letter = Some(letters::service::invite(deps, &mut tx, user.account, user.id).await?);
    }
    tx.commit().await?;
    Ok((user, letter))
}

/// Refuses one more person than the plan allows; those who are invited or disabled count. From here
/// to the end of the transaction nobody else adds one.
pub(crate) async fn make_room(deps: &Deps, tx: &mut TenantTx) -> Result<(), Error> {
    if let Some(ceiling) = deps.quotas.ceiling(tx, Limited::Users).await? {
        let count = store::count(tx).await?;
        deps.quotas.admit(tx, Limited::Users, ceiling, count).await?;
    }
    Ok(())
}

/// What the slug of a role means, and the tenant's own roles if it is none of the built-in ones.
pub(crate) async fn find_role(
    tx: &mut TenantTx,
    slug: &str,
) -> Result<(Assigned, RoleBook), Error> {
    let mut book = RoleBook::default();
    if slug.parse::<Role>().is_err() {
        roles::store::lock(tx).await?;
        book = roles::store::book(tx).await?;
    }
    Ok((roles::model::assign(slug, &book)?, book))
}

/// Lets every process know what the person's own role gives, if that is news.
async fn tell(tx: &mut TenantTx, user: &User, book: &RoleBook, news: bool) -> Result<(), Error> {
    if !news {
        return Ok(());
    }
    let effect = user.own_role.as_deref().map(|slug| book.effect(slug)).unwrap_or_default();
    Ok(notices::store::save(tx, user.id.uuid(), Kind::User, &effect, false).await?)
}

async fn insert(
    tx: &mut TenantTx,
    email: &Email,
    name: Personal<String>,
    role: Assigned,
    hash: Option<&str>,
) -> Result<User, Error> {
    let now = tx.ambient().now();
    let account = accounts::store::account_of(tx, email).await?;
    let user = User {
        id: tx.ambient().id(),
        account,
        email: Personal(email.as_str().to_owned()),
        name,
        role: role.base,
        own_role: role.own,
        status: if hash.is_some() { Status::Active } else { Status::Invited },
        version: 1,
        created_at: now,
        updated_at: now,
    };
    store::insert(tx, &user).await.map_err(taken)?;
    if let Some(hash) = hash {
        accounts::store::insert_credential(tx, account, hash, None).await?;
    }
    Ok(user)
}

fn taken(error: misy_store::Error) -> Error {
    let constraint = error.unique_violation();
    let known = constraint.is_some_and(|name| name.contains("email") || name.contains("account"));
    if known { UserError::EmailTaken.into() } else { error.into() }
}

/// One page of the people of the tenant.
pub(super) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<User>, Error> {
    ctx.require(Permission::UserRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, cursor.map(|cursor| cursor.0), limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |user| user.id))
}

/// One person.
pub(super) async fn get(deps: &Deps, ctx: &Ctx, id: UserId) -> Result<User, Error> {
    ctx.require(Permission::UserRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::find(&mut tx, id).await?.ok_or(UserError::NotFound)?)
}

/// The person as policies see them.
pub(crate) fn about(user: &User) -> Resource {
    Resource::new(Thing::User, user.id).text("role", user.role_slug())
}

/// What is to change, as asked for.
pub(super) struct Wanted {
    pub(super) name: Option<Personal<String>>,
    /// The slug of a role.
    pub(super) role: Option<String>,
    pub(super) status: Option<Status>,
}

/// Changes name, role or status. A change of role or status kills the person's access tokens; being
/// disabled also ends their sessions for good.
pub(super) async fn update(
    deps: &Deps,
    ctx: &Ctx,
    id: UserId,
    wanted: Wanted,
    seen: &IfMatch,
) -> Result<User, Error> {
    ctx.require(Permission::UserManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let mut owners = Vec::new();
    let (mut change, mut book) = (Change::default(), RoleBook::default());
    if let Some(slug) = &wanted.role {
        let (role, known) = find_role(&mut tx, slug).await?;
        (change.role, book) = (Some(role), known);
    }
    (change.name, change.status) = (wanted.name, wanted.status);
    if change.role.is_some() || change.status.is_some() {
        owners = store::lock_owners(&mut tx).await?;
    }
    let before = store::lock(&mut tx, id).await?.ok_or(UserError::NotFound)?;
    seen.check(before.version)?;
    deps.policies.require(ctx, Permission::UserManage, &about(&before)).await?;
    if before.own_role.is_some() {
        book = roles::store::book(&mut tx).await?;
    }
    let decided = model::decide(&before, change, ctx.grants(), &book)?;
    if decided.owner_leaves {
        keep_an_owner(&owners, id)?;
    }
    let (after, raised) = save(&mut tx, &decided).await?;
    tell(&mut tx, &after, &book, decided.own_changed).await?;
    let detail = json!({"role": after.role_slug(), "status": after.status});
    tx.audit(Audit::new("user.updated", "user", id).with(detail));
    tx.commit().await?;
    if let Some(uv) = raised {
        deps.revocations.note(&[(id.uuid(), uv)]);
    }
    if decided.own_changed {
        deps.notices.renew().await?;
    }
    Ok(after)
}

/// Writes a decided change; gives the version below which tokens are dead, if that was raised.
async fn save(tx: &mut TenantTx, decided: &Decided) -> Result<(User, Option<i64>), Error> {
    let now = tx.ambient().now();
    let after = store::update(tx, &decided.after, now).await?.ok_or(UserError::NotFound)?;
    let mut raised = None;
    if decided.access_changed {
        raised = store::update_membership(tx, &after, decided.shut_out).await?;
    }
    if let Some(uv) = raised {
        revocations::store::raise_user(tx, after.id, uv).await?;
    }
    Ok((after, raised))
}

/// Removes a person and their password; nothing they signed in with works any more.
pub(super) async fn delete(
    deps: &Deps,
    ctx: &Ctx,
    id: UserId,
    seen: &IfMatch,
) -> Result<(), Error> {
    ctx.require(Permission::UserManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let owners = store::lock_owners(&mut tx).await?;
    let user = store::lock(&mut tx, id).await?.ok_or(UserError::NotFound)?;
    seen.check(user.version)?;
    deps.policies.require(ctx, Permission::UserManage, &about(&user)).await?;
    let book = match user.own_role {
        Some(_) => roles::store::book(&mut tx).await?,
        None => RoleBook::default(),
    };
    within(ctx.grants(), user.grants(&book))?;
    if model::holds_the_house(&user) {
        keep_an_owner(&owners, id)?;
    }
    accounts::store::delete_credential(&mut tx, user.account).await?;
    store::delete(&mut tx, id).await?;
    revocations::store::raise_user(&mut tx, id, NEVER).await?;
    tx.audit(Audit::new("user.deleted", "user", id));
    tx.commit().await?;
    deps.revocations.note(&[(id.uuid(), NEVER)]);
    Ok(())
}

/// All owners were locked in one order and before anybody else, so of two that leave at once the
/// second one sees that the first has gone.
fn keep_an_owner(owners: &[UserId], leaving: UserId) -> Result<(), Error> {
    if owners.iter().any(|owner| *owner != leaving) {
        return Ok(());
    }
    Err(UserError::LastOwner.into())
}

/// Gives a person who was invited their password: they can sign in from now on.
pub(crate) async fn activate(
    tx: &mut TenantTx,
    invited: User,
    hash: &str,
    proved: Option<Timestamp>,
) -> Result<(), Error> {
    accounts::store::insert_credential(tx, invited.account, hash, proved).await?;
    let active = User { status: Status::Active, ..invited };
    let now = tx.ambient().now();
    store::update(tx, &active, now).await?;
    store::update_membership(tx, &active, false).await?;
    tx.audit(Audit::new("user.activated", "user", active.id));
    Ok(())
}

/// How many people there are, or are invited, beside the first: in one round trip.
pub async fn count_others(deps: &Deps, ctx: &Ctx) -> Result<i64, misy_store::Error> {
    store::count_others(&mut deps.db.read(ctx).await?).await
}
