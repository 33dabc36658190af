//! Room `identity`: whole logins at real providers.

use base64::Engine as _;
use misy_testkit::SamlProvider;
use serde_json::{Value, json};

use super::{ISSUER, Key, Posted, Scene};
use crate::browser::{Browser, Online};

/// What `saml-idp` is told: to know us it needs addresses of a connection that exists.
async fn node(key: &Key, other: Value) -> SamlProvider {
    let mut options = json!({
        "key": key.path("key.pem"), "cert": key.path("cert.pem"), "issuer": ISSUER,
        "acsUrl": "http://127.0.0.1:9/nowhere", "audience": "urn:nobody", "signResponse": false,
        "user": {"userName": "ana-1", "email": "ana@acme.example", "displayName": "Ana Roy",
            "nameIdFormat": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
            "groups": "support, leads"},
    });
    for (name, value) in other.as_object().into_iter().flatten() {
        options[name] = value.clone();
    }
    SamlProvider::node(&options).await
}

/// Signs in on the page of `saml-idp`.
async fn sign_in(browser: &mut Browser, url: &str, base: &str) -> Posted {
    let page = browser.get(url).await;
    let page = String::from_utf8_lossy(&page.body).into_owned();
    let (_, rest) = page.split_once("name=\"_authnRequest\"").unwrap_or_else(|| panic!("{page}"));
    let request =
        rest.split_once("value='").expect("a value").1.split_once('\'').expect("an end").0;
    let request = request.replace("&#x3D;", "=");
    let json = base64::engine::general_purpose::STANDARD.decode(&request).expect("base64");
    assert!(String::from_utf8_lossy(&json).contains("\"acsUrl\""), "it read our request");
    let answer = browser.post(&format!("{base}/signin"), &[("_authnRequest", &request)]).await;
    Posted::of(&String::from_utf8_lossy(&answer.body))
}

/// The connection has to be there before the provider can be told of it, and the other way round:
/// the provider is told the audience by its options, so it starts with the one it will have.
async fn connected(sign_response: bool) -> (Scene, SamlProvider, Key) {
    let (online, key) = (Online::start().await, Key::make());
    let scene = Scene::connect(online, "http://127.0.0.1:9/sso", &key, json!({})).await;
    let audience = scene.url("metadata");
    let other = json!({"audience": audience, "signResponse": sign_response});
    let provider = node(&key, other).await;
    point(&scene, &provider.base, &key).await;
    (scene, provider, key)
}

/// Changes where the connection leads, and whose signatures it believes.
async fn point(scene: &Scene, base: &str, key: &Key) {
    let settings = json!({"entity_id": ISSUER, "sso_url": format!("{base}/saml/sso"),
        "certificates": [key.pair.certificate]});
    let path = format!("/v1/sso-connections/{}", scene.connection);
    let body = json!({"settings": settings});
    let changed = scene.online.house.patch(&path, &scene.owner, body).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_at_saml_idp_and_comes_back_as_the_same_person() {
    for sign_response in [false, true] {
        let (scene, provider, _key) = connected(sign_response).await;
        let mut browser = Browser::new();
        let url = scene.depart(&mut browser).await;
        assert!(url.starts_with(&format!("{}/saml/sso?SAMLRequest=", provider.base)), "{url}");
        let posted = sign_in(&mut browser, &url, &provider.base).await;
        let landed = scene.land(&mut browser, &posted).await;
        let pair = scene.redeem(&landed).await;
        let me = scene.online.house.get("/v1/auth/me", &pair.access).await;
        assert_eq!(
            (me.text("email"), me.text("role")),
            ("ana@acme.example".into(), "agent".into())
        );
        let mut again = Browser::new();
        let url = scene.depart(&mut again).await;
        let posted = sign_in(&mut again, &url, &provider.base).await;
        let pair = scene.redeem(&scene.land(&mut again, &posted).await).await;
        let same = scene.online.house.get("/v1/auth/me", &pair.access).await;
        assert_eq!(same.text("id"), me.text("id"));
        let test = format!("/v1/sso-connections/{}/test", scene.connection);
        let said = json!({"sub": "ana-1", "email": "ana@acme.example", "groups": ["support"]});
        let told = scene.online.house.post(&test, &scene.owner, json!({"claims": said})).await;
        let yields = &told.json()["yields"];
        assert_eq!((&yields["by"], &yields["role"]), (&json!("subject"), &json!("agent")));
        assert_eq!(yields["user_id"], me.json()["id"], "the test foretells what the login was");
    }
}

/// With ciphers that nobody can change unseen; the one that `saml-idp` has of its own its library
/// refuses by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_saml_idp_encrypts_for_us_opens_here_and_nothing_else_does() {
    const GCM: &str = "http://www.w3.org/2009/xmlenc11#aes256-gcm";
    let (online, key) = (Online::start().await, Key::make());
    let scene = Scene::connect(online, "http://127.0.0.1:9/sso", &key, json!({})).await;
    let path = format!("/v1/sso-connections/{}/saml-key", scene.connection);
    let made = scene.online.house.send("POST", &path, Some(&scene.owner), None).await;
    let (ours, foreign) = (key.path("sp.pem"), Key::make());
    std::fs::write(&ours, made.text("certificate")).expect("written");
    for (to, cipher, sign_response, refusal) in [
        (&ours, GCM, false, None),
        (&ours, "http://www.w3.org/2009/xmlenc11#aes128-gcm", true, None),
        (&foreign.path("cert.pem"), GCM, false, Some("saml_encryption")),
    ] {
        let other = json!({"audience": scene.url("metadata"), "encryptAssertion": true,
            "signResponse": sign_response,
            "encryptionCert": to, "encryptionPublicKey": to, "encryptionAlgorithm": cipher});
        let provider = node(&key, other).await;
        point(&scene, &provider.base, &key).await;
        let mut browser = Browser::new();
        let url = scene.depart(&mut browser).await;
        let posted = sign_in(&mut browser, &url, &provider.base).await;
        let text = posted.text();
        assert!(text.contains("EncryptedAssertion") && text.contains(cipher), "{text}");
        let landed = scene.land(&mut browser, &posted).await;
        match refusal {
            Some(expected) => assert_eq!(scene.refusal(&landed).await, expected, "{cipher}"),
            None => drop(scene.redeem(&landed).await),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_of_saml_idp_works_once_in_one_browser_for_one_login() {
    let (scene, provider, _key) = connected(false).await;
    let mut browser = Browser::new();
    let url = scene.depart(&mut browser).await;
    let posted = sign_in(&mut browser, &url, &provider.base).await;

    let mut thief = Browser::new();
    let stolen = scene.come_back(&mut thief, &posted).await;
    assert_eq!(stolen.status, 400, "{}", String::from_utf8_lossy(&stolen.body));
    let late = scene.come_back(&mut browser, &posted).await;
    assert_eq!(late.status, 400, "the state was seen elsewhere");

    let url = scene.depart(&mut browser).await;
    let fresh = sign_in(&mut browser, &url, &provider.base).await;
    scene.redeem(&scene.land(&mut browser, &fresh).await).await;
    scene.depart(&mut browser).await;
    let again = scene.come_back(&mut browser, &fresh).await;
    assert_eq!(again.status, 400, "the login is over");
    let url = scene.depart(&mut browser).await;
    let other = sign_in(&mut browser, &url, &provider.base).await;
    let spliced = Posted { message: fresh.message, ..other };
    let landed = scene.land(&mut browser, &spliced).await;
    assert_eq!(scene.refusal(&landed).await, "saml_in_response_to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_saml_idp_says_wrongly_lets_nobody_in() {
    let (scene, _first, believed) = connected(false).await;
    let audience = scene.url("metadata");
    let foreign = Key::make();
    for (what, key, other, expected) in [
        ("audience", &believed, json!({"audience": "urn:other"}), "saml_audience"),
        ("issuer", &believed, json!({"audience": audience, "issuer": "urn:other"}), "saml_issuer"),
        ("key", &foreign, json!({"audience": audience}), "saml_signature"),
    ] {
        let provider = node(key, other).await;
        let mut browser = Browser::new();
        point(&scene, &provider.base, &believed).await;
        let url = scene.depart(&mut browser).await;
        let posted = sign_in(&mut browser, &url, &provider.base).await;
        let landed = scene.land(&mut browser, &posted).await;
        assert_eq!(scene.refusal(&landed).await, expected, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_rotates_its_key_is_believed_by_both_until_the_old_one_goes() {
    let (scene, old, key) = connected(false).await;
    let next = Key::make();
    let new = node(&next, json!({"audience": scene.url("metadata")})).await;
    let path = format!("/v1/sso-connections/{}", scene.connection);
    let believe = async |keys: &[&Key], base: &str| {
        let certificates: Vec<_> = keys.iter().map(|key| &key.pair.certificate).collect();
        let settings = json!({"entity_id": ISSUER, "sso_url": format!("{base}/saml/sso"),
            "certificates": certificates});
        let body = json!({"settings": settings});
        let changed = scene.online.house.patch(&path, &scene.owner, body).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        let mut browser = Browser::new();
        let url = scene.depart(&mut browser).await;
        let posted = sign_in(&mut browser, &url, base).await;
        scene.land(&mut browser, &posted).await
    };
    scene.redeem(&believe(&[&key, &next], &old.base).await).await;
    scene.redeem(&believe(&[&key, &next], &new.base).await).await;
    scene.redeem(&believe(&[&next], &new.base).await).await;
    let landed = believe(&[&next], &old.base).await;
    assert_eq!(scene.refusal(&landed).await, "saml_signature");
}

/// Logins at `pysaml2`, which reads our metadata and encrypts for the certificate in it, but with a
/// cipher that does not open here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_at_pysaml2_and_not_with_what_its_old_cipher_encrypts() {
    for (sign_response, encrypt) in [(false, false), (true, false), (true, true)] {
        let (online, key) = (Online::start().await, Key::make());
        let scene = Scene::connect(online, "http://127.0.0.1:9/sso", &key, json!({})).await;
        let path = format!("/v1/sso-connections/{}/saml-key", scene.connection);
        let made = scene.online.house.send("POST", &path, Some(&scene.owner), None).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let mut browser = Browser::new();
        let metadata = browser.get(&scene.url("metadata")).await;
        let file = key.path("sp.xml");
        std::fs::write(&file, &metadata.body).expect("written");
        let options = json!({
            "key": key.path("key.pem"), "cert": key.path("cert.pem"), "issuer": ISSUER,
            "xmlsec": "/usr/bin/xmlsec1", "metadata": file, "name_id": "ana-1",
            "identity": {"mail": "ana@acme.example", "displayName": "Ana Roy",
                "isMemberOf": ["support"]},
            "sign_response": sign_response, "encrypt": encrypt,
        });
        let provider = SamlProvider::python(&options).await;
        let settings = json!({"entity_id": ISSUER, "sso_url": format!("{}/sso", provider.base),
            "certificates": [key.pair.certificate]});
        let path = format!("/v1/sso-connections/{}", scene.connection);
        let body = json!({"settings": settings});
        scene.online.house.patch(&path, &scene.owner, body).await;
        let url = scene.depart(&mut browser).await;
        let page = browser.get(&url).await;
        let posted = Posted::of(&String::from_utf8_lossy(&page.body));
        assert_eq!(posted.text().contains("EncryptedAssertion"), encrypt);
        let landed = scene.land(&mut browser, &posted).await;
        if encrypt {
            assert_eq!(scene.refusal(&landed).await, "saml_encryption");
            continue;
        }
        let pair = scene.redeem(&landed).await;
        let me = scene.online.house.get("/v1/auth/me", &pair.access).await;
        assert_eq!(me.text("email"), "ana@acme.example", "{}", me.body);
    }
}
