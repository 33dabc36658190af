//! Room `conversation`: jobs that bring messages to their providers.

use std::sync::Arc;

use misy_core::{ChannelId, ConversationId, Ctx, MessageId};
use misy_jobs::{Job, JobError, Retry};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

/// Hands one message to its provider. Messages of a conversation go one after another.
#[derive(Debug, Serialize, Deserialize)]
pub struct Deliver {
    /// Which message.
    pub message: MessageId,
    /// Its conversation, which names the lane.
    pub conversation: ConversationId,
}

impl Job for Deliver {
    const NAME: &'static str = "conversation.messages.deliver";
    type Deps = Deps;

    fn lane(&self) -> Option<String> {
        Some(format!("out:{}", self.conversation))
    }

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        service::deliver(&deps, &ctx, self.message).await
    }
}

/// Tells the customer that a message was read, and that an answer is being typed as long as none
/// has gone out. A courtesy: one try, beside the answer and never before it.
#[derive(Debug, Serialize, Deserialize)]
pub struct MarkRead {
    /// The customer's message.
    pub message: MessageId,
}

impl Job for MarkRead {
    const NAME: &'static str = "conversation.messages.mark_read";
    const RETRY: Retry = Retry::NEVER;
    type Deps = Deps;

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::mark_read(&deps, &ctx, self.message).await?)
    }
}

/// Looks again at reports on messages that were not known when the reports came.
#[derive(Debug, Serialize, Deserialize)]
pub struct MatchStatuses {
    /// The channel account that reported.
    pub channel: ChannelId,
}

impl Job for MatchStatuses {
    const NAME: &'static str = "conversation.messages.match_statuses";
    type Deps = Deps;

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::match_statuses(&deps, &ctx, self.channel).await?)
    }
}
