//! Room `integration`: making, changing and opening sources, and looking at what was received.

mod gate;
mod processing;
mod receiving;

use std::collections::HashMap;

use misy_core::crypto::{self, Place};
use misy_core::id::TypedId;
use misy_core::{Ctx, Cursor, Limit, Page, Permission, ReceiptId, Secret, SourceId};
use misy_jobs::Job;
use misy_store::{Audit, TenantTx};
use misy_web::IfMatch;
use serde_json::json;

use super::jobs::Process;
use super::model::{Error, Receipt, Secrets, Settings, Source, Stage, Status, Tally, secret_fault};
use super::store::{self, Stored};
use crate::Deps;
use crate::endpoints::model::OVERLAP_S;
use crate::endpoints::service::later_s;

pub use gate::Gate;
pub(crate) use processing::process;
pub(crate) use receiving::{Question, receive, shake_hands};

/// What may be set of a source.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    pub(crate) enabled: Option<bool>,
    /// Replaces all settings.
    pub(crate) settings: Option<Settings>,
    pub(crate) verify_token: Option<Option<Secret>>,
}

fn place(ctx: &Ctx, id: SourceId) -> Place<'static> {
    Place { tenant: ctx.tenant(), table: "webhook_sources", column: "sealed", row: id.uuid() }
}

async fn seal(
    deps: &Deps,
    tx: &mut TenantTx,
    id: SourceId,
    secrets: &Secrets,
) -> Result<Vec<u8>, Error> {
    let key = deps.vault.current(tx).await?;
    let place = place(tx.ctx(), id);
    Ok(crypto::seal(&key.key, key.version, &place, deps.ambient.bytes(), &secrets.write()))
}

async fn unseal(deps: &Deps, tx: &mut TenantTx, stored: &Stored) -> Result<Secrets, Error> {
    let version = crypto::sealed_version(&stored.sealed).ok_or(Error::Sealed)?;
    let key = deps.vault.of_version(tx, version).await?.ok_or(Error::Sealed)?;
    let place = place(tx.ctx(), stored.source.id);
    let plain = crypto::open(&key.key, &place, &stored.sealed).map_err(|_| Error::Sealed)?;
    Secrets::read(&plain).ok_or(Error::Sealed)
}

fn check(settings: &Settings, secrets: &Secrets) -> Result<(), Error> {
    let mut faults = settings.faults();
    let newest = secrets.keys.first().map(|(secret, _)| secret);
    if let Some((scheme, secret)) = settings.scheme().zip(newest) {
        faults.extend(secret_fault(&scheme, secret));
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// Makes a source. Its secret is never shown again.
pub(crate) async fn create(
    deps: &Deps,
    ctx: &Ctx,
    name: String,
    settings: Settings,
    secret: Secret,
    verify_token: Option<Secret>,
) -> Result<Source, Error> {
    ctx.require(Permission::WebhookManage)?;
    let (id, now) = (deps.ambient.id(), deps.ambient.now());
    let secrets = Secrets { keys: vec![(secret, None)], verify_token };
    check(&settings, &secrets)?;
    let status = Status::Enabled;
    let new = Source { id, name, status, settings, version: 1, created_at: now, updated_at: now };
    let mut tx = deps.db.tenant(ctx).await?;
    let sealed = seal(deps, &mut tx, id, &secrets).await?;
    let most = deps.config.sources_max;
    let made = store::insert(&mut tx, &new, &sealed, most).await?.ok_or(Error::TooMany(most))?;
    tx.audit(Audit::new("webhook_source.created", "webhook_source", id));
    tx.commit().await?;
    Ok(made)
}

/// A page of sources, oldest first.
pub async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<(Source, Tally)>, Error> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let page = Page::cut(store::list(&mut tx, cursor, limit).await?, limit, |source| source.id);
    let ids: Vec<SourceId> = page.data.iter().map(|source| source.id).collect();
    let tallies = store::list_tallies(&mut tx, &ids).await?;
    let tallies: HashMap<SourceId, Tally> = tallies.into_iter().collect();
    Ok(page.map(|source| {
        let tally = tallies.get(&source.id).copied().unwrap_or_default();
        let tally = with_waiting(deps, source.id, tally);
        (source, tally)
    }))
}

/// One source.
pub(crate) async fn get(deps: &Deps, ctx: &Ctx, id: SourceId) -> Result<(Source, Tally), Error> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let source = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?.source;
    Ok((source, tally(deps, &mut tx, id).await?))
}

async fn tally(deps: &Deps, tx: &mut TenantTx, id: SourceId) -> Result<Tally, Error> {
    let tallies = store::list_tallies(tx, &[id]).await?;
    let tally = tallies.first().map(|(_, tally)| *tally).unwrap_or_default();
    Ok(with_waiting(deps, id, tally))
}

/// Of a flood not each is written down at once; what this process knows of it counts as well.
fn with_waiting(deps: &Deps, id: SourceId, tally: Tally) -> Tally {
    let (refusals, repetitions) = deps.gate.waiting(id);
    Tally {
        refusals: tally.refusals + refusals,
        repetitions: tally.repetitions + repetitions,
        ..tally
    }
}

/// Changes a source, if the caller has seen the newest version or does not say.
pub(crate) async fn change(
    deps: &Deps,
    ctx: &Ctx,
    id: SourceId,
    seen: &IfMatch,
    change: Change,
) -> Result<(Source, Tally), Error> {
    ctx.require(Permission::WebhookManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let stored = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    seen.check(stored.source.version).map_err(|_| Error::Stale)?;
    let mut secrets = unseal(deps, &mut tx, &stored).await?;
    let mut source = stored.source;
    source.name = change.name.unwrap_or(source.name);
    source.settings = change.settings.unwrap_or(source.settings);
    source.status = match change.enabled {
        Some(true) => Status::Enabled,
        Some(false) => Status::Disabled,
        None => source.status,
    };
    secrets.verify_token = change.verify_token.unwrap_or(secrets.verify_token);
    check(&source.settings, &secrets)?;
    let sealed = seal(deps, &mut tx, id, &secrets).await?;
    let saved = store::update(&mut tx, &source, &sealed).await?.ok_or(Error::Stale)?;
    let tally = tally(deps, &mut tx, id).await?;
    tx.audit(Audit::new("webhook_source.changed", "webhook_source", id));
    tx.commit().await?;
    Ok((saved, tally))
}

/// Removes a source. What was received stays until its day is dropped.
pub(crate) async fn remove(deps: &Deps, ctx: &Ctx, id: SourceId) -> Result<(), Error> {
    ctx.require(Permission::WebhookManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    if !store::delete(&mut tx, id).await? {
        return Err(Error::NotFound);
    }
    tx.audit(Audit::new("webhook_source.removed", "webhook_source", id));
    Ok(tx.commit().await?)
}

/// Gives the source a new secret; what is signed with the old one is taken until the overlap is
/// over.
pub(crate) async fn rotate(
    deps: &Deps,
    ctx: &Ctx,
    id: SourceId,
    secret: Secret,
    overlap_s: Option<u32>,
) -> Result<(Source, Tally), Error> {
    ctx.require(Permission::WebhookManage)?;
    let now = deps.ambient.now();
    let until = later_s(now, overlap_s.unwrap_or(OVERLAP_S));
    let mut tx = deps.db.tenant(ctx).await?;
    let stored = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let mut secrets = unseal(deps, &mut tx, &stored).await?;
    secrets.rotate(secret, now, until);
    check(&stored.source.settings, &secrets)?;
    let sealed = seal(deps, &mut tx, id, &secrets).await?;
    let saved = store::update(&mut tx, &stored.source, &sealed).await?.ok_or(Error::Stale)?;
    let tally = tally(deps, &mut tx, id).await?;
    let rotated = Audit::new("webhook_source.secret_rotated", "webhook_source", id);
    tx.audit(rotated.with(json!({ "overlap_until": until })));
    tx.commit().await?;
    Ok((saved, tally))
}

/// A page of what was received, newest first.
pub(crate) async fn list_receipts(
    deps: &Deps,
    ctx: &Ctx,
    source: Option<SourceId>,
    stage: Option<Stage>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Receipt>, Error> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let found = store::list_receipts(&mut tx, source, stage, cursor, limit).await?;
    Ok(Page::cut(found, limit, |receipt| receipt.id))
}

/// One that was received, with its body.
pub(crate) async fn get_receipt(deps: &Deps, ctx: &Ctx, id: ReceiptId) -> Result<Receipt, Error> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    store::find_receipt(&mut tx, id).await?.ok_or(Error::NotFound)
}

/// Has one that was received looked at and told again, by the source's settings of now.
pub(crate) async fn replay(deps: &Deps, ctx: &Ctx, id: ReceiptId) -> Result<Receipt, Error> {
    ctx.require(Permission::WebhookManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let Some(receipt) = store::replay(&mut tx, id).await? else {
        store::find_receipt(&mut tx, id).await?.ok_or(Error::NotFound)?;
        return Err(Error::NotReplayable);
    };
    // Also for one that still waits to be told: its job may have given up, and whichever job comes
    // second finds nothing to do.
    Process { receipt: id }.enqueue(&mut tx);
    tx.audit(Audit::new("webhook_source.replayed", "source_receipt", id));
    tx.commit().await?;
    Ok(receipt)
}
