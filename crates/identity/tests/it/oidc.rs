//! Room `identity`: logins at a provider that lies. What it says in order to get in is refused, and
//! the reason is in the tenant's audit log and nowhere else.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Request, StatusCode, header};
use misy_core::crypto;
use serde_json::{Value, json};
use url::Url;

use crate::house::{House, Pair};
use crate::liar::{ACCESS, Liar, Signer, unsigned};

/// A verifier of the page that begins a login, and its challenge (RFC 7636 appendix B).
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A tenant `acme` that is connected with a provider.
pub(crate) struct Scene {
    pub(crate) house: House,
    pub(crate) liar: Liar,
    pub(crate) owner: String,
    pub(crate) connection: String,
}

/// A login that has begun.
pub(crate) struct Visit {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) cookie: String,
    pub(crate) query: BTreeMap<String, String>,
}

impl Scene {
    pub(crate) async fn build() -> Self {
        Self::with(json!({})).await
    }

    /// With other fields of the connection; those of `settings` are added to the usual ones.
    pub(crate) async fn with(other: Value) -> Self {
        let (house, liar) = (House::build().await, Liar::start().await);
        house.tenant("acme").await;
        let owner = house.owner("acme").await;
        let connection = connect(&house, &owner, &liar, other).await;
        Self { house, liar, owner, connection }
    }

    pub(crate) async fn depart(&self) -> Visit {
        depart(&self.house, &self.connection, "/app").await
    }

    /// Good claims for a login.
    pub(crate) fn claims(&self, visit: &Visit) -> Value {
        let now = self.house.db.ambient().now().as_second();
        json!({
            "iss": self.liar.issuer, "aud": "misy", "sub": "ana-1", "nonce": visit.nonce,
            "iat": now, "exp": now + 300, "email": "ana@acme.example", "email_verified": true,
            "name": "Ana Roy", "groups": ["support"], "sid": "s1", "auth_time": now, "amr": ["pwd"],
        })
    }

    /// The usual way back.
    pub(crate) fn back(&self, visit: &Visit) -> Vec<(&'static str, String)> {
        let iss = self.liar.issuer.clone();
        vec![("state", visit.state.clone()), ("code", "c1".to_owned()), ("iss", iss)]
    }

    pub(crate) async fn come_back(
        &self,
        visit: &Visit,
        query: &[(&str, String)],
    ) -> http::Response<String> {
        come_back(&self.house, &self.connection, Some(&visit.cookie), query).await
    }

    /// A whole login with these claims changed; gives where the browser lands.
    pub(crate) async fn log_in(&self, changed: Value) -> String {
        let visit = self.depart().await;
        let mut claims = self.claims(&visit);
        merge(&mut claims, changed);
        self.liar.gives(&self.liar.signer.sign(&claims));
        let answer = self.come_back(&visit, &self.back(&visit)).await;
        landing(&answer)
    }

    /// A login that has to work.
    pub(crate) async fn session(&self, changed: Value) -> Pair {
        let landed = self.log_in(changed).await;
        let code = landed.split_once("#sso_code=").unwrap_or_else(|| panic!("{landed}")).1;
        Pair::of(&exchange(&self.house, code, Some(VERIFIER)).await)
    }

    /// Why the last login was refused, as the administrator reads it.
    pub(crate) async fn reason(&self) -> String {
        reason(&self.house).await
    }
}

/// A provider's member of a JSON object becomes this one; `null` removes it.
fn merge(into: &mut Value, changed: Value) {
    let into = into.as_object_mut().expect("an object");
    for (name, value) in changed.as_object().expect("an object") {
        if value.is_null() {
            into.remove(name);
        } else {
            into.insert(name.clone(), value.clone());
        }
    }
}

pub(crate) async fn connect(house: &House, owner: &str, liar: &Liar, other: Value) -> String {
    let mut settings = json!({"issuer": liar.issuer, "client_id": "misy"});
    let mut body = json!({
        "kind": "oidc", "name": format!("provider {}", liar.issuer), "jit": true,
        "secrets": {"client_secret": "a secret+of/ours"}, "default_role": "viewer",
        "role_mapping": [{"group": "support", "role": "agent"}],
    });
    let mut other = other;
    if let Some(more) = other.as_object_mut().and_then(|other| other.remove("settings")) {
        merge(&mut settings, more);
    }
    body["settings"] = settings;
    merge(&mut body, other);
    let made = house.post("/v1/sso-connections", owner, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.text("id")
}

pub(crate) async fn depart(house: &House, connection: &str, return_to: &str) -> Visit {
    let path = format!(
        "/v1/auth/oidc/{connection}/start?code_challenge={CHALLENGE}&return_to={return_to}"
    );
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let answer = house.raw(request).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.body());
    let text = |name| answer.headers()[name].to_str().expect("visible").to_owned();
    let (location, cookie) = (text(header::LOCATION), text(header::SET_COOKIE));
    let query: BTreeMap<String, String> =
        Url::parse(&location).expect("a URL").query_pairs().into_owned().collect();
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    Visit { state: query["state"].clone(), nonce: query["nonce"].clone(), cookie, query }
}

pub(crate) async fn come_back(
    house: &House,
    connection: &str,
    cookie: Option<&str>,
    query: &[(&str, String)],
) -> http::Response<String> {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let mut request = Request::get(format!("/v1/auth/oidc/{connection}/callback?{query}"));
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, format!("other=1; {cookie}"));
    }
    house.raw(request.body(Body::empty()).expect("a request")).await
}

pub(crate) fn landing(answer: &http::Response<String>) -> String {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.body());
    answer.headers()[header::LOCATION].to_str().expect("visible").to_owned()
}

pub(crate) async fn exchange(
    house: &House,
    code: &str,
    verifier: Option<&str>,
) -> crate::house::Answer {
    let body = json!({"code": code, "code_verifier": verifier});
    house.send("POST", "/v1/auth/sso/exchange", None, Some(body)).await
}

/// Why the last login was refused.
pub(crate) async fn reason(house: &House) -> String {
    let sql = "select detail ->> 'reason' from audit_records where action = 'sso.login_denied'
        order by id desc limit 1";
    house.text(sql).await
}

#[tokio::test]
async fn a_login_ends_with_a_session_and_no_token_in_any_address() {
    let scene = Scene::build().await;
    let visit = scene.depart().await;
    let query = &visit.query;
    assert_eq!((&*query["tenant"], &*query["response_type"]), ("7", "code"));
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(query["scope"], "openid email profile");
    scene.liar.gives(&scene.liar.signer.sign(&scene.claims(&visit)));
    let answer = scene.come_back(&visit, &scene.back(&visit)).await;
    let landed = landing(&answer);
    let code = landed.strip_prefix("https://misybot.invalid/app#sso_code=").expect("our page");
    assert!(!landed.contains("eyJ") && !landed.contains("mbr_"), "{landed}");
    let gone = answer.headers()[header::SET_COOKIE].to_str().expect("visible");
    assert!(gone.starts_with("__Host-misy_sso=;") && gone.contains("Max-Age=0"), "{gone}");
    let pair = Pair::of(&exchange(&scene.house, code, Some(VERIFIER)).await);
    let me = scene.house.get("/v1/auth/me", &pair.access).await.json();
    assert_eq!((&me["role"], &me["email"]), (&json!("agent"), &json!("ana@acme.example")));
    let (proof, form) = scene.liar.said().redeemed[0].clone();
    let basic = data_encoding::BASE64.encode(b"misy:a+secret%2Bof%2Fours");
    assert_eq!(proof, Some(format!("Basic {basic}")));
    let form: BTreeMap<_, _> = url::form_urlencoded::parse(form.as_bytes()).collect();
    let challenge = crypto::to_base64url(&crypto::sha256(form["code_verifier"].as_bytes()));
    assert_eq!(challenge, query["code_challenge"]);
    assert_eq!(form["redirect_uri"], query["redirect_uri"]);
}

#[tokio::test]
async fn the_cookie_is_out_of_reach_of_scripts_and_of_other_hosts() {
    let scene = Scene::build().await;
    let path = format!("/v1/auth/oidc/{}/start?code_challenge={CHALLENGE}", scene.connection);
    let answer = scene.house.raw(Request::get(path).body(Body::empty()).expect("a request")).await;
    let cookie = answer.headers()[header::SET_COOKIE].to_str().expect("visible");
    assert!(cookie.starts_with("__Host-misy_sso="), "{cookie}");
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Max-Age=600"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(answer.headers()[header::REFERRER_POLICY], "no-referrer");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn what_a_provider_must_not_say_is_refused_and_the_reason_is_in_the_log() {
    let scene = Scene::build().await;
    let now = scene.house.db.ambient().now().as_second();
    let cases = [
        (json!({"iss": "https://evil.test"}), "token_issuer"),
        (json!({"iss": format!("{}/", scene.liar.issuer)}), "token_issuer"),
        (json!({"aud": "somebody"}), "token_audience"),
        (json!({"aud": null}), "token_audience"),
        (json!({"aud": ["misy", "somebody"]}), "token_audience"),
        (json!({"aud": ["misy", "somebody"], "azp": "somebody"}), "token_audience"),
        (json!({"azp": "somebody"}), "token_audience"),
        (json!({"exp": now - 61}), "token_expired"),
        (json!({"exp": null}), "token_claims"),
        (json!({"exp": "never"}), "token_claims"),
        (json!({"iat": now + 61}), "token_not_yet_valid"),
        (json!({"iat": now - 661}), "token_expired"),
        (json!({"nbf": now + 61}), "token_not_yet_valid"),
        (json!({"nonce": "another"}), "token_nonce"),
        (json!({"nonce": null}), "token_nonce"),
        (json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), "token_at_hash"),
        (json!({"at_hash": 7}), "token_at_hash"),
        (json!({"sub": ""}), "token_claims"),
        (json!({"sub": "x".repeat(256)}), "no_subject"),
        (json!({"email": null}), "no_email"),
    ];
    for (lie, reason) in cases {
        let landed = scene.log_in(lie.clone()).await;
        let (page, error) = landed.split_once('#').expect("a fragment");
        assert_eq!(page, "https://misybot.invalid/app", "{lie}");
        assert!(error.starts_with("sso_error=denied&reference="), "{lie}: {landed}");
        assert_eq!(scene.reason().await, reason, "{lie}");
    }
    assert_eq!(scene.house.count("select count(*) from users where role <> 'owner'").await, 0);
    assert_eq!(scene.house.count("select count(*) from sso_identities").await, 0);
}

#[tokio::test]
async fn within_the_skew_of_clocks_a_login_works() {
    let scene = Scene::build().await;
    let now = scene.house.db.ambient().now().as_second();
    let at_hash = crypto::to_base64url(&crypto::sha256(ACCESS.as_bytes())[..16]);
    for good in [
        json!({"exp": now - 59}),
        json!({"iat": now + 59, "nbf": now + 59}),
        json!({"aud": ["misy", "somebody"], "azp": "misy"}),
        json!({"at_hash": at_hash}),
    ] {
        let landed = scene.log_in(good.clone()).await;
        assert!(landed.contains("#sso_code="), "{good}: {landed}");
    }
}

#[tokio::test]
async fn no_signature_but_the_providers_own_is_believed() {
    let scene = Scene::build().await;
    let (ours, stranger) = (&scene.liar.signer, Signer::new("first"));
    let visit = scene.depart().await;
    let claims = scene.claims(&visit);
    let header = |alg: &str| json!({"alg": alg, "kid": "first", "typ": "JWT"});
    let hmac = |alg: &str| {
        let text = unsigned(&header(alg), &claims);
        let mac = crypto::hmac_sha256(&ours.public_bytes(), text.as_bytes());
        format!("{text}.{}", crypto::to_base64url(&mac))
    };
    let good = ours.sign(&claims);
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let mut other = scene.claims(&visit);
    other["groups"] = json!(["admins"]);
    let own_key = json!({"alg": "RS256", "typ": "JWT", "jwk": stranger.jwk(), "kid": "first"});
    let critical = json!({"alg": "RS256", "kid": "first", "crit": ["exp"]});
    let forged = [
        (format!("{}.", unsigned(&header("none"), &claims)), "token_algorithm"),
        (format!("{}.", unsigned(&header("None"), &claims)), "token_algorithm"),
        (hmac("HS256"), "token_algorithm"),
        (hmac("RS256"), "token_forged"),
        (ours.sign_as(&header("ES256"), &claims), "token_algorithm"),
        (ours.sign_as(&header("PS256"), &claims), "token_algorithm"),
        (stranger.sign(&claims), "token_forged"),
        (stranger.sign_as(&own_key, &claims), "token_forged"),
        (ours.sign_as(&critical, &claims), "token_algorithm"),
        (ours.sign_as(&json!({"alg": "RS256", "typ": "logout+jwt"}), &claims), "token_algorithm"),
        (ours.sign_as(&json!({"alg": "RS256", "typ": "at+jwt"}), &claims), "token_algorithm"),
        (format!("{}.{signature}", unsigned(&header("RS256"), &other)), "token_forged"),
        (format!("{signed}."), "token_forged"),
        (signed.to_owned(), "token_malformed"),
        ("..".to_owned(), "token_malformed"),
        (String::new(), "token_malformed"),
    ];
    for (token, reason) in forged {
        let visit = scene.depart().await;
        let fresh = token.clone();
        scene.liar.gives(&fresh);
        let landed = landing(&scene.come_back(&visit, &scene.back(&visit)).await);
        assert!(landed.contains("#sso_error=denied"), "{token}");
        assert_eq!(scene.reason().await, reason, "{token}");
    }
}

#[tokio::test]
async fn a_key_that_is_made_for_something_else_signs_nothing() {
    let scene = Scene::build().await;
    let published =
        [json!({"use": "enc"}), json!({"alg": "PS256"}), json!({"key_ops": ["wrapKey"]})];
    for (at, change) in published.into_iter().enumerate() {
        let signer = Signer::new(&format!("odd-{at}"));
        let mut jwk = signer.jwk();
        merge(&mut jwk, change.clone());
        scene.liar.said().keys = vec![jwk];
        let visit = scene.depart().await;
        scene.liar.gives(&signer.sign(&scene.claims(&visit)));
        let landed = landing(&scene.come_back(&visit, &scene.back(&visit)).await);
        assert!(landed.contains("#sso_error=denied"), "{change}");
        assert_eq!(scene.reason().await, "token_unknown_key", "{change}");
    }
}

#[tokio::test]
async fn a_new_key_is_looked_for_once_and_invented_names_cost_few_looks() {
    let scene = Scene::build().await;
    assert!(scene.log_in(json!({})).await.contains("#sso_code="));
    let next = Signer::new("second");
    scene.liar.said().keys = vec![next.jwk()];
    let visit = scene.depart().await;
    scene.liar.gives(&next.sign(&scene.claims(&visit)));
    let landed = landing(&scene.come_back(&visit, &scene.back(&visit)).await);
    assert!(landed.contains("#sso_code="), "{landed}");
    assert_eq!(scene.liar.said().fetched, 2, "at the first login and for the new key");
    for at in 0..20 {
        let visit = scene.depart().await;
        scene.liar.gives(&Signer::new(&format!("odd-{at}")).sign(&scene.claims(&visit)));
        assert!(landing(&scene.come_back(&visit, &scene.back(&visit)).await).contains("denied"));
    }
    assert!(scene.liar.said().fetched <= 2 + 5, "{}", scene.liar.said().fetched);
}

#[tokio::test]
async fn a_state_works_once_in_its_own_browser_and_at_its_own_connection() {
    let scene = Scene::build().await;
    let other = connect(&scene.house, &scene.owner, &Liar::start().await, json!({})).await;
    let unknown = (400, "auth.sso_failed".to_owned());
    let refusal = |answer: http::Response<String>| {
        let body: Value = serde_json::from_str(answer.body()).expect("JSON");
        (answer.status().as_u16(), body["code"].as_str().expect("a code").to_owned())
    };
    let visit = scene.depart().await;
    scene.liar.gives(&scene.liar.signer.sign(&scene.claims(&visit)));
    let query = scene.back(&visit);
    let elsewhere = come_back(&scene.house, &other, Some(&visit.cookie), &query).await;
    assert_eq!(refusal(elsewhere), unknown, "another connection");
    assert!(landing(&scene.come_back(&visit, &query).await).contains("#sso_code="));
    assert_eq!(refusal(scene.come_back(&visit, &query).await), unknown, "a second time");
    let (first, second) = (scene.depart().await, scene.depart().await);
    let query = scene.back(&first);
    let cookie = Some(second.cookie.as_str());
    let wrong = come_back(&scene.house, &scene.connection, cookie, &query).await;
    assert_eq!(refusal(wrong), unknown, "another browser");
    assert_eq!(scene.reason().await, "other_browser");
    assert_eq!(refusal(scene.come_back(&first, &query).await), unknown, "after another browser");
    let none = come_back(&scene.house, &scene.connection, None, &scene.back(&second)).await;
    assert_eq!(refusal(none), unknown, "no browser");
    let late = scene.depart().await;
    scene.house.clock.advance_ms(600_000);
    assert_eq!(refusal(scene.come_back(&late, &scene.back(&late)).await), unknown, "too late");
    let made_up = [("state", "x".to_owned()), ("code", "c".to_owned())];
    let answer = come_back(&scene.house, &scene.connection, Some(&late.cookie), &made_up).await;
    assert_eq!(refusal(answer), unknown, "made up");
}

#[tokio::test]
async fn an_answer_of_another_provider_is_not_taken_for_this_ones() {
    let scene = Scene::build().await;
    for iss in [Some("https://honest.example"), None] {
        let visit = scene.depart().await;
        scene.liar.gives(&scene.liar.signer.sign(&scene.claims(&visit)));
        let mut query = vec![("state", visit.state.clone()), ("code", "c1".to_owned())];
        query.extend(iss.map(|iss| ("iss", iss.to_owned())));
        let before = scene.liar.said().redeemed.len();
        let landed = landing(&scene.come_back(&visit, &query).await);
        assert!(landed.contains("#sso_error=denied"), "{iss:?}");
        assert_eq!(scene.reason().await, "other_provider", "{iss:?}");
        assert_eq!(scene.liar.said().redeemed.len(), before, "the code must go nowhere: {iss:?}");
    }
}

#[tokio::test]
async fn a_parameter_that_comes_twice_voids_the_answer() {
    let scene = Scene::build().await;
    let visit = scene.depart().await;
    let mut query = scene.back(&visit);
    query.push(("code", "c2".to_owned()));
    let answer = scene.come_back(&visit, &query).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{}", answer.body());
    assert!(scene.liar.said().redeemed.is_empty());
}

#[tokio::test]
async fn what_the_provider_refuses_ends_the_login() {
    let scene = Scene::build().await;
    let visit = scene.depart().await;
    let mut query = scene.back(&visit);
    query.push(("error", "access_denied".to_owned()));
    let landed = landing(&scene.come_back(&visit, &query).await);
    assert!(landed.contains("#sso_error=denied"), "{landed}");
    assert_eq!(scene.reason().await, "provider_refused");
    let visit = scene.depart().await;
    scene.liar.said().tokens = (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}));
    assert!(landing(&scene.come_back(&visit, &scene.back(&visit)).await).contains("denied"));
    assert_eq!(scene.reason().await, "code_refused");
}

#[tokio::test]
async fn a_code_works_once_soon_and_with_its_verifier() {
    let scene = Scene::build().await;
    let refused = (400, "auth.sso_failed".to_owned());
    let code = async || {
        let landed = scene.log_in(json!({})).await;
        landed.split_once("#sso_code=").unwrap_or_else(|| panic!("{landed}")).1.to_owned()
    };
    let first = code().await;
    assert_eq!(exchange(&scene.house, &first, Some(CHALLENGE)).await.refusal(), refused);
    assert_eq!(exchange(&scene.house, &first, Some(VERIFIER)).await.refusal(), refused);
    assert_eq!(exchange(&scene.house, &code().await, None).await.refusal(), refused);
    let good = code().await;
    Pair::of(&exchange(&scene.house, &good, Some(VERIFIER)).await);
    assert_eq!(exchange(&scene.house, &good, Some(VERIFIER)).await.refusal(), refused);
    let late = code().await;
    scene.house.clock.advance_ms(60_000);
    assert_eq!(exchange(&scene.house, &late, Some(VERIFIER)).await.refusal(), refused);
    for text in ["", "mbc_", "mbc_00000000000000000000000000", "eyJ"] {
        assert_eq!(exchange(&scene.house, text, Some(VERIFIER)).await.refusal(), refused);
    }
}

/// Writes the tenant's row, with a page of its own.
async fn with_page(house: &House, page: &str) {
    let row = format!(
        "insert into tenants (id, slug, site_id, name, status, plan, locale, time_zone, brand)
         select tenant_id, 'acme', 'site', 'Acme', 'active', 'trial', 'en', 'UTC',
            jsonb_build_object('app_url', '{page}') from realms where slug = 'acme'"
    );
    house.alter(&row).await;
}

/// What a start is answered that wants to come back there.
async fn start(scene: &Scene, return_to: &str) -> StatusCode {
    let path = format!(
        "/v1/auth/oidc/{}/start?code_challenge={CHALLENGE}&return_to={return_to}",
        scene.connection
    );
    scene.house.send("GET", &path, None, None).await.status
}

#[tokio::test]
async fn a_login_comes_back_to_the_tenants_own_page_while_its_domain_is_verified() {
    const PAGE: &str = "https://chat.acme.example/in";
    let scene = Scene::build().await;
    let house = &scene.house;
    with_page(house, PAGE).await;
    assert_eq!(start(&scene, PAGE).await, StatusCode::UNPROCESSABLE_ENTITY, "not verified yet");
    let domain = house.post("/v1/domains", &scene.owner, json!({"name": "acme.example"})).await;
    let record = domain.json()["record"].clone();
    let text = |field: &str| record[field].as_str().expect("text").to_owned();
    house.names.publish(&text("name"), &text("value"));
    let path = format!("/v1/domains/{}", domain.text("id"));
    let verified = house.send("POST", &format!("{path}/verify"), Some(&scene.owner), None).await;
    assert_eq!(verified.status, StatusCode::OK, "{}", verified.body);
    for foreign in ["https://www.acme.example/", "http://chat.acme.example/", "//chat.acme.example"]
    {
        assert_eq!(start(&scene, foreign).await.as_u16(), 422, "{foreign}");
    }
    let visit = depart(house, &scene.connection, PAGE).await;
    scene.liar.gives(&scene.liar.signer.sign(&scene.claims(&visit)));
    let landed = landing(&scene.come_back(&visit, &scene.back(&visit)).await);
    let code = landed.strip_prefix("https://chat.acme.example/in#sso_code=").expect("its page");
    let pair = Pair::of(&exchange(house, code, Some(VERIFIER)).await);
    let body = json!({"return_to": "https://chat.acme.example/bye"});
    let out = house.post("/v1/auth/sso/logout", &pair.access, body).await;
    assert!(out.text("logout_url").contains("https%3A%2F%2Fchat.acme.example%2Fbye"));
    assert_eq!(house.delete(&path, &scene.owner).await.status, StatusCode::NO_CONTENT);
    assert_eq!(start(&scene, PAGE).await.as_u16(), 422, "the domain is gone");
}

#[tokio::test]
async fn no_login_leads_to_another_host() {
    let scene = Scene::build().await;
    let foreign = [
        "https://evil.test/",
        "//evil.test/",
        "/%5Cevil.test",
        "%5C/evil.test",
        "javascript:alert(1)",
        "app",
        "/a%23sso_code=mine",
        "/a%0d%0aLocation:%20https://evil.test",
    ];
    for return_to in foreign {
        let path = format!(
            "/v1/auth/oidc/{}/start?code_challenge={CHALLENGE}&return_to={return_to}",
            scene.connection
        );
        let answer = scene.house.send("GET", &path, None, None).await;
        assert_eq!(answer.refusal(), (422, "request.invalid".to_owned()), "{return_to}");
    }
    for challenge in ["", "short", VERIFIER.get(..42).expect("ASCII")] {
        let path = format!("/v1/auth/oidc/{}/start?code_challenge={challenge}", scene.connection);
        assert_eq!(scene.house.send("GET", &path, None, None).await.status.as_u16(), 422);
    }
}

#[tokio::test]
async fn a_connection_that_is_switched_off_or_not_there_begins_and_ends_nothing() {
    let scene = Scene::build().await;
    let visit = scene.depart().await;
    scene.liar.gives(&scene.liar.signer.sign(&scene.claims(&visit)));
    let path = format!("/v1/sso-connections/{}", scene.connection);
    let off = scene.house.patch(&path, &scene.owner, json!({"status": "disabled"})).await;
    assert_eq!(off.status, StatusCode::OK, "{}", off.body);
    let landed = landing(&scene.come_back(&visit, &scene.back(&visit)).await);
    assert!(landed.contains("#sso_error=denied"), "{landed}");
    assert_eq!(scene.reason().await, "disabled");
    let start = |id: &str| format!("/v1/auth/oidc/{id}/start?code_challenge={CHALLENGE}");
    let disabled = scene.house.send("GET", &start(&scene.connection), None, None).await;
    let absent = "sso_01k8zq5m3ge0r8v0w1x2y3z4a5";
    let absent = scene.house.send("GET", &start(absent), None, None).await;
    assert_eq!(disabled.without_instance(), absent.without_instance());
    assert_eq!(absent.refusal(), (404, "request.not_found".to_owned()));
}

#[tokio::test]
async fn a_person_is_recognised_by_subject_and_by_a_vouched_for_address() {
    let scene = Scene::build().await;
    let first = scene.session(json!({})).await;
    let id = async |pair: &Pair| scene.house.get("/v1/auth/me", &pair.access).await.text("id");
    let ana = id(&first).await;
    let renamed = json!({"email": "ana.other@acme.example", "groups": []});
    let again = scene.session(renamed).await;
    assert_eq!(id(&again).await, ana, "the address may change, the subject does not");
    let me = scene.house.get("/v1/auth/me", &again.access).await;
    assert_eq!(me.text("role"), "viewer", "groups are asked anew at every login");
    assert!(!scene.house.lets_in(&first.access).await, "tokens with the old role are dead");
    let (bo, _) = scene.house.person("acme", "supervisor").await;
    let address = json!({"sub": "bo-1", "email": "supervisor@acme.example", "groups": ["support"]});
    let mut unverified = address.clone();
    unverified["email_verified"] = json!(false);
    assert!(scene.log_in(unverified).await.contains("denied"));
    assert_eq!(scene.reason().await, "email_not_verified");
    assert!(scene.log_in(address.clone()).await.contains("denied"));
    assert_eq!(scene.reason().await, "domain_not_verified");
    scene
        .house
        .alter(
            "insert into domains (tenant_id, id, name, token, verified_at, created_at)
         select tenant_id, gen_random_uuid(), 'acme.example', 't', now(), now() from realms",
        )
        .await;
    let linked = scene.session(address).await;
    assert_eq!(id(&linked).await, bo);
}

#[tokio::test]
async fn nobody_becomes_an_owner_and_no_owner_comes_in_this_way() {
    let scene = Scene::build().await;
    scene
        .house
        .alter(
            "insert into domains (tenant_id, id, name, token, verified_at, created_at)
         select tenant_id, gen_random_uuid(), 'acme.example', 't', now(), now() from realms",
        )
        .await;
    let owner = json!({"sub": "boss", "email": "owner@acme.example"});
    assert!(scene.log_in(owner).await.contains("denied"));
    assert_eq!(scene.reason().await, "above_ceiling");
}

#[tokio::test]
async fn more_claims_are_asked_from_the_provider_and_count_only_for_the_same_person() {
    let scene = Scene::with(json!({"settings": {"userinfo": true}})).await;
    let thin = json!({"email": null, "email_verified": null, "groups": null, "name": null});
    scene.liar.said().userinfo = json!({"sub": "somebody else", "email": "eve@evil.test"});
    assert!(scene.log_in(thin.clone()).await.contains("denied"));
    assert_eq!(scene.reason().await, "userinfo_failed");
    scene.liar.said().userinfo = json!({"sub": "ana-1", "email": "ana@acme.example",
        "email_verified": true, "groups": ["support"], "iss": "https://evil.test"});
    let pair = scene.session(thin).await;
    assert_eq!(scene.house.get("/v1/auth/me", &pair.access).await.text("role"), "agent");
}

#[tokio::test]
async fn a_provider_that_describes_another_one_is_not_used() {
    let scene = Scene::build().await;
    scene.liar.said().metadata["issuer"] = json!("https://honest.example");
    let path = format!("/v1/auth/oidc/{}/start?code_challenge={CHALLENGE}", scene.connection);
    let answer = scene.house.send("GET", &path, None, None).await;
    assert_eq!(answer.refusal(), (503, "server.unavailable".to_owned()));
    let path = format!("/v1/sso-connections/{}/test", scene.connection);
    let tested = scene.house.post(&path, &scene.owner, json!({})).await;
    let check = &tested.json()["checks"][0];
    assert_eq!((&check["name"], &check["ok"]), (&json!("discovery"), &json!(false)));
    let why = check["detail"].as_str().expect("a sentence");
    assert!(why.contains("names another issuer"), "{why}");
}

#[tokio::test]
async fn other_ways_of_proving_who_we_are_work_too() {
    let post = json!({"settings": {"token_auth": "client_secret_post"}});
    let scene = Scene::with(post).await;
    scene.session(json!({})).await;
    let (proof, form) = scene.liar.said().redeemed[0].clone();
    assert!(proof.is_none() && form.contains("client_secret=a+secret%2Bof%2Fours"), "{form}");
    let public = json!({"settings": {"token_auth": "none"}, "secrets": {}});
    let scene = Scene::with(public).await;
    scene.session(json!({})).await;
    let (proof, form) = scene.liar.said().redeemed[0].clone();
    assert!(proof.is_none() && !form.contains("secret") && form.contains("client_id=misy"));
}

#[tokio::test]
async fn what_a_login_leaves_in_the_log_tells_who_came_and_nothing_of_the_person() {
    let scene = Scene::build().await;
    let pair = scene.session(json!({})).await;
    let id = scene.house.get("/v1/auth/me", &pair.access).await.text("id");
    let sql = "select detail::text from audit_records where action = 'sso.login'";
    let detail: Value = serde_json::from_str(&scene.house.text(sql).await).expect("JSON");
    assert_eq!((&detail["user"], &detail["by"]), (&json!(id), &json!("added")));
    assert_eq!((&detail["role"], &detail["amr"]), (&json!("agent"), &json!(["pwd"])));
    let personal =
        "select count(*) from audit_records where detail::text ~ 'acme.example|ana-1|Roy'";
    assert_eq!(scene.house.count(personal).await, 0);
}

#[tokio::test]
async fn nothing_that_would_finish_a_login_is_kept_in_the_clear() {
    let scene = Scene::build().await;
    let visit = scene.depart().await;
    let landed = scene.log_in(json!({})).await;
    let code = landed.split_once("#sso_code=").expect("lands").1.to_owned();
    let cookie = visit.cookie.split_once('=').expect("a value").1.to_owned();
    for secret in [&visit.state, &visit.nonce, &cookie, &code, &code[30..].to_owned()] {
        let sql =
            format!("select count(*) from sso_logins where sso_logins::text like '%{secret}%'");
        assert_eq!(scene.house.count(&sql).await, 0);
    }
    let tokens = "select count(*) from sso_logins where position('eyJ'::bytea in id_token) > 0";
    assert_eq!(scene.house.count(tokens).await, 0, "sealed under the tenant's key");
}

#[tokio::test]
async fn another_tenant_can_not_finish_a_login_or_reach_its_connection() {
    let scene = Scene::build().await;
    scene.house.tenant("rival").await;
    let rival = scene.house.owner("rival").await;
    let theirs = connect(&scene.house, &rival, &scene.liar, json!({})).await;
    let visit = scene.depart().await;
    scene.liar.gives(&scene.liar.signer.sign(&scene.claims(&visit)));
    let query = scene.back(&visit);
    let answer = come_back(&scene.house, &theirs, Some(&visit.cookie), &query).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{}", answer.body());
    let landed = landing(&scene.come_back(&visit, &query).await);
    let code = landed.split_once("#sso_code=").expect("the right one goes on").1;
    let pair = Pair::of(&exchange(&scene.house, code, Some(VERIFIER)).await);
    let me = scene.house.get("/v1/auth/me", &pair.access).await.json();
    assert_eq!(me["tenant"]["slug"], "acme");
    let switched =
        crate::exchanges::exchange(&scene.house, &pair.access, json!({"audience": "rival"}));
    let told = crate::exchanges::oauth(&switched.await);
    assert_eq!(told, (400, "invalid_target".to_owned()), "a provider speaks for one tenant");
}

#[tokio::test]
async fn a_connection_that_goes_ends_no_session() {
    let scene = Scene::build().await;
    let pair = scene.session(json!({})).await;
    let path = format!("/v1/sso-connections/{}", scene.connection);
    scene.house.patch(&path, &scene.owner, json!({"status": "disabled"})).await;
    assert!(scene.house.lets_in(&pair.access).await, "sessions go on");
    assert_eq!(scene.house.delete(&path, &scene.owner).await.status, StatusCode::NO_CONTENT);
    assert!(scene.house.lets_in(&pair.access).await);
    let sql = "select count(*) from sso_identities";
    assert_eq!(scene.house.count(sql).await, 0, "what the provider called people is forgotten");
}
