//! Room `identity`: making, changing and checking policies.

use std::collections::BTreeMap;

use misy_core::{Ctx, Cursor, Limit, Page, Permission, PolicyId};
use misy_policy::compiled::POLICIES_MAX;
use misy_policy::{Checked, Flaw, Vocabulary, check, templates};
use misy_store::{Audit, TenantTx};
use misy_web::IfMatch;
use serde_json::json;

use crate::policies::model::{self, Error as PolicyError, Policy, invalid};
use crate::policies::store;
use crate::{Deps, Error, notices};

/// A policy's text, as asked for.
pub(crate) enum NewText {
    /// Cedar.
    Text(String),
    /// A template and what its blanks are filled with.
    Template(String, BTreeMap<String, String>),
}

/// A policy to be made.
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) text: NewText,
    pub(crate) enabled: bool,
}

/// What is to change; what is absent stays.
#[derive(Default)]
pub(crate) struct PolicyChange {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) enabled: Option<bool>,
}

/// The words of the tenant's policies.
async fn vocabulary(tx: &mut TenantTx) -> Result<Option<Vocabulary>, Error> {
    let Some((text, _)) = store::find_schema(tx).await? else { return Ok(None) };
    let words = Vocabulary::new(Some(&text));
    Ok(Some(words.map_err(|error| PolicyError::Broken(error.into()))?))
}

fn checked(text: &str, words: Option<&Vocabulary>) -> Result<Checked, Vec<Flaw>> {
    check(text, words.unwrap_or_else(|| Vocabulary::plain()))
}

/// The text, and the template that it comes from.
fn written(text: NewText) -> Result<(String, Option<String>), PolicyError> {
    let (slug, values) = match text {
        NewText::Text(text) => return Ok((text, None)),
        NewText::Template(slug, values) => (slug, values),
    };
    let template = templates::find(&slug).ok_or_else(|| invalid("/template", "is no template"))?;
    let filled = template.fill(|name| values.get(name).cloned());
    let fault = |one: &templates::Unfilled| misy_core::error::Fault {
        pointer: format!("/values/{}", one.blank),
        detail: one.detail.clone(),
    };
    let text = filled.map_err(|all| PolicyError::Invalid(all.iter().map(fault).collect()))?;
    Ok((text, Some(slug)))
}

/// One page of the tenant's policies.
pub(crate) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Policy>, Error> {
    ctx.require(Permission::PolicyRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, cursor.map(|cursor| cursor.0), limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |policy| policy.id))
}

/// One policy.
pub(crate) async fn get(deps: &Deps, ctx: &Ctx, id: PolicyId) -> Result<Policy, Error> {
    ctx.require(Permission::PolicyRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::find(&mut tx, id).await?.ok_or(PolicyError::NotFound)?)
}

/// Makes a policy. It holds in every process within a second.
pub(crate) async fn create(deps: &Deps, ctx: &Ctx, draft: Draft) -> Result<Policy, Error> {
    ctx.require(Permission::PolicyManage)?;
    let (text, template) = written(draft.text)?;
    let now = deps.ambient.now();
    let mut tx = deps.db.tenant(ctx).await?;
    // From here on two changes of one tenant's policies come one after the other.
    notices::store::raise_policies(&mut tx).await?;
    if store::all(&mut tx).await?.len() >= POLICIES_MAX {
        return Err(PolicyError::TooMany.into());
    }
    let words = vocabulary(&mut tx).await?;
    let found = checked(&text, words.as_ref()).map_err(|all| model::faults("/text", all))?;
    let policy = Policy {
        id: deps.ambient.id(),
        name: draft.name,
        description: draft.description,
        text,
        forbids: found.forbids,
        template,
        enabled: draft.enabled,
        created_by: ctx.actor().to_string(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    store::save(&mut tx, &policy).await.map_err(taken)?;
    let detail = json!({"forbids": policy.forbids, "enabled": policy.enabled});
    tx.audit(Audit::new("policy.created", "policy", policy.id).with(detail));
    tx.commit().await?;
    deps.notices.renew().await?;
    Ok(policy)
}

fn taken(error: misy_store::Error) -> Error {
    let taken = error.unique_violation().is_some_and(|name| name.contains("name"));
    if taken { PolicyError::NameTaken.into() } else { error.into() }
}

/// Changes a policy. It holds in every process within a second.
pub(crate) async fn update(
    deps: &Deps,
    ctx: &Ctx,
    id: PolicyId,
    seen: &IfMatch,
    change: PolicyChange,
) -> Result<Policy, Error> {
    ctx.require(Permission::PolicyManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    notices::store::raise_policies(&mut tx).await?;
    let before = store::find(&mut tx, id).await?.ok_or(PolicyError::NotFound)?;
    seen.check(before.version)?;
    let mut after = Policy { version: before.version + 1, ..before };
    after.name = change.name.unwrap_or(after.name);
    after.description = change.description.unwrap_or(after.description);
    after.enabled = change.enabled.unwrap_or(after.enabled);
    if let Some(text) = change.text {
        (after.text, after.template) = (text, None);
    }
    let words = vocabulary(&mut tx).await?;
    let found = checked(&after.text, words.as_ref()).map_err(|all| model::faults("/text", all))?;
    (after.forbids, after.updated_at) = (found.forbids, deps.ambient.now());
    store::save(&mut tx, &after).await.map_err(taken)?;
    let detail = json!({"forbids": after.forbids, "enabled": after.enabled});
    tx.audit(Audit::new("policy.updated", "policy", id).with(detail));
    tx.commit().await?;
    deps.notices.renew().await?;
    Ok(after)
}

/// Removes a policy.
pub(crate) async fn delete(
    deps: &Deps,
    ctx: &Ctx,
    id: PolicyId,
    seen: &IfMatch,
) -> Result<(), Error> {
    ctx.require(Permission::PolicyManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    notices::store::raise_policies(&mut tx).await?;
    let policy = store::find(&mut tx, id).await?.ok_or(PolicyError::NotFound)?;
    seen.check(policy.version)?;
    store::delete(&mut tx, id).await?;
    tx.audit(Audit::new("policy.deleted", "policy", id));
    tx.commit().await?;
    deps.notices.renew().await?;
    Ok(())
}

/// What a check of a text comes to.
pub(crate) struct Validated {
    pub(crate) forbids: Option<bool>,
    pub(crate) errors: Vec<Flaw>,
    pub(crate) warnings: Vec<Flaw>,
}

/// Checks a text without keeping it; tells everything that is wrong with it at once.
pub(crate) async fn validate(deps: &Deps, ctx: &Ctx, text: &str) -> Result<Validated, Error> {
    ctx.require(Permission::PolicyRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let words = vocabulary(&mut tx).await?;
    Ok(match checked(text, words.as_ref()) {
        Ok(Checked { forbids, warnings }) => {
            Validated { forbids: Some(forbids), errors: Vec::new(), warnings }
        }
        Err(errors) => Validated { forbids: None, errors, warnings: Vec::new() },
    })
}

/// What the tenant declares for applications of its own, and its version; 0 if nothing.
pub(crate) async fn get_schema(deps: &Deps, ctx: &Ctx) -> Result<(String, i64), Error> {
    ctx.require(Permission::PolicyRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::find_schema(&mut tx).await?.unwrap_or_default())
}

/// Replaces what the tenant declares, if all its policies can be said in the new words.
pub(crate) async fn put_schema(
    deps: &Deps,
    ctx: &Ctx,
    seen: &IfMatch,
    text: &str,
) -> Result<i64, Error> {
    ctx.require(Permission::PolicyManage)?;
    let words = Vocabulary::new(Some(text)).map_err(|error| invalid("/text", error.to_string()))?;
    let mut tx = deps.db.tenant(ctx).await?;
    notices::store::raise_policies(&mut tx).await?;
    let before = store::find_schema(&mut tx).await?.map_or(0, |(_, version)| version);
    seen.check(before)?;
    for policy in store::all(&mut tx).await? {
        if let Err(flaws) = check(&policy.text, &words) {
            let first = flaws.first().map(|flaw| flaw.message.clone()).unwrap_or_default();
            let detail = format!("the policy \"{}\" would not hold: {first}", policy.name);
            return Err(invalid("/text", detail).into());
        }
    }
    let version = store::save_schema(&mut tx, text, deps.ambient.now()).await?;
    tx.audit(Audit::new("policy_schema.updated", "tenant", ctx.tenant()));
    tx.commit().await?;
    deps.notices.renew().await?;
    Ok(version)
}
