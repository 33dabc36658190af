//! Room `store`: the rules can fail. Every wall is torn down, one at a time, and its loss is
//! noticed.

use misy_store::isolation::{Catalog, Fault, Weight, faults};
use misy_testkit::TestDatabase;
use tokio_postgres::Client;

use crate::wire::wire;

const TRUE_POLICY: &str = "create policy wide on {t} for select to misy_tenant using (true)";

/// What is done to each tenant table.
const OF_TABLES: [&str; 13] = [
    "alter table {t} disable row level security",
    "alter table {t} no force row level security",
    "drop policy tenant_isolation on {t}",
    TRUE_POLICY,
    "create policy wide on {t} as restrictive for all to misy_tenant using (true)",
    "alter policy tenant_isolation on {t} to public",
    "alter policy tenant_isolation on {t} using (tenant_id = current_setting('misy.tenant')::uuid)",
    "alter policy tenant_isolation on {t} with check (true)",
    "alter policy tenant_isolation on {t} using
        (tenant_id = (select current_setting('misy.tenant', true)::uuid))",
    "grant truncate on {t} to misy_tenant",
    "grant select (tenant_id) on {t} to misy_platform",
    "grant select on {t} to public",
    "alter table {t} owner to current_user",
];

/// What is done to the form of a table; one stands for all.
const OF_FORMS: [(&str, &str); 8] = [
    ("contacts", "create unique index leak on contacts (id)"),
    ("contacts", "create index leak on contacts (display_name)"),
    ("contacts", "create index leak on contacts ((tenant_id::text))"),
    ("users", "alter table users add foreign key (account_id) references accounts (id)"),
    ("contacts", "create type mood as enum ('a'); alter table contacts add mood mood"),
    ("contacts", "create domain short as text; alter table contacts add short short"),
    ("tenant_quotas", "alter table tenant_quotas drop constraint tenant_quotas_pkey"),
    (
        "tenant_quotas",
        "alter table tenant_quotas drop constraint tenant_quotas_pkey,
         alter tenant_id drop not null",
    ),
];

/// What is done beside the tenant tables.
const OF_OTHERS: [(&str, &str); 54] = [
    ("publications", "create publication everything for all tables"),
    ("stray", "create table stray (id uuid primary key); grant select on stray to misy_tenant"),
    ("stray", "create table stray (id uuid primary key)"),
    ("wide", "create view wide as select * from contacts"),
    ("wide", "create materialized view wide as select * from contacts"),
    ("counter", "create sequence counter"),
    ("accounts", "grant select on accounts to misy_tenant"),
    ("tenants", "alter table tenants disable row level security"),
    ("tenants", "create policy wide on tenants for select to misy_tenant using (true)"),
    ("realms", "create policy wide on realms for select to public using (true)"),
    ("jobs", "alter policy tenant_adds on jobs with check (true)"),
    ("memberships", "alter policy tenant_writes on memberships using (user_id = tenant_id)"),
    ("peek", "create function peek() returns int language sql security definer as 'select 1'"),
    ("misy_account_of", "grant execute on function misy_account_of(text, uuid) to public"),
    ("misy_tenant", "alter role misy_tenant bypassrls"),
    ("misy_platform", "grant misy_owner to misy_platform"),
    ("misy_tenant", "grant create on schema public to misy_tenant"),
    ("misy_tenant", "grant execute on function set_config(text, text, boolean) to misy_tenant"),
    (
        "misy_account_of",
        "alter function misy_account_of(text, uuid) set search_path = pg_catalog, public",
    ),
    ("misy_account_of", "alter function misy_account_of(text, uuid) reset search_path"),
    ("misy_account_of", "alter function misy_account_of(text, uuid) owner to current_user"),
    (
        "misy_account_of",
        "create or replace function misy_account_of(wanted_email text, new_id uuid) returns uuid
            language plpgsql security definer set search_path = pg_catalog, public, pg_temp
            as 'begin return (select id from accounts limit 1); end'",
    ),
    ("misy_tenant", "alter role misy_tenant createrole"),
    ("misy_tenant", "grant pg_read_all_data to misy_tenant"),
    ("misy_tenant", "create table own (id int); alter table own owner to misy_tenant"),
    ("misy_tenant", "alter role misy_tenant set misy.tenant = 'x'"),
    ("misy_owner", "alter role misy_owner login"),
    ("contacts", "create rule copy as on insert to contacts do also notify leak"),
    (
        "contacts",
        "create function spy() returns trigger language plpgsql as 'begin return new; end';
         create trigger spy before insert on contacts for each row execute function spy()",
    ),
    ("messages", "alter policy search_reads on messages to misy_tenant"),
    ("messages", "alter policy search_reads on messages to misy_search, misy_platform"),
    ("contacts", "create policy search_reads on contacts for select to misy_search using (true)"),
    ("messages", "create policy more on messages for update to misy_search using (true)"),
    ("messages", "grant select on messages to misy_search"),
    ("messages", "grant select (content) on messages to misy_search"),
    ("users", "grant select (id) on users to misy_search"),
    ("inbox", "alter policy gateway_adds on inbox to misy_tenant"),
    ("inbox", "alter policy gateway_sees on inbox to misy_gateway, misy_platform"),
    ("inbox", "create policy more on inbox for delete to misy_gateway using (true)"),
    ("inbox", "grant select (body) on inbox to misy_gateway"),
    ("inbox", "grant update (body) on inbox to misy_gateway"),
    ("contacts", "create policy gateway_sees on contacts for select to misy_gateway using (true)"),
    ("users", "grant insert on users to misy_gateway"),
    ("misy_gateway", "alter role misy_gateway login"),
    ("misy_gateway", "grant pg_read_all_data to misy_gateway"),
    (
        "misy_find_waiting",
        "grant execute on function misy_find_waiting(timestamptz, integer) to misy_tenant",
    ),
    (
        "misy_keep_payloads",
        "grant execute on function misy_keep_payloads(
            uuid[], uuid[], uuid[], bytea[], bytea[], timestamptz) to misy_tenant",
    ),
    ("messages", "create index leak on messages using gin (words)"),
    ("messages", "create index leak on messages (words, tenant_id)"),
    ("misy_search", "alter role misy_search login"),
    ("misy_search", "alter role misy_search bypassrls"),
    ("misy_tenant", "grant misy_search to misy_tenant"),
    (
        "misy_find_messages",
        "create or replace function misy_find_messages(phrase text, before uuid, wanted integer)
            returns table (id uuid, hit boolean) language sql security definer
            set search_path = pg_catalog, public, pg_temp
            as 'select id, true from public.messages'",
    ),
    ("default grants", "alter default privileges grant select on tables to misy_tenant"),
];

async fn found(client: &Client) -> Vec<Fault> {
    faults(&Catalog::read(client).await.expect("readable"))
}

/// Faults after a change that is taken back.
async fn faults_after(client: &Client, change: &str) -> Vec<Fault> {
    client.batch_execute("begin").await.expect("begins");
    client.batch_execute(change).await.unwrap_or_else(|error| panic!("{change}: {error:?}"));
    let faults = found(client).await;
    client.batch_execute("rollback").await.expect("rolls back");
    faults
}

async fn assert_noticed(client: &Client, name: &str, change: &str) {
    let faults = faults_after(client, change).await;
    let of_it: Vec<&Fault> = faults.iter().filter(|fault| fault.subject == name).collect();
    assert!(!of_it.is_empty(), "not noticed: {change}; found: {faults:?}");
    assert!(of_it.iter().all(|fault| !fault.remedy.is_empty()), "{change}: {of_it:?}");
}

#[tokio::test]
async fn every_wall_of_every_tenant_table_is_missed_when_it_is_gone() {
    let database = TestDatabase::create().await;
    let client = wire(database.superuser()).await;
    let catalog = Catalog::read(&client).await.expect("readable");
    assert_eq!(faults(&catalog), []);
    for table in catalog.tenant_tables() {
        for change in OF_TABLES {
            assert_noticed(&client, &table.name, &change.replace("{t}", &table.name)).await;
        }
    }
}

#[tokio::test]
async fn every_wall_around_the_tables_is_missed_when_it_is_gone() {
    let database = TestDatabase::create().await;
    let client = wire(database.superuser()).await;
    for (name, change) in OF_FORMS.iter().chain(&OF_OTHERS) {
        assert_noticed(&client, name, change).await;
    }
    assert_eq!(found(&client).await, [], "every change was taken back");
}

#[tokio::test]
async fn what_no_tenant_reaches_is_reported_and_does_not_stop_a_start() {
    let database = TestDatabase::create().await;
    let client = wire(database.superuser()).await;
    for change in [
        "create table stray (id uuid primary key)",
        "grant execute on function set_config(text, text, boolean) to misy_tenant",
    ] {
        let faults = faults_after(&client, change).await;
        assert!(!faults.is_empty(), "{change}");
        let weights: Vec<Weight> = faults.iter().map(|fault| fault.weight).collect();
        assert!(weights.iter().all(|weight| *weight == Weight::Weakens), "{change}: {faults:?}");
    }
}

#[tokio::test]
async fn another_program_in_a_schema_of_its_own_is_none_of_our_business() {
    let database = TestDatabase::create().await;
    let client = wire(database.superuser()).await;
    let other = "create schema other; create table other.things (id int);
        create function other.sum() returns int language sql security definer as 'select 1'";
    assert_eq!(faults_after(&client, other).await, []);
    let open = "; grant usage on schema other to public; grant select on other.things to public";
    let faults = faults_after(&client, &format!("{other}{open}")).await;
    let subjects: Vec<&str> = faults.iter().map(|fault| fault.subject.as_str()).collect();
    assert!(subjects.contains(&"other.things"), "{subjects:?}");
    assert!(subjects.contains(&"sum"), "everybody may run what has its owner's rights");
}
