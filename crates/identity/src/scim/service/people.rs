//! Room `identity`: people, as a directory makes, changes, finds and removes them.

use misy_core::id::TypedId;
use misy_core::{Ctx, Permission, Personal, Role, UserId};
use misy_store::{Audit, TenantTx};
use misy_web::IfMatch;
use serde_json::{Value, json};

use super::{Edit, base, check_seen};
use crate::revocations::model::NEVER;
use crate::scim::Error as ScimError;
use crate::scim::model::people::{self as rules, Entry, Wanted};
use crate::scim::model::queries::Query;
use crate::scim::model::schemas::Type;
use crate::scim::model::{patches, values};
use crate::scim::store::people as store;
use crate::users::model::{Status, User};
use crate::{Deps, Error, accounts, revocations, users};

/// People that one request may look through.
const LOOKED_THROUGH_MAX: i64 = 5_000;

/// Adds a person, who can sign in through the tenant's provider and has no password.
pub(crate) async fn create(deps: &Deps, ctx: &Ctx, body: &Value) -> Result<Value, Error> {
    ctx.require(Permission::ScimManage)?;
    let wanted = rules::read(values::settle(Type::User, body)?)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let now = tx.ambient().now();
    let account = accounts::store::account_of(&mut tx, &wanted.email).await?;
    let user = User {
        id: tx.ambient().id(),
        account,
        email: Personal(wanted.email.as_str().to_owned()),
        name: wanted.name.clone(),
        role: Role::Viewer,
        own_role: None,
        status: if wanted.active { Status::Active } else { Status::Disabled },
        version: 1,
        created_at: now,
        updated_at: now,
    };
    users::service::make_room(deps, &mut tx).await?;
    users::store::insert(&mut tx, &user).await.map_err(taken)?;
    store::save(&mut tx, user.id, &wanted).await.map_err(taken)?;
    let detail = json!({"role": user.role, "by": "scim"});
    tx.audit(Audit::new("user.created", "user", user.id).with(detail));
    tx.commit().await?;
    let document = Some(wanted.document);
    let entry = Entry { user, document, groups: Vec::new() };
    Ok(entry.resource(&base(deps)))
}

/// Another person has the name or the address.
fn taken(error: misy_store::Error) -> Error {
    let known = error.unique_violation().is_some_and(|name| {
        name.contains("email") || name.contains("account") || name.contains("name_key")
    });
    if known {
        return ScimError::Uniqueness("`userName` or an address".to_owned()).into();
    }
    error.into()
}

/// One person.
pub(crate) async fn get(deps: &Deps, ctx: &Ctx, id: UserId) -> Result<Value, Error> {
    ctx.require(Permission::ScimManage)?;
    let mut tx = deps.db.read(ctx).await?;
    let entry = store::find(&mut tx, id, false).await?.ok_or(ScimError::NotFound)?;
    Ok(entry.resource(&base(deps)))
}

/// A page of people, and how many there are.
pub(crate) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    query: &Query,
) -> Result<(Vec<Value>, usize), Error> {
    ctx.require(Permission::ScimManage)?;
    let mut tx = deps.db.read(ctx).await?;
    let base = base(deps);
    let resources = |entries: Vec<Entry>| -> Vec<Value> {
        entries.iter().map(|entry| entry.resource(&base)).collect()
    };
    if query.is_plain() {
        let (skip, count) = (bounded(query.skip), bounded(query.count));
        let total = usize::try_from(store::count(&mut tx).await?).unwrap_or(0);
        let page = if count == 0 { Vec::new() } else { store::page(&mut tx, skip, count).await? };
        return Ok((resources(page), total));
    }
    let candidates = candidates(&mut tx, query).await?;
    Ok(query.choose(resources(candidates)))
}

fn bounded(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whom the filter can be about. Directories look for one person by a name before each change, so
/// that is found by an index.
async fn candidates(tx: &mut TenantTx, query: &Query) -> Result<Vec<Entry>, Error> {
    if let Some(filter) = &query.filter {
        let demanded = |name| filter.demanded(name);
        if let Some(id) = demanded("id") {
            let Ok(id) = id.parse() else { return Ok(Vec::new()) };
            return Ok(store::find(tx, id, false).await?.into_iter().collect());
        }
        if let Some(name) = demanded("userName") {
            return Ok(store::named(tx, Some(name), None).await?);
        }
        if let Some(external) = demanded("externalId") {
            return Ok(store::named(tx, None, Some(external)).await?);
        }
    }
    let all = store::page(tx, 0, LOOKED_THROUGH_MAX + 1).await?;
    if bounded(all.len()) > LOOKED_THROUGH_MAX {
        return Err(ScimError::TooMany.into());
    }
    Ok(all)
}

/// Changes a person. Who is deactivated, or gets another address, is out at once and everywhere.
pub(crate) async fn edit(
    deps: &Deps,
    ctx: &Ctx,
    id: UserId,
    edit: Edit,
    seen: &IfMatch,
) -> Result<Value, Error> {
    ctx.require(Permission::ScimManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let before = store::find(&mut tx, id, true).await?.ok_or(ScimError::NotFound)?;
    check_seen(seen, before.user.version)?;
    let document = match edit {
        Edit::Replace(body) => values::settle(Type::User, &body)?,
        Edit::Patch(body) => {
            let patched = patches::apply(Type::User, &before.document(), &body)?;
            values::settle(Type::User, &patched)?
        }
    };
    let wanted = rules::read(document)?;
    if is_as_wanted(&before, &wanted) {
        return Ok(before.resource(&base(deps)));
    }
    let (entry, raised) = write(&mut tx, before, wanted).await?;
    tx.commit().await?;
    if let Some(uv) = raised {
        deps.revocations.note(&[(id.uuid(), uv)]);
    }
    Ok(entry.resource(&base(deps)))
}

fn is_as_wanted(before: &Entry, wanted: &Wanted) -> bool {
    before.document.is_some()
        && before.document() == wanted.document.0
        && before.user.email.0 == wanted.email.as_str()
        && before.user.name == wanted.name
}

async fn write(
    tx: &mut TenantTx,
    before: Entry,
    wanted: Wanted,
) -> Result<(Entry, Option<i64>), Error> {
    let user = &before.user;
    let moves = user.email.0 != wanted.email.as_str();
    let shut_out = !wanted.active && user.status != Status::Disabled;
    if user.role == Role::Owner && (moves || shut_out) {
        return Err(ScimError::Owner.into());
    }
    let status = match (wanted.active, user.status) {
        (false, _) => Status::Disabled,
        (true, Status::Disabled) => Status::Active,
        (true, status) => status,
    };
    let account = if moves {
        accounts::store::delete_credential(tx, user.account).await?;
        accounts::store::account_of(tx, &wanted.email).await?
    } else {
        user.account
    };
    let after = User {
        account,
        email: Personal(wanted.email.as_str().to_owned()),
        name: wanted.name.clone(),
        status,
        ..user.clone()
    };
    let now = tx.ambient().now();
    store::save(tx, after.id, &wanted).await.map_err(taken)?;
    let changed = store::update(tx, &after, now).await.map_err(taken)?;
    let after = changed.ok_or(ScimError::NotFound)?;
    let mut raised = None;
    if moves || status != user.status {
        let uv = store::update_membership(tx, &after, moves || shut_out).await.map_err(taken)?;
        if let Some(uv) = uv {
            revocations::store::raise_user(tx, after.id, uv).await?;
            raised = Some(uv);
        }
    }
    let detail = json!({"status": after.status, "address_changed": moves, "by": "scim"});
    tx.audit(Audit::new("user.updated", "user", after.id).with(detail));
    let document = Some(wanted.document);
    Ok((Entry { user: after, document, ..before }, raised))
}

/// Removes a person; nothing they signed in with works any more.
pub(crate) async fn delete(
    deps: &Deps,
    ctx: &Ctx,
    id: UserId,
    seen: &IfMatch,
) -> Result<(), Error> {
    ctx.require(Permission::ScimManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let entry = store::find(&mut tx, id, true).await?.ok_or(ScimError::NotFound)?;
    check_seen(seen, entry.user.version)?;
    if entry.user.role == Role::Owner {
        return Err(ScimError::Owner.into());
    }
    accounts::store::delete_credential(&mut tx, entry.user.account).await?;
    users::store::delete(&mut tx, id).await?;
    revocations::store::raise_user(&mut tx, id, NEVER).await?;
    tx.audit(Audit::new("user.deleted", "user", id).with(json!({"by": "scim"})));
    tx.commit().await?;
    deps.revocations.note(&[(id.uuid(), NEVER)]);
    Ok(())
}
