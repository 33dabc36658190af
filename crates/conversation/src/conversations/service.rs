//! Room `conversation`: opening, reading, assigning and closing conversations.

use std::collections::{BTreeMap, HashMap, HashSet};

use misy_core::access::{Kind, Resource};
use misy_core::event::{ConversationData, EventType, Told};
use misy_core::{
    ChannelId, ContactId, ConversationId, Ctx, Cursor, Limit, Page, Permission, Timestamp,
};
use misy_store::{Audit, TenantTx};
use misy_web::IfMatch;
use serde_json::json;

use super::model::{Change, Conversation, Error, Filter, Opened, Status};
use super::store::{self, Opening};
use crate::{Below, Deps};

/// The open conversation of each contact that wrote, or a new one, in the order given; notes when
/// the customer wrote last and over which channel.
pub(crate) async fn open_for(
    tx: &mut TenantTx,
    channel: ChannelId,
    messages: &[(ContactId, Timestamp)],
) -> Result<Vec<Opened>, Error> {
    open(tx, channel, true, messages).await
}

/// The same for messages of the business: they tell nothing of when the customer wrote.
pub(crate) async fn open_outbound(
    tx: &mut TenantTx,
    channel: ChannelId,
    messages: &[(ContactId, Timestamp)],
) -> Result<Vec<Opened>, Error> {
    open(tx, channel, false, messages).await
}

/// Rows are taken in the order of contacts, so that two transactions never wait for each other.
async fn open(
    tx: &mut TenantTx,
    channel: ChannelId,
    inbound: bool,
    messages: &[(ContactId, Timestamp)],
) -> Result<Vec<Opened>, Error> {
    let mut latest: BTreeMap<ContactId, Timestamp> = BTreeMap::new();
    for (contact, at) in messages {
        let known = latest.entry(*contact).or_insert(*at);
        *known = (*known).max(*at);
    }
    let openings: Vec<Opening> =
        latest.into_iter().map(|(contact, at)| Opening { contact, at }).collect();
    let opened = store::open(tx, channel, inbound, &openings).await?;
    for new in made_of(&opened) {
        tell(tx, EventType::ConversationCreated, new.id, Some((new.contact, channel)), new.status);
    }
    let in_order = messages.iter().filter_map(|(contact, _)| opened.get(contact).copied());
    Ok(in_order.collect())
}

/// The conversations that were made, in the order of their ids.
fn made_of(opened: &HashMap<ContactId, Opened>) -> Vec<Opened> {
    let mut new: Vec<Opened> = opened.values().copied().filter(|one| one.new).collect();
    new.sort_unstable_by_key(|one| one.id);
    new
}

/// Tells the outside where a conversation stands.
fn tell(
    tx: &mut TenantTx,
    kind: EventType,
    conversation_id: ConversationId,
    of: Option<(ContactId, ChannelId)>,
    status: Status,
) {
    let (contact_id, channel_id) = of.unzip();
    let status = status.slug();
    let data =
        ConversationData { conversation_id, contact_id, channel_id, status, assignee_id: None };
    tx.emit(&Told::new(kind, channel_id, data));
}

/// Lets the customer wait for a person, unless one leads already.
pub(crate) async fn hand_over(tx: &mut TenantTx, id: ConversationId) -> Result<(), Error> {
    if let Some(of) = store::hand_over(tx, id).await? {
        tell_handed_over(tx, id, Some(of));
    }
    Ok(())
}

/// Tells the outside that the customer of a conversation waits for a person.
pub(crate) fn tell_handed_over(
    tx: &mut TenantTx,
    id: ConversationId,
    of: Option<(ContactId, ChannelId)>,
) {
    tell(tx, EventType::ConversationHandedOver, id, of, Status::Waiting);
}

/// Notes that people of the business wrote in these conversations: the responder is silent there.
pub(crate) async fn take_over(tx: &mut TenantTx, ids: &[ConversationId]) -> Result<(), Error> {
    Ok(store::take_over(tx, ids).await?)
}

/// A page of conversations, newest first.
pub async fn list(
    deps: &Deps,
    ctx: &Ctx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Conversation>, Error> {
    ctx.require(Permission::ConversationRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let judge = deps.policies.judge(ctx, Permission::ConversationRead).await?;
    let rows = store::list(&mut tx, filter, cursor, limit).await?;
    let mut page = Page::cut(rows, limit, |conversation| conversation.id);
    // The cursor is of what was looked at, so a page may be shorter and the next one still comes.
    page.data.retain(|conversation| judge.allows(&about(conversation)));
    Ok(page)
}

/// A conversation as policies see it.
fn about(one: &Conversation) -> Resource {
    Resource::new(Kind::Conversation, one.id)
        .text("status", one.status.slug())
        .text("channel", one.channel)
        .text("contact", one.contact)
        .person("assignee", one.assignee)
}

/// Refuses if a policy forbids it with this conversation. One that does not exist is let through:
/// whoever asked finds out.
pub(crate) async fn guard(
    deps: &Deps,
    ctx: &Ctx,
    tx: &mut TenantTx,
    permission: Permission,
    id: ConversationId,
) -> Result<(), Below> {
    let judge = deps.policies.judge(ctx, permission).await?;
    if judge.is_open() {
        return Ok(());
    }
    match store::find(tx, id).await? {
        Some(conversation) => Ok(judge.require(&about(&conversation))?),
        None => Ok(()),
    }
}

/// Those of these conversations with which policies let it be done: one statement, one look-up.
pub(crate) async fn allowed(
    deps: &Deps,
    ctx: &Ctx,
    tx: &mut TenantTx,
    permission: Permission,
    ids: &[ConversationId],
) -> Result<HashSet<ConversationId>, Below> {
    let judge = deps.policies.judge(ctx, permission).await?;
    if judge.is_open() {
        return Ok(ids.iter().copied().collect());
    }
    let all = store::find_all(tx, ids).await?;
    let allowed = all.iter().filter(|one| judge.allows(&about(one)));
    Ok(allowed.map(|one| one.id).collect())
}

/// One conversation.
pub async fn get(deps: &Deps, ctx: &Ctx, id: ConversationId) -> Result<Conversation, Error> {
    ctx.require(Permission::ConversationRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let found = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let judge = deps.policies.judge(ctx, Permission::ConversationRead).await?;
    judge.require(&about(&found))?;
    Ok(found)
}

/// Changes status or assignment, if the caller has seen the newest version or does not say.
pub async fn change(
    deps: &Deps,
    ctx: &Ctx,
    id: ConversationId,
    seen: &IfMatch,
    change: Change,
) -> Result<Conversation, Error> {
    ctx.require(Permission::ConversationUpdate)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let before = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let judge = deps.policies.judge(ctx, Permission::ConversationUpdate).await?;
    judge.require(&about(&before))?;
    seen.check(before.version).map_err(|_| Error::Stale)?;
    let after = change.apply(before, deps.ambient.now());
    let after = store::update(&mut tx, &after).await.map_err(refused)?.ok_or(Error::Stale)?;
    let detail = json!({ "status": after.status.slug(), "assignee_id": after.assignee });
    tx.audit(Audit::new("conversation.updated", "conversation", id).with(detail));
    let data = ConversationData {
        conversation_id: id,
        contact_id: Some(after.contact),
        channel_id: Some(after.channel),
        status: after.status.slug(),
        assignee_id: after.assignee,
    };
    tx.emit(&Told::new(EventType::ConversationUpdated, Some(after.channel), data));
    tx.commit().await?;
    Ok(after)
}

/// What the constraints of the table mean.
fn refused(error: misy_store::Error) -> Error {
    if error.foreign_key_violation().is_some() {
        return Error::NoSuchAssignee;
    }
    if error.unique_violation() == Some("conversations_open_contact_idx") {
        return Error::AnotherIsOpen;
    }
    Error::Below(Below::Store(error))
}
