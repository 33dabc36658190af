//! Room `sandbox`: accounts, their receiver and their behaviour, over the script API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ScriptError, merge};
use crate::courier::{self, CONNECTIONS_MAX};
use crate::engine::{Engine, NewAccount};
use crate::handshake;
use crate::model::{Account, Behaviour};
use crate::world::Room;

/// JSON, or an error of the script API.
type Answer = Result<Json<Value>, ScriptError>;

/// Looks at one account, or says that there is none.
pub(super) fn look<T>(
    engine: &Engine,
    account: &str,
    look: impl FnOnce(&Room) -> T,
) -> Result<T, ScriptError> {
    engine
        .read(|world| world.find(account).map(look))
        .ok_or_else(|| ScriptError::unknown("account"))
}

/// Everything about an account. It is a sandbox: the credentials too.
fn describe(account: &Account) -> Value {
    json!({
        "phone_number_id": account.phone_number_id, "waba_id": account.waba_id,
        "app_id": account.app_id, "display_phone_number": account.display_phone_number,
        "verified_name": account.verified_name, "access_token": account.access_token,
        "app_secret": account.app_secret, "verify_token": account.verify_token,
        "webhook_url": account.webhook_url, "subscribed": account.subscribed,
        "created_at": account.created_at, "behaviour": account.behaviour,
    })
}

/// `GET /sandbox/accounts`, oldest first.
pub(crate) async fn list(State(engine): State<Arc<Engine>>) -> Json<Value> {
    let mut accounts: Vec<Account> =
        engine.read(|world| world.rooms().map(|room| room.account.clone()).collect());
    accounts.sort_by(|a, b| {
        (a.created_at, &a.display_phone_number).cmp(&(b.created_at, &b.display_phone_number))
    });
    Json(json!({"data": accounts.iter().map(describe).collect::<Vec<_>>()}))
}

/// `POST /sandbox/accounts`
pub(crate) async fn create(
    State(engine): State<Arc<Engine>>,
    Json(wanted): Json<NewAccount>,
) -> Result<(StatusCode, Json<Value>), ScriptError> {
    let account = engine.create_account(wanted)?;
    Ok((StatusCode::CREATED, Json(describe(&account))))
}

/// `GET /sandbox/accounts/{account}`
pub(crate) async fn show(State(engine): State<Arc<Engine>>, Path(account): Path<String>) -> Answer {
    look(&engine, &account, |room| Json(describe(&room.account)))
}

/// Where webhooks shall go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    url: String,
    verify_token: Option<String>,
}

/// `PUT /sandbox/accounts/{account}/webhook`: with the handshake; 422 tells what the receiver said.
pub(crate) async fn set_webhook(
    State(engine): State<Arc<Engine>>,
    Path(account): Path<String>,
    Json(wanted): Json<NewWebhook>,
) -> Result<Response, ScriptError> {
    let verify_token = look(&engine, &account, |room| room.account.verify_token.clone())?;
    let verify_token = wanted.verify_token.unwrap_or(verify_token);
    let taken = handshake::subscribe(&engine, &account, &wanted.url, &verify_token).await;
    Ok(match taken {
        Ok(()) => Json(json!({"url": wanted.url, "verify_token": verify_token})).into_response(),
        Err(refusal) => refused(&refusal),
    })
}

/// What went wrong in the handshake, with the receiver's own words.
fn refused(refusal: &handshake::Refusal) -> Response {
    let receiver = json!({"status": refusal.status, "body": refusal.body});
    let body = json!({"error": {"message": refusal.reason, "receiver": receiver}});
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

/// `DELETE /sandbox/accounts/{account}/webhook`
pub(crate) async fn drop_webhook(
    State(engine): State<Arc<Engine>>,
    Path(account): Path<String>,
) -> Answer {
    let edited = engine.edit_account(&account, |account| account.webhook_url = None)?;
    edited.map(|_| Json(json!({"url": null}))).ok_or_else(|| ScriptError::unknown("account"))
}

/// `GET /sandbox/accounts/{account}/behaviour`
pub(crate) async fn behaviour(
    State(engine): State<Arc<Engine>>,
    Path(account): Path<String>,
) -> Result<Json<Behaviour>, ScriptError> {
    look(&engine, &account, |room| Json(room.account.behaviour.clone()))
}

/// `PATCH /sandbox/accounts/{account}/behaviour`: what is named changes, `null` gives the default.
pub(crate) async fn set_behaviour(
    State(engine): State<Arc<Engine>>,
    Path(account): Path<String>,
    Json(patch): Json<Value>,
) -> Result<Json<Behaviour>, ScriptError> {
    let now = look(&engine, &account, |room| room.account.behaviour.clone())?;
    let wanted: Behaviour = merge(&now, patch)?;
    if !(1..=CONNECTIONS_MAX).contains(&wanted.connections) {
        let message = format!("connections must be between 1 and {CONNECTIONS_MAX}");
        return Err(ScriptError::wrong(message));
    }
    engine.edit_account(&account, |account| account.behaviour = wanted.clone())?;
    engine.touch(|world| {
        if let Some(room) = world.find_mut(&account) {
            // Another limit begins with full buckets.
            room.limits = crate::world::Limits::default();
        }
    });
    Ok(Json(wanted))
}

/// `GET /sandbox/accounts/{account}/stats`
pub(crate) async fn stats(
    State(engine): State<Arc<Engine>>,
    Path(account): Path<String>,
) -> Answer {
    look(&engine, &account, |room| {
        let mut stats = serde_json::to_value(room.counters).unwrap_or_default();
        stats["webhooks_pending"] = room.outbox.len().into();
        stats["phones"] = room.phones.len().into();
        stats["revision"] = room.revision.into();
        Json(stats)
    })
}

/// `GET /sandbox/accounts/{account}/deliveries`: the last attempts, newest first.
pub(crate) async fn deliveries(
    State(engine): State<Arc<Engine>>,
    Path(account): Path<String>,
) -> Answer {
    look(&engine, &account, |room| Json(json!({"data": room.log.iter().rev().collect::<Vec<_>>()})))
}

/// `POST /sandbox/accounts/{account}/raw`: signs these very bytes, delivers them once and tells
/// what the receiver said.
pub(crate) async fn deliver_raw(
    State(engine): State<Arc<Engine>>,
    Path(account): Path<String>,
    body: Bytes,
) -> Answer {
    look(&engine, &account, |_| ())?;
    let target = courier::target_of(&engine, &account);
    let target = target.ok_or_else(|| ScriptError::wrong("the account has no webhook"))?;
    let answer = courier::post(&engine, &target, body.to_vec()).await;
    Ok(Json(json!({
        "status": answer.status, "body": answer.body, "error": answer.error,
        "elapsed_ms": answer.elapsed_ms,
    })))
}
