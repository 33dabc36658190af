//! Room `xtask`: `cargo xtask test`, the whole suite on a private PostgreSQL.

use std::process::Command;

use anyhow::Result;

use crate::database::{self, Server, URL_VARIABLE};
use crate::steps::Steps;
use crate::workshop::Workshop;
use crate::{gates, judges, mongo, postgres, providers, redis, verifiers};

/// `cargo xtask test`.
pub(crate) fn test(workshop: &Workshop, arguments: &[String]) -> Result<()> {
    let mut steps = Steps::begin()?;
    gates::rooms_step(workshop, &mut steps)?;
    run_tests(workshop, &mut steps, &Selection::new(arguments))?;
    steps.finish()
}

/// Builds, starts the server, runs the selected tests and stops the server whatever happened.
pub(crate) fn run_tests(
    workshop: &Workshop,
    steps: &mut Steps,
    selection: &Selection,
) -> Result<()> {
    steps.step("postgresql", |_| postgres::ensure(workshop).map(|()| true))?;
    steps.step("document server", |_| mongo::ensure(workshop).map(|()| true))?;
    steps.step("judges", |_| judges::ensure(workshop).map(|()| true))?;
    steps.step("identity providers", |_| providers::ensure(workshop).map(|()| true))?;
    steps.step("redis", |_| redis::ensure(workshop).map(|()| true))?;
    steps.step("webhook libraries", |_| verifiers::ensure(workshop).map(|()| true))?;
    let mut build = if selection.packages {
        database::build(workshop)
    } else {
        workshop.cargo(&["build", "--workspace", "--all-targets"])
    };
    if !steps.run("build", &mut build)? {
        return Ok(());
    }
    let mut server = None;
    steps.step("test database", |steps| {
        server = Some(Server::for_tests(workshop, steps)?);
        Ok(true)
    })?;
    let url = server.as_ref().map_or("", |server| server.url.as_str());
    if selection.is_everything() {
        let mut documentation = workshop.cargo(&["test", "--quiet", "--doc", "--workspace"]);
        steps.run("documentation tests", with_environment(&mut documentation, workshop, url))?;
    }
    let mut tests = selection.command(workshop, workshop.answers("cargo", &["nextest", "-V"]));
    steps.run("tests", with_environment(&mut tests, workshop, url))?;
    Ok(())
}

fn with_environment<'a>(
    command: &'a mut Command,
    workshop: &Workshop,
    url: &str,
) -> &'a mut Command {
    if let Some(corpora) = workshop.corpora() {
        command.env("MISYBOT_CORPORA", corpora);
    }
    command.env(URL_VARIABLE, url)
}

/// Which tests to run, and with which variables.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    arguments: Vec<String>,
    packages: bool,
    optional: bool,
    variables: Vec<(&'static str, &'static str)>,
}

impl Selection {
    /// What the command line selects.
    pub(crate) fn new(arguments: &[String]) -> Self {
        let packages =
            arguments.iter().any(|it| it.starts_with("-p") || it.starts_with("--package"));
        Self { arguments: arguments.to_vec(), packages, ..Self::default() }
    }

    /// The tests with this part in their names; it may be none.
    pub(crate) fn named(part: &str) -> Self {
        Self { arguments: vec![part.to_owned()], optional: true, ..Self::default() }
    }

    /// With a variable in the tests' environment.
    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    fn is_everything(&self) -> bool {
        self.arguments.is_empty() && self.variables.is_empty()
    }

    /// The runner's command line. `cargo test` takes names after `--`, nextest anywhere.
    fn command(&self, workshop: &Workshop, nextest: bool) -> Command {
        let mut command = workshop.cargo(if nextest { &["nextest", "run"] } else { &["test"] });
        if !self.packages {
            command.arg("--workspace");
        }
        if nextest {
            let none = if self.optional { "--no-tests=pass" } else { "--no-tests=fail" };
            command.arg(none).args(&self.arguments);
        } else {
            command.args(["--no-fail-fast", "--all-targets"]);
            let (options, names) = self.split();
            command.args(options).arg("--").args(names);
        }
        command.envs(self.variables.iter().copied());
        command
    }

    /// Options with their values, and the rest.
    fn split(&self) -> (Vec<&str>, Vec<&str>) {
        let (mut options, mut names, mut value) = (Vec::new(), Vec::new(), false);
        for argument in self.arguments.iter().map(String::as_str) {
            if value || argument.starts_with('-') {
                value = matches!(argument, "-p" | "--package");
                options.push(argument);
            } else {
                names.push(argument);
            }
        }
        (options, names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arguments: &[&str], nextest: bool) -> String {
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let command = Selection::new(&arguments).command(&Workshop::find().unwrap(), nextest);
        let words: Vec<_> = command.get_args().map(|it| it.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn without_arguments_everything_runs() {
        assert_eq!(line(&[], true), "nextest run --workspace --no-tests=fail");
        assert_eq!(line(&[], false), "test --workspace --no-fail-fast --all-targets --");
    }

    #[test]
    fn a_chosen_package_is_the_only_one_that_runs() {
        assert_eq!(
            line(&["-p", "misy-core", "ids"], true),
            "nextest run --no-tests=fail -p misy-core ids"
        );
        assert_eq!(
            line(&["-p", "misy-core", "ids"], false),
            "test --no-fail-fast --all-targets -p misy-core -- ids"
        );
    }

    #[test]
    fn a_selection_may_be_empty_only_if_it_says_so() {
        let command = Selection::named("golden").command(&Workshop::find().unwrap(), true);
        assert!(command.get_args().any(|it| it == "--no-tests=pass"));
    }
}
