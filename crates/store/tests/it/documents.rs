//! Room `store`: what every document store must do, run on each one there is.

use futures_util::future::join_all;
use misy_core::id::TypedId;
use misy_core::{Ctx, Cursor, Limit, Role, TenantId};
use misy_store::documents::{
    Collection, Document, DocumentError, MAX_BODY_BYTES, MAX_DEPTH, MAX_FIELD_BYTES,
};
use misy_store::{Documents, Kind};
use misy_testkit::{TestDatabase, ambient};
use serde_json::{Value, json};
use uuid::Uuid;

mod imports;
mod mongo;
mod moves;

const CONTEXTS: Kind = Kind::new("contexts", &["contact", "open"]);
const PAYLOADS: Kind = Kind::new("payloads", &[]);

fn ctx(number: u128) -> Ctx {
    misy_testkit::ctx(TenantId::from_uuid(Uuid::from_u128(number)), Role::Owner)
}

const fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

async fn put(documents: &Collection, number: u128, body: &Value) -> i64 {
    documents.put(id(number), body).await.expect("it is kept")
}

async fn get(documents: &Collection, number: u128) -> Option<Document<Value>> {
    documents.get(id(number)).await.expect("it answers")
}

async fn ids_by(documents: &Collection, field: &'static str, value: &str) -> Vec<u128> {
    let found = documents.find_by::<Value>(field, value, None, Limit::DEFAULT).await;
    found.expect("it answers").iter().map(|document| document.id.as_u128()).collect()
}

/// What a document store promises, whatever is behind it.
async fn document_conformance(store: &Documents) {
    let one = store.of(&ctx(1)).collection(CONTEXTS);
    let other = store.of(&ctx(2)).collection(CONTEXTS);
    bodies_come_back_as_written(&one).await;
    names_and_numbers_of_any_kind_come_back(&one).await;
    versions_count_and_guard(&one).await;
    declared_fields_find(&one).await;
    lists_go_on_where_they_stopped(&store.of(&ctx(1)).collection(PAYLOADS)).await;
    tenants_and_kinds_never_meet(store, &one, &other).await;
    what_cannot_be_kept_is_refused(&one).await;
}

async fn bodies_come_back_as_written(documents: &Collection) {
    assert_eq!(get(documents, 1).await, None);
    let deep = json!({"a": [null, true, "ü\\u0000 \n"]});
    let body = json!({"n": 9_007_199_254_740_993_i64, "f": 1.5, "deep": deep, "": {}});
    assert_eq!(put(documents, 1, &body).await, 1);
    let kept = get(documents, 1).await.expect("it is there");
    assert_eq!((kept.id, kept.body, kept.version), (id(1), body, 1));
    assert_eq!(kept.created_at, kept.updated_at);
    assert!(documents.delete(id(1)).await.expect("it answers"));
    assert!(!documents.delete(id(1)).await.expect("it answers"), "it is gone already");
    assert_eq!(get(documents, 1).await, None);
}

async fn names_and_numbers_of_any_kind_come_back(documents: &Collection) {
    let bodies = [
        json!({"$set": {"$oid": "0123456789abcdef01234567"}, "$oid": "x", "$": {"$date": null}}),
        json!({"a.b": {"$where": 1}, "d": {"$numberLong": "1"}, "_id": 1, "tenant_id": 2}),
        json!({"u": u64::MAX, "i": i64::MIN, "e": 1e300, "s": 5e-324, "t": 0.1, "p": 3.0}),
        json!({"pi": std::f64::consts::PI, "z": 0, "list": [[], {}, [null]], "é\u{10ffff}": "🦀"}),
    ];
    for mut body in bodies {
        put(documents, 60, &body).await;
        let mut kept = get(documents, 60).await.expect("it is there").body;
        // The order of members is nobody's promise; how numbers are written is.
        kept.sort_all_objects();
        body.sort_all_objects();
        assert_eq!(kept.to_string(), body.to_string());
    }
    let (big, zero) = (json!({"n": 1e16}), json!({"n": -0.0}));
    put(documents, 60, &big).await;
    let kept = get(documents, 60).await.expect("it is there").body;
    assert_eq!(kept, json!({"n": 10_000_000_000_000_000_i64}), "an integer on every store");
    put(documents, 60, &zero).await;
    let kept = get(documents, 60).await.expect("it is there").body;
    assert_eq!(kept.to_string(), r#"{"n":0.0}"#);
    assert!(documents.delete(id(60)).await.expect("it answers"));
}

async fn versions_count_and_guard(documents: &Collection) {
    put(documents, 2, &json!({"v": 1})).await;
    assert_eq!(put(documents, 2, &json!({"v": 2})).await, 2);
    let stale = documents.replace(id(2), 1, &json!({"v": "stale"})).await.expect("it answers");
    assert_eq!(stale, None);
    let absent = documents.replace(id(99), 1, &json!({})).await.expect("it answers");
    assert_eq!(absent, None);
    let body = json!({"v": 3});
    let racing = join_all((0..8).map(|_| documents.replace(id(2), 2, &body))).await;
    let won = racing.into_iter().filter_map(|one| one.expect("it answers")).collect::<Vec<_>>();
    assert_eq!(won, [3], "exactly one replaces what all have seen");
    assert_eq!(get(documents, 2).await.map(|kept| kept.body), Some(json!({"v": 3})));
}

async fn declared_fields_find(documents: &Collection) {
    put(documents, 3, &json!({"contact": "ada", "open": true})).await;
    put(documents, 4, &json!({"contact": "ada", "open": 7})).await;
    put(documents, 5, &json!({"contact": {"not": "a scalar"}})).await;
    assert_eq!(ids_by(documents, "contact", "ada").await, [3, 4]);
    assert_eq!(ids_by(documents, "open", "true").await, [3]);
    assert_eq!(ids_by(documents, "open", "7").await, [4]);
    put(documents, 3, &json!({"contact": "bob"})).await;
    assert_eq!(ids_by(documents, "contact", "ada").await, [4], "it follows the body");
    assert_eq!(ids_by(documents, "contact", "bob").await, [3]);
    assert_eq!(ids_by(documents, "open", "true").await, [0_u128; 0], "a field that left");
    documents.delete(id(4)).await.expect("it is removed");
    assert_eq!(ids_by(documents, "contact", "ada").await, [0_u128; 0]);
    let undeclared = documents.find_by::<Value>("name", "x", None, Limit::DEFAULT).await;
    assert!(matches!(undeclared, Err(DocumentError::UndeclaredField("name"))));
}

async fn lists_go_on_where_they_stopped(documents: &Collection) {
    for number in 1..=5 {
        put(documents, number, &json!({"number": 1})).await;
    }
    let two = Limit::new(2).expect("in range");
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page: Vec<Document<Value>> = documents.list(after, two).await.expect("it answers");
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(Cursor(last.id));
        seen.extend(page.iter().map(|document| document.id.as_u128()));
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

async fn tenants_and_kinds_never_meet(store: &Documents, one: &Collection, other: &Collection) {
    put(one, 10, &json!({"contact": "shared", "of": "one"})).await;
    assert_eq!(get(other, 10).await, None);
    assert_eq!(ids_by(other, "contact", "shared").await, [0_u128; 0]);
    assert!(other.list::<Value>(None, Limit::DEFAULT).await.expect("it answers").is_empty());
    assert!(!other.delete(id(10)).await.expect("it answers"));
    assert_eq!(other.replace(id(10), 1, &json!({})).await.expect("it answers"), None);
    assert_eq!(put(other, 10, &json!({"contact": "shared"})).await, 1, "a document of its own");
    assert_eq!(get(one, 10).await.map(|kept| kept.body["of"].clone()), Some(json!("one")));
    let payloads = store.of(&ctx(1)).collection(PAYLOADS);
    assert_eq!(get(&payloads, 10).await, None, "the same id of another kind");
}

async fn what_cannot_be_kept_is_refused(documents: &Collection) {
    let refused = |body: Value| async move { documents.put(id(50), &body).await.err() };
    assert!(matches!(refused(json!([1])).await, Some(DocumentError::NotAnObject)));
    let nul = refused(json!({"a": ["\u{0}"]})).await;
    assert!(matches!(nul, Some(DocumentError::NulCharacter)));
    let nul_name = refused(json!({"\u{0}": 1})).await;
    assert!(matches!(nul_name, Some(DocumentError::NulCharacter)));
    let large = refused(json!({"a": "x".repeat(MAX_BODY_BYTES)})).await;
    assert!(matches!(large, Some(DocumentError::TooLarge)));
    let items = refused(json!({"a": vec![1; 1_200_000]})).await;
    assert!(matches!(items, Some(DocumentError::TooLarge)), "small as text, large when stored");
    let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!({"a": inner}));
    assert!(matches!(refused(nested(MAX_DEPTH + 1)).await, Some(DocumentError::TooDeep)));
    put(documents, 53, &nested(MAX_DEPTH)).await;
    put(documents, 54, &json!({"a": "x".repeat(MAX_BODY_BYTES - 8)})).await;
    let long = refused(json!({"contact": "x".repeat(MAX_FIELD_BYTES + 1)})).await;
    assert!(matches!(long, Some(DocumentError::TooLarge)));
    put(documents, 51, &json!({"contact": "x".repeat(MAX_FIELD_BYTES)})).await;
    assert_eq!(get(documents, 50).await, None, "nothing of it was kept");
    put(documents, 52, &json!({"text": 1})).await;
    let misread = documents.get::<Vec<u8>>(id(52)).await;
    assert!(matches!(misread, Err(DocumentError::Form(_))));
}

#[tokio::test]
async fn the_embedded_documents_conform() {
    let database = TestDatabase::create().await;
    document_conformance(&Documents::embedded(database.db(ambient()))).await;
}
