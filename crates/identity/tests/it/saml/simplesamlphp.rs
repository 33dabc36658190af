//! Room `identity`: whole logins and logouts at `SimpleSAMLphp`, which knows us by our metadata as
//! we know it by its own. It signs, encrypts, remembers who signed in and ends it everywhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use misy_egress::Answer;
use misy_testkit::SamlProvider;
use serde_json::{Value, json};

use super::{ISSUER, Key, Posted, Scene};
use crate::browser::{Browser, Online, location};

const SSO: &str = "saml2/idp/SSOService.php";

/// What the form for name and password carries, if this is it.
fn auth_state(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("name=\"AuthState\" value=\"")?;
    Some(rest.split_once('"')?.0.replace("&amp;", "&"))
}

/// The provider of a company, the connection to it, and what the provider was told.
struct Company {
    scene: Scene,
    provider: SamlProvider,
    folder: tempfile::TempDir,
    options: Value,
}

impl Company {
    /// With this key, and each side knowing the other by its metadata.
    async fn start(key: &Key) -> Self {
        let scene =
            Scene::connect(Online::start().await, "http://127.0.0.1:9/sso", key, json!({})).await;
        let path = format!("/v1/sso-connections/{}/saml-key", scene.connection);
        let made = scene.online.house.send("POST", &path, Some(&scene.owner), None).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("temp")).expect("made");
        let metadata = Browser::new().get(&scene.url("metadata")).await.body;
        std::fs::write(folder.path().join("sp.xml"), &metadata).expect("written");
        let ana = json!({"uid": ["ana-1"], "mail": ["ana@acme.example"],
            "displayName": ["Ana Roy"], "memberOf": ["support", "leads"]});
        let options = json!({
            "issuer": ISSUER, "key": key.path("key.pem"), "cert": key.path("cert.pem"),
            "sign_response": false, "encrypt": false, "people": {"ana:secret": ana},
            "metadata": folder.path().join("sp.xml"), "other_acs": scene.url("acs"),
        });
        let file = folder.path().join("options.json");
        std::fs::write(&file, options.to_string()).expect("written");
        let provider = SamlProvider::php(&file).await;
        let company = Self { scene, provider, folder, options };
        company.learn().await;
        company
    }

    /// Tells the provider something else, from its next answer on.
    fn tell(&mut self, other: &Value) {
        for (name, value) in other.as_object().into_iter().flatten() {
            self.options[name] = value.clone();
        }
        // In one step: it may be reading.
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("options.json"));
        std::fs::write(&new, self.options.to_string()).expect("written");
        std::fs::rename(&new, &file).expect("replaced");
    }

    /// Reads the provider's metadata into the connection; gives the settings.
    async fn learn(&self) -> Value {
        let page = Browser::new().get(&self.url("saml2/idp/metadata.php")).await;
        let xml = String::from_utf8_lossy(&page.body).into_owned();
        let (house, owner) = (&self.scene.online.house, &self.scene.owner);
        let read = house.post("/v1/sso-connections/read-saml-metadata", owner, json!({"xml": xml}));
        let read = read.await;
        assert_eq!(read.status, 200, "{} {xml}", read.body);
        self.settle(read.json()).await;
        read.json()
    }

    async fn settle(&self, settings: Value) {
        let path = format!("/v1/sso-connections/{}", self.scene.connection);
        let (house, body) = (&self.scene.online.house, json!({"settings": settings}));
        let changed = house.patch(&path, &self.scene.owner, body).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.provider.base)
    }

    /// Goes where the provider leads, and fills in its form if it asks who one is.
    async fn through(&self, browser: &mut Browser, answer: Answer, from: &str) -> String {
        let (mut here, mut answer) = (from.to_owned(), answer);
        for _ in 0..8 {
            let page = String::from_utf8_lossy(&answer.body).into_owned();
            if answer.status.is_redirection() {
                here = location(&answer, &here);
                answer = browser.get(&here).await;
            } else if let Some(state) = auth_state(&page) {
                let form = [("AuthState", &*state), ("username", "ana"), ("password", "secret")];
                here = here.split('?').next().expect("a place").to_owned();
                answer = browser.post(&here, &form).await;
            } else {
                return page;
            }
        }
        panic!("went round and round, at last to {here}");
    }

    /// Begins a login here and signs in there.
    async fn sign_in(&self, browser: &mut Browser) -> Posted {
        let url = self.scene.depart(browser).await;
        assert!(url.starts_with(&format!("{}?SAMLRequest=", self.url(SSO))), "{url}");
        let answer = browser.get(&url).await;
        Posted::of(&self.through(browser, answer, &url).await)
    }

    /// A whole login; gives where it leads.
    async fn land(&self, browser: &mut Browser) -> String {
        let posted = self.sign_in(browser).await;
        self.scene.land(browser, &posted).await
    }

    /// Why somebody who signs in there does not get in here, if they do not.
    async fn refusal(&self) -> Option<String> {
        let landed = self.land(&mut Browser::new()).await;
        if landed.contains("#sso_error") {
            return Some(self.scene.refusal(&landed).await);
        }
        self.scene.redeem(&landed).await;
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_at_simplesamlphp_by_metadata_alone_and_is_known_again() {
    let key = Key::make();
    let mut company = Company::start(&key).await;
    let mut seen = Vec::new();
    for sign_response in [false, true] {
        company.tell(&json!({"sign_response": sign_response}));
        let mut browser = Browser::new();
        // The second time the provider knows the browser and asks nothing.
        for _ in 0..2 {
            let pair = company.scene.redeem(&company.land(&mut browser).await).await;
            let me = company.scene.online.house.get("/v1/auth/me", &pair.access).await;
            assert_eq!(me.text("email"), "ana@acme.example");
            assert_eq!((me.text("name"), me.text("role")), ("Ana Roy".into(), "agent".into()));
            seen.push(me.text("id"));
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "always the same person");
    company.tell(&json!({"people": {"ana:another": {"uid": ["ana-1"]}}}));
    let mut browser = Browser::new();
    let url = company.scene.depart(&mut browser).await;
    let form = location(&browser.get(&url).await, &url);
    let page = browser.get(&form).await;
    let state = auth_state(&String::from_utf8_lossy(&page.body)).expect("it asks");
    let form = [("AuthState", &*state), ("username", "ana"), ("password", "secret")];
    let page = browser.post(&company.url("module.php/core/loginuserpass.php"), &form).await;
    assert!(!String::from_utf8_lossy(&page.body).contains("SAMLResponse"), "no answer at all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_at_simplesamlphp_is_signed_out_here_and_it_believes_our_answer() {
    let key = Key::make();
    let company = Company::start(&key).await;
    let house = &company.scene.online.house;
    let (mut browser, mut other) = (Browser::new(), Browser::new());
    let pair = company.scene.redeem(&company.land(&mut browser).await).await;
    let elsewhere = company.scene.redeem(&company.land(&mut other).await).await;
    assert!(house.lets_in(&pair.access).await && house.lets_in(&elsewhere.access).await);

    let bye = company.url("bye");
    let mut here = company.url(&format!("saml2/idp/SingleLogoutService.php?ReturnTo={bye}"));
    let mut places = Vec::new();
    while here != bye {
        let answer = browser.get(&here).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status.is_redirection(), "{here}: {} {text}", answer.status);
        places.push(here.clone());
        here = location(&answer, &here);
    }
    let ours = places.iter().position(|place| place.starts_with(&company.scene.url("slo")));
    let ours = ours.unwrap_or_else(|| panic!("it told us: {places:?}"));
    assert!(places[ours + 1].contains("SAMLResponse="), "we answered: {places:?}");
    assert!(places[ours + 1].contains("&Signature="), "signed, which it is told to check");
    assert!(!house.lets_in(&pair.access).await);
    assert_eq!(house.try_refresh(&pair.refresh).await.refusal().0, 401);
    assert!(house.lets_in(&elsewhere.access).await, "the login in the other browser stays");
    assert_eq!(browser.get(&places[ours]).await.status, 400, "it works once");
}

/// It encrypts with CBC, which can be changed unseen unless what is around it is signed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_simplesamlphp_encrypts_opens_here_if_the_response_around_it_is_signed() {
    let key = Key::make();
    let mut company = Company::start(&key).await;
    for (sign_response, refusal) in [(true, None), (false, Some("saml_unsigned"))] {
        company.tell(&json!({"encrypt": true, "sign_response": sign_response}));
        let mut browser = Browser::new();
        let posted = company.sign_in(&mut browser).await;
        let text = posted.text();
        assert!(text.contains("EncryptedAssertion") && text.contains("aes128-cbc"), "{text}");
        assert!(!text.contains("ana@acme.example"), "nobody on the way reads it");
        let landed = company.scene.land(&mut browser, &posted).await;
        match refusal {
            Some(expected) => assert_eq!(company.scene.refusal(&landed).await, expected),
            None => drop(company.scene.redeem(&landed).await),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_simplesamlphp_works_once_in_time_in_one_browser_for_one_login() {
    let key = Key::make();
    let company = Company::start(&key).await;
    let (scene, mut browser) = (&company.scene, Browser::new());
    let posted = company.sign_in(&mut browser).await;
    let stolen = scene.come_back(&mut Browser::new(), &posted).await;
    assert_eq!(stolen.status, 400, "{}", String::from_utf8_lossy(&stolen.body));

    let fresh = company.sign_in(&mut browser).await;
    scene.redeem(&scene.land(&mut browser, &fresh).await).await;
    assert_eq!(scene.come_back(&mut browser, &fresh).await.status, 400, "the login is over");
    let next = company.sign_in(&mut browser).await;
    let spliced = Posted { message: fresh.message, ..next };
    let landed = scene.land(&mut browser, &spliced).await;
    assert_eq!(scene.refusal(&landed).await, "saml_in_response_to");

    let late = company.sign_in(&mut browser).await;
    scene.online.house.clock.advance_ms(7 * 60_000);
    let landed = scene.land(&mut browser, &late).await;
    assert_eq!(scene.refusal(&landed).await, "saml_expired");
}

/// A request of another service of the company that has the answer brought to us: the provider,
/// which knows both, signs an honest assertion for the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_simplesamlphp_signs_for_another_service_or_in_another_name_lets_nobody_in() {
    let key = Key::make();
    let mut company = Company::start(&key).await;
    let mut settings = company.learn().await;
    settings["sso_by_post"] = json!(true);
    company.settle(settings.clone()).await;
    for (issuer, expected) in [
        (company.scene.url("metadata"), None),
        ("urn:another-service".into(), Some("saml_audience")),
    ] {
        let mut browser = Browser::new();
        let path = format!("start?code_challenge={}&return_to=/app", crate::oidc::CHALLENGE);
        let answer = browser.get(&company.scene.url(&path)).await;
        let page = String::from_utf8_lossy(&answer.body).replace("SAMLRequest", "SAMLResponse");
        let ours = Posted::of(&page);
        let asked = ours.text().replace(&company.scene.url("metadata"), &issuer);
        let message = STANDARD.encode(&asked);
        let form = [("SAMLRequest", &*message), ("RelayState", &*ours.relay_state)];
        let answer = browser.post(&company.url(SSO), &form).await;
        let page = company.through(&mut browser, answer, &company.url(SSO)).await;
        let landed = company.scene.land(&mut browser, &Posted::of(&page)).await;
        match expected {
            Some(expected) => assert_eq!(company.scene.refusal(&landed).await, expected),
            None => drop(company.scene.redeem(&landed).await),
        }
    }
    settings["sso_by_post"] = json!(false);
    company.settle(settings).await;
    company.tell(&json!({"issuer": "https://idp.example/other"}));
    assert_eq!(company.refusal().await.as_deref(), Some("saml_issuer"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_simplesamlphp_announces_and_then_signs_with_needs_no_pause() {
    let (old, new) = (Key::make(), Key::make());
    let mut company = Company::start(&old).await;
    let announced = json!({"next_key": new.path("key.pem"), "next_cert": new.path("cert.pem")});
    company.tell(&announced);
    assert_eq!(company.refusal().await, None, "the old key still signs");
    let known = company.learn().await;
    assert_eq!(known["certificates"].as_array().map(Vec::len), Some(2), "{known}");
    assert_eq!(company.refusal().await, None);

    let rotated = json!({"key": new.path("key.pem"), "cert": new.path("cert.pem"),
        "next_key": null, "next_cert": null});
    company.tell(&rotated);
    assert_eq!(company.refusal().await, None, "nothing had to happen at that moment");
    let known = company.learn().await;
    assert_eq!(known["certificates"].as_array().map(Vec::len), Some(1), "{known}");
    assert_eq!(company.refusal().await, None);
    company.tell(&json!({"key": old.path("key.pem"), "cert": old.path("cert.pem")}));
    assert_eq!(company.refusal().await.as_deref(), Some("saml_signature"), "it is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_begins_at_simplesamlphp_is_refused_unless_it_may_and_works_once() {
    let key = Key::make();
    let company = Company::start(&key).await;
    let entity = company.scene.url("metadata");
    let url = company.url(&format!("{SSO}?spentityid={entity}&RelayState=/app"));
    let mut browser = Browser::new();
    let answer = browser.get(&url).await;
    let posted = Posted::of(&company.through(&mut browser, answer, &url).await);
    assert!(!posted.text().contains("InResponseTo"), "nobody asked");
    assert_eq!(company.scene.come_back(&mut browser, &posted).await.status, 400);
    let mut settings = company.learn().await;
    settings["idp_initiated"] = json!(true);
    company.settle(settings).await;
    company.scene.redeem(&company.scene.land(&mut browser, &posted).await).await;
    let landed = company.scene.land(&mut Browser::new(), &posted).await;
    assert_eq!(company.scene.refusal(&landed).await, "saml_replayed");
}
