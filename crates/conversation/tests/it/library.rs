//! Room `conversation`: knowledge documents: kept as documents on both stores, cut into passages by
//! a job, cited in answers, and gone from them when they are gone.

use http::Method;
use misy_conversation::DOCUMENT_KINDS;
use misy_core::{Limit, Role};
use misy_store::Limited;
use misy_store::documents::Document;
use misy_testkit::TestMongo;
use serde_json::{Value, json};

use crate::house::{House, Shop};

const PATH: &str = "/v1/knowledge-documents";
const RETURNS: &str = "Within 30 days you may return what you bought, unused and in its box.";
const SHIPPING: &str = "We ship to Austria and Switzerland within three working days.";

fn guide() -> Value {
    let text =
        format!("Welcome to our shop.\n\n# Returns\n\n{RETURNS}\n\n# Shipping\n\n{SHIPPING}");
    json!({ "title": "Guide", "language": "en", "text": text, "tags": ["b", "a", "b"] })
}

async fn add(house: &House, shop: &Shop, document: Value) -> String {
    let made = house.post(shop, PATH, document).await.expect(201);
    house.run().await;
    made["id"].as_str().expect("an id").to_owned()
}

async fn texts(house: &House, shop: &Shop) -> Vec<Document<Value>> {
    let ctx = misy_testkit::ctx(shop.tenant, Role::Admin);
    let kind = DOCUMENT_KINDS.iter().find(|kind| kind.name() == "knowledge_texts").expect("ours");
    let texts = house.deps.documents.of(&ctx).collection(*kind);
    texts.list(None, Limit::DEFAULT).await.expect("it answers")
}

async fn passages(house: &House, shop: &Shop) -> Vec<(i32, String, String)> {
    let mut tx = house.tx(shop).await;
    let sql = "select position, heading, body from knowledge_passages order by position";
    let rows = tx.query(sql, &[]).await.expect("it answers");
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

async fn asks(house: &House, shop: &Shop, id: &str, text: &str) -> String {
    house.customer_writes(shop, "+4911", id, text).await;
    house.paper.texts().last().cloned().unwrap_or_default()
}

/// A document's whole life, whatever keeps its text.
async fn a_life(house: House) {
    let (shop, other) = (house.shop("one").await, house.shop("two").await);
    let made = house.post(&shop, PATH, guide()).await.expect(201);
    assert_eq!((&made["status"], &made["tags"]), (&json!("pending"), &json!(["a", "b"])));
    assert!(made.get("text").is_none(), "the answer to a change does not repeat the text");
    house.run().await;
    let path = format!("{PATH}/{}", made["id"].as_str().expect("an id"));
    let read = house.get(&shop, &path).await.expect(200);
    assert_eq!((&read["status"], &read["passages"]), (&json!("ready"), &json!(3)));
    assert_eq!(read["text"], guide()["text"]);
    assert_eq!(read["bytes"], json!(read["text"].as_str().map(str::len)));
    assert_eq!(texts(&house, &shop).await.len(), 1);
    assert!(texts(&house, &other).await.is_empty());
    let listed = house.get(&shop, PATH).await.expect(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    assert!(listed["data"][0].get("text").is_none());

    assert_eq!(asks(&house, &shop, "m1", "Can I return unused things I bought?").await, RETURNS);
    let cited = json!({ "knowledge_document_id": made["id"], "passage": 1, "score": 0.675 });
    assert_eq!(house.outbound(&shop).await["citations"], json!([cited]));
    let strange = asks(&house, &other, "m2", "Can I return unused things I bought?").await;
    assert_ne!(strange, RETURNS, "another tenant's documents answer nothing");

    let change = json!({ "text": format!("# Delivery\n{SHIPPING}") });
    let changed = house.patch(&shop, &path, change).await.expect(200);
    assert_eq!((&changed["title"], &changed["status"]), (&json!("Guide"), &json!("pending")));
    assert_eq!(passages(&house, &shop).await.len(), 3, "the old ones answer until then");
    house.run().await;
    let now = [(0, "Delivery".to_owned(), SHIPPING.to_owned())];
    assert_eq!(passages(&house, &shop).await, now);
    let kept = texts(&house, &shop).await;
    assert_eq!(kept.len(), 1, "the replaced text is gone");
    assert_eq!(kept[0].body["text"], json!(format!("# Delivery\n{SHIPPING}")));

    house.delete(&shop, &path).await.expect(204);
    assert_eq!(passages(&house, &shop).await, [], "at once");
    house.run().await;
    assert!(texts(&house, &shop).await.is_empty(), "soon after");
    house.get(&shop, &path).await.expect(404);
    house.delete(&shop, &path).await.expect(404);
}

#[tokio::test]
async fn a_document_in_the_database_is_made_cited_changed_and_removed() {
    a_life(House::new().await).await;
}

#[tokio::test]
async fn a_document_in_mongodb_is_made_cited_changed_and_removed() {
    let server = TestMongo::create().await;
    a_life(House::with_mongo(&server).await).await;
    let names = server.database().list_collection_names().await.expect("it answers");
    assert!(names.iter().any(|name| name.ends_with("__knowledge_texts")), "{names:?}");
}

#[tokio::test]
async fn an_entry_goes_before_a_passage_and_one_common_word_is_no_answer() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    add(&house, &shop, guide()).await;
    house.teach(&shop, "en", "Do you ship to Austria?", "Yes, of course.").await;
    assert_eq!(asks(&house, &shop, "m1", "do you ship to austria?").await, "Yes, of course.");
    assert_eq!(
        asks(&house, &shop, "m2", "shipping to Switzerland in working days").await,
        SHIPPING
    );
    let said = asks(&house, &shop, "m3", "my box arrived broken and empty, who pays?").await;
    assert!(said != RETURNS && said != SHIPPING, "{said}");
}

#[tokio::test]
async fn a_passage_answers_in_the_language_of_the_question() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let german = "Innerhalb von 30 Tagen nehmen wir unbenutzte Ware zurück.";
    add(&house, &shop, guide()).await;
    let text = format!("# Rückgabe\n{german}");
    add(&house, &shop, json!({ "title": "Hilfe", "language": "de", "text": text })).await;
    assert_eq!(
        asks(&house, &shop, "m1", "Nehmen Sie unbenutzte Ware nach 30 Tagen zurück?").await,
        german
    );
    let page = house.get(&shop, &format!("{PATH}?language=de")).await.expect(200);
    assert_eq!(page["data"].as_array().map(Vec::len), Some(1));
    let page = house.get(&shop, &format!("{PATH}?tag=a")).await.expect(200);
    assert_eq!(page["data"][0]["title"], "Guide");
}

#[tokio::test]
async fn a_change_that_was_made_for_an_older_version_changes_nothing_and_leaves_no_text() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let path = format!("{PATH}/{}", add(&house, &shop, guide()).await);
    let tag = house.get(&shop, &path).await.tag();
    house.patch(&shop, &path, json!({ "title": "Other" })).await.expect(200);
    let (admin, seen) = ((&shop, Role::Admin), [("if-match", tag.as_str())]);
    let late = Some(json!({ "text": "late" }));
    house.call(admin, Method::PATCH, &path, &seen, late).await.expect(412);
    house.run().await;
    let kept = texts(&house, &shop).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].body["text"], guide()["text"], "a new title keeps the text");
}

#[tokio::test]
async fn an_index_job_that_runs_twice_or_late_changes_nothing() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let id = add(&house, &shop, guide()).await;
    let path = format!("{PATH}/{id}");
    let before = passages(&house, &shop).await;
    for title in ["One", "Two", "Three"] {
        house.patch(&shop, &path, json!({ "title": title })).await.expect(200);
    }
    house.run_twice_at_once().await;
    let after = passages(&house, &shop).await;
    assert_eq!((before.len(), after.len()), (3, 3));
    assert_eq!(after[0].1, "Three", "the newest title stands over what has no heading");
    assert_eq!(texts(&house, &shop).await.len(), 1);
}

#[tokio::test]
async fn faults_are_told_at_once_and_an_agent_may_read_but_not_write() {
    let house = House::new().await;
    let (shop, other) = (house.shop("one").await, house.shop("two").await);
    let wrong = json!({ "title": " ", "language": "English", "text": " ", "tags": [""] });
    let refused = house.post(&shop, PATH, wrong).await.expect(422);
    assert_eq!(refused["errors"].as_array().map(Vec::len), Some(4), "{refused}");
    let long = json!({ "title": "t", "language": "en", "text": "é".repeat(1_100_000) });
    house.post(&shop, PATH, long).await.expect(422);
    let large = json!({ "title": "t", "language": "en", "text": "x".repeat(2 << 20) });
    let id = add(&house, &shop, large).await;
    let path = format!("{PATH}/{id}");
    let read = house.get(&shop, &path).await.expect(200);
    assert_eq!(read["text"].as_str().map(str::len), Some(2 << 20));

    let agent = (&shop, Role::Agent);
    house.call(agent, Method::GET, &path, &[], None).await.expect(200);
    let change = Some(json!({ "title": "x" }));
    house.call(agent, Method::PATCH, &path, &[], change.clone()).await.expect(403);
    house.call(agent, Method::DELETE, &path, &[], None).await.expect(403);
    house.call(agent, Method::POST, PATH, &[], Some(guide())).await.expect(403);
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let body = (method == Method::PATCH).then(|| json!({ "title": "x" }));
        let stranger = (&other, Role::Admin);
        let foreign = house.call(stranger, method.clone(), &path, &[], body.clone()).await;
        let absent = format!("{PATH}/kdo_00000000000000000000000001");
        let none = house.call(stranger, method, &absent, &[], body).await;
        assert_eq!((foreign.status, none.status.as_u16()), (none.status, 404));
    }
}

#[tokio::test]
async fn the_bytes_of_texts_are_counted_and_given_back() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let used = || {
        let used = house.budget.1.lock().expect("no panic");
        used.get(&Limited::StorageBytes).copied().unwrap_or_default()
    };
    let text =
        |length: usize| json!({ "title": "t", "text": "x".repeat(length), "language": "en" });
    let made = house.post(&shop, PATH, text(1_000)).await.expect(201);
    assert_eq!(used(), 1_000);
    let path = format!("{PATH}/{}", made["id"].as_str().expect("an id"));
    house.patch(&shop, &path, json!({ "text": "y".repeat(400) })).await.expect(200);
    assert_eq!(used(), 400);
    house.patch(&shop, &path, json!({ "text": "z".repeat(500) })).await.expect(200);
    assert_eq!(used(), 500);
    house.delete(&shop, &path).await.expect(204);
    assert_eq!(used(), 0);
}

#[tokio::test]
async fn a_contact_is_counted_once_however_often_it_writes() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    for (from, id) in [("+4911", "m1"), ("+4911", "m2"), ("+4912", "m3")] {
        house.customer_writes(&shop, from, id, "Hello").await;
    }
    let used = house.budget.1.lock().expect("no panic").get(&Limited::Contacts).copied();
    assert_eq!(used, Some(2));
}
