//! Room `identity`: a forgotten password is replaced by whoever reads the mail.

use http::StatusCode;
use misy_identity::Config;
use misy_identity::attempts::Allowance;
use serde_json::{Value, json};

use crate::house::{Answer, House, PASSWORD, generous};

const OWNER: &str = "owner@acme.example";
const NEW: &str = "misty birch canoe tax";

async fn ask(house: &House, email: &str) -> Answer {
    house.send("POST", "/v1/auth/recovery", None, Some(json!({"email": email}))).await
}

async fn complete(house: &House, body: Value) -> Answer {
    house.send("POST", "/v1/auth/recovery/complete", None, Some(body)).await
}

async fn house() -> House {
    let house = House::build().await;
    house.tenant("acme").await;
    house
}

#[tokio::test]
async fn a_new_password_by_mail_ends_every_session_and_signs_nobody_in() {
    let house = house().await;
    let before = house.sign_in(OWNER, PASSWORD).await;
    assert_eq!(ask(&house, " OWNER@acme.example").await.status, StatusCode::ACCEPTED);
    let link = house.link_to(OWNER).await;
    let done = complete(&house, json!({"token": link, "password": NEW})).await;
    assert_eq!((done.status, done.body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert!(!house.lets_in(&before.access).await);
    assert_eq!(house.try_refresh(&before.refresh).await.refusal().0, 401);
    assert_eq!(house.try_sign_in(OWNER, PASSWORD).await.refusal().0, 401);
    let after = house.sign_in(OWNER, NEW).await;
    let me = house.get("/v1/auth/me", &after.access).await.json();
    assert_eq!(me["email_verified"], true);
    house.work().await;
    let subjects: Vec<_> = house.mailbox.taken().iter().map(|it| it.subject.clone()).collect();
    assert_eq!(subjects, ["Choose another password", "Your password was changed"]);
    let audited = "select count(*) from platform_audit_records where action = 'password.recovered'";
    assert_eq!(house.count(audited).await, 1);
}

#[tokio::test]
async fn an_unknown_address_gets_the_same_answer_after_the_same_statements_and_no_mail() {
    use misy_store::meter::Meter;
    use std::sync::Arc;

    let house = house().await;
    let mut asked = Vec::new();
    let mut answers = Vec::new();
    ask(&house, "first@nowhere.example").await;
    for email in [OWNER, "nobody@nowhere.example", "no address at all"] {
        let meter = Arc::new(Meter::default());
        let answer = Arc::clone(&meter).measure(ask(&house, email)).await;
        answers.push((answer.status, answer.body));
        asked.push(meter.queries());
    }
    assert_eq!(answers, vec![(StatusCode::ACCEPTED, String::new()); 3]);
    assert_eq!([asked[0], asked[0]], [asked[1], asked[2]], "statements: {asked:?}");
    assert_eq!(house.count("select count(*) from letters").await, 4, "each is written down");
    house.work().await;
    assert_eq!(house.mailbox.taken().len(), 1);
    assert_eq!(house.mailbox.taken()[0].to.0, OWNER);
}

#[tokio::test]
async fn a_link_works_once_for_half_an_hour_and_all_die_with_the_first_that_is_used() {
    let house = house().await;
    ask(&house, OWNER).await;
    let late = house.link_to(OWNER).await;
    house.clock.advance_ms(30 * 60 * 1_000);
    let answer = complete(&house, json!({"token": late, "password": NEW})).await;
    assert_eq!(answer.refusal(), (401, "auth.invalid_link".to_owned()));
    ask(&house, OWNER).await;
    let one = house.link_to(OWNER).await;
    ask(&house, OWNER).await;
    let two = house.link_to(OWNER).await;
    assert_ne!(one, two);
    let weak = complete(&house, json!({"token": two, "password": "owner@acme.example"})).await;
    assert_eq!(weak.refusal().0, 422);
    let good = complete(&house, json!({"token": two, "password": NEW})).await;
    assert_eq!(good.status, StatusCode::NO_CONTENT);
    for link in [&one, &two] {
        let other = json!({"token": link, "password": "yet another birch canoe"});
        assert_eq!(complete(&house, other).await.refusal().0, 401);
    }
    house.sign_in(OWNER, NEW).await;
}

#[tokio::test]
async fn of_several_tenants_one_is_named_and_the_others_keep_their_password() {
    let house = House::build().await;
    for (slug, password) in [("acme", PASSWORD), ("bolt", "another wise owl")] {
        house.provision(&house.seed(slug, "ana@people.example", Some(password))).await;
    }
    ask(&house, "ana@people.example").await;
    let link = house.link_to("ana@people.example").await;
    let which = complete(&house, json!({"token": link, "password": NEW})).await;
    assert_eq!(which.refusal(), (409, "auth.tenant_choice_needed".to_owned()));
    let wrong = json!({"token": link, "password": NEW, "tenant": "core"});
    assert_eq!(complete(&house, wrong).await.refusal().0, 401);
    let right = json!({"token": link, "password": NEW, "tenant": "bolt"});
    assert_eq!(complete(&house, right).await.status, StatusCode::NO_CONTENT);
    house.sign_in("ana@people.example", PASSWORD).await;
    assert_eq!(house.try_sign_in("ana@people.example", NEW).await.text("tenant"), "bolt");
}

#[tokio::test]
async fn whoever_was_disabled_or_never_had_a_password_recovers_nothing() {
    let house = house().await;
    let owner = house.owner("acme").await;
    let (id, _) = house.person("acme", "agent").await;
    ask(&house, "agent@acme.example").await;
    let link = house.link_to("agent@acme.example").await;
    house.patch(&format!("/v1/users/{id}"), &owner, json!({"status": "disabled"})).await;
    let answer = complete(&house, json!({"token": link, "password": NEW})).await;
    assert_eq!(answer.refusal().0, 401);
    let invited = json!({"email": "bo@people.example", "name": "Bo", "role": "agent"});
    house.post("/v1/invitations", &owner, invited).await;
    ask(&house, "bo@people.example").await;
    house.work().await;
    let link = house.mailbox.taken().iter().rfind(|it| it.subject.contains("another")).cloned();
    let text = link.expect("a mail").text.expose().to_owned();
    let link = text.split_whitespace().find(|word| word.starts_with("mbl_")).expect("a link");
    let answer = complete(&house, json!({"token": link, "password": NEW})).await;
    assert_eq!(answer.refusal().0, 401, "an invitation is accepted by its own link");
}

#[tokio::test]
async fn too_many_questions_for_one_account_are_told_to_wait_whoever_it_is() {
    let few = Allowance { burst: 2, refill_ms: 60_000 };
    let house = House::with(Config { per_account: few, ..generous() }).await;
    for email in [OWNER, "nobody@nowhere.example"] {
        for _ in 0..2 {
            assert_eq!(ask(&house, email).await.status, StatusCode::ACCEPTED);
        }
        let refused = ask(&house, email).await;
        assert_eq!((refused.refusal().0, refused.retry_after_s), (429, Some(60)));
    }
    let few = Allowance { burst: 2, refill_ms: 60_000 };
    let house = House::with(Config { per_address: few, ..generous() }).await;
    for _ in 0..2 {
        let guess = json!({"token": format!("mbl_{}", "A".repeat(64)), "password": NEW});
        assert_eq!(complete(&house, guess).await.refusal().0, 401);
    }
    let guess = json!({"token": format!("mbl_{}", "B".repeat(64)), "password": NEW});
    assert_eq!(complete(&house, guess).await.refusal().0, 429, "guesses are counted");
}

#[tokio::test]
async fn an_operator_recovers_too() {
    let house = House::build().await;
    let (email, password) = house.operator().await;
    ask(&house, &email).await;
    let link = house.link_to(&email).await;
    let done = complete(&house, json!({"token": link, "password": NEW})).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT, "{}", done.body);
    assert_eq!(house.try_sign_in(&email, &password).await.refusal().0, 401);
    house.sign_in(&email, NEW).await;
}
