//! Room `identity`: connecting a SAML provider: its metadata, our key, our metadata, and who may.

use serde_json::json;

use super::{ISSUER, Key, Scene};
use crate::browser::{Browser, Online};
use crate::house::House;
use crate::oidc::CHALLENGE;

const READ: &str = "/v1/sso-connections/read-saml-metadata";

fn metadata(certificate: &str) -> String {
    let text = misy_saml::certificate_text(certificate);
    format!(
        "<!-- of a company --><EntityDescriptor xmlns=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         entityID=\"{ISSUER}\"><IDPSSODescriptor \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"><KeyDescriptor \
         use=\"signing\"><KeyInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><X509Data>\
         <X509Certificate>{text}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>\
         <SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" \
         Location=\"https://idp.example/post\"/></IDPSSODescriptor></EntityDescriptor>"
    )
}

#[tokio::test]
async fn metadata_of_a_provider_becomes_settings_that_work() {
    let (house, key) = (House::build().await, Key::make());
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let read = house.post(READ, &owner, json!({"xml": metadata(&key.pair.certificate)})).await;
    assert_eq!(read.status, 200, "{}", read.body);
    let mut settings = read.json();
    assert_eq!(settings["entity_id"], ISSUER);
    assert_eq!(settings["sso_by_post"], true);
    settings.as_object_mut().expect("an object").remove("slo_url");
    let body = json!({"kind": "saml", "name": "company", "settings": settings});
    let made = house.post("/v1/sso-connections", &owner, body).await;
    assert_eq!(made.status, 201, "{}", made.body);

    let dtd = format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{}", metadata("x"));
    for wrong in [
        json!({"xml": "no xml"}),
        json!({"xml": dtd}),
        json!({}),
        json!({"xml": "<a/>", "url": "https://idp.example"}),
    ] {
        assert_eq!(house.post(READ, &owner, wrong.clone()).await.refusal().0, 422, "{wrong}");
    }
    for away in ["http://169.254.169.254/latest/meta-data", "2\u{12558}xO", "http://127.0.0.1:1/"] {
        let refused = house.post(READ, &owner, json!({"url": away})).await;
        assert_eq!(refused.refusal().0, 422, "{away}: {}", refused.body);
        assert_eq!(refused.json()["errors"][0]["pointer"], "url", "{}", refused.body);
    }
}

#[tokio::test]
async fn a_connection_that_cannot_work_is_refused_with_every_fault() {
    let (house, key) = (House::build().await, Key::make());
    house.tenant("acme").await;
    let owner = house.owner("acme").await;
    let good = json!({"entity_id": ISSUER, "sso_url": "https://idp.example/sso",
        "certificates": [key.pair.certificate]});
    let mut cases = Vec::new();
    for (name, value, pointer) in [
        ("certificates", json!([]), "/settings/certificates"),
        ("certificates", json!(["no certificate"]), "/settings/certificates"),
        ("sso_url", json!("javascript:alert(1)"), "/settings/sso_url"),
        ("clock_skew_s", json!(100_000), "/settings/clock_skew_s"),
        ("sign_requests", json!(true), "/secrets/signing_key"),
    ] {
        let mut settings = good.clone();
        settings[name] = value;
        cases.push((json!({"settings": settings}), pointer));
    }
    cases
        .push((json!({"settings": good, "secrets": {"signing_key": "x"}}), "/secrets/signing_key"));
    for (mut body, pointer) in cases {
        body["kind"] = json!("saml");
        body["name"] = json!("company");
        let refused = house.post("/v1/sso-connections", &owner, body).await;
        assert_eq!(refused.refusal().0, 422, "{pointer}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{}", refused.body);
    }
}

#[tokio::test]
async fn only_who_manages_sign_in_makes_keys_and_reads_metadata() {
    let (online, key) = (Online::start().await, Key::make());
    let scene = Scene::connect(online, "https://idp.example/sso", &key, json!({})).await;
    let house = &scene.online.house;
    let (_, agent) = house.person("acme", "agent").await;
    let path = format!("/v1/sso-connections/{}/saml-key", scene.connection);
    assert_eq!(house.send("POST", &path, Some(&agent), None).await.refusal().0, 403);
    let body = json!({"xml": metadata(&key.pair.certificate)});
    assert_eq!(house.post(READ, &agent, body).await.refusal().0, 403);
    house.tenant("bolt").await;
    let bolt = house.owner("bolt").await;
    let foreign = house.send("POST", &path, Some(&bolt), None).await;
    let absent = "/v1/sso-connections/sso_00000000000000000000000009/saml-key";
    let absent = house.send("POST", absent, Some(&bolt), None).await;
    assert_eq!(foreign.refusal().0, 404);
    assert_eq!(foreign.without_instance(), absent.without_instance());

    let made = house.send("POST", &path, Some(&scene.owner), None).await;
    let certificate = misy_saml::certificate_text(&made.text("certificate"));
    let mut browser = Browser::new();
    let ours =
        String::from_utf8_lossy(&browser.get(&scene.url("metadata")).await.body).into_owned();
    let squeezed: String = ours.split_whitespace().collect();
    assert!(squeezed.contains(&certificate), "{ours}");
    assert!(ours.contains(&scene.url("acs")) && ours.contains("WantAssertionsSigned=\"true\""));
    let first = ours.split("<NameIDFormat>").nth(1).unwrap_or(&ours);
    assert!(first.starts_with("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"), "{ours}");
    let shown = house.get(&format!("/v1/sso-connections/{}", scene.connection), &scene.owner).await;
    assert!(!shown.body.contains("PRIVATE KEY"), "{}", shown.body);
}

#[tokio::test]
async fn the_test_of_a_connection_reads_attributes_as_a_login_does_and_changes_nothing() {
    const CLAIMS: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims";
    let (online, key) = (Online::start().await, Key::make());
    let other = json!({"profile": "entra", "slo_url": "https://idp.example/slo"});
    let scene = Scene::connect(online, "https://idp.example/sso", &key, other).await;
    let house = &scene.online.house;
    let path = format!("/v1/sso-connections/{}", scene.connection);
    let test = format!("{path}/test");
    let ok = |told: &serde_json::Value| {
        let checks = told["checks"].as_array().expect("a list").iter();
        let said =
            checks.map(|it| (it["name"].as_str().expect("a name").to_owned(), it["ok"] == true));
        said.collect::<Vec<_>>()
    };
    let all = |encryption, logout| {
        [("request", true), ("certificates", true), ("encryption", encryption), ("logout", logout)]
            .map(|(name, ok)| (name.to_owned(), ok))
    };
    let told = house.post(&test, &scene.owner, json!({})).await.json();
    assert_eq!(ok(&told), all(false, false), "it has no key of ours");
    let made = house.send("POST", &format!("{path}/saml-key"), Some(&scene.owner), None).await;
    assert_eq!(made.status, 201, "{}", made.body);

    let claims = json!({
        "sub": "a1b2", "name_id_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
        format!("{CLAIMS}/emailaddress"): "ana@acme.example",
        format!("{CLAIMS}/givenname"): "Ana", format!("{CLAIMS}/surname"): "Roy",
        "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups": ["support", "x"],
    });
    let told = house.post(&test, &scene.owner, json!({"claims": claims})).await.json();
    assert_eq!(ok(&told), all(true, true));
    let expected = json!({"user_id": null, "by": "added", "email": "ana@acme.example",
        "name": "Ana Roy", "role": "agent", "groups": ["support"]});
    assert_eq!(told["yields"], expected, "{told}");

    let refused = async |change: serde_json::Value| {
        let mut other = claims.clone();
        for (name, value) in change.as_object().into_iter().flatten() {
            other[name] = value.clone();
        }
        let told = house.post(&test, &scene.owner, json!({"claims": other})).await.json();
        assert!(told["yields"].is_null() && told["remedy"].is_string(), "{told}");
        told["refused"].as_str().expect("a reason").to_owned()
    };
    let transient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
    assert_eq!(refused(json!({"name_id_format": transient})).await, "saml_transient_name");
    assert_eq!(refused(json!({"sub": null})).await, "no_subject");
    let email = format!("{CLAIMS}/emailaddress");
    assert_eq!(refused(json!({email.clone(): null})).await, "no_email");
    assert_eq!(refused(json!({email: "owner@acme.example"})).await, "domain_not_verified");
    assert_eq!(house.count("select count(*) from users").await, 1);
    let (_, agent) = house.person("acme", "agent").await;
    assert_eq!(house.post(&test, &agent, json!({})).await.refusal().0, 403);
}

#[tokio::test]
async fn a_provider_that_takes_forms_only_gets_one_that_leads_nowhere_else() {
    let (online, key) = (Online::start().await, Key::make());
    let other = json!({"sso_by_post": true});
    let scene = Scene::connect(online, "https://idp.example/sso", &key, other).await;
    let mut browser = Browser::new();
    let url = scene.url(&format!("start?code_challenge={CHALLENGE}"));
    let answer = browser.get(&url).await;
    assert_eq!(answer.status, 200);
    let page = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(page.contains("action=\"https://idp.example/sso\""), "{page}");
    assert!(page.contains("name=\"SAMLRequest\"") && page.contains("name=\"RelayState\""));
    let policy = answer.headers["content-security-policy"].to_str().expect("visible");
    assert!(policy.contains("form-action https://idp.example"), "{policy}");
}

#[tokio::test]
async fn a_connection_that_is_off_of_nobody_or_of_another_kind_takes_nobody() {
    let (online, key) = (Online::start().await, Key::make());
    let scene = Scene::connect(online, "https://idp.example/sso", &key, json!({})).await;
    let house = &scene.online.house;
    let mut browser = Browser::new();
    let nobody = "sso_00000000000000000000000009";
    for path in ["metadata", &format!("start?code_challenge={CHALLENGE}"), "slo"] {
        let url = scene.url(path).replace(&scene.connection, nobody);
        assert_eq!(browser.get(&url).await.status, 404, "{path}");
    }
    let oidc = scene.url(&format!("start?code_challenge={CHALLENGE}")).replace("saml", "oidc");
    assert_eq!(browser.get(&oidc).await.status, 404);
    let bad = scene.url(&format!("start?code_challenge={CHALLENGE}&return_to=//evil.example"));
    assert_eq!(browser.get(&bad).await.status, 422);
    let path = format!("/v1/sso-connections/{}", scene.connection);
    house.patch(&path, &scene.owner, json!({"status": "disabled"})).await;
    let url = scene.url(&format!("start?code_challenge={CHALLENGE}"));
    assert_eq!(browser.get(&url).await.status, 404);
    for form in
        [vec![], vec![("SAMLResponse", "x")], vec![("SAMLResponse", "x"), ("RelayState", "y")]]
    {
        assert_eq!(browser.post(&scene.url("acs"), &form).await.status, 400, "{form:?}");
    }
    let twice = [("SAMLResponse", "x"), ("SAMLResponse", "y"), ("RelayState", "z")];
    assert_eq!(browser.post(&scene.url("acs"), &twice).await.status, 400);
}
