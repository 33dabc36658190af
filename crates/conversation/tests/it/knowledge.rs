//! Room `conversation`: knowledge entries are kept by supervisors and found by their words.

use http::Method;
use misy_core::Role;
use serde_json::{Value, json};

use crate::house::{House, Shop};

const PATH: &str = "/v1/knowledge-entries";

async fn questions(house: &House, shop: &Shop, query: &str) -> Vec<String> {
    let page = house.get(shop, &format!("{PATH}?{query}")).await.expect(200);
    let question = |entry: &Value| entry["question"].as_str().unwrap_or_default().to_owned();
    page["data"].as_array().expect("a list").iter().map(question).collect()
}

#[tokio::test]
async fn an_entry_is_made_read_changed_and_removed() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let entry = json!({ "question": " Where are you? ", "answer": "In Graz.", "language": "en",
        "tags": ["place", "a", "place"] });
    let made = house.post(&shop, PATH, entry).await.expect(201);
    assert!(made["id"].as_str().is_some_and(|id| id.starts_with("kno_")));
    assert_eq!(
        (&made["question"], &made["tags"]),
        (&json!("Where are you?"), &json!(["a", "place"]))
    );
    let path = format!("{PATH}/{}", made["id"].as_str().expect("an id"));
    let read = house.get(&shop, &path).await;
    let tag = read.tag();
    assert_eq!(read.expect(200), made);
    let changed = house.patch(&shop, &path, json!({ "answer": "In Vienna." })).await.expect(200);
    assert_eq!(
        (&changed["answer"], &changed["question"]),
        (&json!("In Vienna."), &made["question"])
    );
    let (admin, seen) = ((&shop, Role::Admin), [("if-match", tag.as_str())]);
    let late = Some(json!({ "answer": "In Linz." }));
    house.call(admin, Method::PATCH, &path, &seen, late).await.expect(412);
    house.delete(&shop, &path).await.expect(204);
    house.get(&shop, &path).await.expect(404);
    house.delete(&shop, &path).await.expect(404);
}

#[tokio::test]
async fn entries_are_listed_by_language_tag_and_words() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    for (language, question, tag) in [
        ("en", "Where can I park?", "place"),
        ("en", "What does parking cost?", "money"),
        ("de", "Wo kann ich parken?", "place"),
    ] {
        let entry =
            json!({ "question": question, "answer": "x", "language": language, "tags": [tag] });
        house.post(&shop, PATH, entry).await.expect(201);
    }
    assert_eq!(questions(&house, &shop, "").await.len(), 3);
    assert_eq!(questions(&house, &shop, "language=de").await, ["Wo kann ich parken?"]);
    let places = questions(&house, &shop, "tag=place").await;
    assert_eq!(places, ["Wo kann ich parken?", "Where can I park?"], "newest first");
    let stems = questions(&house, &shop, "q=parked&language=en").await;
    assert_eq!(stems, ["What does parking cost?", "Where can I park?"]);
    assert_eq!(questions(&house, &shop, "q=WHERE%20CAN").await, ["Where can I park?"]);
    assert_eq!(questions(&house, &shop, "q=100%25").await, Vec::<String>::new());
}

#[tokio::test]
async fn every_fault_of_an_entry_is_told_at_once() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let entry = json!({ "question": " ", "answer": "x".repeat(10_001), "language": "English",
        "tags": ["ok", ""] });
    let faults = house.post(&shop, PATH, entry).await.expect(422)["errors"].clone();
    let mut pointers: Vec<_> = faults
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|fault| fault["pointer"].as_str())
        .collect();
    pointers.dedup();
    assert!(!pointers.is_empty(), "{faults}");
}

#[tokio::test]
async fn only_supervisors_write_and_everybody_reads() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let entry = || Some(json!({ "question": "q", "answer": "a", "language": "en" }));
    house.call((&shop, Role::Agent), Method::POST, PATH, &[], entry()).await.expect(403);
    house.call((&shop, Role::Supervisor), Method::POST, PATH, &[], entry()).await.expect(201);
    house.call((&shop, Role::Viewer), Method::GET, PATH, &[], None).await.expect(200);
}

#[tokio::test]
async fn entries_of_another_tenant_are_not_there() {
    let house = House::new().await;
    let (one, two) = (house.shop("one").await, house.shop("two").await);
    let path = format!("{PATH}/{}", house.teach(&one, "en", "Where?", "There.").await);
    house.get(&two, &path).await.expect(404);
    house.patch(&two, &path, json!({ "answer": "x" })).await.expect(404);
    house.delete(&two, &path).await.expect(404);
    assert_eq!(questions(&house, &two, "").await, Vec::<String>::new());
    house.get(&one, &path).await.expect(200);
}
