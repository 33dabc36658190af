//! Room `identity`: `/v1/auth/verification`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_core::Secret;
use misy_web::{Anyone, Peer, Problem, Valid};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::Deps;
use crate::sessions::http::SignedIn;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(complete))
        .with_state(Arc::clone(deps))
}

/// Sends a link to the caller's own address, to show that it is theirs.
#[utoipa::path(post, path = "/v1/auth/verification", tag = "session",
    responses((status = 202, description = "the mail is on its way")))]
async fn begin(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
) -> Result<StatusCode, Problem> {
    service::begin(&deps, &ctx, &claims).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The link of the mail.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct CompleteVerification {
    /// From the mail.
    #[schema(value_type = String, format = Password, max_length = 256)]
    token: Secret,
}

/// Confirms the address that the link was sent to.
#[utoipa::path(post, path = "/v1/auth/verification/complete", tag = "session", security(()),
    request_body = CompleteVerification,
    responses((status = 204, description = "confirmed"),
        (status = 401, description = "The link does not work (any more).")))]
async fn complete(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    Valid(body): Valid<CompleteVerification>,
) -> Result<StatusCode, Problem> {
    service::complete(&deps, &ctx, &body.token, peer).await?;
    Ok(StatusCode::NO_CONTENT)
}
