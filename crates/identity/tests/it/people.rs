//! Room `identity`: the people of a tenant and their roles.

use axum::body::Body;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};

use crate::house::{House, PASSWORD};

fn body(email: &str, role: &str) -> Value {
    json!({"email": email, "name": "Ana Roy", "role": role, "password": PASSWORD})
}

#[tokio::test]
async fn a_person_is_added_read_listed_changed_and_removed() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let made = house.post("/v1/users", &owner, body(" Ana@Acme.example ", "agent")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.text("email"), "ana@acme.example");
    assert!(!made.body.contains("password"));
    let path = format!("/v1/users/{}", made.text("id"));
    assert_eq!(house.get(&path, &owner).await.json(), made.json());
    let listed = house.get("/v1/users", &owner).await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(listed["data"][1], made.json());
    let changed = house.patch(&path, &owner, json!({"role": "supervisor"})).await;
    assert_eq!(changed.text("role"), "supervisor");
    assert_eq!(changed.text("name"), "Ana Roy");
    assert_eq!(house.delete(&path, &owner).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.get(&path, &owner).await.refusal().0, 404);
    let audited = "select count(*) from audit_records where action like 'user.%'";
    assert_eq!(house.count(audited).await, 4, "the owner, and three changes");
    let telling = "select count(*) from audit_records r where r::text ilike '%ana%'";
    assert_eq!(house.count(telling).await, 0);
}

#[tokio::test]
async fn every_fault_of_a_new_person_is_told() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let wrong = json!({"email": "nobody", "name": "", "role": "Emperor!"});
    let answer = house.post("/v1/users", &owner, wrong).await;
    assert_eq!(answer.refusal().0, 422);
    let pointers = |answer: &crate::house::Answer| -> Vec<String> {
        let all = answer.json()["errors"].as_array().cloned().unwrap_or_default();
        all.iter().map(|one| one["pointer"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(pointers(&answer), ["/name", "/role"]);
    let wrong = json!({"email": "nobody", "name": "Ana", "role": "agent"});
    let answer = house.post("/v1/users", &owner, wrong).await;
    assert_eq!(pointers(&answer), ["/email"]);
    let weak = json!({"email": "a@b.example", "name": "A", "role": "agent", "password": "short"});
    assert_eq!(pointers(&house.post("/v1/users", &owner, weak).await), ["/password"]);
    assert_eq!(
        pointers(&house.post("/v1/users", &owner, body("a@b.example", "emperor")).await),
        ["/role"]
    );
}

#[tokio::test]
async fn an_address_is_taken_once_a_tenant_in_any_spelling() {
    let house = House::build().await;
    house.tenant("acme").await;
    house.tenant("bolt").await;
    let owner = house.owner("acme").await;
    let again = house.post("/v1/users", &owner, body("OWNER@acme.example", "agent")).await;
    assert_eq!(again.refusal(), (409, "request.conflict".to_owned()));
    let wrong = house.try_sign_in("owner@acme.example", PASSWORD).await;
    assert_eq!(wrong.status, StatusCode::OK, "the refused addition changed no password");
    let bolt = house.owner("bolt").await;
    let elsewhere = house.post("/v1/users", &bolt, body("owner@acme.example", "agent")).await;
    assert_eq!(elsewhere.status, StatusCode::CREATED, "and tells nothing of other tenants");
}

#[tokio::test]
async fn only_owners_make_and_touch_owners() {
    let house = House::build().await;
    house.tenant("acme").await;
    let (_, admin) = house.person("acme", "admin").await;
    let owner = house.owner("acme").await;
    let owner_id = house.get("/v1/auth/me", &owner).await.text("id");
    let path = format!("/v1/users/{owner_id}");
    let refused = [
        house.post("/v1/users", &admin, body("new@acme.example", "owner")).await,
        house.patch(&path, &admin, json!({"role": "viewer"})).await,
        house.patch(&path, &admin, json!({"status": "disabled"})).await,
        house.delete(&path, &admin).await,
    ];
    for answer in refused {
        assert_eq!(answer.refusal(), (403, "auth.permission_denied".to_owned()));
    }
    let made = house.post("/v1/users", &owner, body("new@acme.example", "owner")).await;
    assert_eq!(made.status, StatusCode::CREATED);
}

#[tokio::test]
async fn the_last_owner_stays() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let path = format!("/v1/users/{}", house.get("/v1/auth/me", &owner).await.text("id"));
    for change in [json!({"role": "admin"}), json!({"status": "disabled"})] {
        assert_eq!(house.patch(&path, &owner, change).await.refusal().0, 409);
    }
    assert_eq!(house.delete(&path, &owner).await.refusal().0, 409);
}

#[tokio::test]
async fn of_two_owners_who_leave_at_once_one_stays() {
    let house = House::build().await;
    house.tenant("acme").await;
    let first = house.owner("acme").await;
    let made = house.post("/v1/users", &first, body("second@acme.example", "owner")).await;
    let second = house.sign_in("second@acme.example", PASSWORD).await.access;
    let paths = [
        format!("/v1/users/{}", house.get("/v1/auth/me", &first).await.text("id")),
        format!("/v1/users/{}", made.text("id")),
    ];
    let demote = || json!({"role": "viewer"});
    let (one, two) = tokio::join!(
        house.patch(&paths[0], &first, demote()),
        house.patch(&paths[1], &second, demote())
    );
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let left = "select count(*) from users where role = 'owner' and status = 'active'";
    assert_eq!(house.count(left).await, 1);
}

#[tokio::test]
async fn a_change_of_an_older_version_is_refused() {
    let house = House::build().await;
    house.tenant("acme").await;
    let (id, _) = house.person("acme", "agent").await;
    let owner = house.owner("acme").await;
    let path = format!("/v1/users/{id}");
    let change = |seen: &'static str, name: &'static str| {
        let request = Request::patch(&path)
            .header(header::AUTHORIZATION, format!("Bearer {owner}"))
            .header(header::CONTENT_TYPE, "application/merge-patch+json")
            .header(header::IF_MATCH, seen);
        let body = Body::from(json!({"name": name}).to_string());
        house.answer(request.body(body).expect("a request"))
    };
    assert_eq!(change("\"v1\"", "One").await.status, StatusCode::OK);
    assert_eq!(change("\"v1\"", "Two").await.refusal(), (412, "request.stale".to_owned()));
    assert_eq!(house.get(&path, &owner).await.text("name"), "One");
}

#[tokio::test]
async fn roles_form_one_line_of_growing_rights() {
    let house = House::build().await;
    house.tenant("acme").await;
    let (_, viewer) = house.person("acme", "viewer").await;
    let roles = house.get("/v1/roles", &viewer).await.json();
    let roles = roles["data"].as_array().expect("a list");
    let slugs: Vec<_> =
        roles.iter().map(|role| role["slug"].as_str().unwrap_or_default()).collect();
    assert_eq!(slugs, ["viewer", "agent", "supervisor", "admin", "owner"]);
    let count = |role: &Value| role["permissions"].as_array().map_or(0, Vec::len);
    assert!(roles.windows(2).all(|pair| count(&pair[0]) < count(&pair[1])));
    assert!(roles.windows(2).all(|pair| pair[1]["inherits"] == pair[0]["slug"]));
}

#[tokio::test]
async fn each_role_may_do_what_it_says_and_no_more() {
    let house = House::build().await;
    house.tenant("acme").await;
    let cases = [
        ("viewer", [200, 403, 403, 403]),
        ("agent", [200, 200, 403, 403]),
        ("supervisor", [200, 200, 403, 403]),
        ("admin", [200, 200, 200, 201]),
    ];
    for (role, expected) in cases {
        let (_, access) = house.person("acme", role).await;
        let new = body(&format!("by-{role}@acme.example"), "viewer");
        let seen = [
            house.get("/v1/roles", &access).await.status.as_u16(),
            house.get("/v1/users", &access).await.status.as_u16(),
            house.get("/v1/api-keys", &access).await.status.as_u16(),
            house.post("/v1/users", &access, new).await.status.as_u16(),
        ];
        assert_eq!(seen, expected, "{role}");
    }
}

#[tokio::test]
async fn a_plan_allows_so_many_people_also_if_many_are_added_at_once() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    house.plan.allow(4);
    let add = |number: i32| {
        let (house, owner) = (&house, &owner);
        async move {
            let new = body(&format!("p{number}@acme.example"), "agent");
            house.post("/v1/users", owner, new).await
        }
    };
    let answers = futures_util::future::join_all((0..9).map(add)).await;
    let made = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert_eq!(made, 3, "the owner is one of the four");
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::CREATED) {
        assert_eq!(answer.refusal(), (403, "quota.exceeded".to_owned()));
        let detail = answer.text("detail");
        assert!(detail.contains("`users`") && detail.contains("allows 4"), "{detail}");
    }
    house.plan.allow(5);
    let invited = json!({"email": "x@acme.example", "name": "x", "role": "agent"});
    assert_eq!(house.post("/v1/invitations", &owner, invited).await.status.as_u16(), 201);
    let invited = json!({"email": "y@acme.example", "name": "y", "role": "agent"});
    let refused = house.post("/v1/invitations", &owner, invited).await;
    assert_eq!(refused.refusal().0, 403, "who is invited counts");
}
