//! Room `store`: bringing databases to the program's schema, and the roles that sign in.

use misy_core::crypto::Key;
use misy_store::migrate::{MigrateError, Report, fingerprint, migrate};
use misy_store::{DbRole, RolePasswords};
use misy_testkit::TestDatabase;

use crate::wire::{try_wire, wire};

async fn run(database: &TestDatabase) -> Result<Report, MigrateError> {
    migrate(database.superuser(), database.passwords()).await
}

async fn sql(database: &TestDatabase, sql: &str) {
    wire(database.superuser()).await.batch_execute(sql).await.expect("the statement runs");
}

async fn emptied() -> TestDatabase {
    let database = TestDatabase::create().await;
    sql(&database, "drop schema public cascade; create schema public").await;
    database
}

#[tokio::test]
async fn a_second_run_does_nothing() {
    let database = TestDatabase::create().await;
    let report = run(&database).await.expect("it is up to date");
    assert_eq!(report.applied, Vec::<String>::new());
    assert!(report.present >= 8, "{}", report.present);
}

#[tokio::test]
async fn several_runs_at_once_apply_every_file_once() {
    let database = emptied().await;
    let runs = (0..4).map(|_| run(&database));
    let reports = futures_util::future::join_all(runs).await;
    let mut applied: Vec<usize> =
        reports.into_iter().map(|report| report.expect("it succeeds").applied.len()).collect();
    applied.sort_unstable();
    assert_eq!(applied[..3], [0, 0, 0]);
    assert!(applied[3] >= 8);
}

#[tokio::test]
async fn a_file_that_changed_after_it_was_applied_is_refused() {
    let database = TestDatabase::create().await;
    let name = "20261121000100_create_foundation";
    let change = format!("update schema_migrations set checksum = 'x' where name = '{name}'");
    sql(&database, &change).await;
    let error = run(&database).await.expect_err("it was changed");
    assert!(matches!(&error, MigrateError::Changed(changed) if changed == name), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let database = TestDatabase::create().await;
    let newer = "insert into schema_migrations (name, checksum) values ('99990101000000_x', 'x')";
    sql(&database, newer).await;
    let error = run(&database).await.expect_err("it is newer");
    assert!(matches!(error, MigrateError::Newer(name) if name == "99990101000000_x"));
}

#[tokio::test]
async fn a_file_that_fails_leaves_nothing_of_itself_and_can_be_run_again() {
    let database = emptied().await;
    sql(&database, "create table documents (x int)").await;
    let error = run(&database).await.expect_err("the table is there");
    let MigrateError::File { name, .. } = error else { panic!("not a file's fault: {error}") };
    assert!(name.ends_with("create_documents"), "{name}");
    let done = wire(database.superuser()).await;
    let rows = done.query("select name from schema_migrations", &[]).await.expect("readable");
    assert_eq!(rows.len(), 1, "the one before it is kept");
    sql(&database, "drop table documents").await;
    let report = run(&database).await.expect("nothing is in the way");
    assert_eq!(report.present, 1);
}

#[tokio::test]
async fn an_administrator_who_cannot_sign_in_is_told_so() {
    let database = TestDatabase::create().await;
    let mut nobody = database.superuser().clone();
    nobody.user("nobody_at_all");
    let error = migrate(&nobody, database.passwords()).await.expect_err("unknown");
    assert!(matches!(error, MigrateError::Connect(_)), "{error}");
}

#[tokio::test]
async fn each_role_signs_in_with_its_own_password_alone() {
    let database = TestDatabase::create().await;
    let other = RolePasswords::derive(&Key::new([1; 32]));
    for role in DbRole::ALL {
        let mut config = database.config(role);
        assert!(try_wire(&config).await.is_ok());
        for wrong in [other.of(role), database.passwords().of(opposite(role))] {
            config.password(wrong.expose());
            assert!(try_wire(&config).await.is_err(), "{}", role.name());
        }
    }
    let mut owner = database.superuser().clone();
    owner.user("misy_owner");
    assert!(try_wire(&owner).await.is_err(), "the owner cannot sign in");
}

fn opposite(role: DbRole) -> DbRole {
    match role {
        DbRole::Tenant => DbRole::Platform,
        DbRole::Platform => DbRole::Tenant,
    }
}

#[test]
fn passwords_follow_from_the_root_key_and_are_shown_nowhere() {
    let passwords = |byte| RolePasswords::derive(&Key::new([byte; 32]));
    let tenant = passwords(1).of(DbRole::Tenant);
    assert_eq!(tenant.expose(), passwords(1).of(DbRole::Tenant).expose());
    assert_ne!(tenant.expose(), passwords(2).of(DbRole::Tenant).expose());
    assert_ne!(tenant.expose(), passwords(1).of(DbRole::Platform).expose());
    assert_eq!(tenant.expose().len(), 64);
    assert!(!format!("{:?} {tenant:?}", passwords(1)).contains(tenant.expose()));
}

#[test]
fn the_fingerprint_of_the_files_is_sixteen_digits_and_repeats() {
    assert_eq!(fingerprint(), fingerprint());
    assert_eq!(fingerprint().len(), 16);
}
