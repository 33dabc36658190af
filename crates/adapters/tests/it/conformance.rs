//! The conformance suite of every adapter.

use misy_channel::conformance::{self, Verdict};

use crate::emulator::{Emulator, egress};
use crate::shown::whatsapp;

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
