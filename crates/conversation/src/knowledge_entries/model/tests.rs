//! Room `conversation`: tests of what makes an entry.

use super::*;

fn entry(question: &str, answer: &str, language: &str, tags: &[&str]) -> NewEntry {
    NewEntry {
        question: question.to_owned(),
        answer: answer.to_owned(),
        language: language.to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    }
}

#[test]
fn every_fault_is_told_with_its_place() {
    let faulty = entry(" ", &"x".repeat(10_001), "English", &["ok", ""]);
    let pointers: Vec<String> = faulty.faults().into_iter().map(|fault| fault.pointer).collect();
    assert_eq!(pointers, ["/question", "/answer", "/language", "/tags/1"]);
    assert!(entry("q\0", "a", "en", &[]).faults().len() == 1, "it could not be stored");
}

#[test]
fn texts_are_trimmed_and_tags_sorted_each_once() {
    let stored = entry(" Where? ", " There.\n", "en", &["b", " a ", "b"]).normalised();
    assert_eq!(stored, entry("Where?", "There.", "en", &["a", "b"]));
    assert_eq!(stored.clone().normalised(), stored);
    assert_eq!(stored.faults(), []);
}

#[test]
fn a_change_leaves_what_it_does_not_name() {
    let ambient = misy_testkit::ambient();
    let before = KnowledgeEntry {
        id: ambient.id(),
        question: "Where?".to_owned(),
        answer: "There.".to_owned(),
        language: "en".to_owned(),
        tags: vec!["a".to_owned()],
        version: 1,
        created_at: ambient.now(),
        updated_at: ambient.now(),
    };
    assert_eq!(Change::default().apply(&before), entry("Where?", "There.", "en", &["a"]));
    let change =
        Change { answer: Some("Here.".to_owned()), tags: Some(vec![]), ..Change::default() };
    assert_eq!(change.apply(&before), entry("Where?", "Here.", "en", &[]));
}
