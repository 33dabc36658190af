//! Room `store`: the ledger of tables, proven and written down for review.

use std::fmt::Write as _;
use std::path::Path;

use misy_store::isolation::{CONTROL, Catalog, Relation, faults};
use misy_testkit::TestDatabase;

use crate::wire::wire;

const GOLDEN: &str = "../../docs/security/tables.md";

const HEAD: &str = "# Tables and who may touch them

Written by the tests from the catalog of a migrated database (`cargo xtask golden`) and compared on
every run; the rules that it was proven to keep are in `crates/store/src/isolation/rules.rs`.
There is no exception to them.

A *tenant* table holds what belongs to a tenant: row-level security is enabled and forced, its one
policy compares `tenant_id` with the transaction's tenant, and every key and index leads with
`tenant_id`. A *control* table holds ids and settings and no tenant's content; where a tenant's role
may touch it, it sees the rows whose named column is its own id.

Two roles that cannot sign in run the functions below, with rights by column that `LENT` names:
`misy_search` sees ids and words of what is searched, `misy_gateway` adds payloads to the inbox and
sees ids, states and times of what waits there.

| table | class | tenant is | misy_tenant may | misy_platform may |
|---|---|---|---|---|
";

const FUNCTIONS: &str = "
## Functions

| function | runs with the rights of | may be called by |
|---|---|---|
";

fn row(table: &Relation) -> String {
    let control = CONTROL.iter().find(|(name, _)| *name == table.name);
    let (class, column) = match control {
        Some((_, column)) => ("control", column.unwrap_or("-")),
        None => ("tenant", "tenant_id"),
    };
    let rights = |role| {
        let rights = table.rights_of(role).join(", ").to_lowercase();
        if rights.is_empty() { "-".to_owned() } else { rights }
    };
    let (tenant, platform) = (rights("misy_tenant"), rights("misy_platform"));
    format!("| {} | {class} | {column} | {tenant} | {platform} |\n", table.name)
}

fn written(catalog: &Catalog) -> String {
    let mut text = HEAD.to_owned();
    let own = catalog.relations.iter().filter(|relation| !relation.leaf);
    own.for_each(|relation| text += &row(relation));
    text += FUNCTIONS;
    for function in &catalog.functions {
        let rights = if function.definer { function.owner.as_str() } else { "its caller" };
        let callers = function.callers.join(", ");
        let callers = if callers.is_empty() { "misy_owner" } else { &callers };
        writeln!(text, "| {} | {rights} | {callers} |", function.name).expect("memory takes it");
    }
    text
}

#[tokio::test]
async fn the_golden_ledger_of_tables_is_what_the_catalog_says() {
    let database = TestDatabase::create().await;
    let client = wire(database.superuser()).await;
    let catalog = Catalog::read(&client).await.expect("readable");
    let now = written(&catalog);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    let writes = std::env::var("MISYBOT_GOLDEN").is_ok_and(|wish| wish == "write");
    if writes {
        std::fs::create_dir_all(path.parent().expect("has a folder")).expect("ours to make");
        std::fs::write(&path, &now).expect("ours to write");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(now, golden, "run `cargo xtask golden` and look at the difference");
}

#[tokio::test]
async fn every_table_keeps_every_rule_of_isolation() {
    let database = TestDatabase::create().await;
    let client = wire(database.superuser()).await;
    let catalog = Catalog::read(&client).await.expect("readable");
    assert_eq!(faults(&catalog), []);
    assert!(catalog.tenant_tables().count() >= 15, "the catalog was read");
    for (name, _) in CONTROL {
        assert!(catalog.relations.iter().any(|one| one.name == name), "{name} is gone: unlist it");
    }
}
