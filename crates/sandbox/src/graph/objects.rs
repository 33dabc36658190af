//! Room `sandbox`: the objects beside messages: the number, its WABA, subscriptions, templates,
//! files and tokens.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Multipart, Query, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use misy_core::crypto;
use serde_json::{Map, Value, json};

use super::checks::Scene;
use super::errors::GraphError;
use super::{Caller, Object, media, templates, token_of};
use crate::engine::Engine;
use crate::model::{Account, Media};
use crate::world::Record;
use crate::{handshake, names};

/// JSON, or one of Meta's errors.
type Answer = Result<Json<Value>, GraphError>;
/// The query, whose unknown keys Meta ignores.
type Params = Query<HashMap<String, String>>;

/// What Meta calls a number.
const NUMBER: &str = "WhatsAppBusinessPhoneNumber";
/// Fields of a number that are shown when none are asked for.
const NUMBER_FIELDS: &str = "id,display_phone_number,verified_name,quality_rating";

/// The caller's account.
fn account_of(engine: &Engine, caller: &Caller) -> Result<Account, GraphError> {
    let found = engine.read(|world| world.find(&caller.account).map(|room| room.account.clone()));
    found.ok_or_else(|| caller.unknown())
}

/// What Meta answers when there is nothing to say.
fn success() -> Json<Value> {
    Json(json!({"success": true}))
}

/// `GET /{version}/{object}`: a number, a WABA or a file.
pub(crate) async fn show(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    Query(query): Params,
    headers: HeaderMap,
) -> Answer {
    let account = account_of(&engine, &caller)?;
    match &caller.object {
        Object::Media(id) => show_media(&engine, &caller, &account, id, &query, &headers),
        Object::Number => {
            let all = number(&account);
            select(&all, query.get("fields").map_or(NUMBER_FIELDS, String::as_str), NUMBER)
        }
        Object::Waba => {
            let namespace = crypto::sha256(account.waba_id.as_bytes());
            let namespace = crypto::to_hex(&namespace[..16]);
            let all = json!({
                "id": account.waba_id, "name": account.verified_name, "timezone_id": "1",
                "message_template_namespace": namespace,
                "account_review_status": "APPROVED", "currency": "USD",
            });
            let usual = "id,name,timezone_id,message_template_namespace";
            select(
                &all,
                query.get("fields").map_or(usual, String::as_str),
                "WhatsAppBusinessAccount",
            )
        }
    }
}

/// A number with every field that it can have; `null` is one that this one has not.
fn number(account: &Account) -> Value {
    let webhook = account.webhook_url.as_ref().map(|url| json!({"application": url}));
    let quality = json!({"score": "GREEN"});
    json!({
        "id": account.phone_number_id,
        "display_phone_number": account.display_phone_number,
        "verified_name": account.verified_name,
        "quality_rating": "GREEN",
        "code_verification_status": "VERIFIED",
        "name_status": "APPROVED",
        "platform_type": "CLOUD_API",
        "account_mode": "SANDBOX",
        "is_official_business_account": false,
        "status": "CONNECTED",
        "throughput": {"level": if account.behaviour.mps > 80 { "HIGH" } else { "STANDARD" }},
        "webhook_configuration": webhook,
        "quality_score": quality,
        "is_pin_enabled": false,
        "is_preverified_number": false,
        "is_on_biz_app": false,
        "search_visibility": "NON_VISIBLE",
        "whatsapp_business_manager_messaging_limit": "TIER_250",
        "last_onboarded_time": account.created_at.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string(),
        "certificate": null, "conversational_automation": null, "country_code": null,
        "country_dial_code": null, "eligibility_for_api_business_global_search": null,
        "health_status": null, "messaging_limit_tier": null, "new_certificate": null,
        "new_name_status": null, "username": null,
    })
}

/// The wanted fields of an object, without those it has not; its id always.
fn select(all: &Value, fields: &str, node: &str) -> Answer {
    let mut chosen = Map::new();
    chosen.insert("id".to_owned(), all["id"].clone());
    for field in fields.split(',').map(str::trim).filter(|field| !field.is_empty()) {
        let value = all.get(field).ok_or_else(|| GraphError::unknown_field(field, node))?;
        if !value.is_null() {
            chosen.insert(field.to_owned(), value.clone());
        }
    }
    Ok(Json(Value::Object(chosen)))
}

/// A file asked for through another number does not exist.
fn show_media(
    engine: &Engine,
    caller: &Caller,
    account: &Account,
    id: &str,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
) -> Answer {
    let now = engine.ambient.now();
    let asked_for = query.get("phone_number_id");
    if asked_for.is_some_and(|number| *number != account.phone_number_id) {
        return Err(caller.unknown());
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let base = host.map_or_else(|| engine.base.clone(), |host| format!("http://{host}"));
    engine.read(|world| {
        let room = world.find(&account.phone_number_id).ok_or_else(|| caller.unknown())?;
        let found = media::find_alive(Scene { room, now }, id).ok_or_else(|| caller.unknown())?;
        Ok(Json(media::show(found, &media::address(&base, account, id, now))))
    })
}

/// `POST /{version}/{phone_number_id}`: another receiver for this number's webhooks.
pub(crate) async fn configure(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Answer {
    caller.about(&Object::Number)?;
    override_webhook(&engine, &caller, &body["webhook_configuration"]).await
}

/// Another receiver, after its handshake; an empty address means none.
async fn override_webhook(engine: &Engine, caller: &Caller, wanted: &Value) -> Answer {
    let url = wanted["override_callback_uri"].as_str().unwrap_or_default();
    if url.is_empty() {
        engine.edit_account(&caller.account, |account| account.webhook_url = None)?;
        return Ok(success());
    }
    let account = account_of(engine, caller)?;
    let verify_token = wanted["verify_token"].as_str().unwrap_or(&account.verify_token);
    handshake::subscribe(engine, &caller.account, url, verify_token).await.map_err(|refusal| {
        GraphError::parameter(format_args!("Callback verification failed: {}", refusal.reason))
    })?;
    Ok(success())
}

/// `DELETE /{version}/{media_id}`
pub(crate) async fn delete(State(engine): State<Arc<Engine>>, caller: Caller) -> Answer {
    let Object::Media(id) = &caller.object else { return Err(caller.unknown()) };
    let gone = Record::MediaGone { account: caller.account.clone(), id: id.clone() };
    engine.change(|_| Ok::<_, GraphError>((vec![gone], ())))?;
    engine.drop_blob(id).await;
    Ok(success())
}

/// `POST /{version}/{phone_number_id}/media`
pub(crate) async fn upload(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    mut form: Multipart,
) -> Answer {
    let account = caller.about(&Object::Number)?.to_owned();
    let broken = |error: axum::extract::multipart::MultipartError| {
        GraphError::messaging(131_053, error.body_text())
    };
    let (mut product, mut kind, mut file) = (None, None, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name().unwrap_or_default() {
            "messaging_product" => product = Some(field.text().await.map_err(broken)?),
            "type" => kind = Some(field.text().await.map_err(broken)?),
            "file" => {
                let of_part = field.content_type().map(str::to_owned);
                file = Some((of_part, field.bytes().await.map_err(broken)?));
            }
            _ => drop(field.bytes().await),
        }
    }
    let product = product.ok_or_else(|| GraphError::absent("messaging_product"))?;
    if product != "whatsapp" {
        return Err(GraphError::parameter(format_args!(
            "Param messaging_product must be one of {{WHATSAPP}} - got \"{product}\"."
        )));
    }
    let (of_part, bytes) = file.ok_or_else(|| GraphError::absent("file"))?;
    let declared = of_part.or(kind).ok_or_else(|| GraphError::absent("type"))?;
    let mime_type = media::check_upload(&declared, &bytes)?;
    let id = store_media(&engine, &account, mime_type, bytes, false).await?;
    Ok(Json(json!({"id": id})))
}

/// Stores a file: first its bytes, then the record that it exists.
pub(crate) async fn store_media(
    engine: &Engine,
    account: &str,
    mime_type: String,
    bytes: Bytes,
    inbound: bool,
) -> std::io::Result<String> {
    let stored = Media {
        id: names::number(&engine.ambient, 16),
        mime_type,
        sha256: crypto::to_hex(&crypto::sha256(&bytes)),
        file_size: bytes.len() as u64,
        created_at: engine.ambient.now(),
        inbound,
    };
    let id = stored.id.clone();
    engine.put_blob(&id, bytes).await?;
    let record = Record::Media { account: account.to_owned(), media: stored };
    engine.change(|_| Ok::<_, std::io::Error>((vec![record], ())))?;
    Ok(id)
}

/// The media host: the bytes of a file, under a signed address, for whoever has the token.
pub(crate) async fn download(
    State(engine): State<Arc<Engine>>,
    Query(query): Params,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let of = |key: &str| query.get(key).map(String::as_str).unwrap_or_default();
    let (id, hash) = (of("mid"), of("hash"));
    let expires_at: i64 = of("ext").parse().unwrap_or(0);
    let now = engine.ambient.now();
    let token = token_of(&headers, &uri);
    let found = engine.read(|world| {
        let room = world.rooms().find(|room| room.media.contains_key(id));
        let room = room.ok_or(StatusCode::NOT_FOUND)?;
        if token.as_ref() != Some(&room.account.access_token) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let signed = media::address_hash(&room.account, id, expires_at);
        if !crypto::equal(signed.as_bytes(), hash.as_bytes()) || now.as_second() >= expires_at {
            return Err(StatusCode::NOT_FOUND);
        }
        let alive = media::find_alive(Scene { room, now }, id).ok_or(StatusCode::NOT_FOUND)?;
        Ok(alive.mime_type.clone())
    });
    let bytes = engine.find_blob(id).await;
    match (found, bytes) {
        (Ok(mime_type), Some(bytes)) => ([(CONTENT_TYPE, mime_type)], bytes).into_response(),
        (Ok(_), None) => StatusCode::NOT_FOUND.into_response(),
        (Err(status), _) => status.into_response(),
    }
}

/// `GET /{version}/{waba}/subscribed_apps`
pub(crate) async fn show_apps(State(engine): State<Arc<Engine>>, caller: Caller) -> Answer {
    caller.about(&Object::Waba)?;
    let account = account_of(&engine, &caller)?;
    if !account.subscribed {
        return Ok(Json(json!({"data": []})));
    }
    let link = format!("https://www.facebook.com/games/?app_id={}", account.app_id);
    let mut app = json!({"whatsapp_business_api_data": {
        "id": account.app_id, "name": "MisyBot sandbox", "link": link,
    }});
    if let Some(url) = account.webhook_url {
        app["override_callback_uri"] = url.into();
    }
    Ok(Json(json!({"data": [app]})))
}

/// `POST /{version}/{waba}/subscribed_apps`, perhaps with another receiver.
pub(crate) async fn subscribe(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    body: Bytes,
) -> Answer {
    caller.about(&Object::Waba)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    engine.edit_account(&caller.account, |account| account.subscribed = true)?;
    match body.get("override_callback_uri") {
        Some(_) => override_webhook(&engine, &caller, &body).await,
        None => Ok(success()),
    }
}

/// `DELETE /{version}/{waba}/subscribed_apps`
pub(crate) async fn unsubscribe(State(engine): State<Arc<Engine>>, caller: Caller) -> Answer {
    caller.about(&Object::Waba)?;
    engine.edit_account(&caller.account, |account| account.subscribed = false)?;
    Ok(success())
}

/// `GET /{version}/{waba}/message_templates`
pub(crate) async fn list_templates(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    Query(query): Params,
) -> Answer {
    caller.about(&Object::Waba)?;
    let wanted = query.get("name");
    let data: Vec<Value> = engine.read(|world| {
        let room = world.find(&caller.account);
        let all = room.into_iter().flat_map(|room| &room.templates);
        let named = all.filter(|it| wanted.is_none_or(|name| it.name.contains(name.as_str())));
        named.map(templates::show).collect()
    });
    let count = data.len();
    let cursors = json!({"before": "MAZDZD", "after": "MjQZD"});
    let mut answer = json!({"data": data, "paging": {"cursors": cursors}});
    if query.contains_key("summary") {
        answer["summary"] = json!({
            "total_count": count, "message_template_count": count,
            "message_template_limit": 250, "are_translations_complete": true,
        });
    }
    Ok(Json(answer))
}

/// `POST /{version}/{waba}/message_templates`: approved at once.
pub(crate) async fn create_template(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Answer {
    caller.about(&Object::Waba)?;
    let now = engine.ambient.now();
    let id = names::number(&engine.ambient, 16);
    let category = engine.change(|world| {
        let room = world.find(&caller.account).ok_or_else(|| caller.unknown())?;
        let template = templates::create(&body, Scene { room, now }, id.clone())?;
        let category = template.category.clone();
        let account = caller.account.clone();
        Ok::<_, GraphError>((vec![Record::Template { account, template }], category))
    })?;
    Ok(Json(json!({"id": id, "status": "APPROVED", "category": category})))
}

/// `GET /{version}/{waba}/phone_numbers`
pub(crate) async fn list_numbers(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    Query(query): Params,
) -> Answer {
    caller.about(&Object::Waba)?;
    let account = account_of(&engine, &caller)?;
    let data: Vec<Value> = engine.read(|world| {
        let rooms = world.rooms().filter(|room| room.account.waba_id == account.waba_id);
        rooms.map(|room| number(&room.account)).collect()
    });
    let fields = query.get("fields").map_or(NUMBER_FIELDS, String::as_str);
    let chosen: Result<Vec<Value>, GraphError> =
        data.iter().map(|all| select(all, fields, NUMBER).map(|Json(chosen)| chosen)).collect();
    Ok(Json(json!({"data": chosen?})))
}

/// `GET /{version}/debug_token?input_token=`
pub(crate) async fn debug_token(
    State(engine): State<Arc<Engine>>,
    Query(query): Params,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let now = engine.ambient.now();
    let own = token_of(&headers, &uri).ok_or_else(GraphError::no_token)?;
    let input = query.get("input_token").ok_or_else(|| GraphError::absent("input_token"))?;
    engine.read(|world| {
        // The app's own token `id|secret` may look into tokens, as may a token itself.
        let is_app = |room: &crate::world::Room| {
            format!("{}|{}", room.account.app_id, room.account.app_secret) == own
        };
        if !world.rooms().any(is_app) {
            super::check_token(world, &own, now)?;
        }
        let owner = world.rooms().find(|room| room.account.access_token == *input);
        let Some(account) = owner.map(|room| &room.account) else {
            let error = json!({"code": 190, "message": "Invalid OAuth access token."});
            return Ok(Json(json!({"data": {"error": error, "is_valid": false, "scopes": []}})));
        };
        let expires_at = account.behaviour.token_expires_at;
        let scopes = ["whatsapp_business_management", "whatsapp_business_messaging"];
        let granular: Vec<Value> = scopes
            .iter()
            .map(|scope| json!({"scope": scope, "target_ids": [account.waba_id]}))
            .collect();
        Ok(Json(json!({"data": {
            "app_id": account.app_id, "type": "SYSTEM_USER", "application": "MisyBot sandbox",
            "is_valid": expires_at.is_none_or(|at| at > now),
            "expires_at": expires_at.map_or(0, misy_core::Timestamp::as_second),
            "issued_at": account.created_at.as_second(), "scopes": scopes,
            "granular_scopes": granular, "user_id": account.app_id,
        }})))
    })
}
