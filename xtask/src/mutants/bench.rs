//! Room `xtask`: where faults are tried: a copy of the tree, its own build, a database server of its
//! own.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::catalogue::Mutant;
use super::scratch::Scratch;
use super::template::Template;
use super::trial::{self, Ended};
use super::verdict::{Verdict, failed_tests, tests_run};
use crate::database::{Server, URL_VARIABLE};
use crate::steps::Steps;
use crate::workshop::Workshop;

/// The first build of all makes every dependency.
const BUILD_LIMIT: Duration = Duration::from_mins(40);
/// The tests of one fault; whole programs are started in some of them.
const TEST_LIMIT: Duration = Duration::from_mins(4);

/// What every trial needs.
pub(crate) struct Bench<'a> {
    workshop: &'a Workshop,
    scratch: Scratch,
    programs: PathBuf,
    logs: PathBuf,
    server: Server,
    template: RefCell<Option<Template>>,
    /// The selections of tests that were seen to pass without any fault.
    sound: RefCell<BTreeSet<Vec<String>>>,
}

impl<'a> Bench<'a> {
    /// Copies the tree and starts the server.
    pub(crate) fn set_up(workshop: &'a Workshop, steps: &Steps) -> Result<Self> {
        let place = workshop.state("mutants");
        let logs = place.join("logs");
        if logs.exists() {
            std::fs::remove_dir_all(&logs)?;
        }
        std::fs::create_dir_all(&logs)?;
        Ok(Self {
            workshop,
            scratch: Scratch::like(&workshop.root, place.join("tree"))?,
            programs: place.join("target"),
            server: Server::of_its_own(workshop, place.join("testdb"), steps)?,
            logs,
            template: RefCell::default(),
            sound: RefCell::default(),
        })
    }

    /// Puts the fault in, asks the tests, and takes it out again.
    pub(crate) fn judge(&self, mutant: &Mutant, steps: &Steps) -> Result<Verdict> {
        if !mutant.must_not_compile && !self.is_sound(mutant, steps)? {
            return Ok(Verdict::Broken);
        }
        match &mutant.sql {
            Some(sql) => self.judge_sql(mutant, sql, steps),
            None => self.judge_edit(mutant, steps),
        }
    }

    /// A test that fails without the fault proves nothing with it. One that fails on a busy machine
    /// gets a second chance.
    fn is_sound(&self, mutant: &Mutant, steps: &Steps) -> Result<bool> {
        let selection = selection(mutant);
        if self.sound.borrow().contains(&selection) {
            return Ok(true);
        }
        eprintln!("        without a fault: {}", selection.join(" "));
        let built = self.build(mutant, "without", steps)?;
        if !built.well() {
            bail!("the tree does not build without a fault:\n{}", tail(&built.text));
        }
        let mut ended = self.test(mutant, "without", steps)?;
        if !ended.well() {
            ended = self.test(mutant, "without", steps)?;
        }
        let sound = ended.well() && tests_run(&ended.text) > 0;
        if sound {
            self.sound.borrow_mut().insert(selection);
        } else {
            eprintln!("        fails without a fault, or is no test:\n{}", tail(&ended.text));
        }
        Ok(sound)
    }

    fn judge_sql(&self, mutant: &Mutant, sql: &str, steps: &Steps) -> Result<Verdict> {
        let mut template = self.template.borrow_mut();
        let template = match &mut *template {
            Some(template) => template,
            none => none.insert(Template::keep(&self.server.url)?),
        };
        if let Err(error) = template.with(sql) {
            eprintln!("        {error:#}");
            return Ok(Verdict::Broken);
        }
        let ended = self.test(mutant, &mutant.name, steps);
        template.undo(mutant.undo.as_deref().unwrap_or("select"))?;
        template.with("select")?;
        Ok(verdict(&ended?))
    }

    fn judge_edit(&self, mutant: &Mutant, steps: &Steps) -> Result<Verdict> {
        let applied = self.scratch.apply(&mutant.edit)?;
        let built = self.build(mutant, &mutant.name, steps)?;
        let verdict = match (built.well(), mutant.must_not_compile) {
            (false, true) => Verdict::Refused,
            (false, false) => Verdict::Broken,
            (true, true) => Verdict::Compiles,
            (true, false) => verdict(&self.test(mutant, &mutant.name, steps)?),
        };
        drop(applied);
        Ok(verdict)
    }

    fn build(&self, mutant: &Mutant, log: &str, steps: &Steps) -> Result<Ended> {
        let mut command = self.cargo(mutant);
        self.run(command.arg("--no-run"), log, BUILD_LIMIT, steps)
    }

    fn test(&self, mutant: &Mutant, log: &str, steps: &Steps) -> Result<Ended> {
        let mut command = self.cargo(mutant);
        command.arg("--").args(&mutant.tests).env(URL_VARIABLE, &self.server.url);
        if let Some(corpora) = self.workshop.corpora() {
            command.env("MISYBOT_CORPORA", corpora);
        }
        self.run(&mut command, log, TEST_LIMIT, steps)
    }

    fn cargo(&self, mutant: &Mutant) -> Command {
        let mut command = Command::new("cargo");
        command.args(["test", "--package", &mutant.package]);
        let target: &[&str] = if mutant.target == "lib" { &["--lib"] } else { &["--test", "it"] };
        command.args(target).current_dir(&self.scratch.root);
        command.env("CARGO_TARGET_DIR", &self.programs);
        command
    }

    fn run(
        &self,
        command: &mut Command,
        log: &str,
        limit: Duration,
        steps: &Steps,
    ) -> Result<Ended> {
        trial::run(command, &self.logs.join(format!("{log}.log")), limit, steps)
    }
}

fn selection(mutant: &Mutant) -> Vec<String> {
    let mut all = vec![mutant.package.clone(), mutant.target.clone()];
    all.extend(mutant.tests.iter().cloned());
    all
}

fn verdict(ended: &Ended) -> Verdict {
    match ended.status {
        None => Verdict::Hung,
        Some(status) if status.success() => Verdict::Survived,
        Some(_) => Verdict::Caught { by: failed_tests(&ended.text) },
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
