//! Room `integration`: `/hooks/sources/{source}`, the address that other services send to.

use std::sync::Arc;

use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use misy_core::SourceId;
use misy_web::{Class, Hook, Problem, Raw, Traits};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Deps;
use crate::sources::model::Answer;
use crate::sources::service::{self, Question};

/// The largest request that is read.
const BODY_MAX_BYTES: usize = 4 << 20;

const TRAITS: Traits =
    Traits::new().class(Class::Hook).body_limit_bytes(BODY_MAX_BYTES).any_query();

/// The routes of the address.
pub(super) fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(misy_web::with(routes!(shake_hands, receive), TRAITS))
        .with_state(deps)
}

fn spoken(answer: Answer) -> Response {
    let status = if answer.body.is_empty() { StatusCode::NO_CONTENT } else { StatusCode::OK };
    let headers =
        [(header::CONTENT_TYPE, answer.content_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, answer.body).into_response()
}

fn target(uri: &OriginalUri) -> &str {
    uri.path_and_query().map_or("/", |target| target.as_str())
}

/// Answer what another service asks before it sends.
#[utoipa::path(get, path = "/hooks/sources/{source}", tag = "hooks", security(()),
    params(("source" = SourceId, Path, description = "A source's id.")),
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = 403, description = "It is not who is expected to ask.")))]
async fn shake_hands(
    State(deps): State<Arc<Deps>>,
    Hook(ctx): Hook,
    Path(source): Path<String>,
    uri: OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let question = Question { source: &source, target: target(&uri), headers: &headers, body: b"" };
    Ok(spoken(service::shake_hands(&deps, &ctx, &question).await?))
}

/// Take what another service sends: checked, stored, acknowledged. Whoever is refused is told
/// nothing of why.
#[utoipa::path(post, path = "/hooks/sources/{source}", tag = "hooks", security(()),
    params(("source" = SourceId, Path, description = "A source's id.")),
    request_body(content = Object, description = "Whatever the service sends."),
    responses((status = 200), (status = 204, description = "A ping was understood."),
        (status = 401, description = "The signature or the token is not the right one.")))]
async fn receive(
    State(deps): State<Arc<Deps>>,
    Hook(ctx): Hook,
    Path(source): Path<String>,
    uri: OriginalUri,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, Problem> {
    let question =
        Question { source: &source, target: target(&uri), headers: &headers, body: &body };
    let answer = service::receive(&deps, &ctx, &question).await?;
    Ok(answer.map_or_else(|| StatusCode::OK.into_response(), spoken))
}
