//! Room `sandbox`: who may call, and the objects beside messages.

use serde_json::{Value, json};

use crate::harness::{Receiver, Stage, call, text_message};

#[tokio::test]
async fn two_accounts_are_there_from_the_start_with_credentials_of_their_own() {
    let stage = Stage::set().await;
    let listed = call(stage.request("GET", "/sandbox/accounts")).await.body;
    let accounts = listed["data"].as_array().expect("a list");
    assert_eq!(accounts.len(), 2);
    for key in ["phone_number_id", "waba_id", "access_token", "app_secret", "verify_token"] {
        assert!(accounts[0][key].as_str().is_some_and(|text| text.len() >= 15), "{key}");
        assert_ne!(accounts[0][key], accounts[1][key], "{key}");
    }
}

#[tokio::test]
async fn an_account_is_made_with_what_is_given_and_not_twice() {
    let stage = Stage::set().await;
    let wanted = json!({"phone_number_id": "106540352242922", "app_secret": "s",
        "access_token": "t",
        "verify_token": "v", "waba_id": "102290129340398", "verified_name": "Acme",
        "display_phone_number": "+1 555-078-3881"});
    let made = call(stage.request("POST", "/sandbox/accounts").json(&wanted)).await;
    assert_eq!(made.status, 201);
    for (key, value) in wanted.as_object().expect("an object") {
        assert_eq!(&made.body[key], value);
    }
    let again = call(stage.request("POST", "/sandbox/accounts").json(&wanted)).await;
    assert_eq!(again.status, 409);
    let shown = call(stage.request("GET", "/v23.0/106540352242922").bearer_auth("t")).await;
    assert_eq!(shown.body["verified_name"], "Acme");
    let unknown = call(stage.request("GET", "/sandbox/accounts/1")).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_call_without_a_token_with_a_wrong_one_or_for_anothers_object_is_refused() {
    let stage = Stage::set().await;
    let listed = call(stage.request("GET", "/sandbox/accounts")).await.body;
    let other = listed["data"][1]["phone_number_id"].as_str().expect("an id").to_owned();
    let body = text_message("491515550001", "t");
    let send =
        |number: &str| stage.request("POST", &format!("/v25.0/{number}/messages")).json(&body);
    let none = call(send(stage.number())).await;
    assert_eq!((none.status, none.code()), (401, 104));
    let wrong = call(send(stage.number()).bearer_auth("wrong")).await;
    assert_eq!((wrong.status, wrong.code()), (401, 190));
    let foreign = call(send(&other).bearer_auth(stage.token())).await;
    let missing = call(send("17").bearer_auth(stage.token())).await;
    for refused in [&foreign, &missing] {
        assert_eq!((refused.status, refused.code()), (400, 100));
        assert_eq!(refused.body["error"]["error_subcode"], 33);
        assert_eq!(refused.body["error"]["type"], "GraphMethodException");
    }
    let words = missing.body["error"]["message"].as_str().expect("words");
    assert!(words.starts_with("Unsupported post request. Object with ID '17' does not exist"));
    let of_waba = call(send(stage.waba()).bearer_auth(stage.token())).await;
    assert_eq!(of_waba.code(), 100);
}

#[tokio::test]
async fn the_token_may_stand_in_the_query() {
    let stage = Stage::set().await;
    let path = format!("/v25.0/{}?access_token={}", stage.number(), stage.token());
    assert_eq!(call(stage.request("GET", &path)).await.status, 200);
}

#[tokio::test]
async fn a_path_that_graph_does_not_have_is_2500() {
    let stage = Stage::set().await;
    for path in ["/25/1/messages", "/v25.0/1/telegrams", "/nowhere/at/all/here"] {
        let answer = call(stage.request("POST", path).bearer_auth(stage.token())).await;
        assert_eq!((answer.status, answer.code()), (400, 2500), "{path}");
    }
}

#[tokio::test]
async fn a_number_shows_the_fields_asked_for() {
    let stage = Stage::set().await;
    let path = format!("/{}", stage.number());
    let expected = json!({
        "id": stage.number(), "display_phone_number": "+1 555-010-0001",
        "verified_name": "Sandbox shop 1", "quality_rating": "GREEN",
    });
    assert_eq!(stage.graph("GET", &path, Value::Null).await.body, expected);
    let chosen =
        stage.graph("GET", &format!("{path}?fields=throughput,name_status"), Value::Null).await;
    let expected = json!({
        "id": stage.number(), "throughput": {"level": "STANDARD"}, "name_status": "APPROVED",
    });
    assert_eq!(chosen.body, expected);
    let refused = stage.graph("GET", &format!("{path}?fields=shoe_size"), Value::Null).await;
    assert!(refused.words().contains("nonexisting field (shoe_size)"));
    let numbers =
        stage.graph("GET", &format!("/{}/phone_numbers", stage.waba()), Value::Null).await;
    assert_eq!(numbers.body["data"][0]["id"], stage.number());
    let waba = stage.graph("GET", &format!("/{}", stage.waba()), Value::Null).await;
    assert_eq!(waba.body["id"], stage.waba());
}

#[tokio::test]
async fn a_subscription_can_name_another_receiver_after_a_handshake() {
    let stage = Stage::set().await;
    let apps = format!("/{}/subscribed_apps", stage.waba());
    let other = Receiver::start("other-token").await;
    let wrong = json!({"override_callback_uri": other.url, "verify_token": "wrong"});
    let refused = stage.graph("POST", &apps, wrong).await;
    assert_eq!(refused.code(), 100);
    assert!(refused.words().contains("Callback verification failed"), "{}", refused.words());
    let right = json!({"override_callback_uri": other.url, "verify_token": "other-token"});
    assert_eq!(stage.graph("POST", &apps, right).await.body, json!({"success": true}));
    let shown = stage.graph("GET", &apps, Value::Null).await;
    assert_eq!(shown.body["data"][0]["override_callback_uri"], other.url);
    stage.say_text("hello").await;
    other.until_items("messages", 1).await;
    assert!(stage.receiver.posts().is_empty());

    let number = format!("/{}", stage.number());
    let token = stage.account["verify_token"].clone();
    let back = json!({"webhook_configuration": {
        "override_callback_uri": stage.receiver.url, "verify_token": token}});
    assert_eq!(stage.graph("POST", &number, back).await.body, json!({"success": true}));
    stage.say_text("hello").await;
    stage.receiver.until_items("messages", 1).await;
    let none = json!({"webhook_configuration": {"override_callback_uri": ""}});
    stage.graph("POST", &number, none).await;
    assert_eq!(stage.look("").await["webhook_url"], Value::Null);
}

#[tokio::test]
async fn a_token_tells_about_itself() {
    let stage = Stage::set().await;
    let path = format!("/debug_token?input_token={}", stage.token());
    let shown = stage.graph("GET", &path, Value::Null).await.body;
    assert_eq!(shown["data"]["is_valid"], true);
    assert_eq!(shown["data"]["app_id"], stage.account["app_id"]);
    assert_eq!(shown["data"]["granular_scopes"][0]["target_ids"], json!([stage.waba()]));
    let unknown = stage.graph("GET", "/debug_token?input_token=x", Value::Null).await.body;
    assert_eq!(unknown["data"]["is_valid"], false);
    let app = format!("{}%7C{}", stage.account["app_id"].as_str().expect("an id"), stage.secret());
    let path = format!("/v25.0/debug_token?input_token={}&access_token={app}", stage.token());
    assert_eq!(call(stage.request("GET", &path)).await.body["data"]["is_valid"], true);
}

#[tokio::test]
async fn the_page_allows_only_its_own_style_and_script() {
    let stage = Stage::set().await;
    let response = stage.request("GET", "/").send().await.expect("a page");
    let policy = response.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(!policy.contains("unsafe"));
    let page = response.text().await.expect("text");
    let script = page.split_once("<script>").and_then(|(_, rest)| rest.split_once("</script>"));
    let digest = misy_core::crypto::sha256(script.expect("a script").0.as_bytes());
    let hash = data_encoding::BASE64.encode(&digest);
    assert!(policy.contains(&format!("script-src 'sha256-{hash}'")));
    assert!(!page.contains("http://") && !page.contains("https://"));
    for inline in [" onclick=", " style=", "<link", "src="] {
        assert!(!page.contains(inline), "{inline}");
    }
}
