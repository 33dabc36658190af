//! The conformance suite of every adapter.

use misy_channel::conformance::{self, Verdict};

use crate::emulator::{Emulator, egress};
use crate::shown::whatsapp;
use crate::visitor::{Page, webchat};

#[tokio::test]
async fn whatsapp_passes_the_suite_and_skips_nothing() {
    let emulator = Emulator::start().await;
    let report = conformance::run(&*whatsapp(), &egress(), &emulator).await;
    for (name, verdict) in &report {
        eprintln!("{name}: {verdict:?}");
    }
    let missed: Vec<_> = report.iter().filter(|(_, one)| *one != Verdict::Passed).collect();
    assert_eq!(missed, Vec::<&(&str, Verdict)>::new());
    assert!(report.len() >= 25, "{} cases", report.len());
}

/// What a channel without a provider cannot be asked: there is nobody who could misbehave.
const NOT_OF_A_PAGE: [&str; 20] = [
    "the handshake gives the challenge back",
    "a reply quotes",
    "a list arrives",
    "a list without a label arrives",
    "a location arrives",
    "a contact card arrives",
    "a picture with a caption arrives",
    "a film arrives",
    "a sound arrives",
    "a document arrives",
    "a sticker arrives",
    "a template arrives",
    "a reaction arrives and is taken back",
    "a customer without a number is reached",
    "a status before the answer finds its message",
    "a lost answer is an unknown outcome, sent once",
    "too many messages are throttled",
    "a passing fault is transient",
    "a bad token is the account's failure",
    "a closed window is told as such",
];

#[tokio::test]
async fn a_web_chat_passes_the_suite_and_skips_what_it_cannot_carry() {
    let page = Page::open();
    let report = conformance::run(&*webchat(), &egress(), &page).await;
    let failed = |one: &Verdict| matches!(one, Verdict::Failed(_));
    let failed: Vec<_> = report.iter().filter(|(_, one)| failed(one)).collect();
    assert_eq!(failed, Vec::<&(&str, Verdict)>::new());
    let skipped = report.iter().filter(|(_, one)| *one != Verdict::Passed).map(|(name, _)| *name);
    assert_eq!(skipped.collect::<Vec<_>>(), NOT_OF_A_PAGE);
    assert!(report.len() >= 25, "{} cases", report.len());
}
