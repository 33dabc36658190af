//! Room `identity`: `/v1/invitations`, and the acceptance of one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use misy_core::{InvitationId, Page, Personal, Secret, Timestamp, UserId};
use misy_web::{Anyone, MayUseCookies, Paging, PathId, Peer, Problem, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Invitation, State as Standing};
use super::service::{self, Accepting};
use crate::Deps;
use crate::sessions::http::{Form, TokenPair, device_of, handed_out};
use crate::users::model::NewUser;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
        .routes(routes!(resend))
        .routes(routes!(accept))
        .with_state(Arc::clone(deps))
}

/// Somebody who was asked in and has not come yet.
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
struct InvitationBody {
    id: InvitationId,
    /// The person, who is `invited` until the invitation is accepted.
    user_id: UserId,
    #[schema(value_type = String)]
    email: Personal<String>,
    #[schema(value_type = String)]
    name: Personal<String>,
    /// The slug of the role.
    role: String,
    state: Standing,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its link stops working.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// When the newest mail left; `null` while it has not.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    sent_at: Option<Timestamp>,
}

fn shown(deps: &Deps, invitation: Invitation) -> InvitationBody {
    let state = invitation.state(deps.ambient.now());
    let role = invitation.role.slug().to_owned();
    let Invitation { id, user, email, name, created_at, expires_at, sent_at, .. } = invitation;
    InvitationBody { id, user_id: user, email, name, role, state, created_at, expires_at, sent_at }
}

/// Who is to be asked in.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct CreateInvitation {
    /// The address that the invitation goes to and that they will sign in with.
    #[schema(value_type = String, max_length = 254, example = "ana@acme.example")]
    email: Personal<String>,
    /// The name as shown.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Ana Roy")]
    name: Personal<String>,
    /// The slug of a built-in role or one of the tenant's own.
    #[schema(max_length = 50, pattern = "^[a-z][a-z0-9_]*$", example = "agent")]
    role: String,
}

/// The open invitations of the tenant, oldest first.
#[utoipa::path(get, path = "/v1/invitations", tag = "invitations", params(Paging),
    responses((status = 200, description = "one page", body = Page<InvitationBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<InvitationBody>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(|invitation| shown(&deps, invitation))))
}

/// Invites a person: adds them without a password and sends a link by which they choose one.
#[utoipa::path(post, path = "/v1/invitations", tag = "invitations",
    request_body = CreateInvitation,
    responses((status = 201, description = "invited", body = InvitationBody)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<CreateInvitation>,
) -> Result<impl IntoResponse, Problem> {
    let CreateInvitation { email, name, role } = body;
    let new = NewUser { email, name, role, password: None };
    let invitation = service::create(&deps, &ctx, new).await?;
    Ok((StatusCode::CREATED, Json(shown(&deps, invitation))))
}

/// Withdraws an invitation and removes the person who did not come.
#[utoipa::path(delete, path = "/v1/invitations/{id}", tag = "invitations",
    params(("id" = InvitationId, Path)), responses((status = 204, description = "withdrawn")))]
async fn revoke(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<InvitationId>,
) -> Result<StatusCode, Problem> {
    service::revoke(&deps, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends an invitation again, with another link; the earlier one stops working.
#[utoipa::path(post, path = "/v1/invitations/{id}/resend", tag = "invitations",
    params(("id" = InvitationId, Path)),
    responses((status = 200, description = "sent again", body = InvitationBody)))]
async fn resend(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<InvitationId>,
) -> Result<Json<InvitationBody>, Problem> {
    let invitation = service::resend(&deps, &ctx, id).await?;
    Ok(Json(shown(&deps, invitation)))
}

/// The link of the mail and a password of one's own choosing.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct AcceptInvitation {
    /// From the mail.
    #[schema(value_type = String, format = Password, max_length = 256)]
    token: Secret,
    /// At least 12 characters, and hard to guess.
    #[schema(value_type = String, format = Password, max_length = 256)]
    password: Secret,
    /// How the session is kept; as tokens, if nothing is said.
    #[schema(nullable = false)]
    session: Option<Form>,
}

/// Accepts an invitation: sets the password and signs in.
#[utoipa::path(post, path = "/v1/auth/invitation", tag = "session", security(()),
    request_body = AcceptInvitation,
    responses((status = 200, description = "signed in", body = TokenPair),
        (status = 401, description = "The link does not work (any more)."),
        (status = 403, description = "A page of a stranger asks for cookies.")))]
async fn accept(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    page: MayUseCookies,
    headers: HeaderMap,
    Valid(body): Valid<AcceptInvitation>,
) -> Result<Response, Problem> {
    let AcceptInvitation { token, password, session } = body;
    let form = session.unwrap_or_default().check(page)?;
    let accepting = Accepting { link: token, password, device: device_of(&headers), peer };
    Ok(handed_out(service::accept(&deps, &ctx, accepting).await?, form))
}
