//! Room `identity`: exchanging tokens: to another tenant of the same person, and nowhere else.

use axum::body::Body;
use http::{Request, StatusCode, header};
use misy_core::TenantId;
use serde_json::{Value, json};

use crate::house::{Answer, House, PASSWORD, Pair};

pub(crate) const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Exchanges a token with these other parameters, as JSON.
pub(crate) async fn exchange(house: &House, token: &str, other: Value) -> Answer {
    let mut body = json!({"grant_type": GRANT, "subject_token": token,
        "subject_token_type": ACCESS});
    for (name, value) in other.as_object().expect("an object") {
        body[name] = value.clone();
    }
    house.send("POST", "/v1/auth/token", None, Some(body)).await
}

/// Status and the code of RFC 6749.
pub(crate) fn oauth(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.text("code"), "auth.token_exchange_failed", "{}", answer.body);
    assert_eq!(answer.text("error_description"), answer.text("detail"));
    (answer.status.as_u16(), answer.text("error"))
}

async fn add(house: &House, slug: &str, email: &str, password: &str) {
    let owner = house.owner(slug).await;
    let body = json!({"email": email, "name": "Ana", "role": "agent", "password": password});
    let made = house.post("/v1/users", &owner, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
}

/// Ana is in `acme` and `beta` with one password and in `gamma` with another.
async fn three_tenants() -> (House, TenantId) {
    let house = House::build().await;
    house.tenant("acme").await;
    let beta = house.tenant("beta").await;
    house.tenant("gamma").await;
    add(&house, "acme", "ana@x.example", PASSWORD).await;
    add(&house, "beta", "ana@x.example", PASSWORD).await;
    add(&house, "gamma", "ana@x.example", "another wise owl").await;
    (house, beta)
}

async fn sign_in(house: &House, slug: &str) -> Pair {
    let body = json!({"email": "ana@x.example", "password": PASSWORD, "tenant": slug});
    Pair::of(&house.send("POST", "/v1/auth/login", None, Some(body)).await)
}

#[tokio::test]
async fn a_person_goes_where_the_same_sign_in_would_have_led_and_back() {
    let (house, beta) = three_tenants().await;
    let acme = sign_in(&house, "acme").await;
    for audience in ["beta".to_owned(), beta.to_string()] {
        let answer = exchange(&house, &acme.access, json!({"audience": audience})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(
            (answer.text("issued_token_type"), answer.text("token_type")),
            (ACCESS.into(), "Bearer".into())
        );
        let token = answer.text("access_token");
        let me = house.get("/v1/auth/me", &token).await.json();
        assert_eq!(me["tenant"]["slug"], "beta");
        let next = house.refresh(&answer.text("refresh_token")).await;
        let back = exchange(&house, &next.access, json!({"audience": "acme"})).await;
        assert_eq!(back.status, StatusCode::OK, "{}", back.body);
    }
    assert!(house.lets_in(&acme.access).await, "the first session goes on");
}

#[tokio::test]
async fn nobody_goes_where_this_sign_in_has_proved_nothing() {
    let (house, _) = three_tenants().await;
    let acme = sign_in(&house, "acme").await;
    let target = (400, "invalid_target".to_owned());
    for audience in ["gamma", "nobodys", "ten_01k8zq5m3ge0r8v0w1x2y3z4a5", "platform"] {
        let answer = exchange(&house, &acme.access, json!({"audience": audience})).await;
        assert_eq!(oauth(&answer), target, "{audience}");
    }
    // Whoever administers one tenant may set a password there, and gets no further with it.
    let owner = house.owner("gamma").await;
    let answer = exchange(&house, &owner, json!({"audience": "acme"})).await;
    assert_eq!(oauth(&answer), target);
}

#[tokio::test]
async fn a_password_that_was_changed_since_opens_no_way() {
    let (house, _) = three_tenants().await;
    let (acme, beta) = (sign_in(&house, "acme").await, sign_in(&house, "beta").await);
    let body = json!({"current_password": PASSWORD, "new_password": "a rather new parrot"});
    let changed = house.post("/v1/auth/password", &beta.access, body).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    let answer = exchange(&house, &acme.access, json!({"audience": "beta"})).await;
    assert_eq!(oauth(&answer), (400, "invalid_target".to_owned()));
}

#[tokio::test]
async fn whoever_is_disabled_or_signed_out_goes_nowhere() {
    let (house, _) = three_tenants().await;
    let acme = sign_in(&house, "acme").await;
    let owner = house.owner("beta").await;
    let people = house.get("/v1/users", &owner).await.json();
    let ana = people["data"].as_array().expect("a list").iter();
    let ana = ana.clone().find(|one| one["email"] == "ana@x.example").expect("is there");
    let path = format!("/v1/users/{}", ana["id"].as_str().expect("an id"));
    house.patch(&path, &owner, json!({"status": "disabled"})).await;
    let answer = exchange(&house, &acme.access, json!({"audience": "beta"})).await;
    assert_eq!(oauth(&answer), (400, "invalid_target".to_owned()));
    house.post("/v1/auth/logout", &acme.access, Value::Null).await;
    let answer = exchange(&house, &acme.access, json!({"audience": "acme"})).await;
    assert_eq!(oauth(&answer), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn only_a_persons_own_token_is_exchanged() {
    let (house, _) = three_tenants().await;
    let owner = house.owner("acme").await;
    let key = json!({"name": "k", "role": "agent"});
    let key = house.post("/v1/api-keys", &owner, key).await.text("secret");
    let acme = sign_in(&house, "acme").await;
    let elsewhere = House::elsewhere().await;
    elsewhere.tenant("acme").await;
    let foreign = elsewhere.owner("acme").await;
    for token in [key.as_str(), &acme.refresh, &foreign, "eyJ", "x"] {
        let answer = exchange(&house, token, json!({"audience": "beta"})).await;
        assert_eq!(oauth(&answer), (400, "invalid_request".to_owned()), "{token}");
    }
    house.clock.advance_ms(301_000);
    let answer = exchange(&house, &acme.access, json!({"audience": "beta"})).await;
    assert_eq!(oauth(&answer), (400, "invalid_request".to_owned()), "expired");
}

#[tokio::test]
async fn a_form_is_taken_as_well_and_faults_are_told_as_the_standard_says() {
    let (house, _) = three_tenants().await;
    let acme = sign_in(&house, "acme").await;
    let send = async |kind: &str, body: String| {
        let request = Request::post("/v1/auth/token").header(header::CONTENT_TYPE, kind);
        house.raw(request.body(Body::from(body)).expect("a request")).await
    };
    let form = |pairs: &[(&str, &str)]| {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    };
    let good = [
        ("grant_type", GRANT),
        ("subject_token", &acme.access),
        ("subject_token_type", ACCESS),
        ("audience", "beta"),
    ];
    let kind = "application/x-www-form-urlencoded";
    let answer = send(kind, form(&good)).await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.body());
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let twice = form(&[&good[..], &[("audience", "gamma")]].concat());
    let answer = send(kind, twice).await;
    let told: Value = serde_json::from_str(answer.body()).expect("JSON");
    assert_eq!((answer.status().as_u16(), &told["error"]), (400, &json!("invalid_request")));
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    let plain = send("text/plain", form(&good)).await;
    assert_eq!(plain.status().as_u16(), 415);
    let broken = send("application/json", "{".to_owned()).await;
    assert_eq!(broken.status().as_u16(), 400);
    for (other, code) in [
        (json!({"grant_type": "password"}), "unsupported_grant_type"),
        (json!({"audience": null}), "invalid_request"),
        (json!({"audience": "beta", "scope": "write"}), "invalid_scope"),
        (json!({"audience": "beta", "resource": "https://a"}), "invalid_target"),
        (json!({"audience": "beta", "actor_token": "eyJ"}), "invalid_request"),
        (json!({"audience": "beta", "reason": "because I want to"}), "invalid_request"),
        (json!({"audience": ["beta", "gamma"]}), "invalid_request"),
    ] {
        let answer = exchange(&house, &acme.access, other.clone()).await;
        assert_eq!(oauth(&answer), (400, code.to_owned()), "{other}");
    }
}
