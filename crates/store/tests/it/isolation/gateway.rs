//! Room `store`: the functions that store what providers deliver, with rights of their own over all
//! inboxes. They are attacked as both roles that sign in, by a caller who may say any SQL.

use misy_store::DbRole;
use misy_testkit::TestDatabase;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::wire::wire;

const MINE: &str = "00000000-0000-0000-0000-00000000000a";
const THEIRS: &str = "00000000-0000-0000-0000-00000000000b";

/// Every function and a call of it.
pub(super) const CALLS: [(&str, &str); 2] = [
    (
        "misy_keep_payloads",
        "select public.misy_keep_payloads(
            array['00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b',
                '00000000-0000-0000-0000-00000000000b']::uuid[],
            array['00000000-0000-0000-0000-0000000000ca', '00000000-0000-0000-0000-0000000000cb',
                '00000000-0000-0000-0000-0000000000cb']::uuid[],
            array[gen_random_uuid(), gen_random_uuid(), gen_random_uuid()],
            array['d1', 'd1', 'd1']::bytea[], array['mine', 'theirs', 'theirs']::bytea[],
            '2026-01-01')",
    ),
    ("misy_find_waiting", "select * from public.misy_find_waiting('2026-02-01', 10)"),
];

async fn bodies(client: &Client, tenant: &str) -> Vec<Vec<u8>> {
    let open = format!("begin; set local misy.tenant = '{tenant}'");
    client.batch_execute(&open).await.expect("begins");
    let rows = client.query("select body from inbox", &[]).await.expect("readable");
    client.batch_execute("rollback").await.expect("rolls back");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn payloads_of_two_tenants_are_stored_at_once_and_each_sees_its_own() {
    let database = TestDatabase::create().await;
    let platform = wire(&database.config(DbRole::Platform)).await;
    for _ in 0..2 {
        platform.batch_execute(CALLS[0].1).await.expect("stored, or there already");
    }
    let tenant = wire(&database.config(DbRole::Tenant)).await;
    assert_eq!(bodies(&tenant, MINE).await, [b"mine"]);
    assert_eq!(bodies(&tenant, THEIRS).await, [b"theirs"]);
    let waiting = platform.query(CALLS[1].1, &[]).await.expect("readable");
    assert_eq!(waiting.len(), 2, "one account each, however much waits");
    let older = "select * from misy_find_waiting('2025-12-31', 10)";
    assert!(platform.query(older, &[]).await.expect("readable").is_empty());
    let done = format!("begin; set local misy.tenant = '{MINE}'; update inbox set state = 'done'");
    tenant.batch_execute(&format!("{done}; commit")).await.expect("taken in");
    assert_eq!(platform.query(CALLS[1].1, &[]).await.expect("readable").len(), 1);
}

#[tokio::test]
async fn no_tenant_stores_for_another_or_hears_who_waits() {
    let database = TestDatabase::create().await;
    let tenant = wire(&database.config(DbRole::Tenant)).await;
    for (name, call) in CALLS {
        let open = format!("begin; set local misy.tenant = '{MINE}'");
        tenant.batch_execute(&open).await.expect("begins");
        let error = tenant.batch_execute(call).await.expect_err(name);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{name}");
        tenant.batch_execute("rollback").await.expect("rolls back");
    }
}

#[tokio::test]
async fn whoever_may_store_payloads_can_read_and_change_none() {
    let database = TestDatabase::create().await;
    let platform = wire(&database.config(DbRole::Platform)).await;
    platform.batch_execute(CALLS[0].1).await.expect("stored");
    for attempt in [
        "select body from inbox",
        "update inbox set body = ''",
        "delete from inbox",
        "insert into inbox (tenant_id, channel_id, id, digest, body)
            select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '', ''",
        "set role misy_gateway",
        "alter function misy_find_waiting(timestamptz, integer) security invoker",
        "create or replace function misy_find_waiting(arrived timestamptz, wanted integer)
            returns table (tenant_id uuid, channel_id uuid) language sql as 'select null, null'",
    ] {
        let error = platform.batch_execute(attempt).await.expect_err(attempt);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{attempt}");
    }
    let superuser = wire(database.superuser()).await;
    superuser.batch_execute("set role misy_gateway").await.expect("a superuser may");
    for attempt in ["select body from inbox", "select digest from inbox", "delete from inbox"] {
        let error = superuser.batch_execute(attempt).await.expect_err(attempt);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{attempt}");
    }
    let mut nobody = database.superuser().clone();
    nobody.user("misy_gateway");
    assert!(crate::wire::try_wire(&nobody).await.is_err(), "it cannot sign in");
}

#[tokio::test]
async fn nothing_that_a_caller_makes_stands_in_for_the_inbox() {
    let database = TestDatabase::create().await;
    let platform = wire(&database.config(DbRole::Platform)).await;
    for trick in [
        "create temporary table inbox (tenant_id uuid, channel_id uuid, id uuid, digest bytea,
            body bytea, received_at timestamptz, state text default 'pending')",
        "set search_path = pg_temp, public",
        "create function pg_temp.unnest(uuid[], uuid[], uuid[], bytea[], bytea[])
            returns table (a uuid, b uuid, c uuid, d bytea, e bytea) language sql
            as 'select null::uuid, null::uuid, null::uuid, null::bytea, null::bytea'",
    ] {
        platform.batch_execute(trick).await.expect("a caller may have temporary things");
    }
    platform.batch_execute(CALLS[0].1).await.expect("stored");
    let aside = platform.query("select from pg_temp.inbox", &[]).await.expect("readable");
    assert!(aside.is_empty(), "the stand-in is passed by");
    assert_eq!(platform.query(CALLS[1].1, &[]).await.expect("readable").len(), 2);
    let tenant = wire(&database.config(DbRole::Tenant)).await;
    assert_eq!(bodies(&tenant, MINE).await, [b"mine"]);
}
