//! Room `conversation`: `/hooks/{hook}`, the addresses that providers deliver to.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use misy_core::ChannelId;
use misy_web::{Claimed, Class, Hook, Problem, Raw, Traits};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service::{self, Delivery};
use crate::Deps;

/// The largest delivery that is read; the largest of any provider is three mebibytes.
const BODY_MAX_BYTES: usize = 4 << 20;

const TRAITS: Traits =
    Traits::new().class(Class::Hook).body_limit_bytes(BODY_MAX_BYTES).any_query();

/// The routes of hooks.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(misy_web::with(routes!(shake_hands, deliver), TRAITS))
        .with_state(deps)
}

/// Answer a provider's handshake.
#[utoipa::path(get, path = "/hooks/{hook}", tag = "hooks", security(()),
    params(("hook" = String, Path,
        description = "An account's id, or the name of a provider's app.")),
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = 403, description = "It is not who is expected to ask.")))]
async fn shake_hands(
    State(deps): State<Arc<Deps>>,
    Hook(ctx): Hook,
    Path(hook): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<String, Problem> {
    let query = query.unwrap_or_default();
    Ok(match hook.parse::<ChannelId>() {
        Ok(id) => service::shake_hands(&deps, &ctx, id, &query).await?,
        Err(_) => service::shake_hands_shared(&deps, &ctx, &hook, &query).await?,
    })
}

/// Take a delivery: verified, stored, acknowledged.
#[utoipa::path(post, path = "/hooks/{hook}", tag = "hooks", security(()),
    params(("hook" = String, Path,
        description = "An account's id, or the name of a provider's app.")),
    request_body(content = Object, description = "The provider's own payload."),
    responses((status = 200),
        (status = 401, description = "The signature or the token is not the right one.")))]
async fn deliver(
    State(deps): State<Arc<Deps>>,
    Hook(ctx): Hook,
    Path(hook): Path<String>,
    Claimed(claim): Claimed,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<StatusCode, Problem> {
    let _first = deps.db.precedence().go_first();
    let delivery = Delivery { claim, headers: &headers, raw: &body };
    match hook.parse::<ChannelId>() {
        Ok(id) => service::deliver(&deps, &ctx, id, &delivery).await?,
        Err(_) => service::deliver_shared(&deps, &ctx, &hook, &delivery).await?,
    };
    Ok(StatusCode::OK)
}
