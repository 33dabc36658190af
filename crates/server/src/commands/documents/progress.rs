//! Room `server`: how far a move of documents is: a bar on a terminal, now and then a line
//! elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use misy_store::documents::moves::Step;
use std::io::IsTerminal;

/// Lines are written each time so many more hundredths are done.
const HUNDREDTHS: u64 = 10;

/// The progress of one tenant's move.
pub(super) struct Progress {
    bar: ProgressBar,
    slug: String,
    plain: bool,
    told: Option<(&'static str, u64)>,
}

impl Progress {
    /// Shows nothing yet.
    pub(super) fn of(slug: &str) -> Self {
        let plain = !std::io::stderr().is_terminal();
        let target =
            if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{prefix} {msg} [{bar:40}] {pos}/{len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(slug.to_owned());
        Self { bar, slug: slug.to_owned(), plain, told: None }
    }

    /// Shows a step.
    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Copied(done, total) => self.show("copied", done, total),
            Step::Compared(done, total) => self.show("compared", done, total),
            Step::Followed(_) => {}
            Step::CutOver => self.bar.finish_and_clear(),
        }
    }

    /// Shows how many documents are done.
    pub(super) fn count(&mut self, done: u64, total: u64) {
        self.show("done", done, total);
    }

    fn show(&mut self, what: &'static str, done: u64, total: u64) {
        self.bar.set_message(what);
        self.bar.set_length(total);
        self.bar.set_position(done);
        let part = (done * 100 / total.max(1)) / HUNDREDTHS;
        if self.plain && self.told != Some((what, part)) {
            self.told = Some((what, part));
            eprintln!("{}: {what} {done} of {total}", self.slug);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
