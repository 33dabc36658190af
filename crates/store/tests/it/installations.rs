//! Room `store`: two installations and one server: the second never takes the first one's roles.

use std::collections::BTreeMap;

use misy_core::crypto::Key;
use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};
use misy_store::migrate::{MigrateError, Report, migrate};
use misy_store::{DbRole, RolePasswords};
use misy_testkit::postgres::{query, unpredictable};

use crate::wire::try_wire;

async fn server(folder: &std::path::Path) -> EmbeddedPostgres {
    let few = ("max_connections".to_owned(), "20".to_owned());
    let settings = BTreeMap::from([few]);
    let config = EmbeddedConfig {
        settings,
        disposable: true,
        ..EmbeddedConfig::new(folder, unpredictable())
    };
    EmbeddedPostgres::start(config).await.expect("it starts")
}

async fn run(
    server: &EmbeddedPostgres,
    database: &str,
    passwords: &RolePasswords,
) -> Result<Report, MigrateError> {
    migrate(&server.config(database), passwords).await
}

async fn sql(server: &EmbeddedPostgres, sql: &str) -> Vec<tokio_postgres::Row> {
    query(&server.config("postgres"), sql).await.expect("the statement runs")
}

/// Whether an installation's program gets in, as each of its roles.
async fn signs_in(server: &EmbeddedPostgres, passwords: &RolePasswords) -> bool {
    let mut all = true;
    for role in DbRole::ALL {
        let mut config = server.config("postgres");
        config.user(role.name()).password(passwords.of(role).expose());
        all &= try_wire(&config).await.is_ok();
    }
    all
}

#[tokio::test]
async fn a_second_installation_is_refused_and_takes_nothing_from_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(folder.path()).await;
    let passwords = |byte| RolePasswords::derive(&Key::new([byte; 32]));
    let (first, second) = (passwords(1), passwords(2));
    sql(&server, "create database other").await;
    run(&server, "postgres", &first).await.expect("the server is new");
    run(&server, "other", &first).await.expect("the same installation, another database");

    let refused = run(&server, "other", &second).await.expect_err("the roles are the first one's");
    let MigrateError::OtherInstallation { theirs, ours } = &refused else { panic!("{refused}") };
    assert_eq!((theirs, ours), (&first.mark(), &second.mark()));
    let told = refused.to_string();
    assert!(told.contains(theirs) && told.contains("COMMENT ON ROLE misy_tenant IS NULL"));
    assert!(signs_in(&server, &first).await, "its passwords are what they were");
    assert!(!signs_in(&server, &second).await);
    run(&server, "postgres", &first).await.expect("it is not locked out");

    for role in ["misy_tenant", "misy_platform"] {
        sql(&server, &format!("comment on role {role} is null")).await;
    }
    let kept = run(&server, "postgres", &first).await.expect("a role without a mark that works");
    assert_eq!(kept.applied, Vec::<String>::new());
    assert!(run(&server, "postgres", &second).await.is_err(), "it has the mark again");

    for role in ["misy_tenant", "misy_platform"] {
        sql(&server, &format!("comment on role {role} is null")).await;
    }
    run(&server, "postgres", &second).await.expect("the operator has given it away");
    assert!(signs_in(&server, &second).await && !signs_in(&server, &first).await);
    server.stop().await.expect("it stops");
}

#[test]
fn a_mark_tells_installations_apart_and_says_nothing_of_passwords() {
    let of = |byte| RolePasswords::derive(&Key::new([byte; 32]));
    assert_eq!(of(1).mark(), of(1).mark());
    assert_ne!(of(1).mark(), of(2).mark());
    let mark = of(1).mark();
    let text = mark.rsplit(' ').next().expect("a text");
    assert_eq!(text.len(), 16);
    assert!(DbRole::ALL.iter().all(|role| !of(1).of(*role).expose().contains(text)));
}
