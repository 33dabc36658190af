//! Room `identity`: who gets in with a password.

use axum::body::Body;
use http::{Request, StatusCode, header};
use misy_identity::Config;
use misy_identity::attempts::Allowance;
use serde_json::json;

use crate::house::{Answer, House, PASSWORD, generous};

#[tokio::test]
async fn the_right_password_gives_a_pair_and_tells_who_one_is() {
    let house = House::build().await;
    house.tenant("acme").await;
    let answer = house.try_sign_in(" Owner@ACME.example", PASSWORD).await;
    let body = answer.json();
    assert_eq!(
        (body["token_type"].as_str(), body["expires_in"].as_i64()),
        (Some("Bearer"), Some(300))
    );
    assert_eq!(body["tenant"], "acme");
    let me = house.get("/v1/auth/me", body["access_token"].as_str().expect("a token")).await.json();
    assert_eq!((me["kind"].as_str(), me["role"].as_str()), (Some("user"), Some("owner")));
    assert_eq!(
        (me["email"].as_str(), me["tenant"]["slug"].as_str()),
        (Some("owner@acme.example"), Some("acme"))
    );
    assert!(me["permissions"].as_array().is_some_and(|all| all.contains(&json!("owner.manage"))));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_get_the_same_bytes() {
    let house = House::build().await;
    house.tenant("acme").await;
    let wrong = house.try_sign_in("owner@acme.example", "a wise old cat").await;
    let unknown = house.try_sign_in("nobody@acme.example", PASSWORD).await;
    let no_address = house.try_sign_in("nobody", PASSWORD).await;
    assert_eq!(wrong.refusal(), (401, "auth.invalid_login".to_owned()));
    assert_eq!(wrong.without_instance(), unknown.without_instance());
    assert_eq!(wrong.without_instance(), no_address.without_instance());
}

#[tokio::test]
async fn one_password_in_two_tenants_needs_a_choice_and_two_passwords_need_none() {
    let house = House::build().await;
    for (slug, password) in [("acme", PASSWORD), ("bolt", PASSWORD), ("core", "another wise owl")] {
        let seed = house.seed(slug, "ana@people.example", Some(password));
        house.provision(&seed).await;
    }
    let which = house.try_sign_in("ana@people.example", PASSWORD).await;
    assert_eq!(which.refusal(), (409, "auth.tenant_choice_needed".to_owned()));
    assert!(which.text("detail").contains("acme, bolt."), "{}", which.body);
    let guess = house.try_sign_in("ana@people.example", "not the password").await;
    assert_eq!(guess.refusal().0, 401, "slugs are told only to whoever knows the password");
    let core = house.try_sign_in("ana@people.example", "another wise owl").await;
    assert_eq!(core.text("tenant"), "core");
    let into =
        |slug: &str| json!({"email": "ana@people.example", "password": PASSWORD, "tenant": slug});
    let bolt = house.send("POST", "/v1/auth/login", None, Some(into("bolt"))).await;
    assert_eq!(bolt.text("tenant"), "bolt");
    let wrong = house.send("POST", "/v1/auth/login", None, Some(into("core"))).await;
    assert_eq!(wrong.refusal().0, 401, "the password of one tenant opens no other");
}

#[tokio::test]
async fn too_many_tries_for_an_account_or_from_an_address_are_told_to_wait() {
    let few = Allowance { burst: 3, refill_ms: 10_000 };
    let house = House::with(Config { per_account: few, ..generous() }).await;
    house.tenant("acme").await;
    for _ in 0..5 {
        house.sign_in("owner@acme.example", PASSWORD).await;
    }
    for _ in 0..3 {
        assert_eq!(house.try_sign_in("owner@acme.example", "wrong").await.refusal().0, 401);
    }
    let refused = house.try_sign_in("OWNER@acme.example", PASSWORD).await;
    assert_eq!(refused.refusal(), (429, "request.rate_limited".to_owned()));
    assert_eq!(refused.retry_after_s, Some(10));
    assert_eq!(house.try_sign_in("other@acme.example", "wrong").await.refusal().0, 401);
    house.clock.advance_ms(10_000);
    house.sign_in("owner@acme.example", PASSWORD).await;

    let house = House::with(Config { per_address: few, ..generous() }).await;
    for n in 0..3 {
        assert_eq!(house.try_sign_in(&format!("{n}@a.example"), "wrong").await.refusal().0, 401);
    }
    assert_eq!(house.try_sign_in("4@a.example", "wrong").await.refusal().0, 429);
    assert_eq!(house.try_refresh("mbr_x").await.refusal().0, 429);
}

#[tokio::test]
async fn a_storm_of_sign_ins_is_turned_away_and_not_queued_without_end() {
    let config = Config { hashing_concurrency: 1, hashing_queue: 2, ..generous() };
    let house = House::with(config).await;
    house.tenant("acme").await;
    let tries = (0..20).map(|_| house.try_sign_in("owner@acme.example", "wrong"));
    let answers = futures_util::future::join_all(tries).await;
    let of = |status: u16| answers.iter().filter(|it| it.status.as_u16() == status).count();
    assert!(of(401) >= 3 && of(503) > 0 && of(401) + of(503) == 20, "{} {}", of(401), of(503));
    let busy = answers.iter().find(|it| it.status == StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(busy.and_then(|it| it.retry_after_s), Some(1));
    house.sign_in("owner@acme.example", PASSWORD).await;
}

#[tokio::test]
async fn a_sign_in_is_audited_without_address_or_password() {
    let house = House::build().await;
    house.tenant("acme").await;
    house.sign_in("owner@acme.example", PASSWORD).await;
    let recorded = "select count(*) from platform_audit_records where action = 'session.created'";
    assert_eq!(house.count(recorded).await, 1);
    let telling = "select count(*) from platform_audit_records r
        where r::text like '%acme.example%' or r::text like '%owl%'";
    assert_eq!(house.count(telling).await, 0);
}

#[tokio::test]
async fn a_body_with_faults_is_told_all_of_them_before_anything_is_hashed() {
    let house = House::build().await;
    let body = json!({"email": 7, "password": "x".repeat(257), "tenants": "acme"});
    let answer = house.send("POST", "/v1/auth/login", None, Some(body)).await;
    assert_eq!(answer.refusal(), (422, "request.invalid".to_owned()));
    assert_eq!(answer.json()["errors"].as_array().map(Vec::len), Some(3), "{}", answer.body);
}

#[tokio::test]
async fn a_disabled_account_opens_nothing_anywhere() {
    let house = House::build().await;
    house.tenant("acme").await;
    let pair = house.sign_in("owner@acme.example", PASSWORD).await;
    house.alter("update accounts set status = 'disabled'").await;
    assert_eq!(house.try_sign_in("owner@acme.example", PASSWORD).await.refusal().0, 401);
    assert_eq!(house.try_refresh(&pair.refresh).await.refusal().0, 401);
}

/// The hash of `password` by the reference implementation, with a salt of its own and a lower cost.
#[tokio::test]
async fn a_hash_from_other_times_still_opens() {
    let house = House::build().await;
    house.tenant("acme").await;
    let phc =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    house.alter(&format!("update credentials set password_hash = '{phc}'")).await;
    house.sign_in("owner@acme.example", "password").await;
    assert_eq!(house.try_sign_in("owner@acme.example", PASSWORD).await.refusal().0, 401);
}

#[tokio::test]
async fn a_hash_that_cannot_be_read_is_a_failure_of_ours_and_lets_nobody_in() {
    let house = House::build().await;
    house.tenant("acme").await;
    house.alter("update credentials set password_hash = 'md5:x'").await;
    let answer = house.try_sign_in("owner@acme.example", PASSWORD).await;
    assert_eq!(answer.refusal(), (500, "server.internal".to_owned()));
    assert!(!answer.body.contains("md5"));
}

#[tokio::test]
async fn a_session_tells_what_program_began_it() {
    let house = House::build().await;
    house.tenant("acme").await;
    let body = json!({"email": "owner@acme.example", "password": PASSWORD}).to_string();
    let request = Request::post("/v1/auth/login")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "curl/8 ".repeat(100));
    let answer = house.answer(request.body(Body::from(body)).expect("a request")).await;
    let access = answer.text("access_token");
    let listed = house.get("/v1/auth/sessions", &access).await.json();
    let device = listed["data"][0]["device"].as_str().expect("a name");
    assert!(device.starts_with("curl/8 curl/8") && device.len() == 200, "{device}");
}

#[tokio::test]
async fn a_tenant_that_one_is_not_in_is_answered_like_one_that_does_not_exist() {
    let house = House::build().await;
    house.tenant("acme").await;
    house.tenant("bolt").await;
    let into = async |tenant: &str| {
        let body = json!({"email": "owner@acme.example", "password": PASSWORD, "tenant": tenant});
        house.send("POST", "/v1/auth/login", None, Some(body)).await
    };
    let foreign = into("bolt").await;
    assert_eq!(foreign.refusal(), (401, "auth.invalid_login".to_owned()));
    assert_eq!(foreign.without_instance(), into("none").await.without_instance());
    assert_eq!(into("acme").await.status, StatusCode::OK);
}

/// What is not time: hashing is bounded, everybody else is answered, and nothing in an answer tells
/// a known address from an unknown one. How long the others wait is `misybot bench logins`.
#[tokio::test]
async fn a_storm_of_a_thousand_wrong_passwords_holds_nobody_else_up() {
    let config = Config { hashing_concurrency: 1, hashing_queue: 30, ..generous() };
    let house = House::with(config).await;
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let tries = (0..1_000).map(async |n: u32| {
        let known = n.is_multiple_of(2);
        let email = if known { "owner@acme.example".to_owned() } else { format!("{n}@x.example") };
        house.try_sign_in(&email, &format!("wrong password {n}")).await
    });
    let others = (0..10).map(async |_| {
        let answer = house.get("/v1/users", &owner).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    });
    let storm = futures_util::future::join_all(tries);
    let (answers, _) = tokio::join!(storm, futures_util::future::join_all(others));
    let of = |status: u16| {
        let those = answers.iter().filter(move |answer| answer.status.as_u16() == status);
        those.map(Answer::without_instance).collect::<Vec<_>>()
    };
    let (wrong, busy) = (of(401), of(503));
    assert_eq!(wrong.len() + busy.len(), 1_000);
    assert!(wrong.len() > 1 && wrong.iter().all(|answer| *answer == wrong[0]), "{wrong:?}");
    assert!(busy.iter().all(|answer| *answer == busy[0]), "turned away with other words");
    assert!(busy.len() >= 500, "{} were turned away, not hashed", busy.len());
    house.sign_in("owner@acme.example", PASSWORD).await;
}
