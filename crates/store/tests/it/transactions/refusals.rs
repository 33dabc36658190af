//! Room `store`: transactions that must not succeed.

use misy_core::{Code, Public};
use misy_store::audit::Audit;
use misy_store::{Config, Db, Error, RolePasswords};
use misy_testkit::{TestDatabase, ambient};

use crate::stage::{Stage, add, count, ctx, open, try_add};

const WRITE: &str = "update contacts set version = 2";

#[tokio::test]
async fn a_commit_after_a_failed_statement_is_an_error_and_keeps_nothing() {
    let stage = Stage::narrow().await;
    let mut tx = stage.tenant(1).await;
    add(&mut tx, 1).await;
    let twice = try_add(&mut tx, 1).await.expect_err("the key is taken");
    assert_eq!(twice.unique_violation(), Some("contacts_pkey"));
    assert_eq!(twice.foreign_key_violation(), None);
    assert_eq!(twice.code(), Code::Internal);
    assert!(matches!(tx.commit().await, Err(Error::Aborted)));
    assert_eq!(stage.contacts(1).await, 0);
}

#[tokio::test]
async fn a_statement_that_does_not_parse_fails_the_transaction_too() {
    let stage = Stage::narrow().await;
    let mut tx = stage.tenant(1).await;
    add(&mut tx, 1).await;
    assert!(tx.query("selectt", &[]).await.is_err());
    assert!(matches!(tx.commit().await, Err(Error::Aborted)));
    assert_eq!(stage.contacts(1).await, 0);
}

#[tokio::test]
async fn what_fails_only_at_the_commit_makes_the_commit_fail() {
    let stage = Stage::narrow().await;
    stage
        .look(
            "alter table contacts add constraint late unique (tenant_id, display_name)
             deferrable initially deferred",
        )
        .await;
    let mut tx = stage.tenant(1).await;
    add(&mut tx, 1).await;
    add(&mut tx, 2).await;
    let error = tx.commit().await.expect_err("both have the same name");
    assert_eq!(error.unique_violation(), Some("late"));
    assert_eq!(stage.contacts(1).await, 0);
}

#[tokio::test]
async fn an_audit_record_that_cannot_be_written_keeps_the_change_from_happening() {
    let stage = Stage::narrow().await;
    let mut tx = stage.tenant(1).await;
    add(&mut tx, 1).await;
    tx.audit(Audit::new("contact.created", "contact", "with a \u{0} in it"));
    assert!(tx.commit().await.is_err());
    assert_eq!(stage.contacts(1).await, 0);
    assert_eq!(stage.number("select count(*) from audit_records").await, 0);
    let mut tx = stage.tenant(2).await;
    add(&mut tx, 1).await;
    tx.commit().await.expect("the connection still works");
}

#[tokio::test]
async fn a_read_can_write_nothing_and_goes_on_after_a_refusal() {
    let stage = Stage::narrow().await;
    let mut tx = stage.read(1).await;
    for _ in 0..2 {
        assert!(tx.execute(WRITE, &[]).await.is_err(), "read-only");
        assert!(tx.query(WRITE, &[]).await.is_err(), "read-only");
        assert_eq!(count(&mut tx).await, 0, "each statement stands alone");
    }
    tx.commit().await.expect("there is nothing to commit");
    assert_eq!(stage.contacts(2).await, 0);
}

#[tokio::test]
async fn who_waits_too_long_for_a_connection_is_told_to_come_back() {
    let database = TestDatabase::create().await;
    let config = Config { tenant_connections: 1, wait_ms: 50, ..Config::default() };
    let db = open(&database, &config);
    let mut holder = db.tenant(&ctx(1)).await.expect("the only connection");
    add(&mut holder, 1).await;
    let error = db.tenant(&ctx(2)).await.err().expect("none is left");
    assert!(matches!(error, Error::Busy { pool: "tenant" }), "{error:?}");
    assert_eq!((error.code(), error.retry_after_s()), (Code::Unavailable, Some(1)));
    db.ping().await.expect("the platform's connections are others");
    holder.commit().await.expect("it is kept");
    let mut next = db.read(&ctx(2)).await.expect("it is free again");
    assert_eq!(count(&mut next).await, 0);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let database = TestDatabase::create().await;
    let config = Config { tenant_connections: 1, statement_ms: 50, ..Config::default() };
    let db = open(&database, &config);
    let mut tx = db.tenant(&ctx(1)).await.expect("a connection");
    let error = tx.query("select pg_sleep(20)", &[]).await.expect_err("it is ended");
    assert_eq!(error.code(), Code::Timeout);
    drop(tx);
    let mut tx = db.read(&ctx(2)).await.expect("the connection lives");
    assert_eq!(count(&mut tx).await, 0);
}

#[tokio::test]
async fn nobody_gets_in_with_another_installations_passwords() {
    let database = TestDatabase::create().await;
    let other = RolePasswords::derive(&misy_core::crypto::Key::new([1; 32]));
    let db = Db::open(database.superuser(), &other, &Config::default(), ambient());
    let error = db.ping().await.expect_err("the password is wrong");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(db.read(&ctx(1)).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let nowhere = tempfile::tempdir().expect("a directory");
    let mut server = tokio_postgres::Config::new();
    server.host_path(nowhere.path()).dbname("none");
    let passwords = RolePasswords::derive(&misy_core::crypto::Key::new([1; 32]));
    let db = Db::open(&server, &passwords, &Config::default(), ambient());
    assert_eq!(db.ping().await.expect_err("nobody listens").code(), Code::Unavailable);
    let error = db.listen().await.expect_err("nobody listens");
    assert_eq!(error.code(), Code::Unavailable);
}
