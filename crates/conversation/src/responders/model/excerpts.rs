//! Room `conversation`: which passage of a document answers a question.

use super::base;
use crate::knowledge_documents::Excerpt;

/// A passage never fits as well as a question that somebody has answered.
const WEIGHT: f64 = 0.9;

/// One word that a question and a passage share says nothing: a passage has many.
const SHARED_MIN: u32 = 2;

/// How well a passage fits a question, from 0 to 0.9: the part of the question's words that occur
/// in it or its heading.
fn score(excerpt: &Excerpt) -> f64 {
    if excerpt.shared < SHARED_MIN || excerpt.asked == 0 {
        return 0.0;
    }
    WEIGHT * f64::from(excerpt.shared) / f64::from(excerpt.asked)
}

/// The passage to answer with: the best one in the first of the preferred languages that has one
/// over the threshold, else the best in any. Of equally good ones the first of the oldest document.
pub(super) fn choose<'a>(
    excerpts: &'a [Excerpt],
    preferred: &[&str],
    threshold: f64,
) -> Option<(&'a Excerpt, f64)> {
    let scored = excerpts.iter().map(|excerpt| (excerpt, score(excerpt)));
    let mut fitting: Vec<_> =
        scored.filter(|(_, score)| *score > 0.0 && *score >= threshold).collect();
    fitting.sort_by(|(a, a_score), (b, b_score)| {
        let place = |it: &Excerpt| (it.document, it.position);
        b_score.total_cmp(a_score).then_with(|| place(a).cmp(&place(b)))
    });
    let speaks = |language: &&str| {
        fitting.iter().find(|(excerpt, _)| base(&excerpt.language) == base(language))
    };
    preferred.iter().find_map(speaks).or_else(|| fitting.first()).copied()
}

#[cfg(test)]
mod tests {
    use misy_core::KnowledgeDocumentId;
    use misy_core::id::TypedId;
    use uuid::Uuid;

    use super::*;

    fn excerpt(document: u128, language: &str, asked: u32, shared: u32) -> Excerpt {
        Excerpt {
            document: KnowledgeDocumentId::from_uuid(Uuid::from_u128(document)),
            position: 0,
            language: language.to_owned(),
            text: "x".to_owned(),
            asked,
            shared,
        }
    }

    fn chosen(excerpts: &[Excerpt], preferred: &[&str]) -> Option<u128> {
        choose(excerpts, preferred, 0.5).map(|(best, _)| best.document.uuid().as_u128())
    }

    #[test]
    fn a_passage_needs_most_of_the_questions_words_and_more_than_one() {
        assert_eq!(chosen(&[excerpt(1, "en", 3, 2)], &[]), Some(1));
        assert_eq!(chosen(&[excerpt(1, "en", 4, 2)], &[]), None, "half of it");
        assert_eq!(chosen(&[excerpt(1, "en", 1, 1)], &[]), None, "a single word");
        assert_eq!(chosen(&[excerpt(1, "en", 0, 0)], &[]), None);
        assert_eq!(choose(&[excerpt(1, "en", 3, 1)], &[], 0.0), None, "whatever the threshold");
    }

    #[test]
    fn a_preferred_language_goes_first_and_of_equals_the_oldest_document() {
        let all = [excerpt(3, "en", 2, 2), excerpt(2, "en", 2, 2), excerpt(1, "de", 3, 2)];
        assert_eq!(chosen(&all, &["de-AT"]), Some(1));
        assert_eq!(chosen(&all, &["fr"]), Some(2));
    }
}
