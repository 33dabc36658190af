//! Room `identity`: sessions in cookies, for pages of our own and of no stranger.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use crate::house::{Answer, House, PASSWORD};

const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

/// A browser with its cookies.
struct Browser<'a> {
    house: &'a House,
    jar: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    fn new(house: &'a House) -> Self {
        Self { house, jar: Vec::new() }
    }

    async fn send(&mut self, method: Method, path: &str, page: &[(&str, &str)]) -> Answer {
        self.send_body(method, path, page, &json!({})).await
    }

    async fn send_body(
        &mut self,
        method: Method,
        path: &str,
        page: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::CONTENT_TYPE, "application/json");
        let jar: Vec<String> = self.jar.iter().map(|(name, it)| format!("{name}={it}")).collect();
        if !jar.is_empty() {
            request = request.header(header::COOKIE, jar.join("; "));
        }
        for (name, value) in page {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_string())).expect("a request");
        let answer = self.house.answer(request).await;
        for cookie in &answer.cookies {
            let (pair, _) = cookie.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            self.jar.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.jar.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    async fn sign_in(&mut self, page: &[(&str, &str)]) -> Answer {
        let body =
            json!({"email": "owner@acme.example", "password": PASSWORD, "session": "cookie"});
        self.send_body(Method::POST, "/v1/auth/login", page, &body).await
    }
}

async fn house() -> House {
    let house = House::build().await;
    house.tenant("acme").await;
    house
}

#[tokio::test]
async fn a_browser_signs_in_goes_on_and_signs_out_without_ever_seeing_a_token() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    let answer = browser.sign_in(&[OWN]).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert!(!answer.body.contains("token"), "{}", answer.body);
    assert_eq!(answer.cookies.len(), 2);
    for cookie in &answer.cookies {
        for rule in ["__Host-", "; Path=/;", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
            assert!(cookie.contains(rule), "{rule} is not in {cookie}");
        }
    }
    let me = browser.send(Method::GET, "/v1/auth/me", &[OWN]).await;
    assert_eq!(me.text("email"), "owner@acme.example");
    let before = browser.jar.clone();
    let refreshed = browser.send(Method::POST, "/v1/auth/refresh", &[OWN]).await;
    assert_eq!(refreshed.status, StatusCode::OK, "{}", refreshed.body);
    assert!(!refreshed.body.contains("token") && browser.jar != before);
    let out = browser.send(Method::POST, "/v1/auth/logout", &[OWN]).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT, "{}", out.body);
    assert!(browser.jar.is_empty(), "the browser forgets them");
    browser.jar = before;
    let gone = browser.send(Method::GET, "/v1/auth/me", &[OWN]).await;
    assert_eq!(gone.refusal().0, 401, "and so do we");
}

#[tokio::test]
async fn a_strangers_page_changes_nothing_with_the_cookie_and_sets_none() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    browser.sign_in(&[OWN]).await;
    let host = (header::HOST.as_str(), "api.example");
    let strangers: [&[(&str, &str)]; 6] = [
        &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://evil.api.example")],
        &[("sec-fetch-site", "cross-site")],
        &[host, ("origin", "https://evil.example")],
        &[host, ("origin", "null")],
        &[host],
    ];
    for page in strangers {
        for path in ["/v1/auth/logout", "/v1/users", "/v1/auth/password", "/v1/auth/refresh"] {
            let answer = browser.send(Method::POST, path, page).await;
            let refusal = (403, "auth.cross_site".to_owned());
            assert_eq!(answer.refusal(), refusal, "{page:?} {path}");
        }
        let answer = browser.send(Method::DELETE, "/v1/auth/sessions", page).await;
        assert_eq!(answer.refusal().0, 403, "{page:?}");
        let mut other = Browser::new(&house);
        let answer = other.sign_in(page).await;
        assert_eq!(answer.refusal().0, 403, "nobody is signed in unnoticed: {page:?}");
        assert!(other.jar.is_empty());
    }
    let me = browser.send(Method::GET, "/v1/auth/me", &[OWN]).await;
    assert_eq!(me.status, StatusCode::OK);
}

#[tokio::test]
async fn a_program_with_a_bearer_token_is_asked_for_no_page() {
    let house = house().await;
    let owner = house.owner("acme").await;
    let request = Request::post("/v1/auth/logout")
        .header(header::AUTHORIZATION, format!("Bearer {owner}"))
        .header("sec-fetch-site", "cross-site")
        .header("origin", "https://evil.example");
    let answer = house.answer(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "a page has no token to send by itself");
}

#[tokio::test]
async fn a_credential_is_read_from_the_header_or_the_cookie_and_from_nowhere_else() {
    let house = house().await;
    let pair = house.sign_in("owner@acme.example", PASSWORD).await;
    let key = json!({"name": "shop", "role": "agent"});
    let key = house.post("/v1/api-keys", &pair.access, key).await.text("secret");
    for secret in [&pair.access, &key] {
        for name in ["access_token", "token", "api_key", "authorization"] {
            let path = format!("/v1/auth/me?{name}={secret}");
            let request = Request::get(&path).body(Body::empty()).expect("a request");
            assert_eq!(house.answer(request).await.refusal().0, 401, "{name}");
            let admitted = house.get(&path, &pair.access).await;
            assert_eq!(admitted.refusal(), (400, "request.unknown_parameter".to_owned()));
        }
    }
    let cookies = [
        format!("misybot={}", pair.access),
        format!("__Host-misybot={}; __Host-misybot={}", pair.access, pair.access),
        format!("__Host-misybot={}", pair.refresh),
        format!("__Host-misybot-refresh={}", pair.access),
    ];
    for cookie in cookies {
        let request =
            Request::get("/v1/auth/me").header(header::COOKIE, &cookie).header(OWN.0, OWN.1);
        let answer = house.answer(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.refusal().0, 401, "{cookie}");
    }
    let form = Request::post("/v1/auth/logout")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(format!("access_token={}", pair.access)));
    assert_eq!(house.answer(form.expect("a request")).await.refusal().0, 401);
    assert!(house.lets_in(&pair.access).await);
}

#[tokio::test]
async fn a_header_goes_before_a_cookie() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    browser.sign_in(&[OWN]).await;
    let broken = ("authorization", "Bearer nonsense");
    let answer = browser.send(Method::GET, "/v1/auth/me", &[OWN, broken]).await;
    assert_eq!(answer.refusal().0, 401, "what was said is believed, not what was meant");
}

#[tokio::test]
async fn sessions_are_listed_with_device_place_and_method() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    browser.sign_in(&[OWN, ("user-agent", firefox)]).await;
    let listed = browser.send(Method::GET, "/v1/auth/sessions", &[OWN]).await.json();
    let session = &listed["data"][0];
    assert_eq!(session["device"], firefox);
    assert_eq!(session["device_summary"], "Firefox on Linux");
    assert_eq!((&session["method"], &session["current"]), (&json!("password"), &json!(true)));
    assert_eq!(session["address"], Value::Null, "an in-process request comes from nowhere");
}

#[tokio::test]
async fn an_invited_person_and_one_with_a_second_step_come_in_by_cookie_too() {
    let house = house().await;
    let owner = house.owner("acme").await;
    let invited = json!({"email": "ana@b.example", "name": "Ana", "role": "agent"});
    house.post("/v1/invitations", &owner, invited).await;
    let link = house.link_to("ana@b.example").await;
    let body = json!({"token": link, "password": "misty birch canoe tax", "session": "cookie"});
    let mut browser = Browser::new(&house);
    let evil = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let path = "/v1/auth/invitation";
    let refused = browser.send_body(Method::POST, path, &evil, &body).await;
    assert_eq!(refused.refusal(), (403, "auth.cross_site".to_owned()));
    let entered = browser.send_body(Method::POST, path, &[OWN], &body).await;
    assert_eq!(entered.status, StatusCode::OK, "the refused try did not use the link up");
    let listed = browser.send(Method::GET, "/v1/auth/sessions", &[OWN]).await.json();
    assert_eq!(listed["data"][0]["method"], "link");
    let challenge = json!({"challenge_token": "mbc_x", "code": "000000", "session": "cookie"});
    let path = "/v1/auth/mfa/challenge";
    let refused = browser.send_body(Method::POST, path, &evil, &challenge).await;
    assert_eq!(refused.refusal().0, 403);
    let wrong = browser.send_body(Method::POST, path, &[OWN], &challenge).await;
    assert_eq!(wrong.refusal().0, 401);
}

#[tokio::test]
async fn a_changed_password_goes_on_in_the_cookie_it_came_in() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    browser.sign_in(&[OWN]).await;
    let before = browser.jar.clone();
    let body = json!({"current_password": PASSWORD, "new_password": "misty birch canoe tax"});
    let path = "/v1/auth/password";
    let answer = browser.send_body(Method::POST, path, &[OWN], &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert!(!answer.body.contains("token") && browser.jar != before, "{}", answer.body);
    let me = browser.send(Method::GET, "/v1/auth/me", &[OWN]).await;
    assert_eq!(me.status, StatusCode::OK);
    browser.jar = before;
    assert_eq!(browser.send(Method::GET, "/v1/auth/me", &[OWN]).await.refusal().0, 401);
}
