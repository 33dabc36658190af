//! Room `store`: the functions that search by words with rights of their own. Each adds the tenant
//! by itself, so each is attacked here: as another tenant, without one, and by a caller who may
//! say any SQL.

use misy_store::DbRole;
use misy_store::isolation::{Catalog, DEFINERS};
use misy_testkit::TestDatabase;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::wire::{Wire, wire};

const MINE: &str = "00000000-0000-0000-0000-00000000000a";
const THEIRS: &str = "00000000-0000-0000-0000-00000000000b";

/// Rows of two tenants with the same words, and one more word in each that only it has.
const FILL: &str = "
    set session_replication_role = replica;
    insert into messages (tenant_id, id, conversation_id, channel_id, direction, author_kind,
        content, status)
    select tenant::uuid, ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, tenant::uuid,
        tenant::uuid, 'inbound', 'contact', jsonb_build_object('type', 'text', 'text',
            'parcel number' || n || ' of tenant' || right(tenant, 1)), 'read'
    from generate_series(1, 2000) n, unnest(array[
        '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b']) tenant;
    insert into knowledge_entries (tenant_id, id, question, answer, language)
    select tenant::uuid, ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
        'Where is parcel number' || n || '?', 'With tenant' || right(tenant, 1), 'en'
    from generate_series(1, 200) n, unnest(array[
        '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b']) tenant;
    insert into knowledge_documents (tenant_id, id, title, language, body_id, bytes)
    select tenant::uuid, tenant::uuid, 'x', 'en', tenant::uuid, 1 from unnest(array[
        '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b']) tenant;
    insert into knowledge_passages (tenant_id, id, document_id, position, language, heading, body)
    select tenant::uuid, ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, tenant::uuid,
        n, 'en', 'Where is parcel number' || n || '?', 'With tenant' || right(tenant, 1)
    from generate_series(1, 200) n, unnest(array[
        '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b']) tenant;
    analyze messages, knowledge_entries, knowledge_passages";

/// A call of every function, with words that both tenants have, that one has, and that none has.
const CALLS: [(&str, &str); 3] = [
    ("misy_find_messages", "misy_find_messages('{w}', null, 5000) as one where one.hit"),
    (
        "misy_find_knowledge",
        "misy_find_knowledge(tsvector_to_array(to_tsvector('english', '{w}')))",
    ),
    (
        "misy_find_passages",
        "misy_find_passages(tsvector_to_array(to_tsvector('english', '{w}')), 5000)",
    ),
];

async fn filled() -> (TestDatabase, Wire) {
    let database = TestDatabase::create().await;
    let superuser = wire(database.superuser()).await;
    superuser.batch_execute(FILL).await.expect("rows of two tenants");
    (database, superuser)
}

/// How many ids a call gives inside a tenant, after what the caller did first.
async fn hits(client: &Client, tenant: &str, first: &str, call: &str) -> Result<i64, Error> {
    let open = format!("begin; set local misy.tenant = '{tenant}'; {first}");
    let opened = client.batch_execute(&open).await;
    let counted = match opened {
        Ok(()) => client.query_one(&format!("select count(*) from {call}"), &[]).await,
        Err(error) => Err(error),
    };
    client.batch_execute("rollback").await?;
    Ok(counted?.get(0))
}

fn state(result: &Result<i64, Error>) -> Option<&SqlState> {
    result.as_ref().err()?.code()
}

#[tokio::test]
async fn every_function_with_rights_of_another_is_attacked_here_or_reads_no_tenant_table() {
    let (_database, superuser) = filled().await;
    let catalog = Catalog::read(&superuser).await.expect("readable");
    for function in catalog.functions.iter().filter(|one| one.definer) {
        let known = DEFINERS.iter().find(|one| one.name == function.name).expect("on the list");
        let attacked = CALLS.iter().any(|(name, _)| *name == function.name)
            || super::gateway::CALLS.iter().any(|(name, _)| *name == function.name);
        let blind = catalog.tenant_tables().all(|table| table.rights_of(known.owner).is_empty());
        assert!(attacked || blind, "{} sees rows of tenants", function.name);
    }
}

#[tokio::test]
async fn a_search_sees_the_words_of_its_own_tenant_alone() {
    let (database, _) = filled().await;
    let client = wire(&database.config(DbRole::Tenant)).await;
    for (name, call) in CALLS {
        for (words, mine, theirs) in [
            ("tenanta", true, false),
            ("tenantb", false, true),
            ("number77", true, true),
            ("x", false, false),
        ] {
            let call = call.replace("{w}", words);
            let of_mine = hits(&client, MINE, "", &call).await.expect("it answers");
            let of_theirs = hits(&client, THEIRS, "", &call).await.expect("it answers");
            assert_eq!((of_mine > 0, of_theirs > 0), (mine, theirs), "{name}: {words}");
            let elsewhere = "00000000-0000-0000-0000-00000000000c";
            assert_eq!(hits(&client, elsewhere, "", &call).await.expect("it answers"), 0, "{name}");
        }
        let both = call.replace("{w}", "number77");
        assert_eq!(hits(&client, MINE, "", &both).await.expect("it answers"), 1, "{name}");
    }
}

#[tokio::test]
async fn a_search_without_a_tenant_raises() {
    let (database, _) = filled().await;
    for (name, call) in CALLS {
        let call = format!("select * from {}", call.replace("{w}", "parcel"));
        let client = wire(&database.config(DbRole::Tenant)).await;
        let error = client.query(&call, &[]).await.expect_err("no tenant was ever set");
        assert_eq!(error.code(), Some(&SqlState::UNDEFINED_OBJECT), "{name}: {error:?}");
        let set = format!("begin; set local misy.tenant = '{MINE}'; commit");
        client.batch_execute(&set).await.expect("one was set and is over");
        let error = client.query(&call, &[]).await.expect_err("none is set now");
        assert_eq!(error.code(), Some(&SqlState::INVALID_TEXT_REPRESENTATION), "{name}");
    }
}

/// What a caller may try who can say any SQL as `misy_tenant`: to stand in for what the functions
/// name, with things of their own, or to change the tenant while they run.
const TRICKS: [&str; 7] = [
    "create temporary table messages (tenant_id uuid, id uuid, words tsvector);
     insert into messages select '00000000-0000-0000-0000-00000000000a', id, to_tsvector('simple',
        'parcel number77 tenantb') from pg_temp.ids; set local search_path = pg_temp, public",
    "create temporary table knowledge_entries (tenant_id uuid, id uuid, words tsvector);
     set local search_path = pg_temp, pg_catalog, public",
    "create temporary table knowledge_passages (tenant_id uuid, id uuid, words tsvector);
     insert into knowledge_passages select '00000000-0000-0000-0000-00000000000a', id,
        to_tsvector('english', 'parcel number77 tenantb') from pg_temp.ids;
     set local search_path = pg_temp, pg_catalog, public",
    "create function pg_temp.current_setting(text) returns text language sql
        as 'select ''00000000-0000-0000-0000-00000000000b''';
     set local search_path = pg_temp, pg_catalog, public",
    "create function pg_temp.misy_tenant_words(uuid, tsvector) returns bigint[] language sql
        as 'select array[1]::bigint[]'; set local search_path = pg_temp, public, pg_catalog",
    "create function pg_temp.same(uuid, uuid) returns boolean language sql as 'select true';
     create operator pg_temp.= (leftarg = uuid, rightarg = uuid, function = pg_temp.same);
     set local search_path = pg_temp, pg_catalog, public",
    "create function pg_temp.always(tsvector, tsquery) returns boolean language sql
        as 'select true';
     create operator pg_temp.@@ (leftarg = tsvector, rightarg = tsquery, function = pg_temp.always);
     set local search_path = pg_temp, pg_catalog, public",
];

#[tokio::test]
async fn nothing_that_a_caller_makes_stands_in_for_what_a_search_names() {
    let (database, _) = filled().await;
    let client = wire(&database.config(DbRole::Tenant)).await;
    client
        .batch_execute("create temporary table ids as select gen_random_uuid() as id")
        .await
        .expect("a caller may have temporary tables");
    for (name, call) in CALLS {
        for trick in TRICKS {
            // The stand-ins are made in earnest, else this would prove nothing.
            let theirs = call.replace("{w}", "tenantb");
            let result = hits(&client, MINE, trick, &format!("public.{theirs}")).await;
            assert_eq!(result.expect(trick), 0, "{name}: {trick}");
            let ours = format!("public.{}", call.replace("{w}", "number77"));
            let mine = hits(&client, MINE, trick, &ours).await;
            assert_eq!(mine.expect(trick), 1, "{name}: {trick}");
        }
    }
}

#[tokio::test]
async fn the_rights_of_the_search_cannot_be_had_or_handed_on() {
    let (database, superuser) = filled().await;
    let client = wire(&database.config(DbRole::Tenant)).await;
    for trick in [
        "set local role misy_search",
        "alter function misy_find_messages(text, uuid, integer) security invoker",
        "alter function misy_find_messages(text, uuid, integer) set search_path = pg_temp",
        "create or replace function misy_find_messages(phrase text, before uuid, wanted integer)
            returns setof uuid language sql as 'select null::uuid'",
        "select words from messages, misy_search",
        "alter table messages disable row level security",
    ] {
        let result = hits(&client, MINE, trick, "pg_class").await;
        let state = state(&result).map(SqlState::code);
        assert!(matches!(state, Some("42501" | "42P01")), "{trick}: {result:?}");
    }
    let mut nobody = database.superuser().clone();
    nobody.user("misy_search");
    assert!(crate::wire::try_wire(&nobody).await.is_err(), "it cannot sign in");
    let platform = wire(&database.config(DbRole::Platform)).await;
    for (name, call) in CALLS {
        let result = hits(&platform, MINE, "", &call.replace("{w}", "parcel")).await;
        assert_eq!(state(&result), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{name}");
    }
    // Of a grant without the right to it PostgreSQL warns, and grants nothing.
    let grant = "grant execute on function misy_find_messages(text, uuid, integer) to public";
    client.batch_execute(grant).await.expect("a warning");
    let catalog = Catalog::read(&superuser).await.expect("readable");
    assert_eq!(misy_store::isolation::faults(&catalog), []);
    let seen = "select count(*) from information_schema.column_privileges
        where grantee = 'misy_search' and column_name not in ('id', 'tenant_id', 'words')";
    let row = superuser.query_one(seen, &[]).await.expect("readable");
    assert_eq!(row.get::<_, i64>(0), 0, "ids and words, and no text that could be read");
}

#[tokio::test]
async fn words_that_fall_on_one_number_of_the_index_are_told_apart() {
    let (database, superuser) = filled().await;
    // The index now holds 61 numbers, the same ones for all tenants.
    let collide = "create or replace function misy_tenant_words(tenant uuid, words tsvector)
            returns bigint[] language sql immutable strict parallel safe
            as 'select array(select (abs(hashtext(word)) % 61)::bigint
                from unnest(tsvector_to_array(words)) as word)';
        reindex table messages; reindex table knowledge_entries;
        reindex table knowledge_passages";
    superuser.batch_execute(collide).await.expect("rebuilt");
    let client = wire(&database.config(DbRole::Tenant)).await;
    for (name, call) in CALLS {
        let count = async |words: &str| {
            hits(&client, MINE, "", &call.replace("{w}", words)).await.expect("it answers")
        };
        assert_eq!(count("tenantb").await, 0, "{name}");
        assert_eq!(count("number77").await, 1, "{name}");
    }
}

#[tokio::test]
async fn pages_of_a_search_are_newest_first_and_without_gaps_however_common_the_word() {
    let (database, superuser) = filled().await;
    let client = wire(&database.config(DbRole::Tenant)).await;
    for words in ["parcel", "tenanta", "number7", "parcel number1999", "number1"] {
        let all = "select array_agg(id::text order by id desc) from messages
            where tenant_id = '00000000-0000-0000-0000-00000000000a'
                and words @@ plainto_tsquery('simple', $1)";
        let row = superuser.query_one(all, &[&words]).await.expect("counted");
        let all: Vec<String> = row.get::<_, Option<Vec<String>>>(0).unwrap_or_default();
        let mut paged: Vec<String> = Vec::new();
        loop {
            let before = paged.last().map_or("null".to_owned(), |id| format!("'{id}'"));
            client
                .batch_execute(&format!("begin; set local misy.tenant = '{MINE}'"))
                .await
                .expect("begun");
            let sql = format!(
                "select one.id::text from misy_find_messages('{words}', {before}, 700) as one
                    where one.hit order by one.id desc"
            );
            let page = client.query(&sql, &[]).await.expect("a page");
            client.batch_execute("rollback").await.expect("ended");
            if page.is_empty() {
                break;
            }
            paged.extend(page.iter().map(|row| row.get::<_, String>(0)));
        }
        assert_eq!(paged, all, "{words}");
        assert!(!all.is_empty(), "{words}");
    }
}

/// Nine thousand messages of one tenant: words that only old ones have, that few have, and that
/// every fifteenth has.
const MANY: &str = "
    set session_replication_role = replica;
    insert into messages (tenant_id, id, conversation_id, channel_id, direction, author_kind,
        content, status)
    select tenant, ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, tenant, tenant,
        'inbound', 'contact', jsonb_build_object('type', 'text', 'text', concat_ws(' ', 'parcel',
            'number' || n, case when n < 2000 then 'ancient' end,
            case when n % 15 = 0 then 'often' end, case when n % 100 = 0 then 'seldom' end)), 'read'
    from generate_series(1, 9000) n, (select '00000000-0000-0000-0000-00000000000a'::uuid as tenant)
        as one;
    analyze messages";

#[tokio::test]
async fn a_search_that_stops_looking_says_where_and_going_on_finds_everything_in_order() {
    let database = TestDatabase::create().await;
    let superuser = wire(database.superuser()).await;
    superuser.batch_execute(MANY).await.expect("many messages");
    let client = wire(&database.config(DbRole::Tenant)).await;
    let set = format!("begin; set local misy.tenant = '{MINE}'");
    client.batch_execute(&set).await.expect("a tenant");
    let mut stops = 0;
    for (words, wanted) in [
        ("ancient", 1_999),
        ("often", 600),
        ("seldom", 90),
        ("number17", 1),
        ("ancient often", 133),
        ("seldom parcel", 90),
        ("often seldom", 30),
        ("ancient absent", 0),
    ] {
        let mut before = "null".to_owned();
        let mut seen: Vec<String> = Vec::new();
        loop {
            let sql = format!(
                "select one.id::text, one.hit from misy_find_messages('{words}', {before}, 51) one"
            );
            let page = client.query(&sql, &[]).await.expect("it answers");
            let (hits, ends): (Vec<_>, Vec<_>) = page.iter().partition(|row| row.get("hit"));
            let last = |rows: &[&tokio_postgres::Row]| {
                rows.last().map(|row| format!("'{}'", row.get::<_, String>("id")))
            };
            assert!(ends.len() <= 1 && hits.len() <= 51);
            seen.extend(hits.iter().map(|row| row.get::<_, String>("id")));
            stops += ends.len();
            let more = if hits.len() == 51 { last(&hits) } else { None };
            let Some(next) = last(&ends).or(more) else { break };
            before = next;
        }
        assert_eq!(seen.len(), wanted, "{words}");
        assert!(seen.is_sorted_by(|newer, older| newer > older), "{words}");
    }
    assert!(stops > 5, "it never stopped: {stops}");
}

#[tokio::test]
async fn the_words_of_a_message_are_what_people_read_of_it() {
    let database = TestDatabase::create().await;
    let client = wire(database.superuser()).await;
    for (content, words) in [
        (r#"{"type": "text", "text": "Hello there"}"#, "Hello there"),
        (r#"{"type": "buttons", "header": "a", "text": "b", "footer": "c"}"#, "a b c"),
        (r#"{"type": "media", "kind": "image", "filename": "x.png", "url": "https://y"}"#, "x.png"),
        (
            r#"{"type": "carousel", "cards": [{"title": "red"}, {"title": "blue"}]}"#,
            "[\"red\", \"blue\"]",
        ),
        (r#"{"type": "event"}"#, ""),
    ] {
        let sql = format!("select misy_message_text('{content}')");
        let row = client.query_one(&sql, &[]).await.expect("read");
        assert_eq!(row.get::<_, String>(0), words, "{content}");
    }
}

/// A tenant whose newest messages are of another kind than all before: a word that all old ones
/// have, one that 60 old ones have, and one that a few of the very first have.
const ERAS: &str = "
    set session_replication_role = replica;
    insert into messages (tenant_id, id, conversation_id, channel_id, direction, author_kind,
        content, status)
    select tenant, (lpad(to_hex(n), 12, '0') || '70008000000000000000')::uuid, tenant,
        tenant, 'inbound', 'contact', jsonb_build_object('type', 'text', 'text', case
            when n > 12000 then 'parcel' else concat_ws(' ', 'hello',
                case when n % 200 = 0 then 'seldom' end, case when n < 6 then 'first' end) end),
        'read'
    from generate_series(1, 15000) n,
        (select '00000000-0000-0000-0000-00000000000a'::uuid as tenant) as one;
    analyze messages";

#[tokio::test]
async fn what_was_frequent_once_is_found_without_reading_the_table() {
    const SCANS: &str = "
        select seq_scan from pg_stat_xact_user_tables where relname = 'messages'";
    let database = TestDatabase::create().await;
    wire(database.superuser()).await.batch_execute(ERAS).await.expect("two eras");
    let client = wire(&database.config(DbRole::Tenant)).await;
    let begin = format!("begin; set local misy.tenant = '{MINE}'");
    client.batch_execute(&begin).await.expect("inside the tenant");
    for (word, wanted, pages) in
        [("hello", 12_000, 2..20), ("seldom", 60, 1..2), ("first", 5, 1..2)]
    {
        let (mut found, mut asked, mut before) = (0, 0, None::<uuid::Uuid>);
        loop {
            let page = "select id, hit from misy_find_messages($1, $2, 5000)";
            let rows = client.query(page, &[&word, &before]).await.expect("it answers");
            found += rows.iter().filter(|row| row.get("hit")).count();
            asked += 1;
            let end = rows.iter().find(|row| !row.get::<_, bool>("hit"));
            before = end.map(|row| row.get("id"));
            if before.is_none() {
                break;
            }
        }
        assert_eq!(found, wanted, "{word}");
        assert!(pages.contains(&asked), "{word}: {asked} pages");
    }
    let scans: i64 = client.query_one(SCANS, &[]).await.expect("counted").get(0);
    assert_eq!(scans, 0, "the table was read from its beginning");
}
