//! Room `identity`: people, as a directory makes, finds, changes and removes them.

use serde_json::json;

use super::{Directory, refusal};
use crate::house::{House, PASSWORD};

#[tokio::test]
async fn a_person_is_made_read_replaced_and_removed() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ana.roy",
        "externalId": "ext-1", "name": {"givenName": "Ana", "familyName": "Roy"},
        "emails": [{"value": "Ana@Acme.example", "type": "work", "primary": true}],
        "shoeSize": 41, "password": "kept nowhere",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Support"},
    });
    let made = directory.post("/Users", body).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    assert_eq!(made["meta"]["version"], "\"v1\"");
    assert!(made["meta"]["location"].as_str().is_some_and(|at| at.ends_with(&id)));
    assert_eq!(made["active"], true);
    assert!(made.get("shoeSize").is_none() && made.get("password").is_none());
    assert_eq!(directory.get(&format!("/Users/{id}")).await, made);

    let owner = house.owner("acme").await;
    let user = house.get(&format!("/v1/users/{id}"), &owner).await;
    assert_eq!(user.text("email"), "ana@acme.example");
    assert_eq!((user.text("name"), user.text("role")), ("Ana Roy".into(), "viewer".into()));

    let next = json!({"userName": "ana.roy", "displayName": "Ana R.",
        "emails": [{"value": "ana@acme.example"}]});
    let path = format!("/Users/{id}");
    let replaced = directory.send("PUT", &path, Some(next.clone())).await;
    assert_eq!(replaced.status, 200, "{}", replaced.body);
    assert!(replaced.json().get("externalId").is_none(), "what is absent is gone");
    assert_eq!(house.get(&format!("/v1/users/{id}"), &owner).await.text("name"), "Ana R.");
    let same = directory.send("PUT", &path, Some(next)).await;
    assert_eq!(same.json()["meta"], replaced.json()["meta"], "nothing changed");

    assert_eq!(directory.send("DELETE", &path, None).await.status, 204);
    assert_eq!(refusal(&directory.send("GET", &path, None).await), (404, String::new()));
    assert_eq!(refusal(&directory.send("DELETE", &path, None).await).0, 404);
    assert_eq!(house.get(&format!("/v1/users/{id}"), &owner).await.refusal().0, 404);
}

#[tokio::test]
async fn a_person_of_the_tenant_is_found_before_any_directory_wrote_them() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    let (id, _) = house.person("acme", "agent").await;
    let found = directory.filtered("/Users", r#"userName eq "AGENT@acme.example""#).await;
    assert_eq!(found["totalResults"], 1);
    assert_eq!(found["Resources"][0]["id"], id);
    let taken = json!({"userName": "x", "emails": [{"value": "agent@acme.example"}]});
    let refused = directory.send("POST", "/Users", Some(taken)).await;
    assert_eq!(refusal(&refused), (409, "uniqueness".to_owned()));
    let linked = directory
        .patch(&format!("/Users/{id}"), json!([{"op": "add", "path": "externalId", "value": "7"}]))
        .await;
    assert_eq!(linked.status, 200, "{}", linked.body);
    let found = directory.filtered("/Users", r#"externalId eq "7""#).await;
    assert_eq!(found["Resources"][0]["userName"], "agent@acme.example");
    let owner = house.owner("acme").await;
    let user = house.get(&format!("/v1/users/{id}"), &owner).await;
    assert_eq!(user.text("role"), "agent", "a role given by hand stays");
    house.sign_in("agent@acme.example", PASSWORD).await;
}

#[tokio::test]
async fn lists_are_filtered_sorted_paged_and_narrowed() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    for name in ["cid", "ana", "bo"] {
        directory.person(&format!("{name}@acme.example")).await;
    }
    let all = directory.get("/Users").await;
    assert_eq!((all["totalResults"].as_u64(), all["startIndex"].as_u64()), (Some(4), Some(1)));
    let page = directory.get("/Users?startIndex=2&count=2").await;
    assert_eq!(page["Resources"].as_array().map(Vec::len), Some(2));
    assert_eq!(page["Resources"][0], all["Resources"][1]);
    let none = directory.get("/Users?count=0").await;
    assert_eq!((none["totalResults"].as_u64(), none["itemsPerPage"].as_u64()), (Some(4), Some(0)));
    let sorted = directory.get("/Users?sortBy=userName&sortOrder=descending&count=2").await;
    assert_eq!(sorted["Resources"][1]["userName"], "cid@acme.example");
    let filter = r#"name.givenName eq "ana" and not (userName sw "b")"#;
    let some = directory.filtered("/Users", filter).await;
    assert_eq!(some["totalResults"], 2);
    let narrow = directory.get("/Users?attributes=userName&count=1").await;
    let mut members: Vec<_> = narrow["Resources"][0].as_object().expect("one").keys().collect();
    members.sort();
    assert_eq!(members, ["id", "schemas", "userName"]);
    let search = json!({"filter": "userName sw \"bo\"", "excludedAttributes": ["name", "meta"]});
    let found = directory.send("POST", "/Users/.search", Some(search)).await.json();
    assert_eq!(found["totalResults"], 1);
    assert!(found["Resources"][0].get("name").is_none());
}

#[tokio::test]
async fn who_is_deactivated_is_out_everywhere_and_comes_back_only_by_signing_in() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    let (id, _) = house.person("acme", "agent").await;
    let pair = house.sign_in("agent@acme.example", PASSWORD).await;
    let other = house.second_process().await;
    assert!(other.lets_in(&pair.access).await);
    let path = format!("/Users/{id}");
    let off = json!([{"op": "Replace", "path": "active", "value": "False"}]);
    assert_eq!(directory.patch(&path, off).await.json()["active"], false);
    assert!(!house.lets_in(&pair.access).await);
    other.deps.tick().await.expect("the database is there");
    assert!(!other.lets_in(&pair.access).await);
    assert_eq!(house.try_refresh(&pair.refresh).await.refusal().0, 401);
    assert_eq!(house.try_sign_in("agent@acme.example", PASSWORD).await.refusal().0, 401);
    let on = json!([{"op": "replace", "value": {"active": true}}]);
    assert_eq!(directory.patch(&path, on).await.json()["active"], true);
    assert_eq!(house.try_refresh(&pair.refresh).await.refusal().0, 401, "sessions stay dead");
    house.sign_in("agent@acme.example", PASSWORD).await;
}

#[tokio::test]
async fn another_address_ends_sessions_and_takes_the_password_away() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    let (id, access) = house.person("acme", "agent").await;
    let emails = json!([{"value": "new@acme.example", "primary": true}]);
    let moved = json!([{"op": "replace", "path": "emails", "value": emails}]);
    let answer = directory.patch(&format!("/Users/{id}"), moved).await;
    assert_eq!(answer.json()["emails"], emails);
    assert!(!house.lets_in(&access).await);
    for email in ["agent@acme.example", "new@acme.example"] {
        assert_eq!(house.try_sign_in(email, PASSWORD).await.refusal().0, 401, "{email}");
    }
}

#[tokio::test]
async fn what_was_changed_since_is_not_changed_again() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    let id = directory.person("ana@acme.example").await;
    let path = format!("/Users/{id}");
    let title =
        |text: &str| Some(json!({"Operations": [{"op": "add", "path": "title", "value": text}]}));
    let first = [("if-match", "W/\"v1\"")];
    assert_eq!(directory.send_with("PATCH", &path, title("A"), &first).await.status, 200);
    let stale = directory.send_with("PATCH", &path, title("B"), &first).await;
    assert_eq!(refusal(&stale).0, 412);
    let stale = directory.send_with("DELETE", &path, None, &first).await;
    assert_eq!(refusal(&stale).0, 412);
    let known = [("if-none-match", "\"v2\"")];
    assert_eq!(directory.send_with("GET", &path, None, &known).await.status, 304);
    assert_eq!(directory.send_with("GET", &path, None, &first).await.json()["title"], "A");
}

#[tokio::test]
async fn a_directory_never_touches_the_access_of_an_owner() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    let access = house.owner("acme").await;
    let id = house.get("/v1/auth/me", &access).await.text("id");
    let path = format!("/Users/{id}");
    let emails = json!([{"value": "thief@evil.example"}]);
    for operation in [
        json!({"op": "replace", "path": "active", "value": false}),
        json!({"op": "replace", "path": "emails", "value": emails}),
    ] {
        assert_eq!(refusal(&directory.patch(&path, json!([operation])).await).0, 403);
    }
    assert_eq!(refusal(&directory.send("DELETE", &path, None).await).0, 403);
    let named = json!([{"op": "replace", "path": "displayName", "value": "The Owner"}]);
    assert_eq!(directory.patch(&path, named).await.status, 200);
    assert!(house.lets_in(&access).await);
}
