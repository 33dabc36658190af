//! Room `identity`: the decision API against the scenario and the vectors of `OpenID` `AuthZEN`
//! 1.0.

use std::path::PathBuf;

use axum::body::Body;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};

use crate::house::House;

/// Declares and permits, and gives a key that may ask.
pub(crate) async fn decision_point(schema: &str, policies: &[&str]) -> (House, String) {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let schema = json!({"text": schema});
    let put = house.send("PUT", "/v1/policies/schema", Some(&owner), Some(schema)).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.body);
    for (at, text) in policies.iter().enumerate() {
        let body = json!({"name": format!("p{at}"), "text": text});
        let made = house.post("/v1/policies", &owner, body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    }
    let key = json!({"name": "app", "permissions": ["access.evaluate"]});
    let key = house.post("/v1/api-keys", &owner, key).await.text("secret");
    (house, key)
}

pub(crate) async fn decide(house: &House, key: &str, request: &Value) -> bool {
    let answer = house.post("/access/v1/evaluation", key, request.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.json()["decision"].as_bool().expect("a decision")
}

pub(crate) const RECORDS: &str = "namespace App {
  entity user { role?: String };
  entity record { status?: String };
  action read, write, \"delete\" appliesTo {
    principal: [user], resource: [record], context: { action?: { soft?: Bool } }
  };
}";

const SCENARIO: [&str; 6] = [
    "permit (principal == App::user::\"alice\", action == App::Action::\"read\", resource);",
    "permit (principal == App::user::\"alice\", action == App::Action::\"write\", resource)
     unless { resource has status && resource.status == \"archived\" };",
    "permit (principal == App::user::\"bob\", action == App::Action::\"read\", resource);",
    "permit (principal is App::user, action == App::Action::\"write\", resource)
     when { principal has role && principal.role == \"admin\" };",
    "permit (principal == App::user::\"alice\", action == App::Action::\"delete\", resource)
     when { context has action && context.action has soft && context.action.soft };",
    "forbid (principal == App::user::\"mallory\", action, resource);",
];

pub(crate) fn ask(who: &str, what: &str, which: &str) -> Value {
    json!({"subject": {"type": "user", "id": who}, "action": {"name": what},
        "resource": {"type": "record", "id": which}})
}

pub(crate) fn with(mut request: Value, part: &str, properties: Value) -> Value {
    request[part]["properties"] = properties;
    request
}

#[tokio::test]
async fn the_certification_scenario_is_decided_as_it_demands() {
    let (house, key) = decision_point(RECORDS, &SCENARIO).await;
    let archived = json!({"status": "archived"});
    let cases = [
        (ask("alice", "read", "record-1"), true),
        (ask("alice", "write", "record-1"), true),
        (ask("bob", "read", "record-1"), true),
        (ask("bob", "write", "record-1"), false),
        (with(ask("alice", "write", "record-2"), "resource", archived.clone()), false),
        (
            with(
                with(ask("bob", "write", "record-2"), "resource", archived),
                "subject",
                json!({"role": "admin"}),
            ),
            true,
        ),
        (with(ask("alice", "delete", "record-1"), "action", json!({"soft": true})), true),
        (with(ask("alice", "delete", "record-1"), "action", json!({"soft": false})), false),
    ];
    for (request, expected) in cases {
        for _ in 0..2 {
            assert_eq!(decide(&house, &key, &request).await, expected, "{request}");
        }
        let mut more = request.clone();
        more["futureField"] = json!({"nested": true});
        more["context"] = json!({"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"});
        assert_eq!(decide(&house, &key, &more).await, expected, "{more}");
    }
    let owner = house.owner("acme").await;
    let denials = house.get("/v1/decisions?allowed=false&principal=user:bob", &owner).await.json();
    assert_eq!(denials["data"][0]["action"], "write", "denials are written down");
}

#[tokio::test]
async fn what_is_not_understood_is_answered_400_and_needs_a_credential_first() {
    let (house, key) = decision_point(RECORDS, &SCENARIO).await;
    let whole = ask("alice", "read", "record-1");
    let mut cases = vec![String::new(), "{".to_owned(), "[]".to_owned()];
    for part in ["subject", "action", "resource"] {
        let mut without = whole.clone();
        without.as_object_mut().expect("an object").remove(part);
        cases.push(without.to_string());
        for member in ["type", "id", "name"] {
            let mut without = whole.clone();
            if without[part].as_object_mut().expect("an object").remove(member).is_some() {
                cases.push(without.to_string());
            }
        }
        let mut text = whole.clone();
        text[part] = json!("alice");
        cases.push(text.to_string());
    }
    cases.push(
        json!({"subject": whole["subject"], "action": {"name": 123},
        "resource": whole["resource"]})
        .to_string(),
    );
    let post = |body: String, kind: &str, bearer: &str| {
        let request = Request::post("/access/v1/evaluation")
            .header(header::AUTHORIZATION, format!("Bearer {bearer}"))
            .header(header::CONTENT_TYPE, kind)
            .header("x-request-id", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716");
        house.answer(request.body(Body::from(body)).expect("a request"))
    };
    for body in cases {
        let answer = post(body.clone(), "application/json", &key).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.body);
    }
    let plain = post(whole.to_string(), "text/plain", &key).await;
    assert_eq!(plain.status, StatusCode::BAD_REQUEST);
    assert_eq!(post(whole.to_string(), "application/json", "nobody").await.status, 401);
    let (_, viewer) = house.person("acme", "viewer").await;
    assert_eq!(post(whole.to_string(), "application/json", &viewer).await.refusal().0, 403);
    let announced =
        house.send("GET", "/.well-known/authzen-configuration", None, None).await.json();
    let base = announced["policy_decision_point"].as_str().expect("a base").to_owned();
    assert_eq!(announced["access_evaluation_endpoint"], format!("{base}/access/v1/evaluation"));
    assert_eq!(announced["access_evaluations_endpoint"], format!("{base}/access/v1/evaluations"));
}

#[tokio::test]
async fn a_batch_is_decided_in_its_order_and_by_its_semantic() {
    let (house, key) = decision_point(RECORDS, &SCENARIO).await;
    let several = async |request: Value| {
        let answer = house.post("/access/v1/evaluations", &key, request).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let all = answer.json()["evaluations"].as_array().cloned().expect("decisions");
        all.iter().map(|one| one["decision"].as_bool().expect("one")).collect::<Vec<bool>>()
    };
    let record = |id: &str, status: &str| json!({ "type": "record", "id": id, "properties": { "status": status } });
    let (alice, bob) =
        (json!({"type": "user", "id": "alice"}), json!({"type": "user", "id": "bob"}));
    let write = json!({"name": "write"});
    let shared = json!({"subject": alice, "action": write, "resource": record("record-1", "active"),
        "evaluations": [{}, {"resource": record("record-2", "archived")}, {}]});
    assert_eq!(several(shared.clone()).await, [true, false, true]);
    for (semantic, expected) in [
        ("execute_all", vec![true, false, true]),
        ("deny_on_first_deny", vec![true, false]),
        ("permit_on_first_permit", vec![true]),
    ] {
        let mut request = shared.clone();
        request["options"] = json!({"evaluations_semantic": semantic});
        assert_eq!(several(request).await, expected, "{semantic}");
    }
    let by_subject = json!({"action": write, "resource": record("record-2", "archived"),
        "evaluations": [{"subject": alice}, {"subject": {"type": "user", "id": "bob",
            "properties": {"role": "admin"}}}]});
    assert_eq!(several(by_subject).await, [false, true]);
    let whole =
        json!({"evaluations": [ask("alice", "read", "record-1"), ask("bob", "write", "record-1")]});
    assert_eq!(several(whole).await, [true, false]);
    let by_action = json!({"subject": bob, "resource": record("record-1", "active"),
        "evaluations": [{"action": {"name": "read"}}, {"action": write}]});
    assert_eq!(several(by_action).await, [true, false]);
    let broken = json!({"subject": alice, "action": {"name": "read"},
        "evaluations": [{"resource": record("record-1", "active")}, {}]});
    assert_eq!(several(broken).await, [true, false], "one takes no other with it");
    for one in [json!([]), Value::Null] {
        let mut request = ask("alice", "read", "record-1");
        request["evaluations"] = one;
        let answer = house.post("/access/v1/evaluations", &key, request).await;
        assert_eq!(answer.json()["decision"], true, "as if one was asked");
    }
    let unknown = json!({"options": {"evaluations_semantic": "x"}, "evaluations": [{}]});
    assert_eq!(house.post("/access/v1/evaluations", &key, unknown).await.refusal().0, 400);
}

/// A file of the interoperability tests, if this machine has it.
pub(crate) fn vectors(name: &str) -> Option<Value> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let root = PathBuf::from(option_env!("MISYBOT_CORPORA").unwrap_or(beside));
    let path = root.join("auth/authzen").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no corpora on this machine (set MISYBOT_CORPORA to their folder)");
        return None;
    };
    Some(serde_json::from_str(&text).expect("JSON"))
}

/// Rick, Morty, Summer, Beth and Jerry, as the identity provider of the tests names them.
const IDS: [&str; 5] = [
    "CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
    "CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
    "CiRmZDI2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
    "CiRmZDM2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
    "CiRmZDQ2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
];

#[tokio::test]
async fn every_vector_of_the_todo_application_is_decided_as_expected() {
    let name = "interop_authzen-todo-backend_test_decisions-authorization-api-1_0-02.json";
    let Some(vectors) = vectors(name) else { return };
    let schema = "namespace App { entity user; entity todo { ownerID?: String };
        action can_read_user appliesTo { principal: [user], resource: [user], context: {} };
        action can_read_todos, can_create_todo, can_update_todo, can_delete_todo appliesTo {
            principal: [user], resource: [todo], context: {} }; }";
    let user = |at: usize| format!("principal == App::user::\"{}\"", IDS[at]);
    let mut policies = vec![
        "permit (principal is App::user, action in [App::Action::\"can_read_user\", \
         App::Action::\"can_read_todos\"], resource);"
            .to_owned(),
        format!("permit ({}, action, resource is App::todo);", user(0)),
    ];
    for (at, mail) in [(1, "morty@the-citadel.com"), (2, "summer@the-smiths.com")] {
        policies.push(format!(
            "permit ({}, action == App::Action::\"can_create_todo\", resource);",
            user(at)
        ));
        policies.push(format!(
            "permit ({}, action in [App::Action::\"can_update_todo\", \
             App::Action::\"can_delete_todo\"], resource) \
             when {{ resource has ownerID && resource.ownerID == \"{mail}\" }};",
            user(at)
        ));
    }
    let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
    let (house, key) = decision_point(schema, &policies).await;
    let mut asked = 0;
    for vector in vectors["evaluation"].as_array().expect("vectors") {
        let decided = decide(&house, &key, &vector["request"]).await;
        assert_eq!(json!(decided), vector["expected"], "{vector}");
        asked += 1;
    }
    for vector in vectors["evaluations"].as_array().expect("vectors") {
        let answer = house.post("/access/v1/evaluations", &key, vector["request"].clone()).await;
        let all = answer.json()["evaluations"].as_array().cloned().expect("decisions");
        let decided: Vec<Value> =
            all.iter().map(|one| json!({"decision": one["decision"]})).collect();
        assert_eq!(json!(decided), vector["expected"], "{vector}");
        asked += 1;
    }
    assert_eq!(asked, 43);
}

#[tokio::test]
async fn every_vector_of_the_gateways_is_decided_as_expected() {
    let name = "interop_authzen-api-gateways_test-harness_test_decisions.json";
    let Some(vectors) = vectors(name) else { return };
    let schema = "namespace App { entity identity; entity route;
        action GET, POST, PUT, DELETE appliesTo { principal: [identity], resource: [route],
            context: {} }; }";
    let mut policies = vec![
        "permit (principal is App::identity, action == App::Action::\"GET\", resource);".to_owned(),
    ];
    for id in IDS.iter().take(3) {
        policies.push(format!("permit (principal == App::identity::\"{id}\", action, resource);"));
    }
    let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
    let (house, key) = decision_point(schema, &policies).await;
    let all = vectors["evaluation"].as_array().expect("vectors");
    for vector in all {
        let decided = decide(&house, &key, &vector["request"]).await;
        assert_eq!(json!(decided), vector["expected"], "{vector}");
    }
    assert_eq!(all.len(), 25);
}

#[tokio::test]
async fn a_search_gives_the_declared_actions_that_are_permitted_and_no_others() {
    let (house, key) = decision_point(RECORDS, &SCENARIO).await;
    let path = "/access/v1/search/action";
    let search = async |mut request: Value| {
        request.as_object_mut().expect("an object").remove("action");
        let answer = house.post(path, &key, request).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.json()["results"].clone()
    };
    let names = |all: &[&str]| all.iter().map(|name| json!({ "name": name })).collect::<Value>();
    let alice = ask("alice", "read", "record-1");
    assert_eq!(search(alice.clone()).await, names(&["read", "write"]));
    let archived = with(alice, "resource", json!({"status": "archived"}));
    assert_eq!(search(archived).await, names(&["read"]));
    let admin = with(ask("carol", "x", "record-1"), "subject", json!({"role": "admin"}));
    assert_eq!(search(admin).await, names(&["write"]));
    assert_eq!(search(ask("mallory", "x", "record-1")).await, names(&[]));
    let without = house.post(path, &key, json!({"subject": {"type": "user", "id": "a"}})).await;
    assert_eq!(without.refusal(), (400, "request.malformed".to_owned()), "{}", without.body);
    let told = house.get("/.well-known/authzen-configuration", &key).await.json();
    let address = told["search_action_endpoint"].as_str().expect("announced");
    assert!(address.ends_with(path), "{address}");
    for name in ["subject", "resource"] {
        let address = told[format!("search_{name}_endpoint")].as_str().expect("announced");
        assert!(address.ends_with(&format!("/access/v1/search/{name}")), "{address}");
    }
}
