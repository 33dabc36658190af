//! Room `identity`: searches among what a tenant made known, against the scenario and the vectors
//! of `OpenID` `AuthZEN` 1.0.

use http::StatusCode;
use serde_json::{Value, json};

use crate::evaluations::{RECORDS, ask, decide, decision_point, vectors, with};
use crate::house::{Answer, House};

const ENTITIES: &str = "/v1/policies/entities";

/// The scenario with rule 6 as it is written: an administrator writes what is archived.
const SCENARIO: [&str; 5] = [
    "permit (principal == App::user::\"alice\", action == App::Action::\"read\", resource);",
    "permit (principal == App::user::\"alice\", action == App::Action::\"write\", resource)
     unless { resource has status && resource.status == \"archived\" };",
    "permit (principal == App::user::\"bob\", action == App::Action::\"read\", resource);",
    "permit (principal is App::user, action == App::Action::\"write\", resource is App::record)
     when { principal has role && principal.role == \"admin\" &&
         resource has status && resource.status == \"archived\" };",
    "forbid (principal == App::user::\"mallory\", action, resource);",
];

fn fixture() -> Value {
    json!({"entities": [
        {"type": "user", "id": "alice"},
        {"type": "user", "id": "bob", "properties": {"role": "admin"}},
        {"type": "user", "id": "mallory", "properties": {"role": "admin"}},
        {"type": "record", "id": "record-1", "properties": {"status": "active"}},
        {"type": "record", "id": "record-2", "properties": {"status": "archived"}},
    ]})
}

async fn make_known(house: &House, entities: Value) -> Answer {
    let owner = house.owner("acme").await;
    house.send("PUT", ENTITIES, Some(&owner), Some(entities)).await
}

async fn scenario() -> (House, String) {
    let (house, key) = decision_point(RECORDS, &SCENARIO).await;
    let put = make_known(&house, fixture()).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.body);
    (house, key)
}

async fn search(house: &House, key: &str, what: &str, request: &Value) -> Answer {
    house.post(&format!("/access/v1/search/{what}"), key, request.clone()).await
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let found = answer.json()["results"].as_array().expect("results").clone();
    found.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn the_searches_of_the_certification_find_what_they_demand() {
    let (house, key) = scenario().await;
    let readers = json!({"subject": {"type": "user"}, "action": {"name": "read"},
        "resource": {"type": "record", "id": "record-1"}});
    let found = search(&house, &key, "subject", &readers).await;
    assert_eq!(ids(&found), ["alice", "bob"]);
    assert_eq!(found.json()["results"][0], json!({"type": "user", "id": "alice"}));
    assert_eq!(found.json()["page"], json!({"next_token": "", "count": 2}));
    for (member, value) in [
        ("context", json!({"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"})),
        ("subject", json!({"type": "user", "id": "mallory"})),
    ] {
        let mut other = readers.clone();
        other[member] = value;
        assert_eq!(ids(&search(&house, &key, "subject", &other).await), ["alice", "bob"]);
    }
    let archived = with(ask("x", "write", "record-2"), "resource", json!({"status": "archived"}));
    assert_eq!(ids(&search(&house, &key, "subject", &archived).await), ["bob"]);

    let read = ask("alice", "read", "ignored");
    assert_eq!(ids(&search(&house, &key, "resource", &read).await), ["record-1", "record-2"]);
    let admin = with(ask("bob", "write", ""), "subject", json!({"role": "admin"}));
    assert_eq!(ids(&search(&house, &key, "resource", &admin).await), ["record-2"]);
    assert_eq!(
        ids(&search(&house, &key, "resource", &ask("alice", "write", "")).await),
        ["record-1"]
    );

    for (what, part, of) in [("subject", "subject", "spaceship"), ("resource", "resource", "moon")]
    {
        let mut unknown = readers.clone();
        unknown["subject"]["id"] = json!("alice");
        unknown[part]["type"] = json!(of);
        assert!(ids(&search(&house, &key, what, &unknown).await).is_empty(), "{what}");
    }
    let nobody = ask("nonexistent-user", "read", "");
    assert!(ids(&search(&house, &key, "resource", &nobody).await).is_empty());
}

/// What a search finds is permitted, and what is permitted of what is known is found.
#[tokio::test]
async fn a_search_finds_exactly_what_is_permitted_when_asked_one_by_one() {
    let (house, key) = scenario().await;
    for action in ["read", "write", "delete"] {
        for record in ["record-1", "record-2"] {
            let found = search(&house, &key, "subject", &ask("", action, record)).await;
            let found = ids(&found);
            for user in ["alice", "bob", "mallory"] {
                let permitted = decide(&house, &key, &ask(user, action, record)).await;
                assert_eq!(permitted, found.contains(&user.to_owned()), "{user} {action} {record}");
                let theirs = search(&house, &key, "resource", &ask(user, action, "")).await;
                assert_eq!(permitted, ids(&theirs).contains(&record.to_owned()), "{user}");
            }
        }
    }
}

#[tokio::test]
async fn a_search_is_refused_with_400_if_something_is_missing() {
    let (house, key) = scenario().await;
    let whole = ask("alice", "read", "record-1");
    for (what, input) in [("subject", "resource"), ("resource", "subject")] {
        for missing in ["subject", "action", "resource"] {
            let mut request = whole.clone();
            request.as_object_mut().expect("an object").remove(missing);
            let refused = search(&house, &key, what, &request).await;
            assert_eq!(refused.refusal().0, 400, "{what} without {missing}");
        }
        let mut request = whole.clone();
        request[input].as_object_mut().expect("an object").remove("id");
        let refused = search(&house, &key, what, &request).await;
        assert_eq!(refused.refusal().0, 400, "{what}: `{input}` has to be one");
        let mut paged = whole.clone();
        paged["page"] = json!({"token": "bm9uc2Vuc2U"});
        let refused = search(&house, &key, what, &paged).await;
        assert_eq!(refused.refusal(), (400, "request.malformed".to_owned()));
    }
}

#[tokio::test]
async fn pages_follow_each_other_and_a_token_is_of_one_search() {
    let (house, key) = decision_point(RECORDS, &SCENARIO).await;
    let record = |at: usize| json!({"type": "record", "id": format!("r{at:03}")});
    let all: Vec<Value> = (0..250).map(record).collect();
    make_known(&house, json!({"entities": all})).await;
    let mut request = ask("alice", "read", "");
    let (mut seen, mut counts) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let page = search(&house, &key, "resource", &request).await;
        seen.extend(ids(&page));
        counts.push(page.json()["page"]["count"].as_u64().expect("a count"));
        let token = page.json()["page"]["next_token"].as_str().expect("a token").to_owned();
        if token.is_empty() {
            break;
        }
        request["page"] = json!({ "token": token });
    }
    assert_eq!((counts, seen.len()), (vec![100, 100, 50], 250));
    let mut sorted = seen.clone();
    sorted.dedup();
    assert_eq!(sorted, seen);
    request["page"]["limit"] = json!(7);
    assert_eq!(ids(&search(&house, &key, "resource", &request).await).len(), 7);
    request["action"] = json!({"name": "write"});
    let other = search(&house, &key, "resource", &request).await;
    assert_eq!(other.refusal().0, 400, "the token is of another search");
}

/// The records that each user of the interoperability scenario of identity providers may delete:
/// those that they own.
#[tokio::test]
async fn the_search_vectors_of_the_interoperability_scenario_are_answered_as_they_demand() {
    const WORDS: &str = "namespace App {
      entity user { name?: String };
      entity record { owner?: String };
      action view, edit, \"delete\" appliesTo { principal: [user], resource: [record] };
    }";
    const OWN: &str = "permit (principal is App::user, action == App::Action::\"delete\",
        resource is App::record)
        when { principal has name && resource has owner && resource.owner == principal.name };";
    const USERS: [&str; 6] = ["alice", "bob", "carol", "dan", "erin", "felix"];
    let Some(vectors) = vectors("interop_authzen-idp_test-harness_src_results.json") else {
        return;
    };
    let (house, key) = decision_point(WORDS, &[OWN]).await;
    let record = |at: usize| {
        json!({"type": "record", "id": (101 + at).to_string(),
            "properties": {"owner": USERS[at % USERS.len()]}})
    };
    let user = |name| json!({"type": "user", "id": name, "properties": {"name": name}});
    let all: Vec<Value> = USERS.into_iter().map(user).chain((0..20).map(record)).collect();
    make_known(&house, json!({"entities": all})).await;
    let all = vectors["search"].as_array().expect("vectors");
    for vector in all {
        let answer = search(&house, &key, "resource", &vector["request"]).await;
        assert_eq!(answer.json()["results"], vector["expected"]["results"], "{vector}");
    }
    assert_eq!(all.len(), 6);
}

#[tokio::test]
async fn what_is_known_fills_questions_up_and_what_a_question_says_holds() {
    let (house, key) = scenario().await;
    let write = ask("bob", "write", "record-2");
    assert!(decide(&house, &key, &write).await, "both properties are known");
    let active = with(write.clone(), "resource", json!({"status": "active"}));
    assert!(!decide(&house, &key, &active).await, "the question says otherwise");
    let actions = json!({"subject": write["subject"], "resource": write["resource"]});
    let found = search(&house, &key, "action", &actions).await;
    assert_eq!(found.json()["results"], json!([{"name": "read"}, {"name": "write"}]));
    make_known(&house, json!({"entities": []})).await;
    assert!(!decide(&house, &key, &write).await, "nothing is known any more");
}

#[tokio::test]
async fn members_of_a_group_of_a_group_are_found_by_it() {
    const WORDS: &str = "namespace App {
      entity team in [team];
      entity user in [team];
      entity folder; entity file in [folder];
      action open appliesTo { principal: [user], resource: [file] };
    }";
    const TEAM: &str = "permit (principal in App::team::\"all\", action, \
        resource in App::folder::\"shared\");";
    let (house, key) = decision_point(WORDS, &[TEAM]).await;
    let put = make_known(
        &house,
        json!({"entities": [
            {"type": "team", "id": "red", "parents": [{"type": "team", "id": "all"}]},
            {"type": "user", "id": "ana", "parents": [{"type": "team", "id": "red"}]},
            {"type": "user", "id": "bo"},
            {"type": "file", "id": "a", "parents": [{"type": "folder", "id": "shared"}]},
            {"type": "file", "id": "b"},
        ]}),
    );
    assert_eq!(put.await.status, StatusCode::OK);
    let who = json!({"subject": {"type": "user"}, "action": {"name": "open"},
        "resource": {"type": "file", "id": "a"}});
    assert_eq!(ids(&search(&house, &key, "subject", &who).await), ["ana"]);
    let what = json!({"subject": {"type": "user", "id": "ana"}, "action": {"name": "open"},
        "resource": {"type": "file"}});
    assert_eq!(ids(&search(&house, &key, "resource", &what).await), ["a"]);
}

#[tokio::test]
async fn what_a_tenant_made_known_is_known_to_no_other() {
    let (house, key) = scenario().await;
    house.tenant("bolt").await;
    let bolt = house.owner("bolt").await;
    let theirs = house.get(ENTITIES, &bolt).await;
    assert_eq!(theirs.json(), json!({"entities": []}));
    let readers = ask("", "read", "record-1");
    assert!(ids(&search(&house, &bolt, "subject", &readers).await).is_empty());
    assert_eq!(ids(&search(&house, &key, "subject", &readers).await), ["alice", "bob"]);

    let kept = house.get(ENTITIES, &house.owner("acme").await).await;
    assert_eq!(kept.json()["entities"].as_array().map(Vec::len), Some(5));
    let twice = json!({"type": "user", "id": "1"});
    let wrong = json!({"entities": [{"type": "a b", "id": "1"}, twice, twice]});
    let refused = make_known(&house, wrong).await;
    assert_eq!(refused.refusal().0, 422);
    assert_eq!(refused.json()["errors"].as_array().map(Vec::len), Some(2), "{}", refused.body);
    let (_, agent) = house.person("acme", "agent").await;
    assert_eq!(house.get(ENTITIES, &agent).await.refusal().0, 403);
    let body = Some(fixture());
    assert_eq!(house.send("PUT", ENTITIES, Some(&agent), body).await.refusal().0, 403);
    assert_eq!(search(&house, &agent, "subject", &readers).await.refusal().0, 403);
}
