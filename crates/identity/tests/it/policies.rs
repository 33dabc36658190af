//! Room `identity`: policies of a tenant over HTTP, and that a forbid bites.

use std::time::Duration;

use http::StatusCode;
use misy_core::id::TypedId;
use serde_json::{Value, json};

use crate::house::{Answer, House};

async fn house() -> (House, String) {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    (house, owner)
}

async fn policy(house: &House, bearer: &str, name: &str, text: &str) -> Answer {
    house.post("/v1/policies", bearer, json!({"name": name, "text": text})).await
}

const NO_KEYS: &str = "@says(\"Keys are the owner's.\")\nforbid (\n  principal in \
    MisyBot::Role::\"admin\",\n  action == MisyBot::Action::\"api_key.read\",\n  resource\n);";

const NOT_OWNERS: &str = "forbid (principal in MisyBot::Role::\"admin\", \
    action == MisyBot::Action::\"user.manage\", resource is MisyBot::User) \
    when { resource has role && resource.role == \"supervisor\" };";

#[tokio::test]
async fn a_policy_is_made_read_listed_changed_and_removed() {
    let (house, owner) = house().await;
    let made = policy(&house, &owner, "No keys", NO_KEYS).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(
        (made.text("effect"), made.json()["enabled"].clone()),
        ("forbid".into(), json!(true))
    );
    let path = format!("/v1/policies/{}", made.text("id"));
    assert_eq!(house.get(&path, &owner).await.json(), made.json());
    let listed = house.get("/v1/policies", &owner).await.json();
    assert_eq!(listed["data"], json!([made.json()]));
    assert_eq!(policy(&house, &owner, "No keys", NO_KEYS).await.refusal().0, 409);
    let changed = house.patch(&path, &owner, json!({"name": "Keys", "enabled": false})).await;
    assert_eq!(
        (changed.text("name"), changed.json()["enabled"].clone()),
        ("Keys".into(), json!(false))
    );
    let wrong = house.patch(&path, &owner, json!({"text": "forbid"})).await;
    assert_eq!(wrong.json()["errors"][0]["pointer"], "/text", "{}", wrong.body);
    assert_eq!(house.delete(&path, &owner).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.get(&path, &owner).await.refusal().0, 404);
    let audited = "select count(*) from audit_records where action like 'policy.%'";
    assert_eq!(house.count(audited).await, 3);
    house.tenant("other").await;
    let stranger = house.owner("other").await;
    let mine = policy(&house, &owner, "Mine", NO_KEYS).await.text("id");
    let (mine, absent) =
        (format!("/v1/policies/{mine}"), "/v1/policies/pol_00000000000000000000000009");
    for (method, body) in [("GET", None), ("PATCH", Some(json!({"name": "X"}))), ("DELETE", None)] {
        let foreign = house.send(method, &mine, Some(&stranger), body.clone()).await;
        let nothing = house.send(method, absent, Some(&stranger), body).await;
        assert_eq!(foreign.without_instance(), nothing.without_instance(), "{method}");
    }
}

#[tokio::test]
async fn a_forbid_bites_in_every_process_and_ends_with_the_policy() {
    let (house, owner) = house().await;
    let other = house.second_process().await;
    let (_, admin) = house.person("acme", "admin").await;
    let may =
        async |house: &House| house.get("/v1/api-keys", &admin).await.status == StatusCode::OK;
    assert!(may(&house).await && may(&other).await);
    let made = policy(&house, &owner, "No keys", NO_KEYS).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    other.deps.tick().await.expect("ticks, as the program does every 400 ms");
    assert!(!may(&house).await && !may(&other).await);
    assert_eq!(
        house.get("/v1/api-keys", &owner).await.status,
        StatusCode::OK,
        "owners are not admins"
    );
    house.tenant("other").await;
    let elsewhere = house.person("other", "admin").await.1;
    assert_eq!(house.get("/v1/api-keys", &elsewhere).await.status, StatusCode::OK);
    let path = format!("/v1/policies/{}", made.text("id"));
    house.patch(&path, &owner, json!({"enabled": false})).await;
    other.deps.tick().await.expect("ticks");
    assert!(may(&house).await && may(&other).await);
}

#[tokio::test]
async fn a_forbid_about_one_thing_names_itself_and_is_written_down() {
    let (house, owner) = house().await;
    let (_, admin) = house.person("acme", "admin").await;
    let (supervisor, _) = house.person("acme", "supervisor").await;
    let (agent, _) = house.person("acme", "agent").await;
    let made = policy(&house, &owner, "Leave them", NOT_OWNERS).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let named = json!({"name": "New"});
    let path = format!("/v1/users/{supervisor}");
    let denied = house.patch(&path, &admin, named.clone()).await;
    assert_eq!(denied.refusal(), (403, "auth.permission_denied".to_owned()));
    let said = format!("Forbidden by: \"Leave them\" (`{}`).", made.text("id"));
    assert_eq!(denied.text("detail"), said);
    assert_eq!(house.delete(&path, &admin).await.refusal().0, 403);
    assert_eq!(house.patch(&path, &owner, named.clone()).await.status, StatusCode::OK);
    let free = house.patch(&format!("/v1/users/{agent}"), &admin, named).await;
    assert_eq!(free.status, StatusCode::OK, "{}", free.body);
    let denials = house.get("/v1/decisions?allowed=false", &owner).await.json();
    let first = &denials["data"][0];
    assert_eq!(denials["data"].as_array().map(Vec::len), Some(2), "{denials}");
    assert_eq!((&first["action"], &first["resource"]), (&json!("user.manage"), &json!(supervisor)));
    assert_eq!(
        (&first["policies"], &first["policy_version"]),
        (&json!([made.text("id")]), &json!(1))
    );
    let all = house.get("/v1/decisions", &owner).await.json();
    assert_eq!(
        all["data"].as_array().map(Vec::len),
        Some(4),
        "sensitive ones are kept if allowed too"
    );
    assert_eq!(
        house.get("/v1/decisions", &house.person("acme", "viewer").await.1).await.refusal().0,
        403
    );
}

#[tokio::test]
async fn who_reads_decisions_waits_for_those_that_are_being_written() {
    let (house, owner) = house().await;
    policy(&house, &owner, "Leave them", NOT_OWNERS).await;
    let (_, admin) = house.person("acme", "admin").await;
    let path = format!("/v1/users/{}", house.person("acme", "supervisor").await.0);
    // Readers come at every moment of a tick, also when it has taken what waits and is not done.
    for moment in 0..40_u32 {
        assert_eq!(house.delete(&path, &admin).await.refusal().0, 403);
        let read = async {
            tokio::time::sleep(Duration::from_micros(200) * moment).await;
            house.get("/v1/decisions?allowed=false&limit=100", &owner).await.json()
        };
        let (ticked, denials) = tokio::join!(house.deps.tick(), read);
        ticked.expect("the database is there");
        let seen = denials["data"].as_array().map(Vec::len);
        assert_eq!(seen, Some(moment as usize + 1), "{denials}");
    }
}

#[tokio::test]
async fn what_one_tenant_cannot_keep_does_not_cost_another_its_decisions() {
    let (house, owner) = house().await;
    policy(&house, &owner, "No keys", NO_KEYS).await;
    let (_, admin) = house.person("acme", "admin").await;
    let other = house.tenant("other").await;
    let stranger = house.owner("other").await;
    policy(&house, &stranger, "No keys", NO_KEYS).await;
    let (_, clerk) = house.person("other", "admin").await;
    house.deps.tick().await.expect("the database is there");
    for access in [&admin, &clerk] {
        assert_eq!(house.get("/v1/api-keys", access).await.refusal().0, 403);
    }
    let not_theirs = format!("check (tenant_id <> '{}') not valid", other.uuid());
    house.alter(&format!("alter table decisions add constraint apart {not_theirs}")).await;
    house.deps.tick().await.expect("the database is there");
    let denials = house.get("/v1/decisions?allowed=false", &owner).await.json();
    assert_eq!(denials["data"].as_array().map(Vec::len), Some(1), "{denials}");
}

#[tokio::test]
async fn what_no_role_grants_is_written_down_once_a_minute() {
    let (house, owner) = house().await;
    let (viewer, access) = house.person("acme", "viewer").await;
    for _ in 0..3 {
        assert_eq!(house.get("/v1/decisions", &access).await.refusal().0, 403);
    }
    assert_eq!(house.get("/v1/roles?limit=0", &access).await.refusal().0, 422);
    let denials = house.get("/v1/decisions?allowed=false", &owner).await.json();
    let all = denials["data"].as_array().expect("a list");
    assert_eq!(all.len(), 1, "{denials}");
    assert_eq!(
        (&all[0]["principal"], &all[0]["action"]),
        (&json!(viewer), &json!("audit.read")),
        "{denials}"
    );
    assert_eq!((&all[0]["policies"], &all[0]["allowed"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn an_owner_cannot_be_locked_out_of_policies_by_a_policy() {
    let (house, owner) = house().await;
    let all = "forbid (principal, action, resource is MisyBot::Tenant);";
    let made = policy(&house, &owner, "Nothing", all).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(house.get("/v1/users", &owner).await.refusal().0, 403);
    let path = format!("/v1/policies/{}", made.text("id"));
    assert_eq!(house.delete(&path, &owner).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.get("/v1/users", &owner).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_text_is_checked_with_all_faults_and_their_places() {
    let (house, owner) = house().await;
    let check = async |text: &str| {
        let answer = house.post("/v1/policies/validate", &owner, json!({"text": text})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.json()
    };
    let good = check(NO_KEYS).await;
    assert_eq!((&good["valid"], &good["effect"]), (&json!(true), &json!("forbid")));
    let bad = check("permit (principal, action, resource)\nwhen { resource.x == 1 };").await;
    assert_eq!((&bad["valid"], &bad["effect"]), (&json!(false), &Value::Null));
    let lines: Vec<&Value> =
        bad["errors"].as_array().expect("errors").iter().map(|one| &one["line"]).collect();
    assert!(lines.contains(&&json!(1)) && lines.contains(&&json!(2)), "{bad}");
    let refused = policy(&house, &owner, "All", "permit (principal, action, resource);").await;
    assert_eq!(refused.refusal().0, 422);
    assert!(refused.body.contains("line 1, column 9"), "{}", refused.body);
    assert_eq!(house.count("select count(*) from policies").await, 0);
}

#[tokio::test]
async fn a_template_is_filled_and_a_wrong_blank_is_named() {
    let (house, owner) = house().await;
    let templates = house.get("/v1/policies/templates", &owner).await.json();
    let slugs: Vec<&str> = templates["data"]
        .as_array()
        .expect("all")
        .iter()
        .filter_map(|it| it["slug"].as_str())
        .collect();
    assert!(slugs.contains(&"own_conversations"), "{slugs:?}");
    let fill =
        |values: Value| json!({"name": "Own", "template": "own_conversations", "values": values});
    let made = house.post("/v1/policies", &owner, fill(json!({"role": "agent"}))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.text("template"), "own_conversations");
    assert!(made.text("text").contains("MisyBot::Role::\"agent\""));
    let wrong = house.post("/v1/policies", &owner, fill(json!({"role": "a\" || true"}))).await;
    assert_eq!(wrong.json()["errors"][0]["pointer"], "/values/role", "{}", wrong.body);
    let both = json!({"name": "B", "text": NO_KEYS, "template": "read_only"});
    for body in [both, json!({"name": "B"}), json!({"name": "B", "template": "no_such"})] {
        assert_eq!(house.post("/v1/policies", &owner, body).await.refusal().0, 422);
    }
}

#[tokio::test]
async fn why_something_is_denied_and_who_can_do_it_is_told() {
    let (house, owner) = house().await;
    let (ana, _) = house.person("acme", "agent").await;
    let (sue, _) = house.person("acme", "supervisor").await;
    let own = json!({"name": "Own", "template": "own_conversations", "values": {"role": "agent"}});
    let own = house.post("/v1/policies", &owner, own).await.text("id");
    let of_sue = json!({"type": "conversation", "id": "cnv_1",
        "attributes": {"assignee": sue, "status": "open"}});
    let explain = async |who: Value, action: &str, resource: &Value| {
        let body = json!({"principal": who, "action": action, "resource": resource});
        let answer = house.post("/v1/policies/explain", &owner, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.json()
    };
    let denied = explain(json!({"user_id": ana}), "conversation.read", &of_sue).await;
    assert_eq!(denied["allowed"], false);
    assert_eq!(
        denied["reason"],
        format!("Forbidden by: Somebody else looks after the conversation. (`{own}`)")
    );
    assert_eq!(denied["policies"][0]["id"], json!(own));
    let allowed = explain(json!({"user_id": sue}), "conversation.read", &of_sue).await;
    assert_eq!(
        (&allowed["allowed"], &allowed["policies"][0]["id"]),
        (&json!(true), &json!("platform.role"))
    );
    let tenant = json!({"type": "tenant"});
    let role = explain(json!({"user_id": ana}), "user.manage", &tenant).await;
    assert_eq!(role["reason"], "No policy permits it, and no role grants it.");
    assert_eq!(explain(json!({}), "user.manage", &tenant).await["allowed"], true, "whoever asks");
    let body = json!({"action": "conversation.read", "resource": of_sue});
    let able = house.post("/v1/policies/who-can", &owner, body).await.json();
    let roles: Vec<&str> = able["data"]
        .as_array()
        .expect("people")
        .iter()
        .filter_map(|it| it["role"].as_str())
        .collect();
    assert_eq!((roles, &able["considered"]), (vec!["owner", "supervisor"], &json!(3)));
    for body in [
        json!({"action": "no.such", "resource": {"type": "tenant"}}),
        json!({"action": "user.read", "resource": {"type": "planet"}}),
    ] {
        assert_eq!(house.post("/v1/policies/explain", &owner, body).await.refusal().0, 422);
    }
    let nobody = json!({"principal": {"user_id": "usr_00000000000000000000000009"},
        "action": "user.read", "resource": {"type": "tenant"}});
    assert_eq!(house.post("/v1/policies/explain", &owner, nobody).await.refusal().0, 422);
}

#[tokio::test]
async fn what_a_tenant_declares_cannot_leave_its_policies_without_words() {
    let (house, owner) = house().await;
    let put = async |text: &str| {
        house.send("PUT", "/v1/policies/schema", Some(&owner), Some(json!({"text": text}))).await
    };
    assert_eq!(house.get("/v1/policies/schema", &owner).await.text("text"), "");
    let whole = "namespace App { entity user; entity record; action read appliesTo { \
        principal: [user], resource: [record], context: {} }; }";
    assert_eq!(put(whole).await.status, StatusCode::OK);
    let text = "permit (principal == App::user::\"a\", action == App::Action::\"read\", resource);";
    assert_eq!(policy(&house, &owner, "A reads", text).await.status, StatusCode::CREATED);
    let less = put("namespace App { entity user; }").await;
    assert_eq!(less.refusal().0, 422);
    assert!(less.body.contains("A reads"), "{}", less.body);
    for wrong in ["namespace MisyBot { entity Spy; }", "entity x;", "no schema"] {
        assert_eq!(put(wrong).await.json()["errors"][0]["pointer"], "/text");
    }
    assert_eq!(house.get("/v1/policies/schema", &owner).await.text("text"), whole);
}
