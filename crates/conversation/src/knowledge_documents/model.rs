//! Room `conversation`: what a knowledge document is.

mod passages;

use misy_core::error::Fault;
use misy_core::{Code, KnowledgeDocumentId, Public, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Below;
use crate::contacts::model::{LANGUAGE_FORM, is_language};

pub(crate) use passages::{Passage, cut};

/// A text of a tenant, without the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeDocument {
    /// Its id.
    pub id: KnowledgeDocumentId,
    /// What it is called.
    pub title: String,
    /// The language of its text, BCP 47.
    pub language: String,
    /// Words to find it by, in order and each once.
    pub tags: Vec<String>,
    /// Under which id its text is kept as a document.
    pub(crate) body: Uuid,
    /// How long the text is.
    pub bytes: i32,
    /// Into how many passages it was cut.
    pub passages: i32,
    /// Whether its passages are those of its present version.
    pub is_indexed: bool,
    /// Goes up with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// What is kept as a document. Title and language stand beside the text, so that it says by itself
/// what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) title: String,
    pub(crate) language: String,
    pub(crate) text: String,
}

/// What makes a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDocument {
    /// What it is called.
    pub title: String,
    /// The language of its text.
    pub language: String,
    /// Its text, plain or Markdown.
    pub text: String,
    /// Words to find it by.
    pub tags: Vec<String>,
}

/// What may be changed; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What it is called.
    pub title: Option<String>,
    /// The language of its text.
    pub language: Option<String>,
    /// The whole text.
    pub text: Option<String>,
    /// The tags, replacing the old.
    pub tags: Option<Vec<String>>,
}

/// By which properties documents are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only documents of this language.
    pub language: Option<String>,
    /// Only documents with this tag.
    pub tag: Option<String>,
}

/// A passage that shares words with a question. Words are counted as in
/// [`Candidate`](crate::responders::Candidate).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Of which document.
    pub document: KnowledgeDocumentId,
    /// Which of its passages, from 0.
    pub position: u32,
    /// The document's language.
    pub language: String,
    /// What it says.
    pub text: String,
    /// Words of the question.
    pub asked: u32,
    /// Words of the question that occur in the passage or its heading.
    pub shared: u32,
}

/// The longest title, in characters.
const TITLE_CHARS_MAX: usize = 300;
/// The longest text, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 2 << 20;
const TAGS_MAX: usize = 50;
const TAG_CHARS_MAX: usize = 64;

impl NewDocument {
    /// The same in the form in which it is stored.
    #[must_use]
    pub fn normalised(self) -> Self {
        let mut tags: Vec<String> = self.tags.iter().map(|tag| tag.trim().to_owned()).collect();
        tags.sort();
        tags.dedup();
        Self { title: self.title.trim().to_owned(), tags, ..self }
    }

    /// Every fault of it.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut demand = |holds: bool, pointer: &str, detail: String| {
            if !holds {
                faults.push(Fault { pointer: pointer.to_owned(), detail });
            }
        };
        let sayable = |text: &str| !text.trim().is_empty() && !text.contains('\0');
        let short = |text: &str, max: usize| sayable(text) && text.chars().count() <= max;
        demand(short(&self.title, TITLE_CHARS_MAX), "/title", chars(TITLE_CHARS_MAX));
        let fits = self.text.len() <= TEXT_BYTES_MAX;
        let text = format!("expected 1 to {TEXT_BYTES_MAX} bytes of text without U+0000");
        demand(fits && sayable(&self.text), "/text", text);
        demand(is_language(&self.language), "/language", LANGUAGE_FORM.to_owned());
        let few = format!("expected at most {TAGS_MAX} tags");
        demand(self.tags.len() <= TAGS_MAX, "/tags", few);
        for (index, tag) in self.tags.iter().enumerate() {
            let fits = short(tag, TAG_CHARS_MAX);
            demand(fits, &format!("/tags/{index}"), chars(TAG_CHARS_MAX));
        }
        faults
    }

    /// What is kept as a document.
    pub(crate) fn body(&self) -> Body {
        let Self { title, language, text, .. } = self.clone();
        Body { title, language, text }
    }
}

fn chars(max: usize) -> String {
    format!("expected 1 to {max} characters")
}

impl Change {
    /// What the document would hold with the change in it.
    pub(crate) fn apply(self, before: &KnowledgeDocument, text: String) -> NewDocument {
        NewDocument {
            title: self.title.unwrap_or_else(|| before.title.clone()),
            language: self.language.unwrap_or_else(|| before.language.clone()),
            text: self.text.unwrap_or(text),
            tags: self.tags.unwrap_or_else(|| before.tags.clone()),
        }
    }
}

/// Why something about a knowledge document cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such document.
    #[error("no such knowledge document")]
    NotFound,
    /// It was changed meanwhile.
    #[error("the knowledge document was changed meanwhile")]
    Stale,
    /// Fields are wrong.
    #[error("the knowledge document is not valid")]
    Invalid(Vec<Fault>),
    /// Its text is not where it was put: the document store has lost it.
    #[error("the text of a knowledge document is gone")]
    Lost,
    /// The right, the database or the documents.
    #[error(transparent)]
    Below(Below),
}

impl<E: Into<Below>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Below(error.into())
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Stale => Code::Stale,
            Self::Invalid(_) => Code::Invalid,
            Self::Lost => Code::Internal,
            Self::Below(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        let Self::Below(error) = self else { return None };
        error.detail()
    }

    fn faults(&self) -> Vec<Fault> {
        let Self::Invalid(faults) = self else { return Vec::new() };
        faults.clone()
    }

    fn retry_after_s(&self) -> Option<u32> {
        let Self::Below(error) = self else { return None };
        error.retry_after_s()
    }
}

#[cfg(test)]
mod tests;
