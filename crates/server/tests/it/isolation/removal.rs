//! Room `server`: of a tenant that was removed no byte is left, in any store of an installation
//! that has all of them: PostgreSQL, Redis, a document server, the queue, files.

use std::collections::BTreeSet;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use misy_core::id::TypedId;
use misy_core::{Role, TenantId};
use misy_store::cache::Space;
use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};
use misy_testkit::postgres::{contents, query, unpredictable};
use misy_testkit::{TestMongo, TestRedis};
use serde_json::{Value, json};

use super::asks::Ask;
use super::canaries::Scanner;
use super::estate::{Estate, World, must};
use super::matrix::SETTINGS;
use crate::program::{Program, folder, until};

/// Where a tenant's name may still stand: its tombstone, with the row that says that it was there,
/// and the logs of what was done.
const TOMBSTONE: [&str; 2] = ["tenants", "tombstones"];
const LOGS: [&str; 2] = ["audit_records", "platform_audit_records"];

/// An installation with every kind of store there is.
struct Installation {
    folder: tempfile::TempDir,
    postgres: EmbeddedPostgres,
    redis: TestRedis,
    mongo: TestMongo,
}

impl Installation {
    async fn new() -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        std::fs::DirBuilder::new().mode(0o700).create(&data).expect("a folder");
        // The key of the test's own doors to the stores.
        let mut key = std::fs::OpenOptions::new();
        let key = key.write(true).create_new(true).mode(0o600).open(data.join("root.key"));
        std::io::Write::write_all(&mut key.expect("a file"), "7e".repeat(32).as_bytes())
            .expect("written");
        let mut config = EmbeddedConfig::new(folder.path().join("postgres"), unpredictable());
        config.disposable = true;
        let postgres = EmbeddedPostgres::start(config).await.expect("a database");
        let (redis, mongo) = (TestRedis::start().await, TestMongo::create().await);
        let made = Self { folder, postgres, redis, mongo };
        let settings = made.settings();
        std::fs::write(made.folder.path().join("misybot.toml"), settings).expect("written");
        made
    }

    /// The emulated provider is somebody else: what it keeps is none of the installation's.
    fn settings(&self) -> String {
        let cache = self.redis.config().url.expect("an address");
        format!(
            "{SETTINGS}\n[cache]\nurl = \"{}\"\n[documents]\nurl = \"{}\"\n\
             provisioning_url = \"{}\"\n[sandbox]\ndata = \"{}\"\n",
            cache.expose(),
            self.mongo.everyday_url(),
            self.mongo.provisioning_url(),
            self.folder.path().join("provider").display()
        )
    }

    /// What each store holds now, by name: tables, collections, the cache, files.
    async fn holdings(&self) -> Vec<(String, Vec<u8>)> {
        let tables = contents(&self.postgres.config("postgres")).await.expect("it answers");
        let mut all: Vec<_> =
            tables.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
        for (name, bytes) in self.mongo.contents().await.expect("it answers") {
            all.push((format!("collection {name}"), bytes));
        }
        all.push(("the cache".to_owned(), self.redis.contents().await));
        for path in files(&self.folder.path().join("data")) {
            // Their names say something too.
            let name = path.to_string_lossy().into_owned();
            let bytes = std::fs::read(&path).unwrap_or_default();
            all.push(("files".to_owned(), [name.as_bytes(), &bytes].concat()));
        }
        all.push(("the log".to_owned(), crate::program::read_log(self.folder.path()).into_bytes()));
        all
    }

    /// A value of the tenant in the cache, under a key that says as much.
    async fn plant(&self, tenant: TenantId, word: &str) {
        const SPACE: Space = Space::new("tests");
        let ctx = misy_testkit::ctx(tenant, Role::Owner);
        let (cache, day) = (self.redis.cache().await, Duration::from_hours(24));
        cache.of(&ctx).put(SPACE, word, word.to_owned(), day).await.expect("it is kept");
    }
}

/// Every file in a folder and below it. One that goes away meanwhile is none.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => all.push(entry.path()),
            _ => {}
        }
    }
    all
}

/// The stores in which a scanner finds anything, and what.
fn found(holdings: &[(String, Vec<u8>)], scanner: &Scanner) -> BTreeSet<(String, String)> {
    let hits = holdings.iter().flat_map(|(store, bytes)| {
        scanner.scan(bytes).into_iter().map(|hit| (store.clone(), hit.canary))
    });
    hits.collect()
}

fn stores(found: &BTreeSet<(String, String)>) -> BTreeSet<&str> {
    found.iter().map(|(store, _)| store.as_str()).collect()
}

/// Ends a tenant as an operator does, and waits for the report.
async fn remove(world: &World, estate: &Estate) -> Value {
    let (operator, path) =
        (world.as_operator().await, format!("/v1/tenants/{}", estate.named["TenantId"]));
    let by = |ask: Ask| ask.by(Some(&operator));
    must(&world.api, by(Ask::new("POST", format!("{path}/close"))).with(json!({}))).await;
    let ask = Ask::new("DELETE", path.clone()).query("confirm", &estate.named["slug"]);
    must(&world.api, by(ask)).await;
    let mut life = Value::Null;
    until("the tenant is removed", 120, async || {
        life = must(&world.api, by(Ask::new("GET", format!("{path}/lifecycle")))).await.json();
        if life["status"] == "purged" { Ok(()) } else { Err(life.to_string()) }
    })
    .await;
    life
}

/// What every store has of the tenant before it goes: else its absence afterwards says nothing.
fn assert_planted(holdings: &[(String, Vec<u8>)], estate: &Estate, planted: &Scanner) {
    let before = found(holdings, estate.canaries());
    let tables = stores(&before).len();
    assert!(tables >= 15, "only {tables} places hold anything: {before:?}");
    for store in ["messages", "contacts", "knowledge_entries", "webhook_events", "letters"] {
        assert!(holdings.iter().any(|(name, bytes)| name.starts_with(store) && !bytes.is_empty()));
    }
    let is_document = |store: &&str| store.starts_with("collection ");
    assert!(stores(&before).iter().any(is_document), "no document: {before:?}");
    assert!(stores(&before).contains("files"), "no mail lies in the outbox: {before:?}");
    assert!(stores(&found(holdings, planted)).contains("the cache"), "nothing is in the cache");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_removed_tenant_no_store_holds_a_byte_but_the_tombstone_and_the_logs() {
    let place = Installation::new().await;
    let server = place.postgres.config("postgres");
    let url = place.postgres.url("postgres").expose().to_owned();
    let program = Program::up_on(place.folder.path(), &url).await;
    let world = World::of(&program, server.clone());
    let (gone, stays) = (Estate::furnish(&world).await, Estate::furnish(&world).await);
    let tenant: TenantId = gone.named["TenantId"].parse().expect("an id");
    let word = world.word();
    place.plant(tenant, &word).await;
    let id = tenant.uuid().to_string();
    let planted = Scanner::of([("a value", word.as_str()), ("the tenant's id", id.as_str())]);
    let outbox = place.folder.path().join("data/outbox");
    until("a mail is written", 60, async || {
        let about = format!("-of-{id}.eml");
        let there = files(&outbox).iter().any(|file| file.to_string_lossy().ends_with(&about));
        if there { Ok(()) } else { Err("none yet".to_owned()) }
    })
    .await;
    let before = place.holdings().await;
    assert_planted(&before, &gone, &planted);

    let life = remove(&world, &gone).await;
    let after = place.holdings().await;
    let left = found(&after, gone.canaries());
    let is_allowed = |store: &str, canary: &str| {
        LOGS.contains(&store) || (TOMBSTONE.contains(&store) && canary == "slug")
    };
    let wrong: Vec<_> = left.iter().filter(|(store, canary)| !is_allowed(store, canary)).collect();
    assert!(wrong.is_empty(), "something is left: {wrong:#?}");
    let value = Scanner::of([("a value", word.as_str())]);
    assert_eq!(found(&after, &value), BTreeSet::new());
    let kept: BTreeSet<String> =
        found(&after, &planted).into_iter().map(|(store, _)| store).collect();
    let logs = ["plan_changes", "saga_steps", "sagas", "tenants", "tombstones"];
    let logs: BTreeSet<String> =
        logs.iter().chain(&LOGS).chain(&["the log"]).map(|name| (*name).to_owned()).collect();
    assert!(kept.is_subset(&logs), "its id stands in {kept:?}");
    let destroyed = life["report"]["destroyed"].as_array().expect("a list");
    let of_stores: BTreeSet<_> = destroyed.iter().filter_map(|one| one["store"].as_str()).collect();
    for store in ["postgresql", "documents", "cache", "files"] {
        assert!(of_stores.contains(store), "the report does not know of {store}: {of_stores:?}");
    }

    let neighbour = |holdings: &[(String, Vec<u8>)]| -> BTreeSet<String> {
        found(holdings, stays.canaries()).into_iter().map(|(_, canary)| canary).collect()
    };
    assert_eq!(neighbour(&after), neighbour(&before), "the other tenant has what it had");
    program.stop();
    assert_nothing_in_the_files_of(&server, &gone, &left).await;
    place.postgres.stop().await.expect("stopped");
}

/// The database's own files, once it has thrown away what rows have left behind: everything but its
/// journal, which goes round.
async fn assert_nothing_in_the_files_of(
    server: &tokio_postgres::Config,
    gone: &Estate,
    kept: &BTreeSet<(String, String)>,
) {
    for sql in ["vacuum (full, analyze)", "checkpoint"] {
        query(server, sql).await.expect("it does");
    }
    let folder = query(server, "show data_directory").await.expect("it answers");
    let folder = PathBuf::from(folder[0].get::<_, String>(0));
    let kept: BTreeSet<&str> = kept.iter().map(|(_, canary)| canary.as_str()).collect();
    let mut wrong = Vec::new();
    for file in files(&folder.join("base")) {
        let hits = gone.canaries().scan(&std::fs::read(&file).unwrap_or_default());
        let hits = hits.into_iter().filter(|hit| !kept.contains(hit.canary.as_str()));
        wrong.extend(hits.map(|hit| (file.clone(), hit.canary, hit.around)));
    }
    assert!(wrong.is_empty(), "the files still hold {:#?}", &wrong[..wrong.len().min(3)]);
}
