//! Room `store`: documents in a real document server: the same suite, and the walls inside it.

use bson::{Document as Fields, doc};
use misy_core::crypto::Key;
use misy_core::{Code, Public, Secret};
use misy_store::documents::mongo::{Mongo, MongoConfig};
use misy_testkit::{TestMongo, wall_ambient};
use mongodb::error::ErrorKind;

use super::*;

pub(super) const ROOT: [u8; 32] = [0x5a; 32];

pub(super) async fn open(server: &TestMongo) -> Mongo {
    let config = MongoConfig {
        url: Some(Secret::new(server.everyday_url())),
        provisioning_url: Some(Secret::new(server.provisioning_url())),
        ..MongoConfig::default()
    };
    let opened = Mongo::open(&config, &Key::new(ROOT)).await.expect("the address is well formed");
    opened.expect("an address was given")
}

/// The code of the server's refusal.
fn refusal<T>(result: mongodb::error::Result<T>) -> i32 {
    let Err(error) = result else { return 0 };
    match *error.kind {
        ErrorKind::Command(ref error) => error.code,
        ErrorKind::Write(mongodb::error::WriteFailure::WriteError(ref error)) => error.code,
        ref other => panic!("refused in another way: {other}"),
    }
}

const UNAUTHORIZED: i32 = 13;
const FAILED_VALIDATION: i32 = 121;

#[tokio::test]
async fn the_documents_of_mongodb_conform() {
    let (database, server) = (TestDatabase::create().await, TestMongo::create().await);
    let store = Documents::mongo(database.db(ambient()), open(&server).await);
    document_conformance(&store).await;
    let names = server.database().list_collection_names().await.expect("it answers");
    assert_eq!(names.len(), 3, "contexts of two tenants and payloads of one: {names:?}");
    let prefix = |name: &String| name.split("__").next().map(str::to_owned);
    for tenant in [ctx(1), ctx(2)] {
        let shown = tenant.tenant().uuid().simple().to_string();
        assert!(names.iter().all(|name| !name.contains(&shown)), "names are opaque");
    }
    let mut tenants: Vec<_> = names.iter().filter_map(prefix).collect();
    tenants.sort_unstable();
    tenants.dedup();
    assert_eq!(tenants.len(), 2);
    let rows = misy_testkit::postgres::query(database.superuser(), "select id from documents");
    assert!(rows.await.expect("it answers").is_empty(), "nothing of it is in the database");
}

#[tokio::test]
async fn the_server_itself_refuses_another_tenants_document_and_the_making_of_collections() {
    let (database, server) = (TestDatabase::create().await, TestMongo::create().await);
    let store = Documents::mongo(database.db(ambient()), open(&server).await);
    put(&store.of(&ctx(1)).collection(CONTEXTS), 1, &json!({"contact": "ada"})).await;
    let names = server.database().list_collection_names().await.expect("it answers");
    let [name] = names.as_slice() else { panic!("one collection: {names:?}") };

    let everyday = TestMongo::raw(&server.everyday_url()).await;
    let theirs = everyday.collection::<Fields>(name);
    let mut copy = theirs.find_one(doc! {}).await.expect("it answers").expect("it is there");
    copy.insert("_id", 2);
    assert_eq!(refusal(theirs.insert_one(copy.clone()).await), 0, "their own tenant's may");
    let foreign = ctx(2).tenant().uuid().hyphenated().to_string();
    copy.insert("_id", 3);
    copy.insert("tenant_id", &foreign);
    assert_eq!(refusal(theirs.insert_one(copy).await), FAILED_VALIDATION);
    let moved = doc! { "$set": { "tenant_id": &foreign } };
    assert_eq!(refusal(theirs.update_one(doc! { "_id": 2 }, moved).await), FAILED_VALIDATION);
    let bare = doc! { "_id": 4 };
    assert_eq!(refusal(theirs.insert_one(bare).await), FAILED_VALIDATION);

    let fall = doc! { "collMod": name, "validator": {} };
    assert_eq!(refusal(everyday.run_command(fall).await), UNAUTHORIZED);
    assert_eq!(refusal(everyday.create_collection("of_my_own").await), UNAUTHORIZED);
    assert_eq!(refusal(theirs.drop().await), UNAUTHORIZED);
    let index = mongodb::IndexModel::builder().keys(doc! { "body.x": 1 }).build();
    assert_eq!(refusal(theirs.create_index(index).await), UNAUTHORIZED);
}

#[tokio::test]
async fn a_wall_that_was_taken_down_is_put_up_by_the_next_process_that_writes() {
    let (database, server) = (TestDatabase::create().await, TestMongo::create().await);
    let first = Documents::mongo(database.db(ambient()), open(&server).await);
    put(&first.of(&ctx(1)).collection(CONTEXTS), 1, &json!({})).await;
    let name = server.database().list_collection_names().await.expect("it answers").remove(0);
    let fall = doc! { "collMod": &name, "validator": {} };
    server.database().run_command(fall).await.expect("its administrator may");
    let walls = async || {
        let listed = server.database().run_command(doc! { "listCollections": 1 }).await;
        listed.expect("it answers").to_string().contains("$jsonSchema")
    };
    assert!(!walls().await);
    put(&first.of(&ctx(1)).collection(CONTEXTS), 1, &json!({})).await;
    assert!(!walls().await, "a process looks once");
    let second = Documents::mongo(database.db(ambient()), open(&server).await);
    put(&second.of(&ctx(1)).collection(CONTEXTS), 1, &json!({})).await;
    assert!(walls().await);
}

#[tokio::test]
async fn tenants_with_documents_stay_where_they_are_and_a_program_without_a_server_says_so() {
    let (database, server) = (TestDatabase::create().await, TestMongo::create().await);
    let old = Documents::embedded(database.db(wall_ambient(1)));
    put(&old.of(&ctx(1)).collection(CONTEXTS), 1, &json!({"of": "old"})).await;
    let both = Documents::mongo(database.db(wall_ambient(2)), open(&server).await);
    let kept = get(&both.of(&ctx(1)).collection(CONTEXTS), 1).await;
    assert_eq!(kept.map(|kept| kept.body), Some(json!({"of": "old"})));
    assert_eq!(put(&both.of(&ctx(1)).collection(CONTEXTS), 1, &json!({})).await, 2);

    put(&both.of(&ctx(2)).collection(CONTEXTS), 1, &json!({"of": "new"})).await;
    let blind = old.of(&ctx(2)).collection(CONTEXTS);
    let refused = blind.get::<Value>(id(1)).await.expect_err("it cannot know");
    assert!(matches!(refused, DocumentError::Elsewhere));
    assert_eq!((refused.code(), refused.retry_after_s()), (Code::Unavailable, Some(1)));
    let refused = blind.put(id(1), &json!({})).await.expect_err("it would write beside it");
    assert!(matches!(refused, DocumentError::Elsewhere));
    assert!(blind.list::<Value>(None, Limit::DEFAULT).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable_and_says_when_to_come_back() {
    let (database, server) = (TestDatabase::create().await, TestMongo::create().await);
    let there = Documents::mongo(database.db(ambient()), open(&server).await);
    put(&there.of(&ctx(1)).collection(CONTEXTS), 1, &json!({})).await;
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = nowhere.local_addr().expect("bound");
    drop(nowhere);
    let config = MongoConfig {
        url: Some(Secret::new(format!("mongodb://{address}/x?directConnection=true"))),
        wait_ms: 200,
        ..MongoConfig::default()
    };
    let server = Mongo::open(&config, &Key::new(ROOT)).await.expect("nothing is asked yet");
    let store = Documents::mongo(database.db(ambient()), server.expect("an address was given"));
    let collection = store.of(&ctx(1)).collection(CONTEXTS);
    let refused = collection.put(id(1), &json!({})).await.expect_err("nobody is there");
    assert_eq!((refused.code(), refused.retry_after_s()), (Code::Unavailable, Some(1)));
    let refused = collection.get::<Value>(id(1)).await.expect_err("nobody is there");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(store.has_server() && store.ready().await.is_err());
    assert!(there.ready().await.is_ok());
    let embedded = Documents::embedded(database.db(ambient()));
    assert!(!embedded.has_server() && embedded.ready().await.is_ok());
}

#[tokio::test]
async fn the_report_counts_our_collections_only() {
    let (database, server) = (TestDatabase::create().await, TestMongo::create().await);
    let mongo = open(&server).await;
    let store = Documents::mongo(database.db(ambient()), mongo.clone());
    server.database().create_collection("users").await.expect("its administrator may");
    store.of(&ctx(1)).prepare(&[CONTEXTS, PAYLOADS]).await.expect("made");
    store.of(&ctx(1)).prepare(&[CONTEXTS, PAYLOADS]).await.expect("there already");
    let report = mongo.report().await.expect("it answers");
    assert_eq!((report.collections, report.own_provisioner), (2, true));
    assert_eq!(report.warnings(), Vec::<String>::new());
}
