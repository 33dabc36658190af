//! Room `policy`: the corpus of Cedar's own integration tests, whose decisions were made by the
//! model that was proved in Lean. Our index has to decide every case as it says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use cedar_policy::{
    Context, Effect, Entities, EntityUid, PolicySet, Request, Schema, SchemaFragment,
};
use misy_policy::index::Index;
use serde_json::Value;

/// The folder of test material, if this machine has it.
fn corpora() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let root = PathBuf::from(option_env!("MISYBOT_CORPORA").unwrap_or(beside));
    let archive = root.join("auth/cedar-corpus/corpus-tests.tar.gz");
    if archive.exists() {
        return Some(archive);
    }
    eprintln!("SKIPPED: no corpora on this machine (set MISYBOT_CORPORA to their folder)");
    None
}

fn unpack(archive: &Path) -> PathBuf {
    let to = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cedar-corpus");
    if !to.join("done").exists() {
        std::fs::create_dir_all(&to).expect("a folder");
        let ran = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(&to).status();
        assert!(ran.expect("tar runs").success());
        std::fs::write(to.join("done"), "").expect("written");
    }
    to
}

fn uid(json: &Value) -> EntityUid {
    EntityUid::from_json(json.clone()).expect("an entity")
}

fn texts(json: &Value) -> Vec<String> {
    let items = json.as_array().into_iter().flatten();
    let mut texts: Vec<String> =
        items.map(|one| one.as_str().expect("a text").to_owned()).collect();
    texts.sort();
    texts
}

/// Decides every request of a file; gives how many there were.
fn decide(root: &Path, case: &Value) -> usize {
    let read = |name: &str| {
        let path = root.join(case[name].as_str().expect("a path"));
        std::fs::read_to_string(path).expect("a file")
    };
    let (fragment, _) = SchemaFragment::from_cedarschema_str(&read("schema")).expect("a schema");
    let schema = Schema::from_schema_fragments([fragment]).expect("a whole schema");
    let policies = PolicySet::from_str(&read("policies")).expect("policies");
    let entities = Entities::from_json_str(&read("entities"), Some(&schema)).expect("entities");
    let forbids: Vec<String> = policies
        .policies()
        .filter(|policy| policy.effect() == Effect::Forbid)
        .map(|policy| policy.id().to_string())
        .collect();
    let index = Index::new(policies.policies().cloned(), &entities);
    let requests = case["requests"].as_array().expect("requests");
    for request in requests {
        let action = uid(&request["action"]);
        let context =
            Context::from_json_value(request["context"].clone(), Some((&schema, &action)));
        let asked = Request::new(
            uid(&request["principal"]),
            action,
            uid(&request["resource"]),
            context.expect("a context"),
            request["validateRequest"].as_bool().unwrap_or(true).then_some(&schema),
        );
        let outcome = index.decide(&asked.expect("a request"), &entities);
        let errors = texts(&request["errors"]);
        let failed: Vec<String> = outcome.errors.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(failed, errors, "{request}");
        // Where ours is stricter than Cedar on purpose: a forbid that errs denies.
        if errors.iter().any(|id| forbids.contains(id)) {
            assert!(!outcome.allowed, "{request}");
            continue;
        }
        assert_eq!(outcome.allowed, request["decision"] == "allow", "{request}");
        assert_eq!(outcome.policies, texts(&request["reason"]), "{request}");
    }
    requests.len()
}

#[test]
fn every_case_of_the_corpus_is_decided_as_expected() {
    let Some(archive) = corpora() else { return };
    let root = unpack(&archive);
    let files = std::fs::read_dir(root.join("corpus-tests")).expect("a folder");
    let (mut cases, mut requests) = (0, 0);
    for file in files {
        let path = file.expect("an entry").path();
        let name = path.to_string_lossy().into_owned();
        let json = path.extension().is_some_and(|extension| extension == "json");
        if !json || name.ends_with(".entities.json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a file");
        let case: Value = serde_json::from_str(&text).expect("JSON");
        requests += decide(&root, &case);
        cases += 1;
    }
    println!("{cases} cases with {requests} requests were decided as expected");
    assert!(cases > 1_900 && requests > 10_000, "{cases} cases, {requests} requests");
}
