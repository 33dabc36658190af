//! Room `conversation`: what a responder is asked, what it can say, and how well an entry fits.

mod context;
mod excerpts;
mod languages;
mod sentences;
mod words;

use misy_channel::Content;
use misy_core::{Code, ContactId, ConversationId, KnowledgeEntryId, MessageId, Public, Timestamp};

use serde::{Deserialize, Serialize};

use crate::knowledge_documents::Excerpt;
use crate::messages::Citation;
use crate::{Below, messages};

pub use context::{Answered, Context, HandedOver};
pub(crate) use languages::{base, detect, detect_among};
pub use sentences::hand_over_sentence;
pub(crate) use words::essence;

/// A customer's message that wants an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The message.
    pub message: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Who wrote it.
    pub contact: ContactId,
    /// What it says.
    pub content: Content,
    /// When it was stored.
    pub at: Timestamp,
    /// The language it is certainly written in, if that can be told.
    pub detected_language: Option<String>,
    /// The language the contact is known to write.
    pub contact_language: Option<String>,
    /// The tenant's language and region.
    pub tenant_locale: Option<String>,
    /// Whether the customer waits for a person already.
    pub waiting: bool,
}

/// What a responder says.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The answer.
    Answer {
        /// What it says.
        content: Content,
        /// What it was taken from.
        citations: Vec<Citation>,
    },
    /// People must look at it.
    HandOver {
        /// What the customer is told, once a hand-over.
        content: Option<Content>,
        /// Why.
        reason: HandOverReason,
    },
    /// Nothing is to be said.
    Silent,
}

impl Reply {
    /// The name under which it is counted.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Answer { .. } => "answer",
            Self::HandOver { reason: HandOverReason::NoMatch, .. } => "hand_over_no_match",
            Self::HandOver { reason: HandOverReason::NotText, .. } => "hand_over_not_text",
            Self::HandOver { reason: HandOverReason::Asked, .. } => "hand_over_asked",
            Self::Silent => "silent",
        }
    }
}

/// Why people must look at a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandOverReason {
    /// Nothing that is known fits.
    NoMatch,
    /// It holds no words.
    NotText,
    /// The customer wants a person.
    Asked,
}

/// What a library found for a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The languages in which the tenant has entries.
    pub languages: Vec<String>,
    /// Entries that share words with the text, the most promising of each language.
    pub candidates: Vec<Candidate>,
}

/// An entry that shares words with a text. Words are counted by their stem, each once, and without
/// those that say nothing ("the", "is"), as the entry's language has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which entry.
    pub entry: KnowledgeEntryId,
    /// Its language.
    pub language: String,
    /// Its question.
    pub question: String,
    /// Its answer.
    pub answer: String,
    /// Words of the text.
    pub asked: u32,
    /// Words of the question.
    pub known: u32,
    /// Words of the text that occur in the question.
    pub in_question: u32,
    /// Words of the text that occur in the question or the answer.
    pub in_either: u32,
}

/// How much a word counts that occurs in the answer only.
const ANSWER_WEIGHT: f64 = 0.5;

/// How well an entry fits a text, from 0 to 1: twice the weight of the words they share by the
/// number of words of both (the coefficient of Dice, "Measures of the Amount of Ecologic
/// Association", 1945). It is 1 only if question and text have the same words, and sinks with every
/// word that either has alone, so a long text is not matched by one common word. Words of the
/// answer support a match and never make one.
pub(crate) fn score(text: &str, candidate: &Candidate) -> f64 {
    let Candidate { asked, known, in_question, in_either, .. } = candidate;
    if asked + known == 0 {
        return words::overlap(text, &candidate.question);
    }
    let in_answer = in_either.saturating_sub(*in_question);
    let shared = f64::from(*in_question) + ANSWER_WEIGHT * f64::from(in_answer);
    let score = 2.0 * shared / f64::from(asked + known);
    if *in_question == 0 { score * ANSWER_WEIGHT } else { score.min(1.0) }
}

/// The entry to answer with: the best one in the first of the preferred languages that has one over
/// the threshold, else the best in any language. Of equally good ones the oldest.
pub(crate) fn choose<'a>(
    text: &str,
    found: &'a Found,
    preferred: &[&str],
    threshold: f64,
) -> Option<(&'a Candidate, f64)> {
    let mut fitting: Vec<(&Candidate, f64)> = found
        .candidates
        .iter()
        .map(|candidate| (candidate, score(text, candidate)))
        .filter(|(_, score)| *score >= threshold)
        .collect();
    fitting.sort_by(|(a, a_score), (b, b_score)| {
        b_score.total_cmp(a_score).then_with(|| a.entry.cmp(&b.entry))
    });
    let speaks = |language: &&str| {
        let of = |candidate: &Candidate| base(&candidate.language) == base(language);
        fitting.iter().find(|(candidate, _)| of(candidate))
    };
    preferred.iter().find_map(speaks).or_else(|| fitting.first()).copied()
}

/// The answer of the entry that fits a message, if one does.
pub(crate) fn answer(turn: &Turn, text: &str, found: &Found, threshold: f64) -> Option<Reply> {
    let among = detect_among(text, &found.languages);
    let (best, score) = choose(text, found, &preferred(turn, among.as_deref()), threshold)?;
    let citations = vec![Citation::entry(best.entry, score)];
    Some(Reply::Answer { content: Content::text(&best.answer), citations })
}

/// What is said to a message that no entry fits: a passage that does, else that people will look.
pub(crate) fn without_entry(
    turn: &Turn,
    text: &str,
    found: &Found,
    excerpts: &[Excerpt],
    threshold: f64,
) -> Reply {
    let mut languages: Vec<String> = excerpts.iter().map(|one| one.language.clone()).collect();
    languages.dedup();
    let among = detect_among(text, &languages);
    let preferred = preferred(turn, among.as_deref());
    match excerpts::choose(excerpts, &preferred, threshold) {
        Some((best, score)) => Reply::Answer {
            content: Content::text(&best.text),
            citations: vec![Citation::passage(best.document, best.position, score)],
        },
        None => hand_over(turn, HandOverReason::NoMatch, &found.languages),
    }
}

/// Languages that the customer most likely understands, the likeliest first.
fn preferred<'a>(turn: &'a Turn, among: Option<&'a str>) -> Vec<&'a str> {
    let spoken = [turn.detected_language.as_deref(), turn.contact_language.as_deref()];
    let mut preferred: Vec<&str> = spoken.into_iter().flatten().collect();
    if turn.detected_language.is_none() {
        preferred.splice(0..0, among);
    }
    preferred
}

/// Hands over with a sentence in the language that the customer most likely understands.
pub(crate) fn hand_over(turn: &Turn, reason: HandOverReason, of_tenant: &[String]) -> Reply {
    let only = if let [only] = of_tenant { Some(only.as_str()) } else { None };
    let among = turn.content.words().and_then(|words| detect_among(words, of_tenant));
    let candidates = [
        turn.detected_language.as_deref(),
        turn.contact_language.as_deref(),
        among.as_deref(),
        only,
        turn.tenant_locale.as_deref(),
    ];
    let sentence = candidates.into_iter().flatten().find_map(hand_over_sentence);
    let sentence = sentence.unwrap_or(sentences::FALLBACK);
    Reply::HandOver { content: Some(Content::text(sentence)), reason }
}

/// Things that happen in a conversation and want no answer from anybody.
const QUIET_EVENTS: [&str; 4] =
    ["customer_identity_changed", "number_changed", "request_welcome", "revoked"];

/// Whether a message wants no answer at all, from nobody.
pub(crate) fn is_quiet(content: &Content) -> bool {
    match content {
        Content::Reaction(_) => true,
        Content::Event(event) => QUIET_EVENTS.contains(&event.name.as_str()),
        _ => false,
    }
}

/// Why a message cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The answer could not be written.
    #[error(transparent)]
    Message(#[from] messages::Error),
    /// The responder itself cannot answer for now.
    #[error("the responder failed")]
    Responder(#[source] Box<dyn std::error::Error + Send + Sync>),
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
            Self::Message(error) => error.code(),
            Self::Responder(_) => Code::Unavailable,
            Self::Below(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Message(error) => error.detail(),
            Self::Responder(_) => None,
            Self::Below(error) => error.detail(),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Message(error) => error.retry_after_s(),
            Self::Responder(_) => None,
            Self::Below(error) => error.retry_after_s(),
        }
    }
}

#[cfg(test)]
mod tests;
