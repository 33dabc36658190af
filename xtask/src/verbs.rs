//! Room `xtask`: the table of verbs, their help, and the way from a command line to one of them.

use std::fmt;
use std::fmt::Write as _;

use anyhow::Result;

use crate::workshop::Workshop;
use crate::{database, gates, golden, mutants, program, suite};

/// A command line that says nothing we know; exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// One verb.
pub(crate) struct Verb {
    /// As typed.
    pub(crate) name: &'static str,
    arguments: &'static str,
    summary: &'static str,
    details: &'static str,
    run: fn(&Workshop, &[String]) -> Result<()>,
}

/// Every verb, in the order of the help.
pub(crate) const VERBS: [Verb; 11] = [
    Verb {
        name: "up",
        arguments: "[ARGS..]",
        summary: "installs what is missing, builds, and runs MisyBot on embedded defaults",
        details: "Makes sure that a PostgreSQL server is installed (Debian's package, if none is), \
                  builds the release program and becomes `misybot up ARGS..`.\nCtrl-C stops all it \
                  started; a second run continues on the same data.\n`target/release/misybot up \
                  --help` explains ARGS, such as --data, --listen, --ready-file.",
        run: program::up,
    },
    Verb {
        name: "test",
        arguments: "[FILTER..]",
        summary: "runs all tests, each on a real PostgreSQL of its own",
        details: "Checks the rooms, builds everything once, starts a private PostgreSQL and a document server, runs the \
                  tests of the documentation and all others, and stops what it started, also on \
                  Ctrl-C.\nFILTER is passed to the runner: part of a test's name, or options such \
                  as `-p misy-core`; with it only matching tests run and documentation is left \
                  out.\nThe runner is cargo-nextest if installed, else `cargo test`. \
                  MISYBOT_CORPORA names a folder of test material (default: ../shared/data if \
                  there).",
        run: suite::test,
    },
    Verb {
        name: "check",
        arguments: "",
        summary: "runs every gate: format, lints, rooms, links, dependencies, figures, golden files",
        details: "Runs all gates, says what was skipped and why, and ends with the list of those \
                  that failed.",
        run: gates::check,
    },
    Verb {
        name: "fmt",
        arguments: "[--check]",
        summary: "formats the code",
        details: "With --check only says which files are not formatted.",
        run: gates::fmt,
    },
    Verb {
        name: "lint",
        arguments: "[ARGS..]",
        summary: "runs clippy on everything, warnings are errors",
        details: "ARGS are passed to `cargo clippy`, such as `-p misy-core` for one crate.",
        run: gates::lint,
    },
    Verb {
        name: "rooms",
        arguments: "",
        summary: "checks the walls of ARCHITECTURE.md",
        details: "Reads manifests, paths and `use` lines as text. Each violation is printed as \
                  `path:line: rule: what to do`.",
        run: gates::rooms,
    },
    Verb {
        name: "golden",
        arguments: "[--check]",
        summary: "writes the golden files anew, or checks them",
        details: "Golden files are what a test generates and a person reviews: openapi.json, \
                  docs/errors.md, snapshots.\nWithout --check all tests run with \
                  MISYBOT_GOLDEN=write and INSTA_UPDATE=always; look at `git diff` afterwards.\nWith \
                  --check the tests with `golden` in their name run and may write nothing.",
        run: golden::golden,
    },
    Verb {
        name: "mutate-isolation",
        arguments: "[ARGS..]",
        summary: "puts faults into a copy of the tree and sees that the proof notices each",
        details: "--list       names the faults and does nothing\n--only NAME  this fault, or these: \
                  names with commas between\n--kind KIND  faults of this kind: sql, code, jobs, \
                  logs, web, keys, redis, documents\nThe faults are in xtask/mutants. Each is \
                  applied alone, and the tests that must notice it run on a server of their own. \
                  Ends with the score `caught/all`; exit code 1 if one went unnoticed.\nWorks in \
                  target/mutants, which stays warm: the first run builds everything. What each \
                  trial printed is in target/mutants/logs.",
        run: mutants::mutate_isolation,
    },
    Verb {
        name: "bench",
        arguments: "NAME [ARGS..]",
        summary: "builds the release program and becomes `misybot bench NAME ARGS..`",
        details: "`target/release/misybot bench --help` lists the benches.",
        run: program::bench,
    },
    Verb {
        name: "db",
        arguments: "start|stop|psql|url",
        summary: "a test database that stays, for work on single tests",
        details: "start  starts it in the background, in target/testdb, until `stop`\nstop   stops \
                  it\npsql   opens psql on it\nurl    prints its address\nWhile it runs, `cargo \
                  xtask test` uses it, and so does a plain `cargo nextest run` with\n\
                  MISYBOT_TEST_DATABASE_URL=$(cargo xtask db url).",
        run: database::db,
    },
    Verb {
        name: "help",
        arguments: "[VERB]",
        summary: "prints this, or a verb's own help",
        details: "",
        run: help,
    },
];

/// Does what a command line says.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Usage("which verb?".to_owned()).into());
    };
    if is_help(name) {
        return print_help(rest);
    }
    let verb = find(name)?;
    if rest.first().is_some_and(|first| is_help(first)) {
        print!("{}", verb.help());
        return Ok(());
    }
    (verb.run)(&Workshop::find()?, rest)
}

/// Refuses arguments where a verb takes none.
pub(crate) fn no_arguments(verb: &str, arguments: &[String]) -> Result<()> {
    match arguments.first() {
        Some(first) => Err(Usage(format!("`{verb}` takes no argument, got `{first}`")).into()),
        None => Ok(()),
    }
}

/// Whether the only argument is `--check`; refuses any other.
pub(crate) fn check_flag(verb: &str, arguments: &[String]) -> Result<bool> {
    match arguments {
        [] => Ok(false),
        [flag] if flag == "--check" => Ok(true),
        _ => Err(Usage(format!("`{verb}` takes --check or nothing")).into()),
    }
}

/// The list of verbs.
pub(crate) fn overview() -> String {
    let mut text = "Usage: cargo xtask VERB [ARGS..]\n\nVerbs:\n".to_owned();
    for verb in &VERBS {
        let call = format!("{} {}", verb.name, verb.arguments);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {call:<27}{}", verb.summary);
    }
    text.push_str("\n`cargo xtask help VERB` explains one. Exit codes: 0 done, 1 failed, 2 usage.");
    text
}

fn is_help(argument: &str) -> bool {
    matches!(argument, "--help" | "-h" | "help")
}

fn help(_: &Workshop, arguments: &[String]) -> Result<()> {
    print_help(arguments)
}

fn print_help(arguments: &[String]) -> Result<()> {
    match arguments.first() {
        Some(name) => print!("{}", find(name)?.help()),
        None => println!("{}", overview()),
    }
    Ok(())
}

fn find(name: &str) -> Result<&'static Verb> {
    let known = VERBS.iter().find(|verb| verb.name == name);
    Ok(known.ok_or_else(|| Usage(format!("there is no verb `{name}`")))?)
}

impl Verb {
    fn help(&self) -> String {
        let call = format!("cargo xtask {} {}", self.name, self.arguments);
        format!("{}: {}\n\n{}\n", call.trim_end(), self.summary, self.details)
    }
}
