//! Room `conversation`: the job that makes a document's passages.

use std::sync::Arc;
use std::time::Duration;

use misy_core::{Ctx, KnowledgeDocumentId};
use misy_jobs::{Job, JobError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::service;
use crate::Deps;

/// Has the passages of a document follow it, and removes the text that a change has replaced. Runs
/// for one document happen one after another.
#[derive(Debug, Serialize, Deserialize)]
pub struct Index {
    /// Which document; it may be gone.
    pub document: KnowledgeDocumentId,
    /// The text that nothing names any more.
    #[serde(default)]
    pub replaced: Option<Uuid>,
}

impl Job for Index {
    const NAME: &'static str = "conversation.knowledge_documents.index";
    const LIMIT: Duration = Duration::from_mins(2);
    type Deps = Deps;

    fn lane(&self) -> Option<String> {
        Some(self.document.to_string())
    }

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::index(&deps, &ctx, self.document, self.replaced).await?)
    }
}
