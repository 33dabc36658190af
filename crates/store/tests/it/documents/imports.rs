//! Room `store`: what an earlier deployment kept in one collection for all tenants comes in, as
//! often as wanted, and goes back.

use std::collections::BTreeMap;

use bson::{Bson, Document as Fields, doc};
use misy_core::Secret;
use misy_core::id::TypedId;
use misy_store::documents::Home;
use misy_store::documents::moves::MoveError;
use misy_store::documents::shared::{Brought, Importer, Returned, Shared};
use misy_testkit::{TestMongo, wall_ambient};

use super::mongo::open;
use super::*;

struct Old {
    database: TestDatabase,
    server: TestMongo,
    everything: mongodb::Collection<Fields>,
}

impl Old {
    /// Two tenants, one named by text and one by UUID, and one that nobody knows.
    async fn deployment() -> Self {
        let (database, server) = (TestDatabase::create().await, TestMongo::create().await);
        let everything = server.database().collection::<Fields>("conversations");
        let first = ctx(1).tenant().uuid().to_string();
        let second: Bson = bson::Uuid::from_bytes(*ctx(2).tenant().uuid().as_bytes()).into();
        let mut all = Vec::new();
        for number in 0..25_u32 {
            let (n, seen) = (i64::from(number), bson::DateTime::from_millis(number.into()));
            all.push(doc! { "tenant": &first, "contact": format!("c{}", number % 3), "n": n,
            "seen": seen, "price": 0.5 });
            let id = bson::Uuid::from_bytes(id(7_000 + u128::from(number)).into_bytes());
            all.push(doc! { "_id": id, "tenant": second.clone(), "contact": "other", "$odd": 1 });
        }
        all.push(doc! { "tenant": "gone", "n": 1 });
        everything.insert_many(all).await.expect("its administrator may");
        Self { database, server, everything }
    }

    async fn importer(&self, batch: i64) -> Importer {
        let url = Secret::new(self.server.provisioning_url());
        let source = Shared::open(&url, "conversations", "tenant").await.expect("well formed");
        let mongo = Some(open(&self.server).await);
        Importer::new(self.database.db(wall_ambient(4)), mongo, source, CONTEXTS, batch)
    }

    async fn store(&self) -> Documents {
        Documents::mongo(self.database.db(wall_ambient(5)), open(&self.server).await)
    }

    /// The source, without what is nobody's.
    async fn content(&self) -> BTreeMap<String, Fields> {
        let mut found = self.everything.find(doc! { "tenant": { "$ne": "gone" } }).await;
        let found = found.as_mut().expect("it answers");
        let mut content = BTreeMap::new();
        while found.advance().await.expect("it answers") {
            let raw = found.current().to_owned();
            let fields = Fields::try_from(&raw).expect("well formed");
            content.insert(fields.get("_id").expect("an id").to_string(), fields);
        }
        content
    }
}

fn names(number: u128) -> Vec<String> {
    vec![ctx(number).tenant().uuid().to_string()]
}

#[tokio::test]
async fn a_shared_collection_comes_in_tenant_by_tenant_and_a_second_run_finds_it_there() {
    let old = Old::deployment().await;
    let importer = old.importer(4).await;
    let url = Secret::new(old.server.provisioning_url());
    let seen = Shared::open(&url, "conversations", "tenant");
    let counts = seen.await.expect("well formed").tenants().await.expect("it counts");
    let expected = [(names(1).remove(0), 25), (names(2).remove(0), 25), ("gone".to_owned(), 1)];
    assert_eq!(counts, BTreeMap::from(expected));
    for number in [1, 2] {
        let mut steps = Vec::new();
        let watch = &mut |done| steps.push(done);
        let done = importer.run(&ctx(number), &names(number), Home::Mongo, watch).await;
        let wanted = Brought { found: 25, written: 25, same: 0, newer: 0 };
        assert_eq!(done.expect("it comes in"), wanted);
        assert_eq!(steps, [4, 8, 12, 16, 20, 24, 25]);
    }
    let store = old.store().await;
    let one = store.of(&ctx(1)).collection(CONTEXTS);
    assert_eq!(ids_by(&one, "contact", "c2").await.len(), 8);
    let found = one.find_by::<Value>("contact", "c1", None, Limit::DEFAULT).await;
    let body = found.expect("it answers").remove(0).body;
    let seen = body["seen"]["$date"].as_str().expect("extended JSON");
    assert!(seen.starts_with("1970-01-01T00:00:00.0"), "{seen}");
    assert!(body["_id"]["$oid"].is_string() && body.get("tenant").is_none());
    let other = store.of(&ctx(2)).collection(CONTEXTS);
    let kept = get(&other, 7_003).await.expect("under its own id");
    assert_eq!((kept.body, kept.version), (json!({"contact": "other", "$odd": 1}), 0));

    let change = doc! { "$set": { "price": 2.5 } };
    old.everything.update_one(doc! { "n": 7_i64 }, change).await.expect("its owner may");
    put(&other, 7_003, &json!({"contact": "ours"})).await;
    let run = async |number| {
        let done = importer.run(&ctx(number), &names(number), Home::Mongo, &mut |_| ()).await;
        done.expect("it comes in")
    };
    assert_eq!(run(1).await, Brought { found: 25, written: 1, same: 24, newer: 0 });
    assert_eq!(run(2).await, Brought { found: 25, written: 0, same: 24, newer: 1 });
    let kept = get(&other, 7_003).await.map(|kept| kept.body);
    assert_eq!(kept, Some(json!({"contact": "ours"})), "what was written here is not undone");
}

#[tokio::test]
async fn the_way_back_brings_what_was_written_since_and_leaves_the_rest_as_it_was() {
    let old = Old::deployment().await;
    let (before, importer) = (old.content().await, old.importer(6).await);
    for number in [1, 2] {
        let (ctx, names) = (ctx(number), names(number));
        let run = importer.run(&ctx, &names, Home::Embedded, &mut |_| ()).await;
        run.expect("it comes in");
    }
    let store = Documents::embedded(old.database.db(wall_ambient(5)));
    let other = store.of(&ctx(2)).collection(CONTEXTS);
    put(&other, 7_003, &json!({"contact": "changed"})).await;
    put(&other, 9_999, &json!({"contact": "new", "n": 5})).await;
    for (number, written, same) in [(1, 0, 25), (2, 2, 24)] {
        let name = names(number).remove(0);
        let back = importer.roll_back(&ctx(number), &name, Home::Embedded, &mut |_| ()).await;
        assert_eq!(back.expect("it goes back"), Returned { written, same });
    }
    let mut after = old.content().await;
    assert_eq!(after.len(), 51);
    let second: Bson = bson::Uuid::from_bytes(*ctx(2).tenant().uuid().as_bytes()).into();
    let of = |number| Bson::from(bson::Uuid::from_bytes(id(number).into_bytes()));
    let new = after.remove(&of(9_999).to_string()).expect("it is there");
    assert_eq!(new.get("contact"), Some(&Bson::from("new")));
    assert_eq!(new.get("tenant"), Some(&second), "named as the source names it");
    let changed = after.remove(&of(7_003).to_string()).expect("it is there");
    assert_eq!(changed.get("contact"), Some(&Bson::from("changed")));
    let mut rest = before;
    rest.remove(&of(7_003).to_string());
    assert_eq!(after, rest, "to the last bit");
    assert!(other.list::<Value>(None, Limit::DEFAULT).await.expect("it answers").is_empty());
}

#[tokio::test]
async fn a_tenant_whose_documents_live_elsewhere_is_refused() {
    let old = Old::deployment().await;
    let store = Documents::embedded(old.database.db(wall_ambient(6)));
    put(&store.of(&ctx(1)).collection(CONTEXTS), 1, &json!({})).await;
    let importer = old.importer(6).await;
    let refused = importer.run(&ctx(1), &names(1), Home::Mongo, &mut |_| ()).await;
    assert!(matches!(refused, Err(MoveError::UnderWay { home: Home::Embedded })));
}
