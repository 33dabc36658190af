//! Room `bench`: no statement of the application has another plan under row-level security than it
//! has without, and none is left out.

use std::path::{Path, PathBuf};

use misy_bench::rls::plans::{Comparison, Planners, compare};
use misy_bench::rls::statements::{self, FILES, RunsAs, Statement};
use misy_bench::rls::{connect, rows};
use misy_store::DbRole;
use misy_testkit::TestDatabase;
use tokio_postgres::Client;

/// Rooms whose statements are not the application's: they make the database, or only tests, benches
/// and emulation.
const OTHER_ROOMS: [&str; 3] = ["bench", "sandbox", "testkit"];

/// Statements of the store that run before there is a tenant: migrations and the look at the
/// catalog.
const ADMINISTRATION: [&str; 4] = [
    "store/src/isolation.rs",
    "store/src/isolation/catalog.rs",
    "store/src/isolation/rules.rs",
    "store/src/migrate.rs",
];

async fn filled() -> TestDatabase {
    let database = TestDatabase::create().await;
    let client = connect(database.superuser()).await.expect("connected");
    client.batch_execute(&rows::fill(200, 40)).await.expect("rows for every table");
    let empty = "select relid::regclass::text from pg_stat_user_tables
        join pg_class on pg_class.oid = relid and relkind = 'r' where n_live_tup < 200";
    let empty: Vec<String> =
        client.query(empty, &[]).await.expect("counted").iter().map(|row| row.get(0)).collect();
    let small = ["onboarding_workflows", "plan_versions", "plans", "schema_migrations"];
    assert!(empty.iter().all(|name| small.contains(&name.as_str())), "not filled: {empty:?}");
    database
}

async fn compared(database: &TestDatabase, statements: &[Statement]) -> Comparison {
    let open = async |config: tokio_postgres::Config| connect(&config).await.expect("connected");
    let tenant = open(database.config(DbRole::Tenant)).await;
    let platform = open(database.config(DbRole::Platform)).await;
    let superuser = open(database.superuser().clone()).await;
    let planners = Planners { tenant: &tenant, platform: &platform, superuser: &superuser };
    compare(&planners, statements, rows::tenant(7)).await.expect("compared")
}

#[tokio::test]
async fn no_statement_has_another_plan_under_row_level_security() {
    let database = filled().await;
    let statements = statements::all();
    let found = compared(&database, &statements).await;
    for one in &found.differences {
        let (with, without) = (&one.with_policies, &one.without);
        println!("{} ({})\nwith policies:\n{with}without:\n{without}", one.statement, one.mode);
    }
    assert_eq!(found.failed, Vec::<String>::new(), "every statement was planned");
    let changed: Vec<&str> = found.differences.iter().map(|one| one.statement.as_str()).collect();
    assert_eq!(changed, Vec::<&str>::new());
    let count = found.of_tenants.len() + found.of_platform.len();
    let twice = statements.iter().filter(|one| one.runs_as == RunsAs::Both).count();
    assert_eq!(count, statements.len() + twice);
    assert!(found.of_tenants.len() >= 70, "{}", found.of_tenants.len());
    println!("{} of tenants, {} of the platform", found.of_tenants.len(), found.of_platform.len());
}

#[tokio::test]
async fn a_statement_that_loses_its_index_to_the_policy_is_noticed() {
    let database = filled().await;
    let superuser: Client = connect(database.superuser()).await.expect("connected");
    let indexes = "create index on contacts (lower(display_name), tenant_id);
        create index on messages using gin (words); analyze contacts";
    superuser.batch_execute(indexes).await.expect("made");
    let statement = |name: &str, sql: &str| Statement {
        file: "x".to_owned(),
        name: name.to_owned(),
        sql: sql.to_owned(),
        runs_as: RunsAs::Either,
    };
    let found = compared(
        &database,
        &[
            statement(
                "LOWER",
                "select * from contacts where tenant_id = $1 and lower(display_name) = $2",
            ),
            statement(
                "WORDS",
                "select id from messages where tenant_id = $1
            and words @@ plainto_tsquery('simple', $2)",
            ),
            statement("FINE", "select * from contacts where tenant_id = $1 and id = $2"),
            statement("BROKEN", "select * from nowhere"),
        ],
    )
    .await;
    let mut changed: Vec<&str> =
        found.differences.iter().map(|one| one.statement.as_str()).collect();
    changed.dedup();
    assert_eq!(changed, ["x LOWER", "x WORDS"]);
    assert_eq!(found.failed, ["x BROKEN: 42P01"]);
    assert_eq!(found.of_tenants, ["x LOWER", "x WORDS", "x FINE", "x BROKEN"]);
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_that_holds_a_statement_is_compared() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder").to_owned();
    let (mut looked, mut missing) = (0, Vec::new());
    for room in std::fs::read_dir(&crates).expect("readable") {
        let room = room.expect("readable").path();
        let name = room.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if OTHER_ROOMS.contains(&name.as_str()) || !room.join("src").is_dir() {
            continue;
        }
        let mut files = Vec::new();
        sources(&room.join("src"), &mut files);
        for file in files {
            let place =
                file.strip_prefix(&crates).expect("below").to_str().expect("UTF-8").to_owned();
            let source = std::fs::read_to_string(&file).expect("readable");
            let holds = !statements::in_source(&place, &source).is_empty();
            let is_of_tests = place.ends_with("/tests.rs");
            let listed = FILES.iter().any(|(known, _)| *known == place);
            let exempt = is_of_tests || ADMINISTRATION.contains(&place.as_str());
            looked += usize::from(holds);
            if holds && !listed && !exempt {
                missing.push(place);
            }
        }
    }
    assert!(missing.is_empty(), "they hold statements, list them in FILES: {missing:?}");
    assert!(looked >= FILES.len(), "{looked}");
}

#[test]
fn no_statement_is_put_together_where_it_cannot_be_compared() {
    for (file, source) in FILES {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        for call in [".query(", ".query_opt(", ".execute("] {
            for (_, argument) in
                code.match_indices(call).map(|(at, _)| code.split_at(at + call.len()))
            {
                let argument = argument.trim_start().trim_start_matches('&');
                let inline = argument.starts_with('"') || argument.starts_with("format!");
                assert!(!inline, "{file}: a statement that is no constant: {argument:.80}");
            }
        }
    }
}
