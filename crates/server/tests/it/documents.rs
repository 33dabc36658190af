//! Room `server`: `misybot documents migrate` as an operator runs it, killed in the middle.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use misy_core::crypto::Key;
use misy_core::id::TypedId;
use misy_core::{Ctx, Cursor, Limit, Role, Secret, TenantId};
use misy_store::documents::mongo::{Mongo, MongoConfig};
use misy_store::documents::{Document, Home, Phase};
use misy_store::{Documents, Kind};
use misy_testkit::{TestDatabase, TestMongo, wall_ambient};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::program::folder;

const CONTEXTS: Kind = Kind::new("contexts", &[]);
const DOCUMENTS: u128 = 300;
/// The key under which the databases of tests were made.
const ROOT: [u8; 32] = [0x7e; 32];

struct Installation {
    folder: tempfile::TempDir,
    database: TestDatabase,
    server: TestMongo,
    ctx: Ctx,
}

impl Installation {
    /// One tenant with documents in the database.
    async fn new() -> Self {
        let (database, server) = (TestDatabase::create().await, TestMongo::create().await);
        let folder = folder();
        let key = folder.path().join("root.key");
        std::fs::write(&key, "7e".repeat(32)).expect("written");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("changed");
        let tenant = TenantId::from_uuid(Uuid::from_u128(77));
        let insert =
            "insert into tenants (id, slug, site_id, name, status, plan, locale, time_zone)
            values ('00000000-0000-0000-0000-00000000004d', 'acme', 'site', 'Acme', 'active',
                'trial', 'en', 'UTC')";
        misy_testkit::postgres::query(database.superuser(), insert).await.expect("a tenant");
        let ctx = misy_testkit::ctx(tenant, Role::Owner);
        let made = Self { folder, database, server, ctx };
        let contexts = Documents::embedded(made.database.db(wall_ambient(1)));
        let contexts = contexts.of(&made.ctx).collection(CONTEXTS);
        for number in 0..DOCUMENTS {
            let body = json!({"language": "en", "turns": 1, "text": "x".repeat(50)});
            contexts.put(Uuid::from_u128(number), &body).await.expect("it is kept");
        }
        made
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_misybot"));
        command
            .arg("documents")
            .args(arguments)
            .arg("--data")
            .arg(self.folder.path())
            .args(["--database-url", &self.database.url()])
            .env("MISYBOT__DOCUMENTS__URL", self.server.everyday_url())
            .env("MISYBOT__DOCUMENTS__PROVISIONING_URL", self.server.provisioning_url())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("it runs");
        let told = String::from_utf8_lossy(&stdout).into_owned();
        assert!(status.success(), "{told}{}", String::from_utf8_lossy(&stderr));
        told
    }

    async fn store(&self) -> Documents {
        let config = MongoConfig {
            url: Some(Secret::new(self.server.everyday_url())),
            ..MongoConfig::default()
        };
        let mongo = Mongo::open(&config, &Key::new(ROOT)).await.expect("well formed");
        Documents::mongo(self.database.db(wall_ambient(2)), mongo.expect("an address is given"))
    }

    async fn everything(&self) -> Vec<Document<Value>> {
        let (store, mut all, mut after) = (self.store().await, Vec::new(), None);
        loop {
            let contexts = store.of(&self.ctx).collection(CONTEXTS);
            let page = contexts.list::<Value>(after, Limit::DEFAULT).await.expect("it answers");
            let Some(last) = page.last() else { return all };
            after = Some(Cursor(last.id));
            all.extend(page);
        }
    }

    async fn home(&self) -> (Home, Phase) {
        let state = self.store().await.of(&self.ctx).state().await.expect("it answers");
        let state = state.expect("it was decided");
        (state.home, state.phase)
    }
}

/// Runs until so much was told on standard error, then kills it without a word.
fn kill_when(mut command: Command, told: &Path, wanted: &str) {
    let log = std::fs::File::create(told).expect("a log");
    let mut child = command.stderr(log).stdout(Stdio::null()).spawn().expect("it starts");
    let said = || std::fs::read_to_string(told).unwrap_or_default();
    while !said().contains(wanted) {
        let ended = child.try_wait().expect("asked");
        assert!(ended.is_none(), "it ended before it was killed: {}", said());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_was_killed_is_run_again_and_completes_with_the_same_documents() {
    let installation = Installation::new().await;
    let before = installation.everything().await;
    let there = ["migrate", "--from", "jsonb", "--to", "mongo", "--batch", "3"];
    let told = installation.run(&[&there[..], &["--dry-run"]].concat());
    let counted = "(300 contexts, 0 payloads, 0 knowledge_texts)";
    assert!(told.contains(&format!("300 documents would be moved {counted}")), "{told}");
    let log = installation.folder.path().join("told");
    kill_when(installation.command(&there), &log, "copied 30 of 300");
    assert_eq!(installation.home().await, (Home::Embedded, Phase::Copying));
    assert_eq!(installation.everything().await, before, "nobody saw anything of it");

    let told = installation.run(&[&there[..], &["--resume"]].concat());
    assert!(told.contains("300 compared by SHA-256 with no difference, cut over"), "{told}");
    let copied: u64 = told.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a number");
    assert!(copied <= 270, "it went on where it was: {told}");
    assert_eq!(installation.home().await, (Home::Mongo, Phase::Open));
    assert_eq!(installation.everything().await, before);
    let told = installation.run(&["status"]);
    assert!(told.contains("acme  mongo, Open, other: embedded"), "{told}");

    let back = ["migrate", "--from", "jsonb", "--to", "mongo", "--rollback"];
    let told = installation.run(&back);
    assert!(told.contains("back: 0 copied"), "{told}");
    assert_eq!(installation.home().await, (Home::Embedded, Phase::Open));
    installation.run(&["migrate", "--from", "mongo", "--to", "jsonb", "--finish"]);
    assert_eq!(installation.home().await, (Home::Embedded, Phase::Settled));
    assert_eq!(installation.everything().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documents_of_a_shared_collection_come_in_and_what_is_nobodys_is_named() {
    let installation = Installation::new().await;
    let old = installation.server.database().collection::<bson::Document>("old");
    let mine = (0..7).map(|n| bson::doc! { "owner": "acme", "n": n });
    let others = [bson::doc! { "owner": "nobody" }];
    old.insert_many(mine.chain(others)).await.expect("its administrator may");
    let url = installation.server.provisioning_url();
    let arguments = [
        "migrate",
        "--from",
        "shared",
        "--to",
        "jsonb",
        "--source-url",
        &url,
        "--source-collection",
        "old",
        "--tenant-field",
        "owner",
        "--kind",
        "contexts",
    ];
    let output = installation.command(&arguments).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("acme: 7 found, 7 written and compared"), "{told}");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("no tenant is called: nobody (1)"), "{error}");
    let told = installation.run(&[&arguments[..], &["--tenant", "acme"]].concat());
    assert!(told.contains("7 found, 0 written and compared, 7 the same already"), "{told}");
}
