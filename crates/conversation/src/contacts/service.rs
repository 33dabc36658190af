//! Room `conversation`: recognising senders, reading and changing contacts.

use misy_channel::IdentityClaim;
use misy_channel::event::Sender;
use misy_core::event::{ContactData, EventType, Told};
use misy_core::{ContactId, Ctx, Cursor, Limit, Page, Permission};
use misy_store::{Audit, TenantTx};
use misy_web::IfMatch;
use serde_json::json;

use super::model::{self, Change, Contact, Error};
use super::store;
use crate::Deps;

/// The contacts behind the senders, in their order. Senders that share an identity are one contact;
/// whoever is not known yet becomes a contact, and new identities of a known one are noted. Says
/// how many became one.
pub(crate) async fn recognise(
    tx: &mut TenantTx,
    senders: &[Sender],
) -> Result<(Vec<ContactId>, u32), Error> {
    let (people, of_sender) = model::people(senders);
    let claims: Vec<&IdentityClaim> =
        people.iter().flat_map(|person| person.claims.iter().copied()).collect();
    let holders = store::find_holders(tx, &claims).await?;
    let mut plan = model::plan(&people, &holders, tx.ambient());
    if !plan.is_empty() && !store::write(tx, &plan).await? {
        // Another transaction recognised the same person first; its contact holds from now on.
        store::delete_without_identity(tx, &plan.new).await?;
        let holders = store::find_holders(tx, &claims).await?;
        plan = model::plan(&people, &holders, tx.ambient());
        store::write(tx, &plan).await?;
    }
    for contact_id in &plan.new {
        let data = ContactData { contact_id: *contact_id, channel_id: None };
        tx.emit(&Told::new(EventType::ContactCreated, None, data));
    }
    let contacts = of_sender.into_iter().map(|person| plan.contacts[person]).collect();
    Ok((contacts, u32::try_from(plan.new.len()).unwrap_or(u32::MAX)))
}

/// Notes that a person's address or id changed. New identities replace older ones of the same
/// namespace, because a number that was given up may soon be another person's. `None` if nobody is
/// known by the old one.
pub(crate) async fn change_identity(
    tx: &mut TenantTx,
    old: &IdentityClaim,
    new: &[IdentityClaim],
) -> Result<Option<ContactId>, Error> {
    let holders = store::find_holders(tx, &[old]).await?;
    let Some(holder) = holders.get(old) else { return Ok(None) };
    let identities = new.iter().map(|claim| (holder.contact, claim)).collect();
    let plan = model::Plan { identities, ..model::Plan::default() };
    store::write(tx, &plan).await?;
    store::delete_replaced(tx, holder.contact, new).await?;
    Ok(Some(holder.contact))
}

/// Notes the language of a contact that had none.
pub(crate) async fn learn_language(
    tx: &mut TenantTx,
    contact: ContactId,
    language: &str,
) -> Result<(), Error> {
    Ok(store::learn_language(tx, contact, language).await?)
}

/// A page of contacts, newest first; with an identity (namespace, value), the one that holds it.
pub async fn list(
    deps: &Deps,
    ctx: &Ctx,
    identity: Option<(&str, &str)>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Contact>, Error> {
    ctx.require(Permission::ContactRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, identity, cursor, limit).await?;
    Ok(Page::cut(rows, limit, |contact| contact.id))
}

/// One contact with its identities.
pub async fn get(deps: &Deps, ctx: &Ctx, id: ContactId) -> Result<Contact, Error> {
    ctx.require(Permission::ContactRead)?;
    let mut tx = deps.db.read(ctx).await?;
    store::find(&mut tx, id).await?.ok_or(Error::NotFound)
}

/// Changes a contact, if the caller has seen its newest version or does not say.
pub async fn change(
    deps: &Deps,
    ctx: &Ctx,
    id: ContactId,
    seen: &IfMatch,
    change: Change,
) -> Result<Contact, Error> {
    ctx.require(Permission::ContactUpdate)?;
    let faults = change.faults();
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let mut tx = deps.db.tenant(ctx).await?;
    let contact = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    seen.check(contact.version).map_err(|_| Error::Stale)?;
    let fields: Vec<&str> = [
        change.display_name.as_ref().map(|_| "display_name"),
        change.language.as_ref().map(|_| "language"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let contact = store::update(&mut tx, change.apply(contact)).await?.ok_or(Error::Stale)?;
    tx.audit(Audit::new("contact.updated", "contact", id).with(json!({ "fields": fields })));
    tx.commit().await?;
    Ok(contact)
}
