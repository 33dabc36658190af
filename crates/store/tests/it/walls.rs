//! Room `store`: what must not compile: no pool, connection, transaction, statement, cache or
//! document without a context, and no context made here. (`Ctx::mint` is public, for `web`, `jobs`
//! and `testkit`; that nobody else calls it is a rule of `cargo xtask rooms` with tests of its
//! own.)
//!
//! Each file of `tests/ui` says at the end of a line which error the compiler finds there
//! (`//~ E0308`). They are checked against the very libraries that this test was built with, which
//! takes a second where a build of their own would take minutes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Where a file goes wrong, and how.
type Faults = BTreeSet<(usize, String)>;

/// A file that has to compile: else every other would fail for no good reason.
const CONTROL: &str = "with_a_context.rs";

fn ui() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")
}

/// The libraries beside this test, the newest first: earlier builds may lie there too.
fn libraries(name: &str) -> Vec<PathBuf> {
    let own = std::env::current_exe().expect("this test is a file");
    let folder = own.parent().expect("in a folder").read_dir().expect("that can be read");
    let paths = folder.flatten().map(|entry| entry.path());
    let prefix = format!("lib{name}-");
    let mut found: Vec<(SystemTime, PathBuf)> = paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "rlib"))
        .filter(|path| {
            path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&prefix))
        })
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

struct Compiler {
    store: PathBuf,
    core: PathBuf,
    out: tempfile::TempDir,
}

impl Compiler {
    /// With the newest pair of libraries that fit each other.
    fn find() -> Self {
        for store in libraries("misy_store") {
            for core in libraries("misy_core") {
                let out = tempfile::tempdir().expect("a folder");
                let compiler = Self { store: store.clone(), core, out };
                if compiler.faults(&ui().join(CONTROL)).is_empty() {
                    return compiler;
                }
            }
        }
        panic!("{CONTROL} compiles with none of the libraries that are there");
    }

    /// What the compiler says of a file.
    fn faults(&self, file: &Path) -> Faults {
        let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let extern_of = |name: &str, path: &Path| format!("{name}={}", path.display());
        let deps = self.store.parent().expect("in a folder");
        let mut command = Command::new(compiler);
        command.args(["--edition=2024", "--crate-type=bin", "--emit=metadata", "-Awarnings"]);
        command.args(["--error-format=json", "--out-dir"]).arg(self.out.path());
        command.arg("-L").arg(format!("dependency={}", deps.display()));
        command.arg("--extern").arg(extern_of("misy_store", &self.store));
        command.arg("--extern").arg(extern_of("misy_core", &self.core));
        let output = command.arg(file).output().expect("the compiler runs");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        let faults: Faults = said.lines().filter_map(fault).collect();
        assert_eq!(faults.is_empty(), output.status.success(), "{said}");
        faults
    }
}

/// An error's first line and its code; errors without a code only count the others.
fn fault(line: &str) -> Option<(usize, String)> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let code = message["code"]["code"].as_str().filter(|_| message["level"] == "error")?;
    let spans = message["spans"].as_array()?;
    let first = spans.iter().find(|span| span["is_primary"] == true)?;
    Some((usize::try_from(first["line_start"].as_u64()?).ok()?, code.to_owned()))
}

/// What the file says is to be found.
fn expected(file: &Path) -> Faults {
    let text = std::fs::read_to_string(file).expect("the file");
    let numbered = text.lines().zip(1..);
    let marked = numbered
        .filter_map(|(line, number)| Some((number, line.split_once("//~ ")?.1.trim().to_owned())));
    marked.collect()
}

#[test]
fn nothing_is_to_be_had_without_a_context() {
    let compiler = Compiler::find();
    let mut seen = 0;
    for file in ui().read_dir().expect("the folder").flatten().map(|entry| entry.path()) {
        let expected = expected(&file);
        assert_eq!(compiler.faults(&file), expected, "{}", file.display());
        assert!(!expected.is_empty() || file.ends_with(CONTROL), "{}", file.display());
        seen += expected.len();
    }
    assert!(seen >= 20, "{seen} faults in all");
}
