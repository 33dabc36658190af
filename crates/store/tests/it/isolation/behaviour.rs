//! Room `store`: what a tenant's role gets from every tenant table without a context, as another
//! tenant and as the owner of the rows. Tables, columns and values come from the catalog.

use misy_store::DbRole;
use misy_store::isolation::{Catalog, Column, Relation};
use misy_testkit::TestDatabase;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::wire::{Wire, wire};

const MINE: &str = "00000000-0000-0000-0000-00000000000a";
const THEIRS: &str = "00000000-0000-0000-0000-00000000000b";

/// Rows are made from types alone, so what ties values to a meaning or to other rows has to go;
/// none of it is a wall between tenants.
const FREE_VALUES: &str = "do $$ declare c record; begin
    for c in select conrelid::regclass as tbl, conname from pg_constraint
        where contype in ('c', 'f') and connamespace = 'public'::regnamespace and conrelid <> 0
            and coninhcount = 0
    loop execute format('alter table %s drop constraint %I', c.tbl, c.conname); end loop; end $$";

fn value(column: &Column, tenant: &str) -> String {
    let text = match column.type_name.as_str() {
        "uuid" if column.name == "tenant_id" => return format!("'{tenant}'"),
        "uuid" => "'00000000-0000-0000-0000-000000000001'",
        "text" => "'x'",
        "bytea" => "'\\x01'",
        "json" | "jsonb" | "text[]" | "uuid[]" => "'{}'",
        "smallint" | "integer" | "bigint" => "1",
        "boolean" => "true",
        "timestamp with time zone" => "now()",
        other => panic!("no value of type {other} for column {}", column.name),
    };
    text.to_owned()
}

fn insert(table: &Relation, tenant: &str) -> String {
    let columns = table.columns.iter().filter(|column| column.generated.is_none());
    let (names, values): (Vec<&str>, Vec<String>) =
        columns.map(|column| (column.name.as_str(), value(column, tenant))).unzip();
    format!("insert into {} ({}) values ({})", table.name, names.join(", "), values.join(", "))
}

/// Runs statements in a transaction that is rolled back; gives the rows that the last one touched.
async fn attempt(client: &Client, tenant: Option<&str>, statements: &[&str]) -> Result<u64, Error> {
    let context = tenant.map(|id| format!("; set local misy.tenant = '{id}'")).unwrap_or_default();
    client.batch_execute(&format!("begin{context}")).await?;
    let mut result = Ok(0);
    for sql in statements {
        result = client.execute(*sql, &[]).await;
        if result.is_err() {
            break;
        }
    }
    client.batch_execute("rollback").await?;
    result
}

fn by_policy(result: &Result<u64, Error>) -> bool {
    refusal(result).is_some_and(|(state, message)| {
        state == SqlState::INSUFFICIENT_PRIVILEGE && message.contains("row-level security")
    })
}

fn by_grant(result: &Result<u64, Error>) -> bool {
    refusal(result).is_some_and(|(state, message)| {
        state == SqlState::INSUFFICIENT_PRIVILEGE && message.contains("permission denied")
    })
}

fn refusal(result: &Result<u64, Error>) -> Option<(SqlState, String)> {
    let error = result.as_ref().err()?.as_db_error()?;
    Some((error.code().clone(), error.message().to_owned()))
}

struct Cell<'a> {
    client: &'a Client,
    table: &'a Relation,
}

impl Cell<'_> {
    async fn run(&self, tenant: Option<&str>, statements: &[&str]) -> Result<u64, Error> {
        let name = &self.table.name;
        let statements: Vec<String> =
            statements.iter().map(|sql| sql.replace("{t}", name)).collect();
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        attempt(self.client, tenant, &statements).await
    }

    fn may(&self, right: &str) -> bool {
        self.table.rights_of("misy_tenant").iter().any(|one| one == right)
    }

    async fn raises_without_a_context(&self, states: &[SqlState]) {
        let insert = insert(self.table, THEIRS);
        for (right, sql) in [
            ("SELECT", "select 1 from {t}"),
            ("INSERT", &*insert),
            ("UPDATE", "update {t} set tenant_id = tenant_id"),
            ("DELETE", "delete from {t}"),
        ] {
            let result = self.run(None, &[sql]).await;
            let state = refusal(&result).map(|(state, _)| state);
            let raised = state.is_some_and(|state| states.contains(&state));
            assert!(raised || (!self.may(right) && by_grant(&result)), "{sql}: {result:?}");
        }
    }

    async fn hides_rows_of_others(&self) {
        let name = &self.table.name;
        for sql in [
            "select 1 from {t}",
            "select 1 from {t} where tenant_id = '00000000-0000-0000-0000-00000000000b'",
            "select 1 from {t} where tenant_id <> '00000000-0000-0000-0000-00000000000a'",
        ] {
            assert_eq!(self.run(Some(MINE), &[sql]).await.ok(), Some(0), "{name}: {sql}");
        }
        for (right, sql) in [
            ("UPDATE", "update {t} set tenant_id = tenant_id"),
            ("UPDATE", "update {t} set tenant_id = '00000000-0000-0000-0000-00000000000a'"),
            ("DELETE", "delete from {t}"),
        ] {
            let result = self.run(Some(MINE), &[sql]).await;
            let refused = !self.may(right) && by_grant(&result);
            assert!(refused || matches!(result, Ok(0)), "{name}: {sql}: {result:?}");
        }
    }

    async fn refuses_rows_for_others(&self) {
        let name = &self.table.name;
        let (mine, theirs) = (insert(self.table, MINE), insert(self.table, THEIRS));
        let upsert = format!("{theirs} on conflict do nothing");
        for sql in [&theirs, &upsert] {
            let result = self.run(Some(MINE), &[sql]).await;
            assert!(by_policy(&result), "{name}: {sql}: {result:?}");
        }
        let twin = self.run(Some(MINE), &[&mine]).await;
        assert!(matches!(twin, Ok(1)), "{name}: a row like another tenant's: {twin:?}");
        let move_away = "update {t} set tenant_id = '00000000-0000-0000-0000-00000000000b'";
        let moved = self.run(Some(MINE), &[&mine, move_away]).await;
        let refused = if self.may("UPDATE") { by_policy(&moved) } else { by_grant(&moved) };
        assert!(refused, "{name}: {moved:?}");
    }

    async fn refuses_what_goes_around_policies(&self) {
        let name = &self.table.name;
        let truncated = self.run(Some(MINE), &["truncate {t}"]).await;
        assert!(by_grant(&truncated), "{name}: {truncated:?}");
        let switched = "select 1 from {t} where set_config('misy.tenant',
            '00000000-0000-0000-0000-00000000000b', true) is not null";
        let switched = self.run(Some(MINE), &[switched]).await;
        assert!(by_grant(&switched), "{name}: {switched:?}");
        let off =
            self.run(Some(MINE), &["set local row_security = off", "select 1 from {t}"]).await;
        assert!(off.is_err(), "{name}: {off:?}");
        for role in ["misy_owner", "misy_platform"] {
            let become_other = format!("set local role {role}");
            let became = self.run(Some(MINE), &[&become_other]).await;
            assert!(by_grant(&became), "{name}: {became:?}");
        }
        let copy = format!("begin; set local misy.tenant = '{MINE}'; copy {name} from stdin");
        let copied = self.client.batch_execute(&copy).await;
        let state = copied.err().and_then(|error| error.code().cloned());
        assert_eq!(state, Some(SqlState::FEATURE_NOT_SUPPORTED), "{name}: COPY asks no policy");
        self.client.batch_execute("rollback").await.expect("rolls back");
    }
}

async fn with_rows_of_two_tenants(database: &TestDatabase) -> (Wire, Catalog) {
    let superuser = wire(database.superuser()).await;
    superuser.batch_execute(FREE_VALUES).await.expect("constraints go");
    let catalog = Catalog::read(&superuser).await.expect("readable");
    for table in catalog.tenant_tables() {
        let sql = insert(table, THEIRS);
        superuser.execute(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    (superuser, catalog)
}

#[tokio::test]
async fn a_tenant_reaches_no_row_of_another_in_any_tenant_table() {
    let database = TestDatabase::create().await;
    let (_, catalog) = with_rows_of_two_tenants(&database).await;
    let never_set = wire(&database.config(DbRole::Tenant)).await;
    let client = wire(&database.config(DbRole::Tenant)).await;
    for table in catalog.tenant_tables() {
        let fresh = Cell { client: &never_set, table };
        fresh.raises_without_a_context(&[SqlState::UNDEFINED_OBJECT]).await;
        let cell = Cell { client: &client, table };
        cell.hides_rows_of_others().await;
        cell.refuses_rows_for_others().await;
        cell.refuses_what_goes_around_policies().await;
        // A connection on which a context was set and ended knows the setting, as an empty text.
        cell.raises_without_a_context(&[SqlState::INVALID_TEXT_REPRESENTATION]).await;
        let own = cell.run(Some(THEIRS), &["select 1 from {t}"]).await;
        assert!(matches!(own, Ok(1)), "{}: its owner still has it: {own:?}", table.name);
    }
}

#[tokio::test]
async fn the_platforms_role_reads_no_tenant_table_and_the_owner_sees_no_row() {
    let database = TestDatabase::create().await;
    let (_, catalog) = with_rows_of_two_tenants(&database).await;
    let platform = wire(&database.config(DbRole::Platform)).await;
    let owner = wire(&database.owner()).await;
    for table in catalog.tenant_tables() {
        let select = format!("select 1 from {}", table.name);
        let result = attempt(&platform, Some(THEIRS), &[&select]).await;
        assert!(by_grant(&result), "{}: {result:?}", table.name);
        let result = attempt(&owner, Some(THEIRS), &[&select]).await;
        assert!(matches!(result, Ok(0)), "{}: forced for the owner too: {result:?}", table.name);
    }
}
