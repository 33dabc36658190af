//! Room `identity`: `/v1/auth/recovery`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_core::{Personal, Secret};
use misy_web::{Anyone, Peer, Problem, Valid};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(complete))
        .with_state(Arc::clone(deps))
}

/// Whose password was forgotten.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct BeginRecovery {
    #[schema(value_type = String, max_length = 320, example = "ana@acme.example")]
    email: Personal<String>,
    /// The slug of the tenant whose password it is; it can still be named at the end.
    #[schema(max_length = 100, example = "acme")]
    tenant: Option<String>,
}

/// Sends a link to the address, if somebody has it. The answer is the same if nobody has.
#[utoipa::path(post, path = "/v1/auth/recovery", tag = "session", security(()),
    request_body = BeginRecovery,
    responses((status = 202, description = "a mail is sent if somebody has the address")))]
async fn begin(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    Valid(body): Valid<BeginRecovery>,
) -> Result<StatusCode, Problem> {
    service::begin(&deps, &ctx, &body.email.0, body.tenant.as_deref(), peer).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The link of the mail and the new password.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct CompleteRecovery {
    /// From the mail.
    #[schema(value_type = String, format = Password, max_length = 256)]
    token: Secret,
    /// At least 12 characters, and hard to guess.
    #[schema(value_type = String, format = Password, max_length = 256)]
    password: Secret,
    /// The slug of the tenant; needed only if the address has passwords in several.
    #[schema(max_length = 100, example = "acme")]
    tenant: Option<String>,
}

/// Sets the new password and ends every session it opened. Sign in with it afterwards.
#[utoipa::path(post, path = "/v1/auth/recovery/complete", tag = "session", security(()),
    request_body = CompleteRecovery,
    responses((status = 204, description = "the password is set"),
        (status = 401, description = "The link does not work (any more)."),
        (status = 409, description = "The address has passwords in several tenants: name one.")))]
async fn complete(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    Valid(body): Valid<CompleteRecovery>,
) -> Result<StatusCode, Problem> {
    let CompleteRecovery { token, password, tenant } = body;
    service::complete(&deps, &ctx, &token, &password, tenant.as_deref(), peer).await?;
    Ok(StatusCode::NO_CONTENT)
}
