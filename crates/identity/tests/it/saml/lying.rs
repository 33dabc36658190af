//! Room `identity`: what a provider, or somebody in its name, says without right. The visitor
//! learns nothing of the reason, the administrator all of it.

use misy_saml::KeyPair;
use misy_testkit::SamlProvider;
use saml_rs::{
    CertificatePem, Credentials, EntityId, IdpConfig, IdpValidationPolicy, LogoutSubject,
    MetadataTrustPolicy, NameId, PrivateKeyPem, Saml, SloEndpoint, SpDescriptor, SsoEndpoint,
    StartSlo,
};
use serde_json::{Value, json};

use super::{ISSUER, Key, Posted, Scene};
use crate::browser::{Browser, Online};

/// A connection with `pysaml2`, and our metadata as it was read.
async fn connected(other: Value) -> (Scene, SamlProvider, Key, String) {
    let (online, key) = (Online::start().await, Key::make());
    let scene = Scene::connect(online, "http://127.0.0.1:9/sso", &key, other.clone()).await;
    let path = format!("/v1/sso-connections/{}", scene.connection);
    let house = &scene.online.house;
    house.send("POST", &format!("{path}/saml-key"), Some(&scene.owner), None).await;
    let metadata = Browser::new().get(&scene.url("metadata")).await.body;
    std::fs::write(key.path("sp.xml"), &metadata).expect("written");
    let options = json!({
        "key": key.path("key.pem"), "cert": key.path("cert.pem"), "issuer": ISSUER,
        "xmlsec": "/usr/bin/xmlsec1", "metadata": key.path("sp.xml"), "name_id": "ana-1",
        "identity": {"mail": "ana@acme.example", "isMemberOf": ["support"]},
        "sign_response": false, "encrypt": false,
    });
    let provider = SamlProvider::python(&options).await;
    let mut settings = json!({"entity_id": ISSUER, "certificates": [key.pair.certificate],
        "sso_url": format!("{}/sso", provider.base), "slo_url": "https://idp.example/slo"});
    for (name, value) in other.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    let body = json!({"settings": settings});
    let changed = house.patch(&path, &scene.owner, body).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    (scene, provider, key, String::from_utf8(metadata.to_vec()).expect("UTF-8"))
}

/// A fresh honest response.
async fn response(scene: &Scene, browser: &mut Browser) -> Posted {
    let url = scene.depart(browser).await;
    let page = browser.get(&url).await;
    Posted::of(&String::from_utf8_lossy(&page.body))
}

fn cut(text: &str, start: &str, end: &str) -> String {
    let from = text.find(start).expect("it begins");
    let to = text[from..].find(end).expect("it ends") + from + end.len();
    format!("{}{}", &text[..from], &text[to..])
}

type Change = fn(&str) -> String;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_on_the_way_lets_nobody_in() {
    let (scene, _provider, _key, _) = connected(json!({})).await;
    let mut browser = Browser::new();
    let changes: [(&str, Change, &str); 5] = [
        ("name", |text| text.replace("ana-1", "root"), "saml_signature"),
        ("unsigned", |text| cut(text, "<ns2:Signature", "</ns2:Signature>"), "saml_unsigned"),
        ("entity", |text| format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{text}"), "saml_hostile"),
        ("comment", |text| text.replace("ana-1", "ana-1<!-- -->.x"), "saml_hostile"),
        ("nothing", |_| "<a/>".to_owned(), "saml_malformed"),
    ];
    for (what, change, expected) in changes {
        let posted = response(&scene, &mut browser).await;
        // Whatever prefix it uses, the signature is of this namespace.
        let text = posted.text();
        let prefix = text
            .split_once(":Signature")
            .map_or("", |(before, _)| before.rsplit('<').next().unwrap_or_default());
        let text = text.replace(&format!("{prefix}:Signature"), "ns2:Signature");
        let text = if what == "unsigned" { change(&text) } else { change(&posted.text()) };
        let landed = scene.land(&mut browser, &posted.with_text(&text)).await;
        assert_eq!(scene.refusal(&landed).await, expected, "{what}");
    }
    let honest = response(&scene, &mut browser).await;
    scene.redeem(&scene.land(&mut browser, &honest).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_lets_nobody_in() {
    let (scene, _provider, _key, _) = connected(json!({})).await;
    let mut browser = Browser::new();
    let posted = response(&scene, &mut browser).await;
    scene.online.house.clock.advance_ms(7 * 60_000);
    let landed = scene.land(&mut browser, &posted).await;
    assert_eq!(scene.refusal(&landed).await, "saml_expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_the_provider_begins_is_refused_unless_it_may_and_works_once() {
    let (online, key) = (Online::start().await, Key::make());
    let scene = Scene::connect(online, "http://127.0.0.1:9/sso", &key, json!({})).await;
    let options = json!({
        "key": key.path("key.pem"), "cert": key.path("cert.pem"), "issuer": ISSUER,
        "acsUrl": scene.url("acs"), "audience": scene.url("metadata"), "signResponse": true,
        "relayState": "/app",
        "user": {"userName": "ana-1", "email": "ana@acme.example",
            "nameIdFormat": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"},
    });
    let provider = SamlProvider::node(&options).await;
    let mut browser = Browser::new();
    let page = format!("{}/signin", provider.base);
    let page = browser.post(&page, &[("email", "ana@acme.example")]).await;
    let posted = Posted::of(&String::from_utf8_lossy(&page.body));
    assert!(!posted.text().contains("InResponseTo"), "nobody asked");
    assert_eq!(scene.come_back(&mut browser, &posted).await.status, 400);

    let path = format!("/v1/sso-connections/{}", scene.connection);
    let settings = json!({"entity_id": ISSUER, "sso_url": provider.base,
        "certificates": [key.pair.certificate], "idp_initiated": true});
    let body = json!({"settings": settings});
    scene.online.house.patch(&path, &scene.owner, body).await;
    let posted = Posted { relay_state: "/app".to_owned(), ..posted };
    let landed = scene.land(&mut browser, &posted).await;
    scene.redeem(&landed).await;
    let landed = scene.land(&mut Browser::new(), &posted).await;
    assert_eq!(scene.refusal(&landed).await, "saml_replayed");
}

/// A logout request for `ana-1`, signed with this key, as a query.
fn logout(metadata: &str, key: &KeyPair) -> String {
    let credentials = Credentials {
        signing_key: Some(PrivateKeyPem::new(key.private.expose())),
        signing_certificate: Some(CertificatePem::new(&key.certificate)),
        ..Credentials::default()
    };
    let idp = IdpConfig::builder(EntityId::try_new(ISSUER).expect("an id"))
        .sso_endpoint(SsoEndpoint::redirect("https://idp.example/sso").expect("a URL"))
        .slo_endpoint(SloEndpoint::redirect("https://idp.example/slo").expect("a URL"))
        .credentials(credentials)
        .validation(IdpValidationPolicy::recommended())
        .build()
        .and_then(Saml::idp)
        .expect("a provider");
    let trust = MetadataTrustPolicy::UnsignedForCompatibility;
    let sp = SpDescriptor::from_metadata_xml(metadata, trust).expect("readable");
    let subject = LogoutSubject::from_name_id(NameId::new("ana-1", None));
    let begun = idp.start_slo(&sp, subject, StartSlo::redirect()).expect("it begins");
    begun.outbound.redirect_url().expect("a redirect").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_logout_of_the_provider_ends_the_session_once_and_no_other_does() {
    let (scene, _provider, key, metadata) = connected(json!({})).await;
    let mut browser = Browser::new();
    let posted = response(&scene, &mut browser).await;
    let pair = scene.redeem(&scene.land(&mut browser, &posted).await).await;
    let house = &scene.online.house;
    let forged = logout(&metadata, &KeyPair::generate("x").expect("a key"));
    let honest = logout(&metadata, &key.pair);
    let unsigned = honest.split("&SigAlg").next().expect("a message");
    for (what, url) in [("forged", forged.as_str()), ("unsigned", unsigned)] {
        assert_eq!(browser.get(url).await.status, 400, "{what}");
        assert!(house.lets_in(&pair.access).await, "{what}");
    }
    let answer = browser.get(&honest).await;
    assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.body));
    let back = answer.headers["location"].to_str().expect("visible").to_owned();
    assert!(back.starts_with("https://idp.example/slo?SAMLResponse="), "{back}");
    assert!(!house.lets_in(&pair.access).await);
    assert_eq!(house.try_refresh(&pair.refresh).await.refusal().0, 401);
    assert_eq!(browser.get(&honest).await.status, 400, "it works once");
}
