//! Room `conversation`: tests of how well an entry fits and what is said.

use misy_core::id::TypedId;
use misy_testkit::ambient;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn candidate(id: u128, language: &str, counts: [u32; 4]) -> Candidate {
    let [asked, known, in_question, in_either] = counts;
    Candidate {
        entry: KnowledgeEntryId::from_uuid(Uuid::from_u128(id)),
        language: language.to_owned(),
        question: String::new(),
        answer: format!("answer {id}"),
        asked,
        known,
        in_question,
        in_either,
    }
}

fn turn(text: &str) -> Turn {
    let ambient = ambient();
    Turn {
        message: ambient.id(),
        conversation: ambient.id(),
        contact: ambient.id(),
        content: Content::text(text),
        at: ambient.now(),
        detected_language: None,
        contact_language: None,
        tenant_locale: None,
        waiting: false,
    }
}

fn sentence(reply: Reply) -> String {
    match reply {
        Reply::HandOver { content: Some(Content::Text(text)), .. } => text.text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_words_fit_fully_and_a_common_word_of_many_does_not_fit() {
    let fits = |counts| score("x", &candidate(1, "en", counts));
    assert_eq!(fits([2, 2, 2, 2]).to_bits(), 1.0_f64.to_bits());
    assert!(fits([1, 2, 1, 1]) > 0.6, "when are you *open* / opening hours");
    assert!(fits([4, 2, 1, 1]) < 0.5, "do you open a bank account");
    assert!(fits([2, 2, 1, 2]) > fits([2, 2, 1, 1]), "the answer supports");
    assert!(fits([1, 1, 0, 1]) < 0.5, "and never decides");
}

#[test]
fn a_preferred_language_goes_before_a_better_fit_in_another() {
    let found = Found {
        languages: vec!["de".to_owned(), "en".to_owned()],
        candidates: vec![candidate(1, "de", [3, 2, 2, 2]), candidate(2, "en", [2, 2, 2, 2])],
    };
    let best = |preferred: &[&str]| {
        choose("x", &found, preferred, 0.5).map(|(candidate, _)| candidate.language.clone())
    };
    assert_eq!(best(&["de-AT"]).as_deref(), Some("de"));
    assert_eq!(best(&["fr"]).as_deref(), Some("en"));
    assert_eq!(best(&[]).as_deref(), Some("en"));
}

#[test]
fn of_equally_good_entries_the_oldest_is_given() {
    let all = [3, 1, 2].map(|id| candidate(id, "en", [2, 2, 2, 2]));
    let found = Found { languages: vec!["en".to_owned()], candidates: all.to_vec() };
    let (best, _) = choose("x", &found, &[], 0.5).expect("all fit");
    assert_eq!(best.answer, "answer 1");
}

#[test]
fn courtesy_is_taken_out_and_the_question_stays() {
    assert_eq!(essence("Hello, what are your hours, please?"), "what are your hours,");
    assert_eq!(essence("Hallo! Wo seid ihr? Danke!"), "Wo seid ihr?");
    assert_eq!(essence(" Hi! "), "Hi!", "a greeting alone may have an answer too");
}

#[test]
fn the_sentence_is_said_in_the_likeliest_language() {
    let said = |turn: &Turn, languages: &[&str]| {
        let languages: Vec<String> = languages.iter().map(|one| (*one).to_owned()).collect();
        sentence(hand_over(turn, HandOverReason::NoMatch, &languages))
    };
    let none = turn("?");
    assert!(said(&none, &[]).starts_with("Thank you"));
    assert!(said(&none, &["fr"]).starts_with("Merci"));
    let locale = Turn { tenant_locale: Some("nl-BE".to_owned()), ..none.clone() };
    assert!(said(&locale, &[]).starts_with("Bedankt"));
    let contact = Turn { contact_language: Some("pt-BR".to_owned()), ..locale };
    assert!(said(&contact, &["fr"]).starts_with("Obrigado"));
    let detected = Turn { detected_language: Some("tr".to_owned()), ..contact };
    assert!(said(&detected, &["fr"]).starts_with("Mesajınız"));
    let unknown = Turn { detected_language: Some("ja".to_owned()), ..detected };
    assert!(said(&unknown, &["fr"]).starts_with("Obrigado"), "the next one that has a sentence");
}

#[test]
fn long_texts_are_told_by_language_and_short_ones_only_among_the_tenants() {
    let german = "Meine Bestellung ist leider immer noch nicht bei mir angekommen, was nun?";
    assert_eq!(detect(german), Some("de"));
    assert_eq!(detect("ok"), None);
    let languages = ["de".to_owned(), "en".to_owned()];
    assert_eq!(detect_among("wann habt ihr geöffnet", &languages).as_deref(), Some("de"));
    assert_eq!(detect_among("opening hours", &languages).as_deref(), Some("en"));
    for too_short in ["hello", "ok", "help", "asdf qwer"] {
        assert_eq!(detect_among(too_short, &languages), None, "{too_short}");
    }
    assert_eq!(detect_among("wann habt ihr geöffnet", &languages[..1]), None);
    assert_eq!(detect_among("anything", &["tlh".to_owned(), "en".to_owned()]), None);
}

#[test]
fn events_and_reactions_want_no_answer_but_an_order_does() {
    let event = |name: &str| {
        let (name, data) = (name.to_owned(), serde_json::Map::new());
        Content::Event(misy_channel::content::EventContent { name, text: None, data })
    };
    assert!(is_quiet(&event("request_welcome")));
    assert!(!is_quiet(&event("order")) && !is_quiet(&Content::text("x")));
}

proptest! {
    #[test]
    fn a_score_is_between_0_and_1_and_1_only_for_the_same_words(
        asked in 0..40_u32, known in 0..40_u32, shared in 0..40_u32, more in 0..40_u32,
    ) {
        let in_question = shared.min(asked).min(known);
        let in_either = in_question + more.min(asked - in_question);
        let fits = score("", &candidate(1, "en", [asked, known, in_question, in_either]));
        prop_assert!((0.0..=1.0).contains(&fits));
        if fits >= 1.0 {
            prop_assert!(in_question == known);
        }
        if in_question < asked.min(known) {
            let more = in_question + 1;
            let better = candidate(1, "en", [asked, known, more, in_either.max(more)]);
            prop_assert!(score("", &better) >= fits, "one more shared word never fits worse");
        }
    }

    #[test]
    fn what_is_chosen_does_not_depend_on_the_order_of_candidates(
        counts in prop::collection::vec((1..9_u32, 1..9_u32, 0..9_u32), 0..8),
        threshold in 0.0..1.0_f64,
    ) {
        let candidates: Vec<Candidate> = counts
            .into_iter()
            .zip(1_u128..)
            .map(|((asked, known, shared), id)| {
                let shared = shared.min(asked).min(known);
                candidate(id, if id % 2 == 0 { "en" } else { "de" }, [asked, known, shared, shared])
            })
            .collect();
        let mut reversed = Found { languages: Vec::new(), candidates: candidates.clone() };
        reversed.candidates.reverse();
        let found = Found { languages: Vec::new(), candidates };
        let chosen = |found: &Found| {
            choose("x", found, &["de"], threshold).map(|(candidate, _)| candidate.entry)
        };
        prop_assert_eq!(chosen(&found), chosen(&reversed));
    }

    #[test]
    fn no_text_makes_the_rules_panic(text in ".{0,80}") {
        let found = Found::default();
        let text = essence(&text);
        let _ = (detect(&text), answer(&turn(&text), &text, &found, 0.5));
        let _ = without_entry(&turn(&text), &text, &found, &[], 0.5);
    }
}
