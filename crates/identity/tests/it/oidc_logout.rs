//! Room `identity`: signing out at the provider, and being signed out by it.

use axum::body::Body;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use crate::liar::Signer;
use crate::oidc::Scene;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

impl Scene {
    fn logout_claims(&self) -> Value {
        let now = self.house.db.ambient().now().as_second();
        json!({"iss": self.liar.issuer, "aud": "misy", "iat": now, "exp": now + 120, "jti": "j1",
            "sub": "ana-1", "sid": "s1", "events": {EVENT: {}}})
    }

    async fn tell(&self, body: String) -> http::Response<String> {
        let path = format!("/v1/auth/oidc/{}/backchannel-logout", self.connection);
        let request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.house.raw(request.body(Body::from(body)).expect("a request")).await
    }

    async fn log_out(&self, token: &str) -> u16 {
        self.tell(format!("logout_token={token}")).await.status().as_u16()
    }
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_its_sessions_here_at_once_and_no_others() {
    let scene = Scene::build().await;
    let (mine, other) = (scene.session(json!({})).await, scene.session(json!({"sid": "s2"})).await);
    let bo = json!({"sub": "bo-1", "email": "bo@acme.example", "sid": "s1"});
    let bo = scene.session(bo).await;
    let answer = scene
        .tell(format!("logout_token={}", scene.liar.signer.sign(&scene.logout_claims())))
        .await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.body());
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    assert!(!scene.house.lets_in(&mine.access).await);
    assert_eq!(scene.house.try_refresh(&mine.refresh).await.status.as_u16(), 401);
    assert!(scene.house.lets_in(&other.access).await, "another session of the same person");
    assert!(scene.house.lets_in(&bo.access).await, "another person with the same session name");
}

#[tokio::test]
async fn without_the_name_of_a_session_all_of_the_person_end() {
    let scene = Scene::build().await;
    let (first, second) =
        (scene.session(json!({})).await, scene.session(json!({"sid": null})).await);
    let bo = scene.session(json!({"sub": "bo-1", "email": "bo@acme.example"})).await;
    let mut claims = scene.logout_claims();
    claims.as_object_mut().expect("an object").remove("sid");
    assert_eq!(scene.log_out(&scene.liar.signer.sign(&claims)).await, 200);
    assert!(!scene.house.lets_in(&first.access).await);
    assert!(!scene.house.lets_in(&second.access).await);
    assert!(scene.house.lets_in(&bo.access).await);
}

#[tokio::test]
async fn a_logout_token_that_is_not_one_ends_nothing() {
    let scene = Scene::build().await;
    let pair = scene.session(json!({})).await;
    let now = scene.house.db.ambient().now().as_second();
    let lies = [
        json!({"iss": "https://evil.test"}),
        json!({"aud": "somebody"}),
        json!({"exp": now - 61}),
        json!({"iat": now - 700}),
        json!({"iat": now + 61}),
        json!({"jti": null}),
        json!({"events": null}),
        json!({"events": {}}),
        json!({"events": {EVENT: true}}),
        json!({"events": [EVENT]}),
        json!({"nonce": "n"}),
        json!({"sub": null, "sid": null}),
    ];
    for lie in lies {
        let mut claims = scene.logout_claims();
        for (name, value) in lie.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        assert_eq!(scene.log_out(&scene.liar.signer.sign(&claims)).await, 400, "{lie}");
    }
    let stranger = Signer::new("first").sign(&scene.logout_claims());
    assert_eq!(scene.log_out(&stranger).await, 400);
    assert_eq!(scene.log_out("").await, 400);
    let good = scene.liar.signer.sign(&scene.logout_claims());
    let twice = format!("logout_token={good}&logout_token={good}");
    assert_eq!(scene.tell(twice).await.status().as_u16(), 400);
    assert_eq!(scene.tell("token=1".to_owned()).await.status().as_u16(), 400);
    assert!(scene.house.lets_in(&pair.access).await);
}

#[tokio::test]
async fn a_logout_token_works_once() {
    let scene = Scene::build().await;
    scene.session(json!({})).await;
    let token = scene.liar.signer.sign(&scene.logout_claims());
    assert_eq!(scene.log_out(&token).await, 200);
    let later = scene.session(json!({})).await;
    assert_eq!(scene.log_out(&token).await, 400);
    assert!(scene.house.lets_in(&later.access).await);
}

#[tokio::test]
async fn an_id_token_is_no_logout_token() {
    let scene = Scene::build().await;
    let visit = scene.depart().await;
    let mut claims = scene.claims(&visit);
    claims["jti"] = json!("j9");
    assert_eq!(scene.log_out(&scene.liar.signer.sign(&claims)).await, 400);
}

#[tokio::test]
async fn signing_out_here_says_where_to_sign_out_there() {
    let scene = Scene::build().await;
    let pair = scene.session(json!({})).await;
    let body = json!({"return_to": "/bye"});
    let answer = scene.house.post("/v1/auth/sso/logout", &pair.access, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let url = Url::parse(&answer.text("logout_url")).expect("a URL");
    assert!(url.as_str().starts_with(&format!("{}/end?", scene.liar.issuer)), "{url}");
    let query: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(query["post_logout_redirect_uri"], "https://misybot.invalid/bye");
    assert_eq!(query["client_id"], "misy");
    assert_eq!(query["id_token_hint"].matches('.').count(), 2);
    assert!(!scene.house.lets_in(&pair.access).await);
    let plain = json!({});
    let password = scene.house.post("/v1/auth/sso/logout", &scene.owner, plain).await;
    assert_eq!(password.json(), json!({"logout_url": null}));
    assert!(!scene.house.lets_in(&scene.owner).await);
}

#[tokio::test]
async fn signing_out_leads_to_no_other_host() {
    let scene = Scene::build().await;
    let pair = scene.session(json!({})).await;
    for return_to in ["https://evil.test", "//evil.test"] {
        let body = json!({"return_to": return_to});
        let answer = scene.house.post("/v1/auth/sso/logout", &pair.access, body).await;
        assert_eq!(answer.refusal(), (422, "request.invalid".to_owned()));
    }
    assert!(scene.house.lets_in(&pair.access).await);
}

#[tokio::test]
async fn another_process_sees_a_providers_logout_with_its_next_look() {
    let scene = Scene::build().await;
    let other = scene.house.second_process().await;
    let pair = scene.session(json!({})).await;
    assert!(other.lets_in(&pair.access).await);
    assert_eq!(scene.log_out(&scene.liar.signer.sign(&scene.logout_claims())).await, 200);
    other.deps.tick().await.expect("renews");
    assert!(!other.lets_in(&pair.access).await);
}

#[tokio::test]
async fn a_logout_is_of_its_own_connection_and_tenant() {
    let scene = Scene::build().await;
    scene.house.tenant("rival").await;
    let rival = scene.house.owner("rival").await;
    let theirs = crate::oidc::connect(&scene.house, &rival, &scene.liar, json!({})).await;
    let pair = scene.session(json!({})).await;
    let path = format!("/v1/auth/oidc/{theirs}/backchannel-logout");
    let body = format!("logout_token={}", scene.liar.signer.sign(&scene.logout_claims()));
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .expect("a request");
    assert_eq!(scene.house.raw(request).await.status(), StatusCode::OK, "it ends nobody there");
    assert!(scene.house.lets_in(&pair.access).await);
    let absent = "/v1/auth/oidc/sso_01k8zq5m3ge0r8v0w1x2y3z4a5/backchannel-logout";
    let request = Request::post(absent).body(Body::from("logout_token=x")).expect("a request");
    assert_eq!(scene.house.raw(request).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_provider_that_is_gone_keeps_nobody_from_signing_out() {
    let scene = Scene::build().await;
    let pair = scene.session(json!({})).await;
    scene.liar.said().metadata["end_session_endpoint"] = Value::Null;
    let path = format!("/v1/sso-connections/{}", scene.connection);
    assert_eq!(scene.house.delete(&path, &scene.owner).await.status, StatusCode::NO_CONTENT);
    let answer = scene.house.post("/v1/auth/sso/logout", &pair.access, json!({})).await;
    assert_eq!(answer.json(), json!({"logout_url": null}), "{}", answer.body);
    assert!(!scene.house.lets_in(&pair.access).await);
}
