//! Room `identity`: `/v1/auth/mfa`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use garde::Validate;
use misy_core::{Secret, Timestamp, UserId};
use misy_web::{Anyone, MayUseCookies, PathId, Peer, Problem, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::Deps;
use crate::sessions::http::{Form, SignedIn, TokenPair, handed_out};
use crate::sessions::service::answer_challenge;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(enrol))
        .routes(routes!(confirm))
        .routes(routes!(verify))
        .routes(routes!(answer))
        .routes(routes!(renew_codes))
        .routes(routes!(disable))
        .routes(routes!(needing, demand))
        .routes(routes!(reset))
        .with_state(Arc::clone(deps))
}

/// The caller's second factor.
#[derive(Serialize, ToSchema)]
struct SecondFactor {
    /// Whether a sign-in asks for it.
    enabled: bool,
    /// Since when; `null` if there is none.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    enabled_at: Option<Timestamp>,
    /// Whether the caller's role needs one.
    needed: bool,
    /// Recovery codes that were not used yet.
    recovery_codes_left: i64,
}

/// The caller's second factor, and whether their role needs one.
#[utoipa::path(get, path = "/v1/auth/mfa", tag = "mfa",
    responses((status = 200, description = "as it is", body = SecondFactor)))]
async fn status(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
) -> Result<Json<SecondFactor>, Problem> {
    let status = service::status(&deps, &ctx, &claims).await?;
    Ok(Json(SecondFactor {
        enabled: status.confirmed_at.is_some(),
        enabled_at: status.confirmed_at,
        needed: status.needed,
        recovery_codes_left: status.recovery_codes_left,
    }))
}

/// Shows that it is the person who sets it up.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct EnrolFactor {
    /// The caller's password; needed by everybody who has one.
    #[schema(value_type = Option<String>, format = Password, max_length = 256)]
    current_password: Option<Secret>,
}

/// A generator to be set up.
#[derive(Serialize, ToSchema)]
struct Enrolment {
    /// To be typed into the generator, in base32. Shown once.
    secret: String,
    /// The same as `otpauth:` address, to be shown as a picture.
    uri: String,
}

/// Begins to set up a generator of one-time passwords (RFC 6238: SHA-1, six digits, 30 seconds).
/// It guards nothing until it is confirmed.
#[utoipa::path(post, path = "/v1/auth/mfa/totp", tag = "mfa", request_body = EnrolFactor,
    responses((status = 201, description = "to be confirmed", body = Enrolment)))]
async fn enrol(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
    Valid(body): Valid<EnrolFactor>,
) -> Result<impl IntoResponse, Problem> {
    let made = service::enrol(&deps, &ctx, &claims, body.current_password.as_ref()).await?;
    let (secret, uri) = (made.secret.expose().to_owned(), made.uri.expose().to_owned());
    Ok((StatusCode::CREATED, Json(Enrolment { secret, uri })))
}

/// A code of the generator or a recovery code.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct FactorCode {
    /// Six digits, or a recovery code.
    #[schema(value_type = String, format = Password, max_length = 64)]
    code: Secret,
}

/// Codes for whoever lost the generator.
#[derive(Serialize, ToSchema)]
struct RecoveryCodes {
    /// Each works once. Shown once.
    recovery_codes: Vec<String>,
}

fn shown(codes: &[Secret]) -> Json<RecoveryCodes> {
    let recovery_codes = codes.iter().map(|code| code.expose().to_owned()).collect();
    Json(RecoveryCodes { recovery_codes })
}

/// Confirms the generator by its first code and gives recovery codes. Every sign-in asks for a code
/// from now on; refresh the session to get tokens with all that the role may do.
#[utoipa::path(post, path = "/v1/auth/mfa/totp/confirm", tag = "mfa", request_body = FactorCode,
    responses((status = 200, description = "set up", body = RecoveryCodes)))]
async fn confirm(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
    Valid(body): Valid<FactorCode>,
) -> Result<Json<RecoveryCodes>, Problem> {
    Ok(shown(&service::confirm(&deps, &ctx, &claims, &body.code).await?))
}

/// Shows the second factor in a session that began without it; refresh the session afterwards.
#[utoipa::path(post, path = "/v1/auth/mfa/verify", tag = "mfa", request_body = FactorCode,
    responses((status = 204, description = "shown")))]
async fn verify(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
    Valid(body): Valid<FactorCode>,
) -> Result<StatusCode, Problem> {
    service::step_up(&deps, &ctx, &claims, &body.code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The second step of a sign-in.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct AnswerChallenge {
    /// From the first step.
    #[schema(value_type = String, format = Password, max_length = 256)]
    challenge_token: Secret,
    /// Six digits, or a recovery code.
    #[schema(value_type = String, format = Password, max_length = 64)]
    code: Secret,
    /// How the session is kept; as tokens, if nothing is said.
    #[schema(nullable = false)]
    session: Option<Form>,
}

/// The second step of a sign-in whose first step answered 202.
#[utoipa::path(post, path = "/v1/auth/mfa/challenge", tag = "mfa", security(()),
    request_body = AnswerChallenge,
    responses((status = 200, description = "signed in", body = TokenPair),
        (status = 401, description = "The code is not right, or the sign-in is over."),
        (status = 403, description = "A page of a stranger asks for cookies.")))]
async fn answer(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    page: MayUseCookies,
    Valid(body): Valid<AnswerChallenge>,
) -> Result<Response, Problem> {
    let AnswerChallenge { challenge_token, code, session } = body;
    let form = session.unwrap_or_default().check(page)?;
    Ok(handed_out(answer_challenge(&deps, &ctx, &challenge_token, &code, peer).await?, form))
}

/// Makes new recovery codes; the old ones stop working.
#[utoipa::path(post, path = "/v1/auth/mfa/recovery-codes", tag = "mfa", request_body = FactorCode,
    responses((status = 200, description = "the new codes", body = RecoveryCodes)))]
async fn renew_codes(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
    Valid(body): Valid<FactorCode>,
) -> Result<Json<RecoveryCodes>, Problem> {
    Ok(shown(&service::renew_codes(&deps, &ctx, &claims, &body.code).await?))
}

/// Removes the caller's second factor, unless their role needs one.
#[utoipa::path(post, path = "/v1/auth/mfa/disable", tag = "mfa", request_body = FactorCode,
    responses((status = 204, description = "removed")))]
async fn disable(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
    Valid(body): Valid<FactorCode>,
) -> Result<StatusCode, Problem> {
    service::disable(&deps, &ctx, &claims, &body.code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which roles need a second factor.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct FactorPolicy {
    /// Slugs of roles. Without a second factor their people may only set one up.
    #[schema(max_items = 100, example = json!(["admin", "owner"]))]
    roles: Vec<String>,
}

/// The roles that need a second factor.
#[utoipa::path(get, path = "/v1/auth/mfa/policy", tag = "mfa",
    responses((status = 200, description = "as it is", body = FactorPolicy)))]
async fn needing(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
) -> Result<Json<FactorPolicy>, Problem> {
    Ok(Json(FactorPolicy { roles: service::needing(&deps, &ctx).await? }))
}

/// Says which roles need a second factor. It holds for running sessions within a second.
#[utoipa::path(put, path = "/v1/auth/mfa/policy", tag = "mfa", request_body = FactorPolicy,
    responses((status = 200, description = "as it is now", body = FactorPolicy)))]
async fn demand(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<FactorPolicy>,
) -> Result<Json<FactorPolicy>, Problem> {
    Ok(Json(FactorPolicy { roles: service::demand(&deps, &ctx, body.roles).await? }))
}

/// Removes the second factor of a person who lost it; all their sessions end.
#[utoipa::path(delete, path = "/v1/users/{id}/mfa", tag = "mfa", params(("id" = UserId, Path)),
    responses((status = 204, description = "removed")))]
async fn reset(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<UserId>,
) -> Result<StatusCode, Problem> {
    service::reset(&deps, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
