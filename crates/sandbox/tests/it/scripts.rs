//! Room `sandbox`: the script API around accounts and phones.

use serde_json::{Value, json};

use crate::harness::{CUSTOMER, Stage, call, config_in, text_message};

#[tokio::test]
async fn every_route_of_an_unknown_account_is_404() {
    let stage = Stage::set().await;
    let routes = [
        ("GET", "", Value::Null),
        ("PUT", "/webhook", json!({"url": stage.receiver.url})),
        ("DELETE", "/webhook", Value::Null),
        ("GET", "/behaviour", Value::Null),
        ("PATCH", "/behaviour", json!({})),
        ("GET", "/stats", Value::Null),
        ("GET", "/deliveries", Value::Null),
        ("POST", "/raw", json!({})),
        ("POST", "/messages", json!({"from": CUSTOMER, "text": "hi"})),
        ("GET", "/outbound", Value::Null),
        ("GET", "/media/1", Value::Null),
        ("GET", "/phones", Value::Null),
        ("GET", "/phones/491515550001", Value::Null),
        ("PATCH", "/phones/491515550001", json!({})),
        ("POST", "/phones/491515550001/window", json!({"closed": true})),
    ];
    for (method, rest, body) in routes {
        let request = stage.request(method, &format!("/sandbox/accounts/17{rest}"));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = call(request).await;
        assert_eq!(answer.status, 404, "{method} {rest}: {:?}", answer.body);
        assert_eq!(answer.body["error"]["message"], "there is no such account", "{method} {rest}");
    }
}

#[tokio::test]
async fn customers_are_listed_the_last_to_write_first() {
    let stage = Stage::set().await;
    for (second, phone) in [(1, "491515550001"), (2, "491515550002"), (3, "491515550003")] {
        stage.advance_s(second);
        stage.say(json!({"from": phone, "text": "hi"})).await;
    }
    stage.advance_s(1);
    stage.say(json!({"from": "491515550002", "text": "hi again"})).await;
    let listed = stage.look("/phones").await;
    let phones: Vec<&str> = listed["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["phone"].as_str())
        .collect();
    assert_eq!(phones, ["491515550002", "491515550003", "491515550001"]);
    assert_eq!(listed["data"][0]["window"]["closes_at"], "2026-09-22T14:13:27Z");
}

#[tokio::test]
async fn a_phone_is_changed_and_speaks_under_its_new_name() {
    let stage = Stage::set().await;
    let path = format!("/phones/{CUSTOMER}");
    assert_eq!(stage.script("GET", &path, Value::Null).await.status, 404);
    let change = json!({"name": "Eva", "user_id": "DE.42"});
    let made = stage.script("PATCH", "/phones/+49 151 5550001", change).await;
    assert_eq!((&made.body["phone"], &made.body["user_id"]), (&json!(CUSTOMER), &json!("DE.42")));
    stage.say(json!({"from": CUSTOMER, "text": "hi"})).await;
    stage.receiver.until_items("messages", 1).await;
    let value = &stage.receiver.posts()[0].changes()[0]["value"];
    assert_eq!(value["contacts"][0]["profile"]["name"], "Eva");
    assert_eq!(value["messages"][0]["from_user_id"], "DE.42");
    let by_user = stage.look("/phones/DE.42").await;
    assert_eq!(by_user["messages"].as_array().map(Vec::len), Some(1));
    for wrong in [json!({"colour": "red"}), json!({"bsuid_only": "yes"})] {
        assert_eq!(stage.script("PATCH", &path, wrong).await.status, 422);
    }
    assert_eq!(stage.script("GET", "/phones/nobody", Value::Null).await.status, 422);
}

#[tokio::test]
async fn without_a_receiver_nothing_is_kept_for_later() {
    let stage = Stage::set().await;
    assert_eq!(stage.script("DELETE", "/webhook", Value::Null).await.body, json!({"url": null}));
    stage.say_text("unheard").await;
    assert_eq!(stage.look("/stats").await["webhooks_pending"], 0);
    let raw = stage.script("POST", "/raw", json!({})).await;
    assert_eq!(raw.status, 422);
    stage.connect().await;
    let heard = stage.say_text("heard").await;
    assert_eq!(stage.receiver.until_items("messages", 1).await[0]["id"], heard.as_str());
}

#[tokio::test]
async fn what_is_under_way_is_given_up_when_the_receiver_goes() {
    let stage = Stage::set().await;
    stage.receiver.will_answer(&[500; 1_000]);
    stage.say_text("never acknowledged").await;
    stage.receiver.until(|it| it.posts().len() >= 2).await;
    stage.script("DELETE", "/webhook", Value::Null).await;
    let stats = stage.settle().await;
    assert_eq!((&stats["webhooks_dropped"], &stats["webhooks_delivered"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn two_numbers_of_one_business_share_a_token() {
    let stage = Stage::set().await;
    let second = json!({"access_token": stage.token(), "waba_id": stage.waba(),
        "display_phone_number": "+1 555-010-0099"});
    let made = call(stage.request("POST", "/sandbox/accounts").json(&second)).await;
    let other = made.body["phone_number_id"].as_str().expect("an id");
    for number in [stage.number(), other] {
        let path = format!("/{number}/messages");
        stage.graph("POST", &path, text_message(CUSTOMER, "t")).await.wamid();
    }
    let numbers =
        stage.graph("GET", &format!("/{}/phone_numbers", stage.waba()), Value::Null).await;
    assert_eq!(numbers.body["data"].as_array().map(Vec::len), Some(2));
    let of = |number: &str| format!("/sandbox/accounts/{number}/outbound");
    for number in [stage.number(), other] {
        let outbound = call(stage.request("GET", &of(number))).await;
        assert_eq!(outbound.body["data"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn the_same_phone_is_another_user_for_another_business() {
    let stage = Stage::set().await;
    let listed = call(stage.request("GET", "/sandbox/accounts")).await.body;
    let mut users = Vec::new();
    for account in listed["data"].as_array().expect("a list") {
        let number = account["phone_number_id"].as_str().expect("an id");
        let path = format!("/sandbox/accounts/{number}/messages");
        let said = json!({"from": CUSTOMER, "text": "hi"});
        let answer = call(stage.request("POST", &path).json(&said)).await;
        users.push(answer.body["messages"][0]["user_id"].clone());
    }
    assert_ne!(users[0], users[1]);
    assert!(users.iter().all(|user| user.as_str().is_some_and(|user| user.starts_with("DE."))));
}

#[tokio::test]
async fn changes_of_every_kind_survive_a_restart() {
    let data = tempfile::tempdir().expect("a directory");
    let stage = Stage::set_with(config_in(data.path())).await;
    let templates = format!("/{}/message_templates", stage.waba());
    let template = json!({"name": "promo", "language": "de", "category": "MARKETING",
        "components": [{"type": "BODY", "text": "Hallo"}]});
    stage.graph("POST", &templates, template).await;
    let question = stage.say_text("hello").await;
    let mark = json!({"messaging_product": "whatsapp", "status": "read", "message_id": question});
    stage.send(mark).await;
    let kept = stage.upload("image/png", b"\x89PNG".to_vec()).await.body["id"].clone();
    let gone = stage.upload("image/png", b"\x89PNG".to_vec()).await.body["id"].clone();
    let of = |id: &Value| format!("/{}", id.as_str().expect("an id"));
    stage.graph("DELETE", &of(&gone), Value::Null).await;
    stage.script("PATCH", &format!("/phones/{CUSTOMER}"), json!({"window_closed": true})).await;
    stage.behave(json!({"mps": 3, "fail_next": {"code": 1}})).await;
    stage.settle().await;
    let Stage { running, clock, receiver, .. } = stage;
    running.stop().await;

    let running = crate::harness::start(config_in(data.path()), &clock, 9).await;
    let stage = Stage::around(running, clock).await;
    let listed = stage.graph("GET", &templates, Value::Null).await;
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(2));
    let view = stage.look(&format!("/phones/{CUSTOMER}")).await;
    assert_eq!((&view["name"], &view["messages"][0]["read"]), (&json!("Jörg"), &json!(true)));
    assert_eq!(view["window"]["closed_by_order"], true);
    assert_eq!(stage.graph("GET", &of(&kept), Value::Null).await.status, 200);
    assert_eq!(stage.graph("GET", &of(&gone), Value::Null).await.status, 400);
    let behaviour = stage.look("/behaviour").await;
    assert_eq!((&behaviour["mps"], &behaviour["fail_next"]["code"]), (&json!(3), &json!(1)));
    assert_eq!(stage.account["webhook_url"], receiver.url);
}

#[tokio::test]
async fn a_lost_answer_is_a_message_all_the_same_after_a_restart() {
    let data = tempfile::tempdir().expect("a directory");
    let stage = Stage::set_with(config_in(data.path())).await;
    stage.say_text("hello").await;
    stage.behave(json!({"lose_response": 2})).await;
    let path = format!("/v25.0/{}/messages", stage.number());
    let body = text_message(CUSTOMER, "answer");
    let send =
        |stage: &Stage| stage.request("POST", &path).bearer_auth(stage.token()).json(&body).send();
    assert!(send(&stage).await.is_err());
    let Stage { running, clock, .. } = stage;
    running.stop().await;
    let running = crate::harness::start(config_in(data.path()), &clock, 9).await;
    let stage = Stage::around(running, clock).await;
    assert_eq!(stage.look("/outbound").await["data"].as_array().map(Vec::len), Some(1));
    assert!(send(&stage).await.is_err());
    assert_eq!(send(&stage).await.expect("an answer").status(), 200);
    assert_eq!(stage.look("/outbound").await["data"].as_array().map(Vec::len), Some(3));
}
