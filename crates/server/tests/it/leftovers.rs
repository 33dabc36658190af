//! Room `server`: everything of a tenant is in some room's list, or it would outlive the tenant.

use std::collections::BTreeMap;

use misy_store::tenant_data::StoreData;
use misy_store::{TenantData, TenantTable};
use misy_testkit::{TestDatabase, platform_ctx};

/// Control tables that name tenants and are removed by the part that keeps them, or stay.
const BY_HAND: [&str; 10] = [
    "dead_letters",
    "jobs",
    "plan_changes",
    "platform_audit_records",
    "provisionings",
    "session_reaches",
    "sessions",
    "sign_in_challenges",
    "signups",
    "tombstones",
];

#[tokio::test]
async fn every_table_that_names_tenants_is_in_one_rooms_list() {
    let mut lists: BTreeMap<String, usize> = BTreeMap::new();
    let listed = misy_identity::TABLES
        .iter()
        .chain(&misy_conversation::TABLES)
        .chain(&misy_tenancy::TABLES)
        .chain(&misy_integration::TABLES)
        .chain(&misy_store::documents::TABLES)
        .chain(StoreData.tables());
    for table in listed {
        *lists.entry(table.name().to_owned()).or_default() += 1;
    }
    for table in BY_HAND {
        *lists.entry(table.to_owned()).or_default() += 1;
    }
    let database = TestDatabase::create().await;
    let db = database.db(misy_testkit::ambient());
    let mut tx = db.platform_read(&platform_ctx()).await.expect("a connection");
    let sql = "
        select distinct relname::text from pg_attribute join pg_class on pg_class.oid = attrelid
        where relkind in ('r', 'p') and not relispartition and relnamespace = 'public'::regnamespace
          and (attname in ('tenant_id', 'realm') or relname = 'tenants') order by 1";
    let rows = tx.query(sql, &[]).await.expect("the catalog answers");
    let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(found.len() > 30, "{found:?}");
    let once: Vec<&String> =
        lists.iter().filter(|(_, times)| **times == 1).map(|it| it.0).collect();
    assert_eq!(once, found.iter().collect::<Vec<_>>());
}

/// Bytes that are taken along with a tenant: what senders wrote, and by what a repetition is known.
/// Whatever else is bytes is a key, a digest or a sealed value, and stays.
const BYTES: [&str; 3] = ["inbox.body", "source_marks.mark", "source_receipts.body"];

#[tokio::test]
async fn no_key_digest_or_sealed_value_is_taken_along() {
    let rooms: [&[TenantTable]; 1] = [
        &misy_identity::TABLES,
        &misy_conversation::TABLES,
        &misy_tenancy::TABLES,
        &misy_integration::TABLES,
        &misy_store::documents::TABLES,
        StoreData.tables(),
    ];
    let database = TestDatabase::create().await;
    let columns = "
        select relname::text, attname::text from pg_attribute
        join pg_class on pg_class.oid = attrelid
        where relkind in ('r', 'p') and not relispartition and attnum > 0 and not attisdropped
          and relnamespace = 'public'::regnamespace
          and atttypid in ('bytea'::regtype, 'bytea[]'::regtype) order by 1, 2";
    let rows = misy_testkit::postgres::query(database.superuser(), columns).await;
    let mut shown = Vec::new();
    for row in rows.expect("the catalog answers") {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        let listed = rooms.iter().copied().flatten().find(|one| one.name() == table);
        if listed.is_some_and(|one| !one.secrets().contains(&column.as_str())) {
            shown.push(format!("{table}.{column}"));
        }
    }
    assert_eq!(shown, BYTES);
}
