//! Room `identity`: people who run the platform.

use misy_identity::{Email, ensure_operator};
use misy_testkit::platform_ctx;
use serde_json::json;

use crate::house::{House, PASSWORD};

#[tokio::test]
async fn the_first_operator_is_made_once() {
    let house = House::build().await;
    let (email, password) = house.operator().await;
    let again: Email = "second@platform.example".parse().expect("an address");
    let made = ensure_operator(&house.deps, &platform_ctx(), &again).await.expect("answers");
    assert!(made.is_none());
    let pair = house.sign_in(&email, &password).await;
    let me = house.get("/v1/auth/me", &pair.access).await.json();
    assert_eq!(
        (me["kind"].as_str(), me["email"].as_str()),
        (Some("operator"), Some(email.as_str()))
    );
    let all = [
        "platform.tenant.read",
        "platform.tenant.manage",
        "platform.impersonate",
        "platform.impersonate.read",
        "platform.people.read",
        "platform.people.manage",
    ];
    assert_eq!(me["permissions"], json!(all));
    house.refresh(&pair.refresh).await;
}

#[tokio::test]
async fn of_two_first_starts_at_once_one_makes_the_operator() {
    let house = House::build().await;
    let other = house.second_process().await;
    let email: Email = "root@platform.example".parse().expect("an address");
    let ctx = platform_ctx();
    let (one, two) = tokio::join!(
        ensure_operator(&house.deps, &ctx, &email),
        ensure_operator(&other.deps, &ctx, &email)
    );
    let made = [one.expect("answers"), two.expect("answers")];
    assert_eq!(made.iter().flatten().count(), 1);
}

#[tokio::test]
async fn an_operator_is_nobody_inside_a_tenant_and_a_tenants_people_are_nobody_outside() {
    let house = House::build().await;
    house.tenant("acme").await;
    let (email, password) = house.operator().await;
    let operator = house.sign_in(&email, &password).await.access;
    for path in ["/v1/users", "/v1/roles", "/v1/api-keys"] {
        assert_eq!(house.get(path, &operator).await.refusal().0, 403, "{path}");
    }
}

#[tokio::test]
async fn a_password_set_by_a_tenant_for_an_operators_address_opens_that_tenant_only() {
    let house = House::build().await;
    house.tenant("evil").await;
    let (email, password) = house.operator().await;
    let owner = house.owner("evil").await;
    let body = json!({"email": email, "name": "Trap", "role": "viewer", "password": PASSWORD});
    assert_eq!(house.post("/v1/users", &owner, body).await.status.as_u16(), 201);
    let trapped = house.sign_in(&email, PASSWORD).await;
    let me = house.get("/v1/auth/me", &trapped.access).await.json();
    assert_eq!(me["kind"], "user");
    let own = house.sign_in(&email, &password).await;
    assert_eq!(house.get("/v1/auth/me", &own.access).await.json()["kind"], "operator");
}

#[tokio::test]
async fn an_operator_changes_their_password() {
    let house = House::build().await;
    let (email, password) = house.operator().await;
    let pair = house.sign_in(&email, &password).await;
    let body = json!({"current_password": password, "new_password": "a new wise owl"});
    let changed = house.post("/v1/auth/password", &pair.access, body).await;
    assert_eq!(changed.status.as_u16(), 200, "{}", changed.body);
    assert!(!house.lets_in(&pair.access).await);
    assert!(house.lets_in(&changed.text("access_token")).await);
    house.sign_in(&email, "a new wise owl").await;
}

#[tokio::test]
async fn a_disabled_operator_is_out() {
    let house = House::build().await;
    let (email, password) = house.operator().await;
    let pair = house.sign_in(&email, &password).await;
    house.alter("update operators set status = 'disabled'").await;
    assert_eq!(house.try_refresh(&pair.refresh).await.refusal().0, 401);
    assert_eq!(house.try_sign_in(&email, &password).await.refusal().0, 401);
}

async fn staff(house: &House, operator: &str, role: &str) -> (String, String) {
    let email = format!("{role}@platform.example");
    let body = json!({"email": email, "name": role, "role": role, "password": PASSWORD});
    let made = house.post("/v1/operators", operator, body).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    (made.text("id"), email)
}

#[tokio::test]
async fn support_and_auditors_see_what_their_roles_say_and_change_nothing() {
    let house = House::build().await;
    let (email, password) = house.operator().await;
    let operator = house.sign_in(&email, &password).await.access;
    for (role, permissions, sees_people) in [
        ("support", json!(["platform.tenant.read"]), false),
        ("auditor", json!(["platform.tenant.read", "platform.people.read"]), true),
    ] {
        let (_, email) = staff(&house, &operator, role).await;
        let pair = house.sign_in(&email, PASSWORD).await;
        let me = house.get("/v1/auth/me", &pair.access).await.json();
        assert_eq!(me["permissions"], permissions, "{role}");
        let listed = house.get("/v1/operators", &pair.access).await;
        assert_eq!(listed.status.as_u16() == 200, sees_people, "{role}");
        let body = json!({"email": "x@y.example", "name": "X", "role": "operator",
            "password": PASSWORD});
        assert_eq!(house.post("/v1/operators", &pair.access, body).await.refusal().0, 403);
        let renewed = house.refresh(&pair.refresh).await;
        let me = house.get("/v1/auth/me", &renewed.access).await.json();
        assert_eq!(me["permissions"], permissions, "a refresh makes nobody an operator");
    }
}

#[tokio::test]
async fn a_person_of_the_platform_who_is_changed_has_to_sign_in_anew_with_the_new_role() {
    let house = House::build().await;
    let other = house.second_process().await;
    let (email, password) = house.operator().await;
    let operator = house.sign_in(&email, &password).await.access;
    let (id, email) = staff(&house, &operator, "auditor").await;
    let pair = house.sign_in(&email, PASSWORD).await;
    assert!(other.lets_in(&pair.access).await);
    let path = format!("/v1/operators/{id}");
    assert_eq!(
        house.patch(&path, &operator, json!({"role": "support"})).await.status.as_u16(),
        200
    );
    other.deps.tick().await.expect("ticks");
    assert!(!house.lets_in(&pair.access).await && !other.lets_in(&pair.access).await);
    let support = house.sign_in(&email, PASSWORD).await;
    assert_eq!(house.get("/v1/operators", &support.access).await.refusal().0, 403);
    let gone = house.patch(&path, &operator, json!({"status": "disabled"})).await;
    assert_eq!(gone.text("status"), "disabled");
    assert!(!house.lets_in(&support.access).await);
    assert_eq!(house.try_refresh(&support.refresh).await.refusal().0, 401);
    assert_eq!(house.try_sign_in(&email, PASSWORD).await.refusal().0, 401);
    let audited = "select count(*) from platform_audit_records where action like 'operator.%'";
    assert_eq!(house.count(audited).await, 4);
}

#[tokio::test]
async fn the_last_operator_stays_and_an_address_is_there_once() {
    let house = House::build().await;
    let (email, password) = house.operator().await;
    let operator = house.sign_in(&email, &password).await.access;
    let me = house.get("/v1/auth/me", &operator).await.text("id");
    let path = format!("/v1/operators/{me}");
    for change in [json!({"role": "auditor"}), json!({"status": "disabled"})] {
        assert_eq!(house.patch(&path, &operator, change).await.refusal().0, 409);
    }
    staff(&house, &operator, "support").await;
    let twice = json!({"email": "Support@platform.example", "name": "S", "role": "support",
        "password": PASSWORD});
    assert_eq!(house.post("/v1/operators", &operator, twice).await.refusal().0, 409);
    let wrong = json!({"email": "nobody", "name": "S", "role": "owner", "password": PASSWORD});
    let answer = house.post("/v1/operators", &operator, wrong).await;
    assert_eq!(
        (answer.refusal().0, answer.json()["errors"].as_array().map(Vec::len)),
        (422, Some(2))
    );
    let absent = "/v1/operators/opr_00000000000000000000000009";
    assert_eq!(house.patch(absent, &operator, json!({"name": "N"})).await.refusal().0, 404);
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    assert_eq!(house.get("/v1/operators", &owner).await.refusal().0, 403);
}
