//! Room `identity`: sign-in in two steps, and roles that need it.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::exchanges::{exchange, oauth};
use crate::house::{Answer, House, PASSWORD, Pair};

const OWNER: &str = "owner@acme.example";

/// A generator of one-time passwords that knows nothing of ours (RFC 6238).
struct Generator(Vec<u8>);

impl Generator {
    fn code(&self, house: &House) -> String {
        let step = house.db.ambient().now().as_second() / 30;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let at = usize::from(tag.as_ref()[19] & 15);
        let word: [u8; 4] = tag.as_ref()[at..at + 4].try_into().expect("four bytes");
        format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
    }

    /// A code of the next step, for one works once.
    fn next(&self, house: &House) -> String {
        house.clock.advance_ms(30_000);
        self.code(house)
    }
}

fn code(code: &str) -> Value {
    json!({ "code": code })
}

async fn enrol(house: &House, access: &str, password: &str) -> Generator {
    let body = json!({"current_password": password});
    let made = house.post("/v1/auth/mfa/totp", access, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let secret = made.text("secret");
    assert!(made.text("uri").contains(&format!("secret={secret}&")));
    Generator(BASE32_NOPAD.decode(secret.as_bytes()).expect("base32"))
}

async fn set_up(house: &House, access: &str) -> (Generator, Vec<String>) {
    let generator = enrol(house, access, PASSWORD).await;
    let confirm = code(&generator.next(house));
    let done = house.post("/v1/auth/mfa/totp/confirm", access, confirm).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let codes = done.json()["recovery_codes"].as_array().expect("codes").clone();
    let codes = codes.iter().map(|one| one.as_str().expect("text").to_owned()).collect();
    (generator, codes)
}

async fn first_step(house: &House) -> String {
    let asked = house.try_sign_in(OWNER, PASSWORD).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.body);
    assert!(asked.json().get("access_token").is_none());
    asked.text("challenge_token")
}

async fn second_step(house: &House, challenge: &str, typed: &str) -> Answer {
    let body = json!({"challenge_token": challenge, "code": typed});
    house.send("POST", "/v1/auth/mfa/challenge", None, Some(body)).await
}

async fn house() -> (House, Pair) {
    let house = House::build().await;
    house.tenant("acme").await;
    let pair = house.sign_in(OWNER, PASSWORD).await;
    (house, pair)
}

#[tokio::test]
async fn a_password_alone_opens_nothing_once_there_is_a_second_factor() {
    let (house, pair) = house().await;
    let (generator, codes) = set_up(&house, &pair.access).await;
    assert_eq!(codes.len(), 10);
    let challenge = first_step(&house).await;
    assert!(!house.lets_in(&challenge).await, "a challenge is no credential");
    let signed_in = second_step(&house, &challenge, &generator.next(&house)).await;
    assert_eq!(signed_in.status, StatusCode::OK, "{}", signed_in.body);
    assert_eq!(signed_in.text("tenant"), "acme");
    let access = signed_in.text("access_token");
    let mfa = house.get("/v1/auth/mfa", &access).await.json();
    assert_eq!((&mfa["enabled"], &mfa["recovery_codes_left"]), (&json!(true), &json!(10)));
    let sessions = house.get("/v1/auth/sessions", &access).await.json();
    assert_eq!(sessions["data"][1]["second_factor"], true);
    house.work().await;
    let subjects: Vec<_> = house.mailbox.taken().iter().map(|it| it.subject.clone()).collect();
    assert_eq!(subjects, ["Your second factor was set up"]);
}

#[tokio::test]
async fn a_code_is_taken_once_and_never_an_older_one_after_it() {
    let (house, pair) = house().await;
    let (generator, _) = set_up(&house, &pair.access).await;
    let older = generator.next(&house);
    let newer = generator.next(&house);
    let challenge = first_step(&house).await;
    assert_eq!(second_step(&house, &challenge, &newer).await.status, StatusCode::OK);
    let again = second_step(&house, &challenge, &newer).await;
    assert_eq!(again.refusal(), (401, "auth.invalid_code".to_owned()), "the challenge is over");
    let challenge = first_step(&house).await;
    for used in [&newer, &older] {
        assert_eq!(second_step(&house, &challenge, used).await.refusal().0, 401);
    }
    let (one, two) = (first_step(&house).await, first_step(&house).await);
    let now = generator.next(&house);
    let both = tokio::join!(second_step(&house, &one, &now), second_step(&house, &two, &now));
    let mut statuses = [both.0.status.as_u16(), both.1.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "of two at once one gets it");
}

#[tokio::test]
async fn a_challenge_takes_few_tries_and_not_for_long() {
    let (house, pair) = house().await;
    let (generator, _) = set_up(&house, &pair.access).await;
    let late = first_step(&house).await;
    house.clock.advance_ms(300_000);
    assert_eq!(second_step(&house, &late, &generator.next(&house)).await.refusal().0, 401);
    let challenge = first_step(&house).await;
    for _ in 0..5 {
        let answer = second_step(&house, &challenge, "abcdef").await;
        assert_eq!(answer.refusal().0, 401);
    }
    house.clock.advance_ms(60_000);
    let right = generator.code(&house);
    assert_eq!(second_step(&house, &challenge, &right).await.refusal().0, 401, "used up");
    let fresh = first_step(&house).await;
    assert_eq!(second_step(&house, &fresh, &right).await.status, StatusCode::OK);
}

#[tokio::test]
async fn whoever_guesses_codes_waits_at_every_node_and_with_every_challenge() {
    let (house, pair) = house().await;
    let (generator, codes) = set_up(&house, &pair.access).await;
    let other = house.second_process().await;
    let first = first_step(&house).await;
    for _ in 0..5 {
        second_step(&house, &first, "12").await;
    }
    let fresh = first_step(&other).await;
    let right = generator.code(&house);
    let waits = second_step(&other, &fresh, &right).await;
    assert_eq!((waits.refusal().0, waits.retry_after_s), (429, Some(30)));
    assert_eq!(second_step(&other, &fresh, &codes[0]).await.refusal().0, 429);
    let next = generator.next(&house);
    assert_eq!(second_step(&other, &fresh, &next).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_recovery_code_works_once_and_is_told_by_mail() {
    let (house, pair) = house().await;
    let (generator, codes) = set_up(&house, &pair.access).await;
    let challenge = first_step(&house).await;
    let typed = codes[3].to_uppercase().replace('-', " ");
    assert_eq!(second_step(&house, &challenge, &typed).await.status, StatusCode::OK);
    let challenge = first_step(&house).await;
    assert_eq!(second_step(&house, &challenge, &codes[3]).await.refusal().0, 401);
    let renewed = code(&generator.next(&house));
    let renewed = house.post("/v1/auth/mfa/recovery-codes", &pair.access, renewed).await;
    assert_eq!(renewed.status, StatusCode::OK, "{}", renewed.body);
    assert_eq!(second_step(&house, &challenge, &codes[4]).await.refusal().0, 401, "replaced");
    house.work().await;
    let told = house.mailbox.taken().iter().any(|it| it.subject.contains("recovery code"));
    assert!(told);
    let bare = codes[5].replace('-', "");
    let stored = format!("select count(*) from recovery_codes c where c::text ilike '%{bare}%'");
    assert_eq!(house.count(&stored).await, 0);
}

#[tokio::test]
async fn setting_up_needs_the_password_and_a_first_code() {
    let (house, pair) = house().await;
    for body in [json!({}), json!({"current_password": "not the password"})] {
        let refused = house.post("/v1/auth/mfa/totp", &pair.access, body).await;
        assert_eq!(refused.refusal().0, 422);
    }
    let generator = enrol(&house, &pair.access, PASSWORD).await;
    house.sign_in(OWNER, PASSWORD).await;
    let wrong = house.post("/v1/auth/mfa/totp/confirm", &pair.access, code("000000")).await;
    assert_eq!(wrong.refusal().0, 401);
    assert_eq!(house.count("select count(*) from recovery_codes").await, 0);
    let right = code(&generator.next(&house));
    let done = house.post("/v1/auth/mfa/totp/confirm", &pair.access, right).await;
    assert_eq!(done.status, StatusCode::OK);
    let again =
        house.post("/v1/auth/mfa/totp", &pair.access, json!({"current_password": PASSWORD})).await;
    assert_eq!(again.refusal().0, 409, "nobody replaces it unnoticed");
    let seed = data_encoding::HEXLOWER.encode(&generator.0);
    let stored = format!("select count(*) from second_factors f where f::text like '%{seed}%'");
    assert_eq!(house.count(&stored).await, 0, "the seed is sealed");
}

#[tokio::test]
async fn it_is_removed_with_a_code_and_by_nothing_less() {
    let (house, pair) = house().await;
    let (generator, _) = set_up(&house, &pair.access).await;
    let path = "/v1/auth/mfa/disable";
    assert_eq!(house.post(path, &pair.access, code("000000")).await.refusal().0, 401);
    let right = code(&generator.next(&house));
    assert_eq!(house.post(path, &pair.access, right).await.status, StatusCode::NO_CONTENT);
    house.sign_in(OWNER, PASSWORD).await;
    let none = house.post(path, &pair.access, code("000000")).await;
    assert_eq!(none.refusal().0, 409);
}

#[tokio::test]
async fn a_role_that_needs_a_second_factor_may_only_set_one_up_within_a_second() {
    let (house, owner) = house().await;
    let (_, admin) = house.person("acme", "admin").await;
    let other = house.second_process().await;
    assert_eq!(other.get("/v1/users", &admin).await.status, StatusCode::OK);
    let demand = |roles: Value| json!({ "roles": roles });
    let path = "/v1/auth/mfa/policy";
    let unknown = house.send("PUT", path, Some(&owner.access), Some(demand(json!(["x"])))).await;
    assert_eq!(unknown.refusal().0, 422);
    let admins = Some(demand(json!(["admin"])));
    let refused = house.send("PUT", path, Some(&admin), Some(demand(json!(["owner"])))).await;
    assert_eq!(refused.refusal().0, 403, "an owner's rights are not an admin's to limit");
    let done = house.send("PUT", path, Some(&owner.access), admins).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert!(!house.lets_in(&admin).await, "tokens from before are judged anew");
    other.deps.tick().await.expect("the database is there");
    assert!(!other.lets_in(&admin).await);
    let limited = house.try_sign_in("admin@acme.example", PASSWORD).await;
    assert_eq!(limited.json()["second_factor_needed"], true);
    let (access, refresh) = (limited.text("access_token"), limited.text("refresh_token"));
    assert_eq!(house.get("/v1/users", &access).await.refusal().0, 403);
    let me = house.get("/v1/auth/me", &access).await.json();
    assert_eq!(me["permissions"], json!([]));
    let next = house.refresh(&refresh).await;
    assert_eq!(house.get("/v1/users", &next.access).await.refusal().0, 403, "nor a refreshed one");
    let (generator, _) = set_up(&house, &next.access).await;
    let full = house.refresh(&next.refresh).await;
    assert_eq!(house.get("/v1/users", &full.access).await.status, StatusCode::OK);
    let disable = code(&generator.next(&house));
    let kept = house.post("/v1/auth/mfa/disable", &full.access, disable).await;
    assert_eq!(kept.refusal().0, 409, "the role needs it");
}

#[tokio::test]
async fn an_administrator_helps_whoever_lost_it_and_every_session_of_theirs_ends() {
    let (house, owner) = house().await;
    let (id, agent) = house.person("acme", "agent").await;
    set_up(&house, &agent).await;
    let path = format!("/v1/users/{id}/mfa");
    house.tenant("bolt").await;
    let bolt = house.owner("bolt").await;
    assert_eq!(house.delete(&path, &bolt).await.refusal().0, 404);
    assert_eq!(house.delete(&path, &agent).await.refusal().0, 403);
    assert_eq!(house.delete(&path, &owner.access).await.status, StatusCode::NO_CONTENT);
    assert!(!house.lets_in(&agent).await);
    house.sign_in("agent@acme.example", PASSWORD).await;
    assert_eq!(house.delete(&path, &owner.access).await.refusal().0, 409);
}

#[tokio::test]
async fn a_second_factor_of_one_tenant_is_none_of_another() {
    let house = House::build().await;
    for (slug, password) in [("acme", PASSWORD), ("bolt", "another wise owl")] {
        house.provision(&house.seed(slug, OWNER, Some(password))).await;
    }
    let acme = house.sign_in(OWNER, PASSWORD).await;
    set_up(&house, &acme.access).await;
    assert_eq!(house.try_sign_in(OWNER, PASSWORD).await.status, StatusCode::ACCEPTED);
    house.sign_in(OWNER, "another wise owl").await;
}

#[tokio::test]
async fn an_operator_who_needs_one_may_do_nothing_before() {
    let config =
        misy_identity::Config { operators_need_second_factor: true, ..crate::house::generous() };
    let house = House::with(config).await;
    let (email, password) = house.operator().await;
    let limited = house.sign_in(&email, &password).await;
    let me = house.get("/v1/auth/me", &limited.access).await.json();
    assert_eq!((&me["kind"], &me["permissions"]), (&json!("operator"), &json!([])));
    let generator = enrol(&house, &limited.access, &password).await;
    let confirm = code(&generator.next(&house));
    let done = house.post("/v1/auth/mfa/totp/confirm", &limited.access, confirm).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let full = house.refresh(&limited.refresh).await;
    let me = house.get("/v1/auth/me", &full.access).await.json();
    let all = misy_core::Role::Operator.grants().iter().count();
    assert_eq!(me["permissions"].as_array().map(Vec::len), Some(all));
    let asked = house.try_sign_in(&email, &password).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "and at the next sign-in it is asked for");
}

#[tokio::test]
async fn a_recovered_password_is_still_asked_for_the_second_factor() {
    let (house, pair) = house().await;
    let (generator, _) = set_up(&house, &pair.access).await;
    let ask = Some(json!({"email": OWNER}));
    house.send("POST", "/v1/auth/recovery", None, ask).await;
    let link = house.link_to(OWNER).await;
    let body = Some(json!({"token": link, "password": "misty birch canoe tax"}));
    let done = house.send("POST", "/v1/auth/recovery/complete", None, body).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT, "{}", done.body);
    let asked = house.try_sign_in(OWNER, "misty birch canoe tax").await;
    assert_eq!(asked.status, StatusCode::ACCEPTED);
    let challenge = asked.text("challenge_token");
    let signed_in = second_step(&house, &challenge, &generator.next(&house)).await;
    assert_eq!(signed_in.status, StatusCode::OK, "{}", signed_in.body);
}

#[tokio::test]
async fn a_running_session_shows_its_second_factor_and_goes_on_with_all_rights() {
    let (house, owner) = house().await;
    let (_, admin) = house.person("acme", "admin").await;
    let plain = house.sign_in("admin@acme.example", PASSWORD).await;
    let (generator, _) = set_up(&house, &admin).await;
    let body = Some(json!({"roles": ["admin"]}));
    house.send("PUT", "/v1/auth/mfa/policy", Some(&owner.access), body).await;
    let limited = house.refresh(&plain.refresh).await;
    assert_eq!(house.get("/v1/users", &limited.access).await.refusal().0, 403);
    let wrong = house.post("/v1/auth/mfa/verify", &limited.access, code("000000")).await;
    assert_eq!(wrong.refusal(), (401, "auth.invalid_code".to_owned()));
    let right = code(&generator.next(&house));
    let shown = house.post("/v1/auth/mfa/verify", &limited.access, right).await;
    assert_eq!(shown.status, StatusCode::NO_CONTENT, "{}", shown.body);
    assert_eq!(house.get("/v1/users", &limited.access).await.refusal().0, 403, "not this token");
    let full = house.refresh(&limited.refresh).await;
    assert_eq!(house.get("/v1/users", &full.access).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_sensitive_asks_for_a_second_factor_of_the_last_quarter_of_an_hour() {
    let (house, owner) = house().await;
    let (_, admin) = house.person("acme", "admin").await;
    let made = async |access: &str| {
        let body = json!({"name": "app", "role": "agent"});
        house.post("/v1/api-keys", access, body).await.text("id")
    };
    let keys = [made(&admin).await, made(&admin).await, made(&admin).await];
    let session = house.sign_in("admin@acme.example", PASSWORD).await;
    let (generator, _) = set_up(&house, &session.access).await;
    let body = Some(json!({"roles": ["admin"]}));
    house.send("PUT", "/v1/auth/mfa/policy", Some(&owner.access), body).await;
    let fresh = house.refresh(&session.refresh).await;
    let gone = house.delete(&format!("/v1/api-keys/{}", keys[0]), &fresh.access).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.body);

    house.clock.advance_ms(16 * 60_000);
    let old = house.refresh(&fresh.refresh).await;
    let second = format!("/v1/api-keys/{}", keys[1]);
    let refused = house.delete(&second, &old.access).await;
    assert_eq!(refused.refusal().0, 403);
    assert!(refused.body.contains("last 15 minutes"), "{}", refused.body);
    assert_eq!(house.get("/v1/users", &old.access).await.status, StatusCode::OK, "to look is not");
    let right = code(&generator.next(&house));
    let shown = house.post("/v1/auth/mfa/verify", &old.access, right).await;
    assert_eq!(shown.status, StatusCode::NO_CONTENT, "{}", shown.body);
    let new = house.refresh(&old.refresh).await;
    let gone = house.delete(&second, &new.access).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.body);

    house.clock.advance_ms(16 * 60_000);
    let owners = house.refresh(&owner.refresh).await;
    let third = format!("/v1/api-keys/{}", keys[2]);
    let gone = house.delete(&third, &owners.access).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "of an owner none is demanded: {}", gone.body);
}

#[tokio::test]
async fn a_disabled_persons_challenge_opens_nothing() {
    let (house, owner) = house().await;
    let (id, agent) = house.person("acme", "agent").await;
    let (generator, _) = set_up(&house, &agent).await;
    let asked = house.try_sign_in("agent@acme.example", PASSWORD).await;
    let challenge = asked.text("challenge_token");
    let path = format!("/v1/users/{id}");
    house.patch(&path, &owner.access, json!({"status": "disabled"})).await;
    let answer = second_step(&house, &challenge, &generator.next(&house)).await;
    assert_eq!(answer.refusal(), (401, "auth.invalid_code".to_owned()));
}

#[tokio::test]
async fn a_role_of_the_tenants_own_needs_what_the_one_it_inherits_from_needs() {
    let (house, owner) = house().await;
    let role = json!({"slug": "lead", "name": "Lead", "inherits": "admin",
        "permissions": ["audit.read"]});
    let made = house.post("/v1/roles", &owner.access, role).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let (_, lead) = house.person("acme", "lead").await;
    let demand = async |role: &str| {
        let body = Some(json!({ "roles": [role] }));
        house.send("PUT", "/v1/auth/mfa/policy", Some(&owner.access), body).await
    };
    assert!(demand("lead").await.status.is_client_error(), "built-in ones are named");
    assert_eq!(demand("admin").await.status, StatusCode::OK);
    assert!(!house.lets_in(&lead).await, "tokens from before are judged anew");
    let limited = house.try_sign_in("lead@acme.example", PASSWORD).await;
    assert_eq!(limited.json()["second_factor_needed"], true);
    let me = house.get("/v1/auth/me", &limited.text("access_token")).await.json();
    assert_eq!(me["permissions"], json!([]));
}

#[tokio::test]
async fn a_sign_in_leads_elsewhere_after_its_second_step_and_never_past_anothers() {
    let house = House::build().await;
    for slug in ["acme", "bolt"] {
        house.provision(&house.seed(slug, OWNER, Some(PASSWORD))).await;
    }
    let sign_in = async |slug: &str| {
        let body = json!({"email": OWNER, "password": PASSWORD, "tenant": slug});
        house.send("POST", "/v1/auth/login", None, Some(body)).await
    };
    let acme = sign_in("acme").await.text("access_token");
    let (generator, _) = set_up(&house, &acme).await;
    let challenge = sign_in("acme").await.text("challenge_token");
    let acme = second_step(&house, &challenge, &generator.next(&house)).await.text("access_token");
    let there = exchange(&house, &acme, json!({"audience": "bolt"})).await;
    assert_eq!(there.status, StatusCode::OK, "{}", there.body);
    let bolt = sign_in("bolt").await.text("access_token");
    let refused = exchange(&house, &bolt, json!({"audience": "acme"})).await;
    assert_eq!(oauth(&refused), (400, "invalid_target".to_owned()));
}
