//! Room `conversation`: a sender is recognised by any of the identities it has.

use serde_json::{Value, json};

use crate::house::{House, Shop};

fn writes(id: &str, from: Value, name: &str) -> Value {
    json!({ "kind": "message", "id": id, "from": from, "name": name, "text": "hi" })
}

async fn contacts(house: &House, shop: &Shop) -> Vec<Value> {
    let listed = house.get(shop, "/v1/contacts").await.expect(200);
    listed["data"].as_array().expect("a list").clone()
}

fn values(contact: &Value) -> Vec<&str> {
    let identities = contact["identities"].as_array().expect("a list");
    identities.iter().filter_map(|identity| identity["value"].as_str()).collect()
}

#[tokio::test]
async fn phone_and_user_id_of_one_sender_are_one_contact() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.hears(&shop, json!([writes("m1", json!("+4911"), "Ann")])).await;
    house.hears(&shop, json!([writes("m2", json!(["+4911", "DE.7"]), "Ann")])).await;
    house.hears(&shop, json!([writes("m3", json!("DE.7"), "Ann")])).await;
    let all = contacts(&house, &shop).await;
    assert_eq!(all.len(), 1);
    assert_eq!(values(&all[0]), ["+4911", "DE.7"]);
    assert_eq!(all[0]["display_name"], "Ann");
    assert_eq!(house.conversation(&shop).await["contact_id"], all[0]["id"]);
}

#[tokio::test]
async fn senders_of_one_delivery_that_share_an_identity_are_one_contact() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let batch = json!([
        writes("m1", json!("DE.7"), ""),
        writes("m2", json!("+4922"), "Bob"),
        writes("m3", json!("+4911"), ""),
        writes("m4", json!(["+4911", "DE.7"]), "Ann"),
    ]);
    house.hears(&shop, batch).await;
    let all = contacts(&house, &shop).await;
    let mut names: Vec<_> = all.iter().map(|one| one["display_name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, [Some("Ann"), Some("Bob")]);
}

#[tokio::test]
async fn a_name_given_by_an_agent_is_not_replaced_by_the_customers() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.hears(&shop, json!([writes("m1", json!("+4911"), "~*annie*~")])).await;
    let path = path(&contacts(&house, &shop).await[0]);
    house.patch(&shop, &path, json!({ "display_name": "Ann Lee" })).await.expect(200);
    house.hears(&shop, json!([writes("m2", json!("+4911"), "~*annie*~")])).await;
    assert_eq!(house.get(&shop, &path).await.expect(200)["display_name"], "Ann Lee");
}

fn path(contact: &Value) -> String {
    format!("/v1/contacts/{}", contact["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_change_needs_the_newest_version_if_the_caller_names_one() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.hears(&shop, json!([writes("m1", json!("+4911"), "Ann")])).await;
    let path = path(&contacts(&house, &shop).await[0]);
    let tag = house.get(&shop, &path).await.tag();
    let change = |name: &str| Some(json!({ "display_name": name }));
    let admin = (&shop, misy_core::Role::Admin);
    let seen = [("if-match", tag.as_str())];
    house.call(admin, http::Method::PATCH, &path, &seen, change("Anna")).await.expect(200);
    house.call(admin, http::Method::PATCH, &path, &seen, change("Anne")).await.expect(412);
    let cleared = house.patch(&shop, &path, json!({ "display_name": null })).await.expect(200);
    assert_eq!(cleared["display_name"], Value::Null);
    let body = json!({ "display_name": " ", "language": "Deutsch" });
    let faults = house.patch(&shop, &path, body).await.expect(422)["errors"].clone();
    assert_eq!(faults.as_array().map(Vec::len), Some(2), "{faults}");
}

#[tokio::test]
async fn a_contact_is_found_by_its_identity() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let batch = json!([writes("m1", json!("+4911"), "Ann"), writes("m2", json!("+4922"), "Bob")]);
    house.hears(&shop, batch).await;
    let found = house.get(&shop, "/v1/contacts?identity=phone:%2B4922").await.expect(200);
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["data"][0]["display_name"], "Bob");
    let none = house.get(&shop, "/v1/contacts?identity=phone:%2B4933").await.expect(200);
    assert_eq!(none["data"], json!([]));
    let identities = format!("{}/identities", path(&found["data"][0]));
    let listed = house.get(&shop, &identities).await.expect(200);
    assert_eq!(listed["data"][0]["namespace"], "phone");
}

#[tokio::test]
async fn pages_of_contacts_hold_each_contact_once() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let batch: Vec<Value> =
        (0..5).map(|n| writes(&format!("m{n}"), json!(format!("+49{n}")), "Ann")).collect();
    house.hears(&shop, json!(batch)).await;
    let (mut seen, mut path) = (Vec::new(), "/v1/contacts?limit=2".to_owned());
    loop {
        let page = house.get(&shop, &path).await.expect(200);
        let ids = page["data"].as_array().expect("a list").iter().map(|one| one["id"].to_string());
        seen.extend(ids);
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/contacts?limit=2&cursor={cursor}");
    }
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((all, seen.len()), (5, 5));
}

#[tokio::test]
async fn a_changed_number_replaces_the_old_one_and_keeps_the_contact() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    house.hears(&shop, json!([writes("m1", json!(["+4911", "DE.7"]), "Ann")])).await;
    let moved = json!({ "kind": "moved", "id": "x", "from": "+4911", "new": ["+4999"] });
    house.hears(&shop, json!([moved])).await;
    house.hears(&shop, json!([writes("m2", json!("+4999"), "Ann")])).await;
    let all = contacts(&house, &shop).await;
    assert_eq!(all.len(), 1);
    assert_eq!(values(&all[0]), ["DE.7", "+4999"]);
    house.hears(&shop, json!([writes("m3", json!("+4911"), "Stranger")])).await;
    assert_eq!(contacts(&house, &shop).await.len(), 2, "the old number is somebody else's now");
}

#[tokio::test]
async fn an_identity_that_another_contact_holds_stays_there() {
    let house = House::new().await;
    let shop = house.shop("one").await;
    let batch = json!([writes("m1", json!("+4911"), "Ann"), writes("m2", json!("DE.7"), "Bob")]);
    house.hears(&shop, batch).await;
    house.hears(&shop, json!([writes("m3", json!(["+4911", "DE.7"]), "Ann")])).await;
    let moved = json!({ "kind": "moved", "id": "x", "from": "+4911", "new": ["DE.7"] });
    house.hears(&shop, json!([moved])).await;
    let all = contacts(&house, &shop).await;
    let held: Vec<_> = all.iter().map(values).collect();
    assert_eq!(held, [["DE.7"], ["+4911"]]);
}

#[tokio::test]
async fn contacts_of_another_tenant_are_not_there() {
    let house = House::new().await;
    let (one, two) = (house.shop("one").await, house.shop("two").await);
    house.hears(&one, json!([writes("m1", json!("+4911"), "Ann")])).await;
    house.hears(&two, json!([writes("m1", json!("+4911"), "Anna of two")])).await;
    let path = path(&contacts(&house, &one).await[0]);
    house.get(&two, &path).await.expect(404);
    house.get(&two, &format!("{path}/identities")).await.expect(404);
    house.patch(&two, &path, json!({ "display_name": "Eve" })).await.expect(404);
    assert_eq!(contacts(&house, &two).await[0]["display_name"], "Anna of two");
    assert_eq!(contacts(&house, &one).await[0]["display_name"], "Ann");
}
