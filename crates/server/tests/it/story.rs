//! Room `server`: a newcomer's first hour.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::program::{Program, Shop, call, folder, probe, until};

async fn messages(program: &Program, shop: &Shop) -> Vec<Value> {
    let api = program.host("api");
    let bearer = Some(shop.bearer.as_str());
    let conversations =
        call(&api, Method::GET, "/v1/conversations", bearer, Value::Null).await["data"].clone();
    let mut all = Vec::new();
    for conversation in conversations.as_array().expect("a list") {
        let path =
            format!("/v1/conversations/{}/messages", conversation["id"].as_str().expect("an id"));
        let page = call(&api, Method::GET, &path, bearer, Value::Null).await;
        all.extend(page["data"].as_array().expect("a list").clone());
    }
    all
}

fn words(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|one| one["content"]["text"].as_str().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_question_is_answered_from_the_tenants_own_knowledge() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let sandbox = program.host("sandbox");
    let acme = Shop::open(&program, &sandbox, "acme").await;
    let other = Shop::open(&program, &sandbox, "other").await;

    let question =
        json!({ "from": "+4915112345678", "name": "Ada", "text": "what are your opening hours?" });
    call(&sandbox, Method::POST, &acme.path("messages"), None, question).await;
    until("answered and read", 30, async || {
        let all = messages(&program, &acme).await;
        let read = all.len() == 2 && all[1]["status"] == "read";
        if read { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;

    let all = messages(&program, &acme).await;
    assert_eq!(words(&all), ["what are your opening hours?", "acme is open from 9 to 18."]);
    assert_eq!(all[0]["direction"], "inbound");
    assert_eq!(all[0]["author"]["kind"], "contact");
    assert_eq!(all[1]["author"]["kind"], "agent");
    for status in ["sent", "delivered", "read"] {
        assert!(all[1]["status_at"][status].is_string(), "{status}: {}", all[1]);
    }
    assert!(messages(&program, &other).await.is_empty(), "the other tenant sees nothing");

    let foreign = format!("/v1/messages/{}", all[0]["id"].as_str().expect("an id"));
    let bearer = format!("Bearer {}", other.bearer);
    let headers = [("authorization", bearer.as_str())];
    let (status, _) = probe(&program.host("api"), Method::GET, &foreign, &headers, "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_ne!(acme.tenant["site_id"], other.tenant["site_id"]);
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_question_is_handed_over_politely_and_once() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let sandbox = program.host("sandbox");
    let acme = Shop::open(&program, &sandbox, "acme").await;
    for text in ["Können Sie mein Fahrrad blau lackieren?", "Und was kostet das?"] {
        let said = json!({ "from": "+4915112345678", "text": text });
        call(&sandbox, Method::POST, &acme.path("messages"), None, said).await;
    }
    until("handed over", 30, async || {
        let all = messages(&program, &acme).await;
        if all.len() == 3 { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    let bearer = Some(acme.bearer.as_str());
    let page =
        call(&program.host("api"), Method::GET, "/v1/conversations", bearer, Value::Null).await;
    assert_eq!(page["data"][0]["status"], "waiting");
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_continues_on_the_same_data() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let operator = program.ready["operator"].clone();
    let sandbox = program.host("sandbox");
    Shop::open(&program, &sandbox, "acme").await;
    program.stop();

    let program = Program::up(folder.path()).await;
    assert_eq!(program.ready["operator"], operator);
    let bearer = program.operator().await;
    let page =
        call(&program.host("api"), Method::GET, "/v1/tenants", Some(&bearer), Value::Null).await;
    assert_eq!(page["data"][0]["slug"], "acme");
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_deliveries_get_the_answer_of_the_contract_and_leave_nothing() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let sandbox = program.host("sandbox");
    let acme = Shop::open(&program, &sandbox, "acme").await;
    let api = program.host("api");
    let secret = acme.account["app_secret"].as_str().expect("a secret").to_owned();
    let sign = |body: &str| {
        let tag = misy_core::crypto::hmac_sha256(secret.as_bytes(), body.as_bytes());
        format!("sha256={}", misy_core::crypto::to_hex(&tag))
    };
    let payload = |number: &Value| {
        json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{
            "field": "messages", "value": {"messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "1", "phone_number_id": number},
            "messages": [{"from": "491", "id": "wamid.x", "timestamp": "1700000000",
                "type": "text", "text": {"body": "hello"}}]}}]}]})
        .to_string()
    };
    let deliver = async |path: &str, body: String, signature: String| {
        let headers = [("x-hub-signature-256", signature.as_str())];
        probe(&api, Method::POST, path, &headers, body).await
    };
    let own = payload(&acme.account["phone_number_id"]);
    let hook = format!("/hooks/{}", acme.channel["id"].as_str().expect("an id"));
    for path in ["/hooks/meta", hook.as_str()] {
        let forged = deliver(path, own.clone(), sign("another body")).await;
        assert_eq!(
            (forged.0, &forged.1["code"]),
            (StatusCode::UNAUTHORIZED, &json!("hook.invalid_signature"))
        );
        let torn = own[..own.len() / 2].to_owned();
        let (status, _) = deliver(path, torn.clone(), sign(&torn)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
    let unknown = payload(&json!("999"));
    let (status, _) = deliver("/hooks/meta", unknown.clone(), sign(&unknown)).await;
    assert_eq!(status, StatusCode::OK, "a provider must stop sending what nobody wants");
    let huge = "x".repeat(5 << 20);
    let (status, _) = deliver("/hooks/meta", huge.clone(), sign(&huge)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) =
        deliver("/hooks/cha_01k8zq5m3ge0r8v0w1x2y3z4a5", own.clone(), sign(&own)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "like an address of somebody else");
    assert!(messages(&program, &acme).await.is_empty());
    let (status, _) = deliver("/hooks/meta", own.clone(), sign(&own)).await;
    assert_eq!(status, StatusCode::OK);
    until("taken in", 20, async || match messages(&program, &acme).await.len() {
        0 => Err("nothing yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    program.stop();
}

/// The secret of the link in the only mail of the outbox that has one.
fn link_in(outbox: &std::path::Path) -> Result<String, String> {
    let mails = std::fs::read_dir(outbox).map_err(|error| error.to_string())?.flatten();
    let texts = mails.filter(|mail| mail.path().extension().is_some_and(|it| it == "eml"));
    let texts: Vec<_> = texts.filter_map(|it| std::fs::read_to_string(it.path()).ok()).collect();
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    let link = words.rev().find(|word| word.starts_with("mbl_"));
    link.map(str::to_owned).ok_or_else(|| format!("{} mails, no link", texts.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_without_a_password_comes_in_by_the_mail_in_the_outbox() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let api = program.host("api");
    let operator = program.operator().await;
    let owner = json!({ "email": "ana@acme.example", "name": "Ana" });
    let new = json!({ "slug": "acme", "name": "Acme", "owner": owner });
    call(&api, Method::POST, "/v1/tenants", Some(&operator), new).await;
    let outbox = std::path::PathBuf::from(program.ready["outbox"].as_str().expect("a folder"));
    until("the mail is there", 30, async || link_in(&outbox).map(drop)).await;
    let link = link_in(&outbox).expect("a link");
    let body = json!({ "token": link, "password": "misty birch canoe tax" });
    let pair = call(&api, Method::POST, "/v1/auth/invitation", None, body).await;
    let bearer = pair["access_token"].as_str().expect("a token").to_owned();
    let me = call(&api, Method::GET, "/v1/auth/me", Some(&bearer), Value::Null).await;
    assert_eq!((&me["role"], &me["email_verified"]), (&json!("owner"), &json!(true)));
    let log = std::fs::read_to_string(folder.path().join("program.log")).expect("a log");
    for secret in [&link[4..40], "ana@acme", &bearer[..40]] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}
