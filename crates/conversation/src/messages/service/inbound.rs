//! Room `conversation`: messages that come from providers, inside the transaction that ingests
//! them.

use std::collections::{BTreeMap, HashSet};

use misy_channel::Content;
use misy_channel::content::EventContent;
use misy_core::event::{EventType, MessageData, Told};
use misy_core::{ChannelId, Timestamp};
use misy_store::TenantTx;

use crate::conversations;
use crate::messages::model::{Error, NewEcho, NewInbound, Received};
use crate::messages::store::{self, Revision};

/// Stores messages of customers in their order; what was stored before comes back as not fresh. The
/// outside is told of what is fresh and was not written before the account was connected.
pub(crate) async fn receive(
    tx: &mut TenantTx,
    channel: ChannelId,
    messages: Vec<NewInbound>,
) -> Result<Vec<Received>, Error> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let inserted = store::insert_inbound(tx, channel, &messages).await?;
    let told = messages
        .iter()
        .zip(&inserted)
        .filter(|(new, inserted)| inserted.fresh && !new.message.is_history());
    for (new, inserted) in told {
        let data = MessageData {
            message_id: inserted.id,
            conversation_id: new.conversation,
            contact_id: new.contact,
            channel_id: channel,
            content: store::content(&new.message.content),
            external_id: crate::storable_id(&new.message.external_id),
            sent_at: new.at,
        };
        tx.emit(&Told::new(EventType::MessageReceived, Some(channel), data));
    }
    let received = messages.iter().zip(inserted).map(|(new, inserted)| Received {
        id: inserted.id,
        conversation: new.conversation,
        fresh: inserted.fresh,
    });
    Ok(received.collect())
}

/// Stores messages that the business sent with another tool. A person wrote them, so the responder
/// is silent in those conversations from now on. Adapters leave out echoes of what this program
/// sent.
pub(crate) async fn record_echoes(
    tx: &mut TenantTx,
    channel: ChannelId,
    echoes: &[NewEcho],
) -> Result<(), Error> {
    if echoes.is_empty() || store::insert_echoes(tx, channel, echoes).await? == 0 {
        return Ok(());
    }
    let conversations: Vec<_> = echoes.iter().map(|echo| echo.conversation).collect();
    Ok(conversations::service::take_over(tx, &conversations).await?)
}

/// Writes what customers changed their messages to; the last change of a message holds. Says for
/// each whether the message was found.
pub(crate) async fn apply_edits(
    tx: &mut TenantTx,
    channel: ChannelId,
    edits: &[(String, Content, Timestamp)],
) -> Result<Vec<bool>, Error> {
    let revisions = edits.iter().map(|(external_id, content, at)| {
        let content = content.clone();
        let external_id = crate::storable_id(external_id);
        Revision { external_id, content, name: "edited_at", at: *at, erase: false }
    });
    revise(tx, channel, revisions.collect()).await
}

/// Removes the content of messages that customers took back. Says for each whether it was found.
pub(crate) async fn apply_revokes(
    tx: &mut TenantTx,
    channel: ChannelId,
    revokes: &[(String, Timestamp)],
) -> Result<Vec<bool>, Error> {
    let revisions = revokes.iter().map(|(external_id, at)| {
        let (name, text) = ("revoked".to_owned(), Some("The message was taken back.".to_owned()));
        let content = Content::Event(EventContent { name, text, data: serde_json::Map::new() });
        let external_id = crate::storable_id(external_id);
        Revision { external_id, content, name: "revoked_at", at: *at, erase: true }
    });
    revise(tx, channel, revisions.collect()).await
}

async fn revise(
    tx: &mut TenantTx,
    channel: ChannelId,
    revisions: Vec<Revision>,
) -> Result<Vec<bool>, Error> {
    if revisions.is_empty() {
        return Ok(Vec::new());
    }
    let asked: Vec<String> = revisions.iter().map(|one| one.external_id.clone()).collect();
    let last: BTreeMap<String, Revision> =
        revisions.into_iter().map(|one| (one.external_id.clone(), one)).collect();
    let last: Vec<Revision> = last.into_values().collect();
    let found: HashSet<String> = store::revise(tx, channel, &last).await?.into_iter().collect();
    Ok(asked.iter().map(|external_id| found.contains(external_id)).collect())
}
