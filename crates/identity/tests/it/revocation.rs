//! Room `identity`: what was revoked is dead, here at once and elsewhere after the next look.

use http::StatusCode;
use serde_json::json;

use crate::house::{House, PASSWORD, as_client};

#[tokio::test]
async fn signing_out_kills_both_tokens_here_and_in_another_process() {
    let house = House::build().await;
    house.tenant("acme").await;
    let pair = house.sign_in("owner@acme.example", PASSWORD).await;
    let bystander = house.sign_in("owner@acme.example", PASSWORD).await;
    let other = house.second_process().await;
    assert!(other.lets_in(&pair.access).await);
    let out = house.send("POST", "/v1/auth/logout", Some(&pair.access), None).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT, "{}", out.body);
    assert!(!house.lets_in(&pair.access).await);
    assert_eq!(house.try_refresh(&pair.refresh).await.refusal().0, 401);
    other.deps.tick().await.expect("the database is there");
    assert!(!other.lets_in(&pair.access).await);
    assert!(other.lets_in(&bystander.access).await, "other sessions live on");
}

#[tokio::test]
async fn a_revocation_of_a_late_commit_is_not_missed() {
    let house = House::build().await;
    house.tenant("acme").await;
    let pair = house.sign_in("owner@acme.example", PASSWORD).await;
    let session: misy_core::SessionId = pair.session.parse().expect("an id");
    let session = misy_core::id::TypedId::uuid(session);
    let seen = as_client(house.database.superuser(), async |client| {
        let early = format!(
            "begin; insert into revocations (subject, kind, minimum)
             values ('{session}', 'session', 9)"
        );
        client.batch_execute(&early).await.expect("inserts");
        // A later transaction commits first, and is seen first.
        let later = "insert into revocations (subject, kind, minimum)
            values ('00000000-0000-0000-0000-000000000001', 'user', 9)";
        house.alter(later).await;
        house.deps.tick().await.expect("the database is there");
        let before = house.lets_in(&pair.access).await;
        client.batch_execute("commit").await.expect("commits");
        house.deps.tick().await.expect("the database is there");
        (before, house.lets_in(&pair.access).await)
    });
    assert_eq!(seen.await, (true, false));
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_begins_one() {
    let house = House::build().await;
    house.tenant("acme").await;
    let pair = house.sign_in("owner@acme.example", PASSWORD).await;
    let stolen = house.sign_in("owner@acme.example", PASSWORD).await;
    let change =
        |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    let path = "/v1/auth/password";
    let wrong = house.post(path, &pair.access, change("not it", "a new wise owl")).await;
    assert_eq!(wrong.refusal().0, 422);
    assert_eq!(wrong.json()["errors"][0]["pointer"], "/current_password");
    let weak = house.post(path, &pair.access, change(PASSWORD, "short")).await;
    assert_eq!(weak.json()["errors"][0]["pointer"], "/new_password");
    assert!(house.lets_in(&pair.access).await, "a refused change changes nothing");

    let changed = house.post(path, &pair.access, change(PASSWORD, "a new wise owl")).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    for pair in [&pair, &stolen] {
        assert!(!house.lets_in(&pair.access).await);
        assert_eq!(house.try_refresh(&pair.refresh).await.refusal().0, 401);
    }
    assert!(house.lets_in(&changed.text("access_token")).await);
    house.refresh(&changed.text("refresh_token")).await;
    assert_eq!(house.try_sign_in("owner@acme.example", PASSWORD).await.refusal().0, 401);
    house.sign_in("owner@acme.example", "a new wise owl").await;
}

#[tokio::test]
async fn a_new_role_kills_tokens_and_a_refresh_brings_the_new_rights() {
    let house = House::build().await;
    house.tenant("acme").await;
    let (id, _) = house.person("acme", "agent").await;
    let pair = house.sign_in("agent@acme.example", PASSWORD).await;
    assert_eq!(house.get("/v1/api-keys", &pair.access).await.refusal().0, 403);
    let owner = house.owner("acme").await;
    let path = format!("/v1/users/{id}");
    house.patch(&path, &owner, json!({"name": "Another Name"})).await;
    assert!(house.lets_in(&pair.access).await, "a name is no right");
    house.patch(&path, &owner, json!({"role": "admin"})).await;
    assert!(!house.lets_in(&pair.access).await);
    let next = house.refresh(&pair.refresh).await;
    assert_eq!(house.get("/v1/api-keys", &next.access).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_disabled_person_is_out_for_good_also_when_enabled_again() {
    let house = House::build().await;
    house.tenant("acme").await;
    let (id, _) = house.person("acme", "agent").await;
    let pair = house.sign_in("agent@acme.example", PASSWORD).await;
    let owner = house.owner("acme").await;
    let path = format!("/v1/users/{id}");
    house.patch(&path, &owner, json!({"status": "disabled"})).await;
    assert!(!house.lets_in(&pair.access).await);
    assert_eq!(house.try_refresh(&pair.refresh).await.refusal().0, 401);
    let refused = house.try_sign_in("agent@acme.example", PASSWORD).await;
    assert_eq!(refused.refusal(), (401, "auth.invalid_login".to_owned()));
    house.patch(&path, &owner, json!({"status": "active"})).await;
    assert_eq!(house.try_refresh(&pair.refresh).await.refusal().0, 401);
    house.sign_in("agent@acme.example", PASSWORD).await;
}

#[tokio::test]
async fn a_removed_person_is_out_and_their_address_is_free() {
    let house = House::build().await;
    house.tenant("acme").await;
    let (id, access) = house.person("acme", "agent").await;
    let owner = house.owner("acme").await;
    let removed = house.delete(&format!("/v1/users/{id}"), &owner).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert!(!house.lets_in(&access).await);
    assert_eq!(house.try_sign_in("agent@acme.example", PASSWORD).await.refusal().0, 401);
    let (again, _) = house.person("acme", "agent").await;
    assert_ne!(again, id);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_and_all() {
    let house = House::build().await;
    house.tenant("acme").await;
    house.tenant("bolt").await;
    let first = house.sign_in("owner@acme.example", PASSWORD).await;
    let second = house.sign_in("owner@acme.example", PASSWORD).await;
    let foreign = house.sign_in("owner@bolt.example", PASSWORD).await;
    let listed = house.get("/v1/auth/sessions", &first.access).await.json();
    let shown: Vec<_> = listed["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["id"].as_str().unwrap_or_default(), one["current"] == true))
        .collect();
    assert_eq!(shown, [(first.session.as_str(), true), (second.session.as_str(), false)]);
    let page = house.get("/v1/auth/sessions?limit=1", &first.access).await.json();
    let next = format!("/v1/auth/sessions?cursor={}", page["next_cursor"].as_str().expect("more"));
    assert_eq!(house.get(&next, &first.access).await.json()["data"][0]["id"], second.session);

    let path = |session: &str| format!("/v1/auth/sessions/{session}");
    let other = house.delete(&path(&foreign.session), &first.access).await;
    let absent = house.delete(&path("ses_00000000000000000000000009"), &first.access).await;
    assert_eq!(other.refusal().0, 404);
    assert_eq!(other.without_instance(), absent.without_instance());
    assert!(house.lets_in(&foreign.access).await);
    let ended = house.delete(&path(&second.session), &first.access).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert!(!house.lets_in(&second.access).await && house.lets_in(&first.access).await);
    house.delete("/v1/auth/sessions", &first.access).await;
    assert!(!house.lets_in(&first.access).await && house.lets_in(&foreign.access).await);
}

#[tokio::test]
async fn an_access_token_expires_and_is_refused_as_expired() {
    let house = House::build().await;
    house.tenant("acme").await;
    let pair = house.sign_in("owner@acme.example", PASSWORD).await;
    house.clock.advance_ms(299_000);
    assert!(house.lets_in(&pair.access).await);
    house.clock.advance_ms(1_000);
    let refused = house.get("/v1/auth/me", &pair.access).await;
    assert_eq!(refused.refusal().0, 401);
    assert!(refused.text("detail").contains("expired"), "{}", refused.body);
}

#[tokio::test]
async fn whoever_cannot_learn_of_revocations_lets_nobody_in() {
    let house = House::build().await;
    house.tenant("acme").await;
    let access = house.owner("acme").await;
    let blind = house.second_process().await;
    house.alter("revoke select on revocations from misy_platform").await;
    let refused = blind.get("/v1/auth/me", &access).await;
    assert!(refused.status.is_server_error(), "{}", refused.body);
    house.alter("grant select on revocations to misy_platform").await;
    assert!(blind.lets_in(&access).await);
}

/// Another process looks by itself, without anybody telling it to.
#[tokio::test]
async fn a_process_that_nobody_ticks_learns_of_it_all_the_same() {
    let house = House::build().await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let body = json!({"name": "shop", "role": "agent"});
    let key = house.post("/v1/api-keys", &owner, body).await;
    let other = house.second_process().await;
    let secret = key.text("secret");
    assert!(other.lets_in(&secret).await && other.lets_in(&owner).await);
    house.delete(&format!("/v1/api-keys/{}", key.text("id")), &owner).await;
    house.send("POST", "/v1/auth/logout", Some(&owner), None).await;
    let mut looks = 0;
    while other.lets_in(&secret).await || other.lets_in(&owner).await {
        looks += 1;
        assert!(looks < 1_000, "it never learns");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_tenants_people_and_keys_are_found_by_no_revocation_of_another() {
    let house = House::build().await;
    house.tenant("acme").await;
    house.tenant("bolt").await;
    let (acme, bolt) = (house.owner("acme").await, house.owner("bolt").await);
    house.send("DELETE", "/v1/auth/sessions", Some(&acme), None).await;
    assert!(!house.lets_in(&acme).await && house.lets_in(&bolt).await);
}

#[tokio::test]
async fn a_new_password_in_one_tenant_leaves_the_same_person_elsewhere_alone() {
    let house = House::build().await;
    for (slug, password) in [("acme", PASSWORD), ("bolt", "another wise owl")] {
        house.provision(&house.seed(slug, "ana@people.example", Some(password))).await;
    }
    let acme = house.sign_in("ana@people.example", PASSWORD).await;
    let bolt = house.sign_in("ana@people.example", "another wise owl").await;
    let body = json!({"current_password": "another wise owl", "new_password": "a third wise owl"});
    let refused = house.post("/v1/auth/password", &acme.access, body.clone()).await;
    assert_eq!(refused.refusal().0, 422, "the password of another tenant is none here");
    let changed = house.post("/v1/auth/password", &bolt.access, body).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert!(house.lets_in(&acme.access).await && !house.lets_in(&bolt.access).await);
    house.refresh(&acme.refresh).await;
    house.sign_in("ana@people.example", PASSWORD).await;
}

#[tokio::test]
async fn of_refreshes_and_a_sign_out_at_once_nothing_survives() {
    let house = House::build().await;
    house.tenant("acme").await;
    for _ in 0..5 {
        let pair = house.sign_in("owner@acme.example", PASSWORD).await;
        let (one, out, two) = tokio::join!(
            house.try_refresh(&pair.refresh),
            house.send("POST", "/v1/auth/logout", Some(&pair.access), None),
            house.try_refresh(&pair.refresh)
        );
        assert_eq!(out.status, StatusCode::NO_CONTENT);
        for answer in [one, two] {
            if answer.status == StatusCode::OK {
                assert!(!house.lets_in(&answer.text("access_token")).await);
                let next = house.try_refresh(&answer.text("refresh_token")).await;
                assert_eq!(next.refusal().0, 401);
            }
        }
    }
}

/// What is done to somebody, and what they cannot do afterwards.
async fn act(house: &House, owner: &str, id: &str, access: &str, what: &str) {
    let path = format!("/v1/users/{id}");
    let answer = match what {
        "sign-out" => house.send("POST", "/v1/auth/logout", Some(access), None).await,
        "everywhere" => house.send("DELETE", "/v1/auth/sessions", Some(access), None).await,
        "password" => {
            let body = json!({"current_password": PASSWORD, "new_password": "a new wise owl"});
            house.post("/v1/auth/password", access, body).await
        }
        "role" => house.patch(&path, owner, json!({"role": "viewer"})).await,
        "disabled" => house.patch(&path, owner, json!({"status": "disabled"})).await,
        "removed" => house.delete(&path, owner).await,
        "factor demanded" => {
            let body = Some(json!({"roles": ["agent"]}));
            house.send("PUT", "/v1/auth/mfa/policy", Some(owner), body).await
        }
        other => panic!("{other}"),
    };
    assert!(answer.status.is_success(), "{what}: {}", answer.body);
}

#[tokio::test]
async fn whatever_ends_a_right_ends_it_in_another_process_with_its_next_look() {
    let house = House::build().await;
    house.tenant("acme").await;
    let other = house.second_process().await;
    let owner = house.owner("acme").await;
    let all =
        ["sign-out", "everywhere", "password", "role", "disabled", "removed", "factor demanded"];
    for what in all {
        let email = format!("{}@acme.example", what.replace(' ', "-"));
        let body = json!({"email": email, "name": "N", "role": "agent", "password": PASSWORD});
        let made = house.post("/v1/users", &owner, body).await;
        let access = house.sign_in(&email, PASSWORD).await.access;
        assert!(other.lets_in(&access).await, "{what}");
        act(&house, &owner, &made.text("id"), &access, what).await;
        assert!(!house.lets_in(&access).await, "{what}: here at once");
        // The server looks every 400 ms.
        other.deps.tick().await.expect("the database is there");
        assert!(!other.lets_in(&access).await, "{what}: there with the next look");
        assert!(other.lets_in(&owner).await, "{what}: nobody else");
    }
}

async fn revoke_token(house: &House, body: &str) -> u16 {
    let request = axum::http::Request::post("/v1/auth/revoke")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(axum::body::Body::from(body.to_owned()));
    house.answer(request.expect("a request")).await.status.as_u16()
}

#[tokio::test]
async fn a_token_is_revoked_by_whoever_holds_it_as_the_standard_says() {
    let house = House::build().await;
    house.tenant("acme").await;
    let one = house.sign_in("owner@acme.example", PASSWORD).await;
    let two = house.sign_in("owner@acme.example", PASSWORD).await;
    let hint = format!("token={}&token_type_hint=refresh_token", one.refresh);
    assert_eq!(revoke_token(&house, &hint).await, 200);
    assert!(!house.lets_in(&one.access).await && house.lets_in(&two.access).await);
    assert_eq!(revoke_token(&house, &format!("token={}", two.access)).await, 200);
    assert!(!house.lets_in(&two.access).await);
    assert_eq!(house.try_refresh(&two.refresh).await.refusal().0, 401);
    for unknown in ["token=x", "token=eyJ.e.y", &format!("token=mbr_{}", "A".repeat(43)), &hint] {
        assert_eq!(revoke_token(&house, unknown).await, 200, "{unknown}");
    }
    assert!([400, 422].contains(&revoke_token(&house, "nothing=x").await));
}
