//! Room `conversation`: the job that has a customer's message answered.

use std::sync::Arc;

use misy_core::{ConversationId, Ctx, MessageId};
use misy_jobs::{Job, JobError};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

/// Has one message of a customer answered or handed over to people. Messages of a conversation are
/// answered one after another.
#[derive(Debug, Serialize, Deserialize)]
pub struct Respond {
    /// Which message.
    pub message: MessageId,
    /// Its conversation, which names the lane.
    pub conversation: ConversationId,
}

impl Job for Respond {
    const NAME: &'static str = "conversation.responders.respond";
    type Deps = Deps;

    fn lane(&self) -> Option<String> {
        Some(self.conversation.to_string())
    }

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::respond(&deps, &ctx, self.message).await?)
    }
}
