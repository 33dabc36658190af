//! Room `conversation`: having a customer's message answered.

use async_trait::async_trait;
use misy_core::{ConversationId, Ctx, Limit, MessageId};

use super::model::{self, Context, Error, Found, HandOverReason, Reply, Turn};
use super::store::{self, Asked};
use crate::knowledge_documents::Excerpt;
use crate::messages::model::{Author, Citation, Draft, Order};
use crate::messages::{self, Message};
use crate::{Deps, contacts, conversations, knowledge_documents};

/// What a responder may look up. Each look is a short read of its own, so a responder that thinks
/// for seconds holds no connection meanwhile.
#[async_trait]
pub trait Library: Send {
    /// Knowledge entries that share words with a text.
    async fn search(&mut self, text: &str) -> Result<Found, Error>;

    /// Passages of knowledge documents that share words with a text.
    async fn passages(&mut self, text: &str) -> Result<Vec<Excerpt>, Error>;

    /// The conversation so far, newest message first.
    async fn history(&mut self, limit: Limit) -> Result<Vec<Message>, Error>;
}

/// Answers customers before people do. It decides and writes nothing: what it says is written, sent
/// and remembered by whoever asks it, and it may be asked the same again after a crash.
#[async_trait]
pub trait Responder: Send + Sync {
    /// Its name, by which its messages are known.
    fn name(&self) -> &'static str;

    /// What to say to a message.
    async fn respond(&self, turn: &Turn, library: &mut dyn Library) -> Result<Reply, Error>;
}

/// The built-in responder: the knowledge entry that fits best, else the passage of a document that
/// does, else people.
#[derive(Debug, Clone, Copy)]
pub struct KnowledgeResponder {
    threshold: f64,
}

impl KnowledgeResponder {
    /// Answers with entries that fit at least so well, from 0 to 1.
    pub const fn new(threshold: f64) -> Self {
        Self { threshold }
    }
}

#[async_trait]
impl Responder for KnowledgeResponder {
    fn name(&self) -> &'static str {
        "knowledge"
    }

    async fn respond(&self, turn: &Turn, library: &mut dyn Library) -> Result<Reply, Error> {
        if model::is_quiet(&turn.content) {
            return Ok(Reply::Silent);
        }
        let words = turn.content.words().map(str::trim).filter(|words| !words.is_empty());
        let Some(words) = words else {
            return Ok(model::hand_over(turn, HandOverReason::NotText, &[]));
        };
        let text = model::essence(words);
        let found = library.search(&text).await?;
        if let Some(reply) = model::answer(turn, &text, &found, self.threshold) {
            return Ok(reply);
        }
        let excerpts = library.passages(&text).await?;
        Ok(model::without_entry(turn, &text, &found, &excerpts, self.threshold))
    }
}

/// Reads on behalf of one turn.
struct Shelf<'a> {
    deps: &'a Deps,
    ctx: &'a Ctx,
    conversation: ConversationId,
}

#[async_trait]
impl Library for Shelf<'_> {
    async fn search(&mut self, text: &str) -> Result<Found, Error> {
        let mut tx = self.deps.db.read(self.ctx).await?;
        Ok(store::search(&mut tx, text).await?)
    }

    async fn passages(&mut self, text: &str) -> Result<Vec<Excerpt>, Error> {
        let mut tx = self.deps.db.read(self.ctx).await?;
        Ok(knowledge_documents::store::search(&mut tx, text).await?)
    }

    async fn history(&mut self, limit: Limit) -> Result<Vec<Message>, Error> {
        let mut tx = self.deps.db.read(self.ctx).await?;
        let (order, from) = (Order::Desc, self.conversation);
        let messages = messages::store::list(&mut tx, from, order, None, limit).await?;
        Ok(messages.unwrap_or_default())
    }
}

/// Has a message answered, once however often this runs. A message that is answered already, or
/// whose conversation a person leads, stays as it is.
pub(crate) async fn respond(deps: &Deps, ctx: &Ctx, message: MessageId) -> Result<(), Error> {
    let Some(mut asked) = store::find(&mut deps.db.read(ctx).await?, message).await? else {
        return Ok(());
    };
    if asked.answered || asked.led || asked.route.closed {
        return Ok(());
    }
    let detected = asked.turn.content.words().and_then(model::detect);
    asked.turn.detected_language = detected.map(str::to_owned);
    let mut shelf = Shelf { deps, ctx, conversation: asked.turn.conversation };
    let reply = deps.responder.respond(&asked.turn, &mut shelf).await?;
    metrics::counter!("misy_responder_replies_total", "reply" => reply.label()).increment(1);
    remember(deps, ctx, &asked.turn, &reply).await;
    match reply {
        Reply::Silent => Ok(()),
        Reply::Answer { content, citations } => {
            say(deps, ctx, &asked, content, &citations, false).await
        }
        Reply::HandOver { .. } if asked.turn.waiting => Ok(()),
        Reply::HandOver { content: Some(content), .. } => {
            say(deps, ctx, &asked, content, &[], true).await
        }
        Reply::HandOver { content: None, .. } => hand_over(deps, ctx, &asked).await,
    }
}

/// A customer is answered also while nothing can be remembered.
async fn remember(deps: &Deps, ctx: &Ctx, turn: &Turn, reply: &Reply) {
    let remembering = async {
        let mut context = store::find_context(&deps.documents, ctx, turn.conversation).await?;
        context.remember(turn, reply, deps.ambient.now());
        store::put_context(&deps.documents, ctx, turn.conversation, &context).await
    };
    if let Err(error) = remembering.await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, conversation = %turn.conversation, "a turn was not remembered");
    }
}

/// What the responder remembers of a conversation.
pub async fn context(deps: &Deps, ctx: &Ctx, id: ConversationId) -> Result<Context, Error> {
    let known = conversations::service::get(deps, ctx, id).await;
    let known = known.map_err(messages::Error::from)?;
    Ok(store::find_context(&deps.documents, ctx, known.id).await?)
}

/// Writes what is said. What the policy or the channel does not allow to say is left to people.
async fn say(
    deps: &Deps,
    ctx: &Ctx,
    asked: &Asked,
    content: misy_channel::Content,
    citations: &[Citation],
    hands_over: bool,
) -> Result<(), Error> {
    let author = Author::agent(deps.responder.name());
    let draft = Draft { content, reply_to: None };
    let answer = messages::service::Answer {
        to: asked.turn.message,
        route: &asked.route,
        author: &author,
        draft: &draft,
        citations,
        hands_over,
    };
    let mut tx = deps.db.tenant(ctx).await?;
    if let (None, Some(language)) = (&asked.turn.contact_language, &asked.turn.detected_language) {
        contacts::service::learn_language(&mut tx, asked.turn.contact, language)
            .await
            .map_err(messages::Error::from)?;
    }
    match messages::service::answer(deps, &mut tx, &answer).await {
        Ok(true) => Ok(tx.commit().await?),
        Ok(false) => Ok(()),
        Err(error) if error.is_answered() => Ok(()),
        Err(error) if error.is_refusal() => {
            drop(tx);
            hand_over(deps, ctx, asked).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn hand_over(deps: &Deps, ctx: &Ctx, asked: &Asked) -> Result<(), Error> {
    let mut tx = deps.db.tenant(ctx).await?;
    let conversation = asked.turn.conversation;
    conversations::service::hand_over(&mut tx, conversation)
        .await
        .map_err(messages::Error::from)?;
    Ok(tx.commit().await?)
}
