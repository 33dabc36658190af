//! Room `conversation`: what a knowledge entry is.

use misy_core::error::Fault;
use misy_core::{Code, KnowledgeEntryId, Public, Timestamp};

use crate::Below;
use crate::contacts::model::{LANGUAGE_FORM, is_language};

/// A question and its answer in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeEntry {
    /// Its id.
    pub id: KnowledgeEntryId,
    /// The question as customers ask it.
    pub question: String,
    /// The answer as it is sent.
    pub answer: String,
    /// The language of both, BCP 47.
    pub language: String,
    /// Words to find it by, in order and each once.
    pub tags: Vec<String>,
    /// Goes up with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// What makes an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The question.
    pub question: String,
    /// The answer.
    pub answer: String,
    /// The language of both.
    pub language: String,
    /// Words to find it by.
    pub tags: Vec<String>,
}

/// What may be changed; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The question.
    pub question: Option<String>,
    /// The answer.
    pub answer: Option<String>,
    /// The language of both.
    pub language: Option<String>,
    /// The tags, replacing the old.
    pub tags: Option<Vec<String>>,
}

/// By which properties entries are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only entries of this language.
    pub language: Option<String>,
    /// Only entries with this tag.
    pub tag: Option<String>,
    /// Only entries in which all these words, or this very text, occur.
    pub text: Option<String>,
}

const QUESTION_CHARS_MAX: usize = 1_000;
const ANSWER_CHARS_MAX: usize = 10_000;
const TAGS_MAX: usize = 50;
const TAG_CHARS_MAX: usize = 64;

impl NewEntry {
    /// The same entry in the form in which it is stored.
    #[must_use]
    pub fn normalised(self) -> Self {
        let mut tags: Vec<String> = self.tags.iter().map(|tag| tag.trim().to_owned()).collect();
        tags.sort();
        tags.dedup();
        let (question, answer) = (self.question.trim().to_owned(), self.answer.trim().to_owned());
        Self { question, answer, tags, ..self }
    }

    /// Every fault of it.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |pointer: String, detail: String| faults.push(Fault { pointer, detail });
        let texts = [
            ("/question", &self.question, QUESTION_CHARS_MAX),
            ("/answer", &self.answer, ANSWER_CHARS_MAX),
        ];
        for (pointer, text, max) in texts {
            if !is_within(text, max) {
                fault(pointer.to_owned(), format!("expected 1 to {max} characters"));
            }
        }
        if !is_language(&self.language) {
            fault("/language".to_owned(), LANGUAGE_FORM.to_owned());
        }
        if self.tags.len() > TAGS_MAX {
            fault("/tags".to_owned(), format!("expected at most {TAGS_MAX} tags"));
        }
        for (index, tag) in self.tags.iter().enumerate() {
            if !is_within(tag, TAG_CHARS_MAX) {
                fault(
                    format!("/tags/{index}"),
                    format!("expected 1 to {TAG_CHARS_MAX} characters"),
                );
            }
        }
        faults
    }
}

fn is_within(text: &str, max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= max && !text.contains('\0')
}

impl Change {
    /// What the entry would hold with the change in it.
    pub fn apply(self, entry: &KnowledgeEntry) -> NewEntry {
        NewEntry {
            question: self.question.unwrap_or_else(|| entry.question.clone()),
            answer: self.answer.unwrap_or_else(|| entry.answer.clone()),
            language: self.language.unwrap_or_else(|| entry.language.clone()),
            tags: self.tags.unwrap_or_else(|| entry.tags.clone()),
        }
    }
}

/// Why something about a knowledge entry cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such entry.
    #[error("no such knowledge entry")]
    NotFound,
    /// It was changed meanwhile.
    #[error("the knowledge entry was changed meanwhile")]
    Stale,
    /// Fields are wrong.
    #[error("the knowledge entry is not valid")]
    Invalid(Vec<Fault>),
    /// The right or the database.
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
            Self::Below(error) => error.code(),
            Self::Invalid(_) => Code::Invalid,
            Self::NotFound => Code::NotFound,
            Self::Stale => Code::Stale,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        if let Self::Invalid(faults) = self { faults.clone() } else { Vec::new() }
    }

    fn detail(&self) -> Option<String> {
        if let Self::Below(error) = self { error.detail() } else { None }
    }

    fn retry_after_s(&self) -> Option<u32> {
        if let Self::Below(error) = self { error.retry_after_s() } else { None }
    }
}

#[cfg(test)]
mod tests;
