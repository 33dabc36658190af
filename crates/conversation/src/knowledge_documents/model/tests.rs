//! Room `conversation`: rules of knowledge documents.

use misy_core::id::TypedId;
use proptest::prelude::*;

use super::passages::PASSAGE_CHARS_MAX;
use super::*;

fn new(title: &str, text: &str) -> NewDocument {
    let of = |text: &str| text.to_owned();
    NewDocument { title: of(title), language: of("en"), text: of(text), tags: Vec::new() }
}

fn texts(text: &str) -> Vec<(String, String)> {
    cut("Guide", text).into_iter().map(|passage| (passage.heading, passage.text)).collect()
}

fn pair(heading: &str, text: &str) -> (String, String) {
    (heading.to_owned(), text.to_owned())
}

#[test]
fn short_paragraphs_stand_together_under_their_heading() {
    let text =
        "Welcome.\n\nGlad you\nare here.\n## Returns ##\nWithin 30 days.\n\n\nFree.\n#hashtag";
    let expected = [
        pair("Guide", "Welcome.\n\nGlad you\nare here."),
        pair("Returns", "Within 30 days.\n\nFree.\n#hashtag"),
    ];
    assert_eq!(texts(text), expected);
    assert_eq!(texts("# Only a heading"), []);
    assert_eq!(texts(" \n\r\n"), []);
}

#[test]
fn a_long_paragraph_is_cut_at_the_end_of_a_sentence() {
    let sentence = "This is a sentence of some length that says very little of anything at all. ";
    let found = texts(&sentence.repeat(30));
    assert!(found.len() >= 3, "{}", found.len());
    assert!(found.iter().all(|(_, text)| text.ends_with("at all.")), "{found:?}");
}

proptest! {
    #[test]
    fn passages_fit_and_hold_every_letter_of_the_text(text in "(?s).{0,3000}") {
        let passages = cut("t", &text);
        let letters = |text: &str| {
            let kept = text.chars().filter(|it| it.is_alphanumeric());
            kept.collect::<String>()
        };
        let mut heard = String::new();
        let mut heading = "t".to_owned();
        for passage in &passages {
            prop_assert!(passage.text.chars().count() <= PASSAGE_CHARS_MAX);
            prop_assert!(!passage.text.trim().is_empty());
            if passage.heading != heading {
                heard.push_str(&letters(&passage.heading));
                heading.clone_from(&passage.heading);
            }
            heard.push_str(&letters(&passage.text));
        }
        // Headings without a text below them have no passage; there are none without a `#`.
        if !text.contains('#') {
            prop_assert_eq!(heard, letters(&text));
        }
    }
}

#[test]
fn every_fault_is_told_with_its_place() {
    let mut wrong = new(" ", "\0");
    wrong.language = "English".to_owned();
    wrong.tags = vec![String::new(), "x".repeat(65)];
    let pointers: Vec<String> = wrong.faults().into_iter().map(|fault| fault.pointer).collect();
    assert_eq!(pointers, ["/title", "/text", "/language", "/tags/0", "/tags/1"]);
    assert_eq!(new("t", &"x".repeat(TEXT_BYTES_MAX)).faults(), []);
    assert_eq!(new("t", &"x".repeat(TEXT_BYTES_MAX + 1)).faults().len(), 1);
    assert_eq!(new(&"t".repeat(301), "x").faults().len(), 1);
}

#[test]
fn tags_are_kept_in_order_and_each_once() {
    let mut given = new(" Guide ", "x");
    given.tags = vec!["b".to_owned(), " a ".to_owned(), "b".to_owned()];
    let kept = given.normalised();
    assert_eq!((kept.title.as_str(), kept.tags), ("Guide", vec!["a".to_owned(), "b".to_owned()]));
}

#[test]
fn a_word_without_an_end_is_cut_and_not_dropped() {
    let found = texts(&"x".repeat(PASSAGE_CHARS_MAX * 3 + 5));
    assert_eq!(found.len(), 4);
    assert_eq!(found.iter().map(|(_, text)| text.len()).sum::<usize>(), PASSAGE_CHARS_MAX * 3 + 5);
    let family = "👨‍👩‍👧".repeat(PASSAGE_CHARS_MAX);
    assert!(texts(&family).iter().all(|(_, text)| text.starts_with('👨')), "between characters");
}

#[test]
fn what_looks_like_a_heading_and_is_none_stays_in_the_text() {
    for line in ["#hashtag", "####### seven", "#", "a # b"] {
        assert_eq!(texts(line), [pair("Guide", line)], "{line}");
    }
    assert_eq!(texts("###### Deep\nx"), [pair("Deep", "x")]);
}

#[test]
fn a_change_leaves_what_it_does_not_name() {
    let before = KnowledgeDocument {
        id: KnowledgeDocumentId::from_uuid(Uuid::from_u128(1)),
        title: "Guide".to_owned(),
        language: "en".to_owned(),
        tags: vec!["a".to_owned()],
        body: Uuid::from_u128(2),
        bytes: 3,
        passages: 1,
        is_indexed: true,
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    let same = Change::default().apply(&before, "old".to_owned());
    let expected = NewDocument { tags: before.tags.clone(), ..new("Guide", "old") };
    assert_eq!(same, expected);
    let change = Change { text: Some("new".to_owned()), ..Change::default() };
    assert_eq!(change.apply(&before, "old".to_owned()).text, "new");
}

#[test]
fn each_error_has_its_code() {
    let codes = [Error::NotFound, Error::Stale, Error::Lost, Error::Invalid(Vec::new())];
    let slugs = codes.map(|error| error.code());
    assert_eq!(slugs, [Code::NotFound, Code::Stale, Code::Internal, Code::Invalid]);
    let faults = new(" ", "x").faults();
    assert_eq!(Error::Invalid(faults.clone()).faults(), faults);
    assert_eq!(Error::NotFound.faults(), []);
}
