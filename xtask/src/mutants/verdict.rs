//! Room `xtask`: what became of a fault, and how that is told.

use std::fmt::Write as _;
use std::time::Duration;

use super::catalogue::Mutant;

/// What became of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// These tests failed.
    Caught { by: Vec<String> },
    /// The compiler refused it, as it must.
    Refused,
    /// A test did not end.
    Hung,
    /// All tests that must notice passed.
    Survived,
    /// It compiles, and must not.
    Compiles,
    /// It cannot be put in, or does not compile and was not said to be such a wall: nothing is known.
    Broken,
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Caught { .. } => "caught",
            Self::Refused => "refused",
            Self::Hung => "hung",
            Self::Survived => "SURVIVED",
            Self::Compiles => "COMPILES",
            Self::Broken => "BROKEN",
        }
    }

    fn by(&self) -> String {
        match self {
            Self::Caught { by } => match by.as_slice() {
                [] => "the test program itself ended".to_owned(),
                [only] => only.clone(),
                [first, rest @ ..] => format!("{first} and {} more", rest.len()),
            },
            Self::Refused => "the compiler".to_owned(),
            Self::Hung => "a test that never ended".to_owned(),
            Self::Survived => "nobody: write the test that is missing".to_owned(),
            Self::Compiles => "nobody: the compiler was said to refuse it".to_owned(),
            Self::Broken => "nobody: it cannot be tried; mend the fault".to_owned(),
        }
    }
}

/// A fault and its verdict.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    name: String,
    kind: String,
    elapsed: Duration,
    pub(crate) verdict: Verdict,
}

impl Judged {
    pub(crate) fn new(mutant: &Mutant, verdict: Verdict, elapsed: Duration) -> Self {
        let (name, kind) = (mutant.name.clone(), mutant.kind.clone());
        Self { name, kind, elapsed, verdict }
    }

    /// One line of the table.
    pub(crate) fn line(&self) -> String {
        let (word, seconds) = (self.verdict.word(), self.elapsed.as_secs_f64());
        let (kind, name, by) = (&self.kind, &self.name, self.verdict.by());
        format!("{word:<9} {kind:<10} {seconds:>6.1} s  {name:<52} {by}")
    }
}

/// A fault as `--list` shows it.
pub(crate) fn listed(mutant: &Mutant) -> String {
    format!("{:<10} {:<52} {}", mutant.kind, mutant.name, mutant.says)
}

/// All verdicts, those that need work last, and the score of each kind.
pub(crate) fn table(judged: &[Judged]) -> String {
    let mut lines: Vec<&Judged> = judged.iter().collect();
    lines.sort_by_key(|one| (!one.verdict.is_caught(), one.kind.clone(), one.name.clone()));
    let mut text = String::new();
    for one in &lines {
        let _ = writeln!(text, "{}", one.line());
    }
    let mut kinds: Vec<&str> = lines.iter().map(|one| one.kind.as_str()).collect();
    kinds.dedup();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let of_kind: Vec<Judged> = judged.iter().filter(|one| one.kind == kind).cloned().collect();
        let _ = writeln!(text, "  {kind:<10} {}", score(&of_kind));
    }
    text
}

/// Noticed of all.
pub(crate) fn score(judged: &[Judged]) -> String {
    let caught = judged.iter().filter(|one| one.verdict.is_caught()).count();
    format!("{caught}/{}", judged.len())
}

/// The names of the tests that a run of libtest says have failed.
pub(crate) fn failed_tests(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("test "));
    let failed = lines.filter_map(|line| line.strip_suffix(" ... FAILED"));
    failed.map(|name| name.trim_end_matches(" - should panic").to_owned()).collect()
}

/// How many tests a run of libtest says it runs.
pub(crate) fn tests_run(text: &str) -> usize {
    let counts = text.lines().filter_map(|line| line.strip_prefix("running ")?.split(' ').next());
    counts.filter_map(|count| count.parse::<usize>().ok()).sum()
}
