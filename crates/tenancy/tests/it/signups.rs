//! Room `tenancy`: strangers ask for tenants; one link makes one tenant.

use std::sync::atomic::Ordering;

use http::StatusCode;
use misy_core::Secret;
use serde_json::{Value, json};

use crate::house::{Admin, Answer, House, Operator, Stranger, wanted};

fn asked(slug: &str, email: &str) -> Value {
    json!({"slug": slug, "name": "Acme GmbH", "email": email, "owner_name": "Ann",
           "locale": "de-DE", "time_zone": "Europe/Berlin"})
}

impl House {
    async fn sign_up(&self, slug: &str, email: &str) -> Answer {
        self.post(&Stranger, "/v1/signup", asked(slug, email)).await
    }

    /// The secret of the newest letter to an address.
    async fn link_of(&self, email: &str) -> String {
        self.run_jobs_after_s(1).await;
        let letter = self.letters.to(&email.to_lowercase()).pop().expect("a letter");
        let secret = letter.split_whitespace().rev().find(|word| word.starts_with("mbs_"));
        secret.expect("a link").to_owned()
    }

    async fn verify(&self, token: &str) -> Answer {
        let body = json!({"token": token, "password": "a wise old owl"});
        self.post(&Stranger, "/v1/signup/verify", body).await
    }

    /// A sign-up whose address is verified.
    async fn verified(&self, slug: &str, email: &str) -> Answer {
        assert_eq!(self.sign_up(slug, email).await.status, StatusCode::ACCEPTED);
        let token = self.link_of(email).await;
        self.verify(&token).await
    }

    async fn tenants(&self) -> i64 {
        self.count("select count(*) from tenants where status <> 'failed'").await
    }

    async fn only_signup(&self) -> Answer {
        let list = self.get(&Operator, "/v1/signups").await;
        let [id] = list.column("id")[..] else { panic!("not one: {}", list.body) };
        self.get(&Operator, &format!("/v1/signups/{id}")).await
    }

    async fn decide(&self, what: &str, body: Option<Value>) -> Answer {
        let signup = self.only_signup().await;
        let path = format!("/v1/signups/{}/{what}", signup.text("id"));
        self.send(&Operator, http::Method::POST, &path, &[], body).await
    }
}

#[tokio::test]
async fn a_stranger_becomes_the_owner_of_a_tenant() {
    let house = House::build().await;
    let done = house.verified("acme", "Ann@Acme.Example").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert_eq!((done.text("status"), done.text("slug")), ("accepted", "acme"));
    let path = format!("/v1/tenants/{}", done.text("tenant_id"));
    let tenant = house.get(&Operator, &path).await;
    assert_eq!((tenant.text("status"), tenant.text("plan")), ("active", "trial"));
    assert_eq!(tenant.text("time_zone"), "Europe/Berlin");
    let seeds = house.first.seeds.lock().expect("no panic").clone();
    let owner = &seeds.last().expect("the part was asked").owner;
    assert_eq!(owner.email.0, "ann@acme.example");
    assert_eq!(owner.password.as_ref().map(Secret::expose), Some("a wise old owl"));
}

#[tokio::test]
async fn a_link_makes_one_tenant_and_then_tells_what_it_made() {
    let house = House::build().await;
    house.sign_up("acme", "ann@acme.example").await;
    let token = house.link_of("ann@acme.example").await;
    let first = house.verify(&token).await;
    let second = house.verify(&token).await;
    assert_eq!((second.status, &second.body), (StatusCode::OK, &first.body));
    assert_eq!(house.first.seeds.lock().expect("no panic").len(), 1, "nothing is done again");
    assert_eq!(house.tenants().await, 1);
}

#[tokio::test]
async fn twenty_verifications_at_once_make_one_tenant() {
    let house = House::build().await;
    house.sign_up("acme", "ann@acme.example").await;
    let token = house.link_of("ann@acme.example").await;
    let answers = futures_util::future::join_all((0..20).map(|_| house.verify(&token))).await;
    for answer in &answers {
        assert_eq!((answer.status, answer.text("slug")), (StatusCode::OK, "acme"));
    }
    assert_eq!(house.tenants().await, 1);
    assert_eq!(house.first.seeds.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn two_people_who_ask_for_one_name_do_not_both_get_it() {
    let house = House::build().await;
    house.sign_up("acme", "ann@acme.example").await;
    house.sign_up("acme", "bob@other.example").await;
    let (ann, bob) =
        (house.link_of("ann@acme.example").await, house.link_of("bob@other.example").await);
    assert_eq!(house.verify(&ann).await.status, StatusCode::OK);
    assert_eq!(house.verify(&bob).await.refusal(), (409, "request.conflict"));
    let other = json!({"token": bob, "password": "a wise old owl", "slug": "acme-two"});
    let done = house.post(&Stranger, "/v1/signup/verify", other).await;
    assert_eq!((done.status, done.text("slug")), (StatusCode::OK, "acme-two"));
    assert_eq!(house.sign_up("acme", "eve@evil.example").await.refusal().0, 409);
}

#[tokio::test]
async fn known_and_unknown_addresses_get_the_same_answer_and_a_letter() {
    let house = House::build().await;
    house.verified("acme", "ann@acme.example").await;
    let known = house.sign_up("second", "ann@acme.example").await;
    let unknown = house.sign_up("third", "bob@other.example").await;
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
    house.run_jobs_after_s(1).await;
    assert_eq!(house.letters.to("ann@acme.example").len(), 2);
    assert_eq!(house.letters.to("bob@other.example").len(), 1);
}

#[tokio::test]
async fn a_name_is_judged_like_that_of_every_tenant() {
    let house = House::build().await;
    for slug in ["admin", "a", "xn--acme", "Acme", "-acme", "\u{430}cme"] {
        let refused = house.sign_up(slug, "ann@acme.example").await;
        assert_eq!((refused.refusal().0, refused.pointers()), (422, vec!["/slug"]), "{slug}");
    }
    let all = json!({"slug": "api", "name": "P\u{430}ypal", "email": "nobody", "owner_name": " ",
                     "locale": "??", "time_zone": "Mars/Base"});
    let refused = house.post(&Stranger, "/v1/signup", all).await;
    let wrong = ["/email", "/locale", "/name", "/owner_name", "/slug", "/time_zone"];
    assert_eq!(refused.pointers(), wrong, "all at once");
    assert_eq!(house.count("select count(*) from signups").await, 0);
}

#[tokio::test]
async fn nobody_signs_up_where_it_is_not_open() {
    let house = House::build_with(|config| config.enabled = false).await;
    let refused = house.sign_up("acme", "ann@acme.example").await;
    assert_eq!(refused.refusal(), (404, "request.not_found"));
    assert_eq!(house.verify("mbs_x").await.refusal().0, 404);
}

#[tokio::test]
async fn one_network_begins_only_so_many_in_an_hour() {
    let house = House::build_with(|config| config.per_address = 2).await;
    let ask = |slug| async move { format!("{slug}@acme.example") };
    for slug in ["one", "two"] {
        assert_eq!(house.sign_up(slug, &ask(slug).await).await.status, StatusCode::ACCEPTED);
    }
    let refused = house.sign_up("three", "three@acme.example").await;
    assert_eq!(refused.refusal(), (429, "request.rate_limited"));
    house.clock.advance_ms(3_601_000);
    assert_eq!(house.sign_up("three", "three@acme.example").await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_crowd_does_not_get_past_the_limit() {
    let house = House::build_with(|config| config.per_address = 5).await;
    let slugs: Vec<String> = (0..20).map(|number| format!("acme{number}")).collect();
    let asking = slugs.iter().map(|slug| house.sign_up(slug, "ann@acme.example"));
    let answers = futures_util::future::join_all(asking).await;
    let let_in = answers.iter().filter(|one| one.status == StatusCode::ACCEPTED).count();
    assert_eq!(let_in, 5);
}

#[tokio::test]
async fn an_address_gets_only_so_many_letters_and_nobody_is_told() {
    let house = House::build().await;
    for number in 0..5 {
        let answer = house.sign_up(&format!("acme{number}"), "ann@acme.example").await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }
    house.run_jobs_after_s(1).await;
    assert_eq!(house.letters.to("ann@acme.example").len(), 3);
}

#[tokio::test]
async fn links_that_are_not_ours_expired_or_of_others_do_not_work() {
    let house = House::build().await;
    house.sign_up("acme", "ann@acme.example").await;
    let token = house.link_of("ann@acme.example").await;
    let mut forged = token.clone().into_bytes();
    let last = forged.len() - 2;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("text");
    for bad in ["", "mbs_", "mbl_AAAA", &forged] {
        assert_eq!(house.verify(bad).await.refusal(), (401, "auth.invalid_link"), "{bad}");
    }
    house.clock.advance_ms(24 * 3_600_000);
    assert_eq!(house.verify(&token).await.refusal(), (401, "auth.invalid_link"));
    assert_eq!(house.tenants().await, 0);
}

#[tokio::test]
async fn expired_sign_ups_are_dropped_by_the_clock_and_others_stay() {
    let house = House::build().await;
    house.sign_up("acme", "ann@acme.example").await;
    house.verified("other", "bob@other.example").await;
    house.run_schedules().await;
    house.run_jobs_after_s(1).await;
    assert_eq!(house.count("select count(*) from signups").await, 2, "nothing is old");
    house.clock.advance_ms(25 * 3_600_000);
    house.run_schedules().await;
    house.run_jobs_after_s(1).await;
    assert_eq!(house.count("select count(*) from signups where status = 'pending'").await, 0);
    assert_eq!(house.count("select count(*) from signups").await, 1);
    house.clock.advance_ms(31 * 24 * 3_600_000);
    house.run_schedules().await;
    house.run_jobs_after_s(1).await;
    assert_eq!(house.count("select count(*) from signups").await, 0, "no address is kept for ever");
    assert_eq!(house.tenants().await, 1);
}

#[tokio::test]
async fn with_approval_an_operator_decides() {
    let house = House::build_with(|config| config.approval = true).await;
    let waiting = house.verified("acme", "ann@acme.example").await;
    assert_eq!(waiting.text("status"), "waiting", "{}", waiting.body);
    assert_eq!(house.tenants().await, 0);
    let taken = house.sign_up("acme", "bob@other.example").await;
    assert_eq!(taken.refusal().0, 409, "the name is held");
    let readable = "select count(*) from signups where encode(seed, 'escape') ~ 'owl'";
    assert_eq!(house.count(readable).await, 0, "the password is sealed");
    let approved = house.decide("approve", None).await;
    assert_eq!(approved.text("status"), "accepted", "{}", approved.body);
    assert_eq!(house.count("select count(*) from signups where seed is not null").await, 0);
    let seeds = house.first.seeds.lock().expect("no panic").clone();
    let password = seeds.last().and_then(|seed| seed.owner.password.as_ref());
    assert_eq!(password.map(Secret::expose), Some("a wise old owl"));
    house.run_jobs_after_s(1).await;
    let letters = house.letters.to("ann@acme.example");
    assert!(letters.last().is_some_and(|text| text.contains("accepted")), "{letters:?}");
    assert_eq!(house.decide("approve", None).await.refusal(), (409, "request.conflict"));
    let reject = Some(json!({"reason": "too late"}));
    assert_eq!(house.decide("reject", reject).await.refusal(), (409, "request.conflict"));
}

#[tokio::test]
async fn who_is_rejected_is_told_why_and_the_name_is_free() {
    let house = House::build_with(|config| config.approval = true).await;
    house.sign_up("acme", "ann@acme.example").await;
    let early = house.decide("approve", None).await;
    assert_eq!(early.refusal(), (409, "request.conflict"), "the address is not verified");
    let token = house.link_of("ann@acme.example").await;
    house.verify(&token).await;
    let empty = house.decide("reject", Some(json!({"reason": " "}))).await;
    assert_eq!(empty.pointers(), ["/reason"]);
    let done = house.decide("reject", Some(json!({"reason": "we serve no robots"}))).await;
    assert_eq!((done.text("status"), done.text("reason")), ("rejected", "we serve no robots"));
    house.run_jobs_after_s(1).await;
    let letters = house.letters.to("ann@acme.example");
    assert!(letters.last().is_some_and(|text| text.contains("we serve no robots")));
    assert_eq!(house.verify(&token).await.refusal(), (401, "auth.invalid_link"));
    assert_eq!(house.sign_up("acme", "bob@other.example").await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn two_operators_who_approve_at_once_make_one_tenant() {
    let house = House::build_with(|config| config.approval = true).await;
    house.verified("acme", "ann@acme.example").await;
    let both = futures_util::future::join_all([
        house.decide("approve", None),
        house.decide("approve", None),
        house.decide("approve", None),
    ]);
    let mut statuses: Vec<u16> = both.await.iter().map(|one| one.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409]);
    assert_eq!(house.tenants().await, 1);
}

#[tokio::test]
async fn a_tenant_that_cannot_be_made_leaves_the_sign_up_as_it_was() {
    for approval in [false, true] {
        let house = House::build_with(|config| config.per_email = 9).await;
        let house =
            if approval { House::build_with(|config| config.approval = true).await } else { house };
        house.sign_up("acme", "ann@acme.example").await;
        let token = house.link_of("ann@acme.example").await;
        house.first.is_impossible.store(1, Ordering::SeqCst);
        let (refused, open) = if approval {
            house.verify(&token).await;
            (house.decide("approve", None).await, "waiting")
        } else {
            (house.verify(&token).await, "pending")
        };
        assert_eq!(refused.refusal(), (422, "request.invalid"));
        assert_eq!(house.only_signup().await.text("status"), open);
        let done =
            if approval { house.decide("approve", None).await } else { house.verify(&token).await };
        assert_eq!(done.text("status"), "accepted", "{}", done.body);
        assert_eq!(house.tenants().await, 1);
    }
}

#[tokio::test]
async fn a_tenant_whose_making_was_interrupted_is_finished_by_the_job() {
    let house = House::build().await;
    house.second.fails_for_now.store(1, Ordering::SeqCst);
    let done = house.verified("acme", "ann@acme.example").await;
    assert_eq!((done.status, done.text("status")), (StatusCode::OK, "accepted"));
    let path = format!("/v1/tenants/{}", done.text("tenant_id"));
    assert_eq!(house.get(&Operator, &path).await.text("status"), "provisioning");
    house.run_jobs_after_s(61).await;
    assert_eq!(house.get(&Operator, &path).await.text("status"), "active");
}

#[tokio::test]
async fn only_operators_see_sign_ups() {
    let house = House::build_with(|config| config.approval = true).await;
    let tenant = house.post(&Operator, "/v1/tenants", wanted("other")).await.id();
    house.verified("acme", "ann@acme.example").await;
    let id = house.only_signup().await.text("id").to_owned();
    for path in ["/v1/signups".to_owned(), format!("/v1/signups/{id}")] {
        let denied = house.get(&Admin(tenant), &path).await;
        assert_eq!(denied.refusal(), (403, "auth.permission_denied"));
        assert_eq!(house.get(&Stranger, &path).await.refusal().0, 401);
    }
    let approve = format!("/v1/signups/{id}/approve");
    assert_eq!(house.post_nothing(&Admin(tenant), &approve).await, StatusCode::FORBIDDEN);
    assert_eq!(house.post_nothing(&Stranger, &approve).await, StatusCode::UNAUTHORIZED);
    let absent = "/v1/signups/sgn_00000000000000000000000001";
    assert_eq!(house.get(&Operator, absent).await.refusal(), (404, "request.not_found"));
    let gone = house.post_nothing(&Operator, &format!("{absent}/approve")).await;
    assert_eq!(gone, StatusCode::NOT_FOUND);
    let none = house.get(&Operator, "/v1/signups?status=rejected").await;
    assert_eq!(none.column("id").len(), 0);
    let one = house.get(&Operator, "/v1/signups?status=waiting").await;
    assert_eq!((one.column("id"), one.column("slug")), (vec![id.as_str()], vec!["acme"]));
}
