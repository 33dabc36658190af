//! Room `identity`: groups, and the roles they stand for.

use serde_json::{Value, json};

use super::{Directory, refusal};
use crate::house::{House, PASSWORD};

async fn map(house: &House, mappings: Value) -> u16 {
    let owner = house.owner("acme").await;
    let body = Some(json!({"mappings": mappings}));
    let path = "/v1/scim/role-mappings";
    house.send("PUT", path, Some(&owner), body).await.status.as_u16()
}

async fn role(house: &House, id: &str) -> String {
    let owner = house.owner("acme").await;
    house.get(&format!("/v1/users/{id}"), &owner).await.text("role")
}

#[tokio::test]
async fn a_group_is_made_read_changed_and_removed() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    let (ana, bo) =
        (directory.person("ana@acme.example").await, directory.person("bo@acme.example").await);
    let body = json!({"displayName": "Support", "externalId": "g1", "members": [{"value": ana}]});
    let made = directory.post("/Groups", body).await;
    let path = format!("/Groups/{}", made["id"].as_str().expect("an id"));
    assert_eq!(made["members"][0]["value"], ana);
    assert_eq!(directory.get(&format!("/Users/{ana}")).await["groups"][0]["display"], "Support");

    let operations = json!([
        {"op": "Add", "path": "members", "value": [{"value": bo}]},
        {"op": "Remove", "path": format!("members[value eq \"{ana}\"]")},
        {"op": "Replace", "path": "displayName", "value": "Help desk"},
    ]);
    let changed = directory.patch(&path, operations).await.json();
    assert_eq!(changed["members"].as_array().map(Vec::len), Some(1), "{changed}");
    assert_eq!(
        (&changed["members"][0]["value"], &changed["displayName"]),
        (&json!(bo), &json!("Help desk"))
    );
    assert_eq!(changed["meta"]["version"], "\"v2\"");
    assert!(directory.get(&format!("/Users/{ana}")).await.get("groups").is_none());

    for (filter, count) in [
        (r#"displayName eq "HELP DESK""#.to_owned(), 1),
        (r#"externalId eq "g1""#.to_owned(), 1),
        (format!("members.value eq \"{bo}\""), 1),
        (format!("members eq \"{ana}\""), 0),
        (format!("members[value eq \"{bo}\"]"), 1),
        (r#"displayName sw "supp""#.to_owned(), 0),
    ] {
        let found = directory.filtered("/Groups", &filter).await;
        assert_eq!(found["totalResults"], count, "{filter}");
    }
    let lean = directory.get("/Groups?excludedAttributes=members").await;
    assert!(lean["Resources"][0].get("members").is_none());

    let replaced = directory.send("PUT", &path, Some(json!({"displayName": "Empty"}))).await;
    assert!(replaced.json().get("members").is_none(), "{}", replaced.body);
    let twice = directory.send("POST", "/Groups", Some(json!({"displayName": "EMPTY"}))).await;
    assert_eq!(refusal(&twice), (409, "uniqueness".to_owned()));
    assert_eq!(directory.send("DELETE", &path, None).await.status, 204);
    assert_eq!(refusal(&directory.send("GET", &path, None).await).0, 404);
}

#[tokio::test]
async fn a_role_follows_the_groups_and_old_tokens_die() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    assert_eq!(map(&house, json!([{"group": "Support", "role": "agent"}])).await, 200);
    let ana = directory.person("ana@acme.example").await;
    let members = json!([{"value": ana}]);
    let support = json!({"displayName": "support", "members": members});
    let support = directory.post("/Groups", support).await;
    let support = format!("/Groups/{}", support["id"].as_str().expect("an id"));
    assert_eq!(role(&house, &ana).await, "agent");
    directory.post("/Groups", json!({"displayName": "Leads", "members": members})).await;
    assert_eq!(role(&house, &ana).await, "agent", "a group without a role gives none");
    let both = json!([
        {"group": "Support", "role": "agent"}, {"group": "Leads", "role": "supervisor"},
    ]);
    assert_eq!(map(&house, both.clone()).await, 200);
    assert_eq!(role(&house, &ana).await, "supervisor", "the highest counts");
    let owner = house.owner("acme").await;
    let listed = house.get("/v1/scim/role-mappings", &owner).await.json();
    assert_eq!(listed["mappings"].as_array().map(Vec::len), Some(2));
    assert_eq!(map(&house, json!([{"group": "Support", "role": "agent"}])).await, 200);
    assert_eq!(role(&house, &ana).await, "agent");
    assert_eq!(directory.send("DELETE", &support, None).await.status, 204);
    assert_eq!(role(&house, &ana).await, "viewer", "the role goes with the group");
}

#[tokio::test]
async fn somebody_signed_in_loses_the_tokens_of_the_old_role() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    map(&house, json!([{"group": "Leads", "role": "supervisor"}])).await;
    let (agent, access) = house.person("acme", "agent").await;
    let made = directory
        .post("/Groups", json!({"displayName": "Leads", "members": [{"value": agent}]}))
        .await;
    assert_eq!(role(&house, &agent).await, "supervisor");
    assert!(!house.lets_in(&access).await);
    let pair = house.sign_in("agent@acme.example", PASSWORD).await;
    assert_eq!(house.get("/v1/auth/me", &pair.access).await.text("role"), "supervisor");
    let path = format!("/Groups/{}", made["id"].as_str().expect("an id"));
    directory.patch(&path, json!([{"op": "remove", "path": "members"}])).await;
    assert!(!house.lets_in(&pair.access).await);
    assert_eq!(role(&house, &agent).await, "viewer");
}

#[tokio::test]
async fn no_group_makes_or_unmakes_an_owner() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    assert_eq!(map(&house, json!([{"group": "Bosses", "role": "owner"}])).await, 422);
    assert_eq!(map(&house, json!([{"group": "Bosses", "role": "viewer"}])).await, 200);
    let owner = house.get("/v1/auth/me", &house.owner("acme").await).await.text("id");
    directory
        .post("/Groups", json!({"displayName": "Bosses", "members": [{"value": owner}]}))
        .await;
    assert_eq!(role(&house, &owner).await, "owner");
}

#[tokio::test]
async fn only_people_of_the_tenant_are_members() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    let other = Directory::connect(&house, "bolt").await;
    let theirs = other.person("ana@bolt.example").await;
    for member in [theirs.as_str(), "usr_00000000000000000000000009", "somebody"] {
        let body = json!({"displayName": "Mine", "members": [{"value": member}]});
        let refused = directory.send("POST", "/Groups", Some(body)).await;
        assert_eq!(refusal(&refused), (400, "invalidValue".to_owned()), "{member}");
    }
    assert_eq!(directory.get("/Groups").await["totalResults"], 0);
}
