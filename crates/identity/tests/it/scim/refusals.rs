//! Room `identity`: what a directory is refused, and how.

use axum::body::Body;
use http::Request;
use serde_json::json;

use super::{Directory, refusal};
use crate::house::House;

#[tokio::test]
async fn a_key_without_the_permission_is_refused_in_the_form_of_scim() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    let owner = house.owner("acme").await;
    let body = json!({"name": "shop", "role": "supervisor"});
    let key = house.post("/v1/api-keys", &owner, body).await.text("secret");
    let weak = Directory { house: &house, key };
    let none = Directory { house: &house, key: "mb_live_nothing".to_owned() };
    let id = directory.person("ana@acme.example").await;
    let one = format!("/Users/{id}");
    let group = "/Groups/grp_00000000000000000000000009";
    let body = || Some(json!({"userName": "x@y.example", "displayName": "x", "Operations": []}));
    for (method, path) in [
        ("GET", "/ServiceProviderConfig"),
        ("GET", "/ResourceTypes"),
        ("GET", "/ResourceTypes/User"),
        ("GET", "/Schemas"),
        ("GET", "/Schemas/nothing"),
        ("GET", "/Users"),
        ("POST", "/Users"),
        ("POST", "/Users/.search"),
        ("GET", one.as_str()),
        ("PUT", one.as_str()),
        ("PATCH", one.as_str()),
        ("DELETE", one.as_str()),
        ("GET", "/Groups"),
        ("POST", "/Groups"),
        ("POST", "/Groups/.search"),
        ("GET", group),
        ("PUT", group),
        ("DELETE", group),
        ("GET", "/nothing"),
    ] {
        let sent = if method == "GET" || method == "DELETE" { None } else { body() };
        let refused = weak.send(method, path, sent.clone()).await;
        let patch_of_nothing = method == "PATCH";
        assert_eq!(refusal(&refused).0, 403, "{method} {path} {patch_of_nothing}");
        assert_eq!(refusal(&none.send(method, path, sent).await).0, 401, "{method} {path}");
    }
    assert_eq!(directory.get(&one).await["id"], id, "and nothing was done");
}

#[tokio::test]
async fn a_key_of_a_directory_opens_nothing_else() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    for path in ["/v1/users", "/v1/api-keys", "/v1/roles", "/v1/scim/role-mappings"] {
        assert_eq!(house.get(path, &directory.key).await.refusal().0, 403, "{path}");
    }
}

#[tokio::test]
async fn ids_of_another_tenant_answer_as_ids_of_nothing() {
    let house = House::build().await;
    let acme = Directory::connect(&house, "acme").await;
    let bolt = Directory::connect(&house, "bolt").await;
    let user = bolt.person("ana@bolt.example").await;
    let group = bolt.post("/Groups", json!({"displayName": "Theirs"})).await;
    let group = group["id"].as_str().expect("an id");
    let name = json!({"userName": "ana@bolt.example", "displayName": "Mine"});
    let patch = json!({"Operations": [{"op": "add", "path": "externalId", "value": "x"}]});
    for (kind, id) in [("Users/usr", user.as_str()), ("Groups/grp", group)] {
        for (method, body) in [
            ("GET", None),
            ("PUT", Some(name.clone())),
            ("PATCH", Some(patch.clone())),
            ("DELETE", None),
        ] {
            let (folder, prefix) = kind.split_once('/').expect("both");
            let theirs = acme.send(method, &format!("/{folder}/{id}"), body.clone()).await;
            let absent = format!("/{folder}/{prefix}_00000000000000000000000009");
            let absent = acme.send(method, &absent, body).await;
            assert_eq!(refusal(&theirs).0, 404, "{method} {kind}");
            assert_eq!(theirs, absent, "{method} {kind}");
        }
    }
    let seen = acme.filtered("/Users", r#"userName eq "ana@bolt.example""#).await;
    assert_eq!(seen["totalResults"], 0);
    let same = json!({"userName": "ana@bolt.example", "displayName": "Theirs"});
    acme.post("/Users", same.clone()).await;
    acme.post("/Groups", same).await;
}

#[tokio::test]
async fn what_cannot_be_read_says_why_in_the_words_of_the_rfc() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    let id = directory.person("ana@acme.example").await;
    let patch = |operation| Some(json!({"Operations": [operation]}));
    let one = format!("/Users/{id}");
    for (method, path, body, expected) in [
        ("POST", "/Users", Some(json!({"userName": "no address"})), "invalidValue"),
        ("POST", "/Users", Some(json!({"active": true})), "invalidValue"),
        ("POST", "/Users", Some(json!({"userName": 1, "active": "x"})), "invalidValue"),
        ("POST", "/Users", Some(json!(["x"])), "invalidSyntax"),
        ("POST", "/Groups", Some(json!({})), "invalidValue"),
        ("GET", "/Users?filter=userName%20is%20%22x%22", None, "invalidFilter"),
        ("GET", "/Users?count=many", None, "invalidValue"),
        ("GET", "/Groups?sortBy=shoeSize", None, "invalidPath"),
        ("PATCH", &one, patch(json!({"op": "add", "path": "id", "value": "x"})), "mutability"),
        ("PATCH", &one, patch(json!({"op": "add", "path": "shoeSize", "value": 1})), "invalidPath"),
        ("PATCH", &one, patch(json!({"op": "remove"})), "noTarget"),
    ] {
        let refused = directory.send(method, path, body).await;
        assert_eq!(refusal(&refused), (400, expected.to_owned()), "{method} {path}");
    }
    for path in ["/Bulk", "/Me", "/.search"] {
        assert_eq!(refusal(&directory.send("POST", path, Some(json!({}))).await).0, 501, "{path}");
    }
    let filtered = directory.send("GET", "/Schemas?filter=id%20pr", None).await;
    assert_eq!(refusal(&filtered).0, 403);
    let text = Request::post("/scim/v2/Users")
        .header("authorization", format!("Bearer {}", directory.key))
        .header("content-type", "text/plain");
    let refused = house.answer(text.body(Body::from("{}")).expect("a request")).await;
    assert_eq!(refusal(&refused).0, 415);
    let broken = Request::post("/scim/v2/Users")
        .header("authorization", format!("Bearer {}", directory.key))
        .header("content-type", "application/json; charset=utf-8");
    let refused = house.answer(broken.body(Body::from("{")).expect("a request")).await;
    assert_eq!(refusal(&refused), (400, "invalidSyntax".to_owned()));
}
