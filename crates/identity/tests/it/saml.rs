//! Room `identity`: sign-in at SAML providers of others, over HTTP: `saml-idp`, `pysaml2` and
//! `SimpleSAMLphp`.

mod connecting;
mod lying;
mod providers;
mod simplesamlphp;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use misy_egress::Answer;
use misy_saml::KeyPair;
use serde_json::{Value, json};

use crate::browser::{Browser, Online, location};
use crate::house::Pair;
use crate::oidc::{CHALLENGE, VERIFIER};

pub(crate) const ISSUER: &str = "https://idp.example/metadata";

/// The key of a provider, on disk for it.
pub(crate) struct Key {
    pub(crate) pair: KeyPair,
    folder: tempfile::TempDir,
}

impl Key {
    pub(crate) fn make() -> Self {
        let pair = KeyPair::generate("idp").expect("a key");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("key.pem"), pair.private.expose()).expect("written");
        std::fs::write(folder.path().join("cert.pem"), &pair.certificate).expect("written");
        Self { pair, folder }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }
}

/// The program, and a connection of the tenant `acme`.
pub(crate) struct Scene {
    pub(crate) online: Online,
    pub(crate) owner: String,
    pub(crate) connection: String,
}

/// What a provider has the browser post.
#[derive(Clone)]
pub(crate) struct Posted {
    pub(crate) message: String,
    pub(crate) relay_state: String,
}

impl Posted {
    /// The fields of the form that a provider's page holds.
    pub(crate) fn of(page: &str) -> Self {
        let field = |name: &str| {
            let (_, rest) = page.split_once(&format!("name=\"{name}\"")).expect("the field");
            let (_, rest) = rest.split_once("value=\"").expect("its value");
            rest.split_once('"').expect("its end").0.replace("&#x3D;", "=").replace("&#x2B;", "+")
        };
        Self { message: field("SAMLResponse"), relay_state: field("RelayState") }
    }

    /// The message as the text that it is.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(STANDARD.decode(&self.message).expect("base64")).expect("UTF-8")
    }

    pub(crate) fn with_text(&self, text: &str) -> Self {
        Self { message: STANDARD.encode(text), ..self.clone() }
    }
}

impl Scene {
    /// Connects a provider at this address with this key.
    pub(crate) async fn connect(online: Online, sso_url: &str, key: &Key, other: Value) -> Self {
        online.house.tenant("acme").await;
        let owner = online.house.owner("acme").await;
        let mut settings = json!({"entity_id": ISSUER, "sso_url": sso_url,
            "certificates": [key.pair.certificate]});
        for (name, value) in other.as_object().into_iter().flatten() {
            settings[name] = value.clone();
        }
        let body = json!({
            "kind": "saml", "name": "company", "jit": true, "settings": settings,
            "default_role": "viewer", "role_mapping": [{"group": "support", "role": "agent"}],
        });
        let made = online.house.post("/v1/sso-connections", &owner, body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let connection = made.text("id");
        Self { online, owner, connection }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/v1/auth/saml/{}/{path}", self.online.base, self.connection)
    }

    /// Begins a login; gives where the provider is asked.
    pub(crate) async fn depart(&self, browser: &mut Browser) -> String {
        let url = self.url(&format!("start?code_challenge={CHALLENGE}&return_to=/app"));
        let answer = browser.get(&url).await;
        assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.body));
        location(&answer, &url)
    }

    /// Brings a response back.
    pub(crate) async fn come_back(&self, browser: &mut Browser, posted: &Posted) -> Answer {
        let form = [("SAMLResponse", posted.message.as_str()), ("RelayState", &posted.relay_state)];
        browser.post(&self.url("acs"), &form).await
    }

    /// Where a response leads.
    pub(crate) async fn land(&self, browser: &mut Browser, posted: &Posted) -> String {
        let answer = self.come_back(browser, posted).await;
        assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.body));
        location(&answer, &self.url("acs"))
    }

    /// Redeems the code that somebody landed with.
    pub(crate) async fn redeem(&self, landed: &str) -> Pair {
        let Some((place, code)) = landed.split_once("#sso_code=") else {
            panic!("{landed}: {}", self.refusal(landed).await)
        };
        assert_eq!(place, format!("{}/app", self.online.base));
        let body = json!({"code": code, "code_verifier": VERIFIER});
        let path = "/v1/auth/sso/exchange";
        Pair::of(&self.online.house.send("POST", path, None, Some(body)).await)
    }

    /// That a landing is a refusal, and why, as the administrator reads it.
    pub(crate) async fn refusal(&self, landed: &str) -> String {
        assert!(landed.contains("#sso_error=denied&reference="), "{landed}");
        let sql = "select detail->>'reason' from audit_records
            where action = 'sso.login_denied' order by id desc limit 1";
        self.online.house.text(sql).await
    }
}
