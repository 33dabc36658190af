//! Room `conversation`: sending and reading messages, and what providers tell of them.

mod delivery;
mod inbound;
mod sending;
mod statuses;
mod visits;

use misy_core::{ConversationId, Ctx, Cursor, Limit, MessageId, Page, Permission, Timestamp};

use super::model::{Attempt, Error, Message, Order};
use super::store;
use crate::{Deps, conversations};

pub(crate) use delivery::{deliver, mark_read};
pub(crate) use inbound::{apply_edits, apply_revokes, receive, record_echoes};
pub(crate) use sending::{Answer, answer};
pub use sending::{To, send, send_to};
pub(crate) use statuses::{apply_statuses, match_statuses};
pub(crate) use visits::{list_of_identity, note_fetched, note_seen};

/// A page of a conversation's messages.
pub async fn list(
    deps: &Deps,
    ctx: &Ctx,
    conversation: ConversationId,
    order: Order,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Message>, Error> {
    ctx.require(Permission::MessageRead)?;
    let mut tx = deps.db.read(ctx).await?;
    conversations::service::guard(deps, ctx, &mut tx, Permission::MessageRead, conversation)
        .await?;
    let rows = store::list(&mut tx, conversation, order, cursor, limit).await?;
    Ok(Page::cut(rows.ok_or(Error::NotFound)?, limit, |message| message.id))
}

/// A page of the tenant's messages in which all words of a phrase occur, newest first. It may be
/// short, and even empty, and yet have a next one: a search looks at so many messages at a time.
pub async fn search(
    deps: &Deps,
    ctx: &Ctx,
    phrase: &str,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Message>, Error> {
    ctx.require(Permission::MessageRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let (rows, end) = store::search(&mut tx, &crate::storable(phrase), cursor, limit).await?;
    let mut page = Page::cut(rows, limit, |message| message.id);
    page.next_cursor = page.next_cursor.or(end.map(Cursor::encode));
    let ids: Vec<ConversationId> = page.data.iter().map(|message| message.conversation).collect();
    let read = Permission::MessageRead;
    let allowed = conversations::service::allowed(deps, ctx, &mut tx, read, &ids).await?;
    page.data.retain(|message| allowed.contains(&message.conversation));
    Ok(page)
}

/// One message with all tries to hand it to its provider.
pub async fn get(deps: &Deps, ctx: &Ctx, id: MessageId) -> Result<(Message, Vec<Attempt>), Error> {
    ctx.require(Permission::MessageRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let message = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let (read, conversation) = (Permission::MessageRead, message.conversation);
    conversations::service::guard(deps, ctx, &mut tx, read, conversation).await?;
    Ok((message, store::list_attempts(&mut tx, id).await?))
}

/// In how many conversations a customer has written since then and was answered, in one round trip.
pub async fn count_answered(
    deps: &Deps,
    ctx: &Ctx,
    since: Timestamp,
) -> Result<i64, misy_store::Error> {
    store::count_answered(&mut deps.db.read(ctx).await?, since).await
}
