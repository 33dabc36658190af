//! Room `identity`: whole logins over sockets at a provider of others, `oidc-provider` of npm.

use http::StatusCode;
use misy_testkit::OidcProvider;
use serde_json::{Value, json};

use crate::browser::{Browser, Online};
use crate::house::Pair;
use crate::oidc::{CHALLENGE, VERIFIER, exchange};

/// The program and a provider that know each other, and somebody with a browser.
struct Town {
    program: Online,
    provider: OidcProvider,
    connection: String,
    browser: Browser,
}

impl Town {
    async fn build(settings: Value, claims_in_id_token: bool) -> Self {
        let (program, mut provider) = (Online::start().await, OidcProvider::start().await);
        program.house.tenant("acme").await;
        let owner = program.house.owner("acme").await;
        let mut all = json!({"issuer": provider.issuer, "client_id": "misy",
            "scopes": ["openid", "email", "profile"]});
        for (name, value) in settings.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let body = json!({
            "kind": "oidc", "name": "provider", "jit": true, "settings": all,
            "secrets": {"client_secret": "of the test"}, "default_role": "viewer",
            "role_mapping": [{"group": "support", "role": "agent"}],
        });
        let made = program.house.post("/v1/sso-connections", &owner, body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let connection = made.text("id");
        let ours = format!("{}/v1/auth/oidc/{connection}", program.base);
        let clients = json!([{
            "client_id": "misy", "client_secret": "of the test",
            "redirect_uris": [made.text("callback_url")],
            "post_logout_redirect_uris": [format!("{}/bye", program.base)],
            "backchannel_logout_uri": format!("{ours}/backchannel-logout"),
            "backchannel_logout_session_required": true,
        }]);
        let accounts = json!({"ana": {"email": "ana@acme.example", "email_verified": true,
            "name": "Ana Roy", "groups": ["support", "all"]}});
        provider.configure(clients, accounts, claims_in_id_token).await;
        Self { program, provider, connection, browser: Browser::new() }
    }

    /// Goes through the login; gives where it lands.
    async fn log_in(&mut self) -> String {
        let start = format!(
            "{}/v1/auth/oidc/{}/start?code_challenge={CHALLENGE}&return_to=/app",
            self.program.base, self.connection
        );
        let answer = self.browser.get(&start).await;
        let ours = format!("{}/app", self.program.base);
        self.browser.follow(answer, &start, &ours).await
    }

    async fn session(&mut self) -> Pair {
        let landed = self.log_in().await;
        let code = landed.split_once("#sso_code=").unwrap_or_else(|| panic!("{landed}")).1;
        Pair::of(&exchange(&self.program.house, code, Some(VERIFIER)).await)
    }

    async fn me(&self, pair: &Pair) -> Value {
        self.program.house.get("/v1/auth/me", &pair.access).await.json()
    }
}

#[tokio::test]
async fn somebody_new_signs_in_with_the_role_of_their_group() {
    let mut town = Town::build(json!({}), true).await;
    let pair = town.session().await;
    let me = town.me(&pair).await;
    assert_eq!((&me["email"], &me["name"]), (&json!("ana@acme.example"), &json!("Ana Roy")));
    assert_eq!((&me["role"], &me["tenant"]["slug"]), (&json!("agent"), &json!("acme")));
    let again = town.session().await;
    assert_eq!(town.me(&again).await["id"], me["id"]);
    let sql = "select count(*) from users where email = 'ana@acme.example'";
    assert_eq!(town.program.house.count(sql).await, 1);
}

#[tokio::test]
async fn claims_that_only_the_userinfo_endpoint_gives_are_asked_for() {
    let mut town = Town::build(json!({"userinfo": true}), false).await;
    let pair = town.session().await;
    assert_eq!(town.me(&pair).await["role"], "agent");
    let mut town = Town::build(json!({}), false).await;
    let landed = town.log_in().await;
    assert!(landed.contains("#sso_error=denied"), "no address without it: {landed}");
}

#[tokio::test]
async fn a_provider_may_change_its_keys_while_people_sign_in() {
    let mut town = Town::build(json!({}), true).await;
    let first = town.session().await;
    town.provider.rotate(true).await;
    let second = town.session().await;
    town.provider.rotate(false).await;
    let third = town.session().await;
    for pair in [&first, &second, &third] {
        assert!(town.program.house.lets_in(&pair.access).await);
    }
}

#[tokio::test]
async fn signing_out_here_leads_through_the_provider_and_back() {
    let mut town = Town::build(json!({}), true).await;
    let pair = town.session().await;
    let (base, house) = (town.program.base.clone(), &town.program.house);
    let body = json!({"return_to": "/bye"});
    let answer = house.post("/v1/auth/sso/logout", &pair.access, body).await;
    let url = answer.text("logout_url");
    let left = town.browser.get(&url).await;
    let page = town.browser.sign_out(left, &url).await;
    let landed = town.browser.follow(page, &url, &format!("{base}/bye")).await;
    assert!(landed.starts_with(&format!("{base}/bye")), "{landed}");
    assert!(!town.program.house.lets_in(&pair.access).await);
}

#[tokio::test]
async fn two_browsers_of_one_person_sign_out_one_by_one() {
    let mut town = Town::build(json!({}), true).await;
    let here = town.session().await;
    let elsewhere = std::mem::replace(&mut town.browser, Browser::new());
    let there = town.session().await;
    town.browser = elsewhere;
    // Signing out at the provider itself: nobody tells us but its back channel.
    let url = format!("{}/session/end", town.provider.issuer);
    let left = town.browser.get(&url).await;
    town.browser.sign_out(left, &url).await;
    assert!(!town.program.house.lets_in(&here.access).await, "ended by the back channel");
    assert!(town.program.house.lets_in(&there.access).await, "another session goes on");
}
