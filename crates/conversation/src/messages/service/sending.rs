//! Room `conversation`: messages on their way into the database, from people, programs and
//! responders.

use misy_channel::Capability;
use misy_core::{ChannelId, ContactId, ConversationId, Ctx, MessageId, Permission};
use misy_jobs::Job;
use misy_store::{Audit, Limited, TenantTx};
use serde_json::json;

use crate::conversations::service::guard;
use crate::messages::model::{self, Author, Citation, Draft, Error, Message, Route};
use crate::messages::store::{self, Outgoing};
use crate::messages::{Deliver, MarkRead};
use crate::{Deps, conversations};

/// To whom a message goes that names no conversation.
#[derive(Debug, Clone)]
pub enum To {
    /// A contact.
    Contact(ContactId),
    /// Whoever holds this identity.
    Identity {
        /// What kind of value.
        namespace: String,
        /// The value in normal form.
        value: String,
    },
}

/// Sends a message in a conversation; gives the first of the messages that it became, one a part.
pub async fn send(
    deps: &Deps,
    ctx: &Ctx,
    conversation: ConversationId,
    draft: &Draft,
) -> Result<Message, Error> {
    ctx.require(Permission::MessageSend)?;
    let mut tx = deps.db.tenant(ctx).await?;
    guard(deps, ctx, &mut tx, Permission::MessageSend, conversation).await?;
    let sent = write(deps, &mut tx, conversation, draft).await?;
    tx.commit().await?;
    Ok(sent)
}

/// Sends a message to a contact over the channel that it wrote over last, in its open conversation
/// or a new one.
pub async fn send_to(deps: &Deps, ctx: &Ctx, to: &To, draft: &Draft) -> Result<Message, Error> {
    ctx.require(Permission::MessageSend)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let contact = match to {
        To::Contact(contact) => *contact,
        To::Identity { namespace, value } => {
            store::find_contact(&mut tx, namespace, value).await?.ok_or(Error::NotFound)?
        }
    };
    let latest = store::find_latest(&mut tx, contact).await?.ok_or(Error::NotFound)?;
    let latest = latest.ok_or(Error::NoChannel)?;
    let conversation = if latest.open {
        latest.conversation
    } else {
        reopen(deps, &mut tx, contact, latest.channel).await?
    };
    guard(deps, ctx, &mut tx, Permission::MessageSend, conversation).await?;
    let sent = write(deps, &mut tx, conversation, draft).await?;
    tx.commit().await?;
    Ok(sent)
}

async fn reopen(
    deps: &Deps,
    tx: &mut TenantTx,
    contact: ContactId,
    channel: ChannelId,
) -> Result<ConversationId, Error> {
    let now = deps.ambient.now();
    let opened = conversations::service::open_outbound(tx, channel, &[(contact, now)]).await?;
    opened.first().map(|opened| opened.id).ok_or(Error::NotFound)
}

async fn write(
    deps: &Deps,
    tx: &mut TenantTx,
    conversation: ConversationId,
    draft: &Draft,
) -> Result<Message, Error> {
    let route = store::find_route(tx, conversation, draft.reply_to).await?;
    let route = route.ok_or(Error::NotFound)?;
    let parts = model::parts(draft, &route, capability(deps, &route)?, deps.ambient.now())?;
    let out = Outgoing {
        conversation,
        channel: route.channel,
        author: &Author::of(tx.ctx().actor()),
        parts: &parts,
        reply_to: draft.reply_to,
        answers: None,
        citations: &[],
        hands_over: false,
    };
    // After the conversation's row, as answers do: in the other order the two could wait for each
    // other.
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    deps.quotas.take_behind(tx, Limited::MessagesPerMonth, count);
    let written = store::insert_outbound(tx, &out).await?;
    deliver_all(tx, &written);
    // Nothing is written only if the conversation was closed in this moment.
    let first = written.into_iter().next().ok_or(Error::ConversationClosed)?;
    deps.quotas.settle(tx, Limited::MessagesPerMonth, count).await?;
    let detail = json!({ "conversation_id": conversation, "parts": count });
    tx.audit(Audit::new("message.sent", "message", first.id).with(detail));
    Ok(first)
}

fn deliver_all(tx: &mut TenantTx, parts: &[Message]) {
    for part in parts {
        Deliver { message: part.id, conversation: part.conversation }.enqueue(tx);
    }
}

fn capability<'a>(deps: &'a Deps, route: &Route) -> Result<&'a Capability, Error> {
    let channel = deps.channels.find(&route.kind).ok_or(Error::ChannelInactive)?;
    Ok(channel.capability())
}

/// What a responder says to a customer's message.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    /// The customer's message.
    pub(crate) to: MessageId,
    /// The way to the customer.
    pub(crate) route: &'a Route,
    /// Who answers.
    pub(crate) author: &'a Author,
    /// What it says.
    pub(crate) draft: &'a Draft,
    /// What it was taken from.
    pub(crate) citations: &'a [Citation],
    /// Whether the customer now waits for a person.
    pub(crate) hands_over: bool,
}

/// Writes an answer and has it delivered; `false` if a person leads the conversation by now. Fails
/// by policy like any other message does.
pub(crate) async fn answer(
    deps: &Deps,
    tx: &mut TenantTx,
    answer: &Answer<'_>,
) -> Result<bool, Error> {
    let capability = capability(deps, answer.route)?;
    let parts = model::parts(answer.draft, answer.route, capability, deps.ambient.now())?;
    let conversation = answer.route.conversation;
    let out = Outgoing {
        conversation,
        channel: answer.route.channel,
        author: answer.author,
        parts: &parts,
        reply_to: None,
        answers: Some(answer.to),
        citations: answer.citations,
        hands_over: answer.hands_over,
    };
    let written = store::insert_outbound(tx, &out).await?;
    if written.is_empty() {
        return Ok(false);
    }
    let count = u32::try_from(written.len()).unwrap_or(u32::MAX);
    deps.quotas.take(tx, Limited::MessagesPerMonth, count).await?;
    if capability.read || capability.typing {
        MarkRead { message: answer.to }.enqueue(tx);
    }
    if answer.hands_over {
        conversations::service::tell_handed_over(tx, conversation, None);
    }
    deliver_all(tx, &written);
    Ok(true)
}
