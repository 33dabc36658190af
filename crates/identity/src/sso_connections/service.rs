//! Room `identity`: making, changing, testing and opening connections.

use misy_core::{Ctx, Cursor, Limit, Page, Permission, PlatformCtx, SsoConnectionId, crypto};
use misy_store::{Audit, TenantTx};
use misy_web::IfMatch;
use serde_json::json;

use super::model::{self, Change, Connection, Error, Kind, NewConnection, Secrets, Status};
use super::store;
use crate::roles::model::within;
use crate::{Deps, Error as Failure};

/// Makes a connection. Whom it lets in can do no more than whoever makes it.
pub(super) async fn create(
    deps: &Deps,
    ctx: &Ctx,
    new: NewConnection,
) -> Result<Connection, Failure> {
    ctx.require(Permission::SsoManage)?;
    model::check(new.kind, &new.settings, &new.secrets, &new.rules)?;
    within(ctx.grants(), new.rules.role_ceiling.grants())?;
    let (id, now) = (deps.ambient.id(), deps.ambient.now());
    let mut tx = deps.db.tenant(ctx).await?;
    let secrets = seal(deps, &mut tx, id, &new.secrets).await?;
    let connection = Connection {
        id,
        kind: new.kind,
        name: new.name,
        status: Status::Enabled,
        settings: new.settings,
        secrets,
        secret_names: new.secrets.into_keys().collect(),
        rules: new.rules,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    store::insert(&mut tx, &connection).await.map_err(taken)?;
    let detail = json!({"kind": connection.kind, "role_ceiling": connection.rules.role_ceiling});
    tx.audit(Audit::new("sso_connection.created", "sso_connection", id).with(detail));
    tx.commit().await?;
    Ok(connection)
}

fn taken(error: misy_store::Error) -> Failure {
    let name = error.unique_violation().is_some_and(|name| name.contains("name"));
    if name { Error::NameTaken.into() } else { error.into() }
}

/// One page of the tenant's connections.
pub(super) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Connection>, Failure> {
    ctx.require(Permission::SsoRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, cursor.map(|cursor| cursor.0), limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |connection| connection.id))
}

/// One connection.
pub(crate) async fn get(
    deps: &Deps,
    ctx: &Ctx,
    id: SsoConnectionId,
) -> Result<Connection, Failure> {
    ctx.require(Permission::SsoRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::find(&mut tx, id).await?.ok_or(Error::NotFound)?)
}

/// Changes a connection. Whoever changes it must have what it can hand out, before and after.
pub(crate) async fn update(
    deps: &Deps,
    ctx: &Ctx,
    id: SsoConnectionId,
    change: Change,
    seen: &IfMatch,
) -> Result<Connection, Failure> {
    ctx.require(Permission::SsoManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let before = store::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    seen.check(before.version)?;
    let rules = change.rules(&before.rules);
    for ceiling in [before.rules.role_ceiling, rules.role_ceiling] {
        within(ctx.grants(), ceiling.grants())?;
    }
    let opened = open(deps, &mut tx, &before).await?;
    let secrets = change.secrets(opened);
    let settings = change.settings.unwrap_or(before.settings);
    model::check(before.kind, &settings, &secrets, &rules)?;
    let after = Connection {
        name: change.name.unwrap_or(before.name),
        status: change.status.unwrap_or(before.status),
        settings,
        secrets: seal(deps, &mut tx, id, &secrets).await?,
        secret_names: secrets.into_keys().collect(),
        rules,
        ..before
    };
    let now = deps.ambient.now();
    let saved = store::update(&mut tx, &after, now).await.map_err(taken)?.ok_or(Error::NotFound)?;
    let detail = json!({"status": saved.status, "role_ceiling": saved.rules.role_ceiling});
    tx.audit(Audit::new("sso_connection.updated", "sso_connection", id).with(detail));
    tx.commit().await?;
    Ok(saved)
}

/// Removes a connection; nobody signs in through it any more. People and their sessions stay.
pub(super) async fn delete(
    deps: &Deps,
    ctx: &Ctx,
    id: SsoConnectionId,
    seen: &IfMatch,
) -> Result<(), Failure> {
    ctx.require(Permission::SsoManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let connection = store::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    seen.check(connection.version)?;
    store::delete(&mut tx, id).await?;
    tx.audit(Audit::new("sso_connection.deleted", "sso_connection", id));
    tx.commit().await?;
    Ok(())
}

/// The connection that a visitor came for, and the context of its tenant, which may do nothing by
/// itself. A connection of another kind is as good as none.
pub(crate) async fn find_for_visitor(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: SsoConnectionId,
    kind: Kind,
) -> Result<(Ctx, Connection), Failure> {
    let mut tx = deps.db.platform_read(ctx).await?;
    let tenant = store::find_route(&mut tx, id, kind).await?.ok_or(Error::NotFound)?;
    drop(tx);
    let inside = ctx.enter(tenant, ctx.grants());
    let mut tx = deps.db.read(&inside).await?;
    let connection = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    drop(tx);
    Ok((inside, connection))
}

async fn seal(
    deps: &Deps,
    tx: &mut TenantTx,
    id: SsoConnectionId,
    secrets: &Secrets,
) -> Result<Vec<u8>, Failure> {
    let key = deps.outside()?.vault.current(tx).await?;
    let tenant = tx.ctx().tenant();
    Ok(model::seal(&key.key, key.version, tenant, id, deps.ambient.bytes(), secrets))
}

/// The secrets of a connection, for the moment of a call.
pub(crate) async fn open(
    deps: &Deps,
    tx: &mut TenantTx,
    connection: &Connection,
) -> Result<Secrets, Failure> {
    let closed = || Error::Sealed(crypto::OpenError);
    let version = crypto::sealed_version(&connection.secrets).ok_or_else(closed)?;
    let vault = &deps.outside()?.vault;
    let key = vault.of_version(tx, version).await?.ok_or_else(closed)?;
    let tenant = tx.ctx().tenant();
    Ok(model::open(&key.key, tenant, connection.id, &connection.secrets).map_err(Error::Sealed)?)
}
