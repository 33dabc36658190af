//! Room `identity`: `/v1/auth`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use garde::Validate;
use misy_core::{
    ApiKeyId, OperatorId, Page, Permission, Personal, Secret, SessionId, TenantId, Timestamp,
    UserId,
};
use misy_web::{Anyone, Caller, Paging, PathId, Peer, Problem, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Error as SessionError, Pair};
use super::service::{self, Login, Me};
use crate::tokens::Claims;
use crate::{Deps, Error, authentication};

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(change_password))
        .routes(routes!(me))
        .routes(routes!(list, revoke_all))
        .routes(routes!(revoke))
        .with_state(Arc::clone(deps))
}

/// Longest `User-Agent` that is kept, in characters.
const DEVICE_CHARS_MAX: usize = 200;

/// A person with a session: an access token that was let in.
pub(crate) struct SignedIn(pub(crate) Claims);

impl FromRequestParts<Arc<Deps>> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, deps: &Arc<Deps>) -> Result<Self, Problem> {
        Caller::from_request_parts(parts, deps).await?;
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        let bearer = header.and_then(|text| text.split_once(' ')).map(|(_, bearer)| bearer.trim());
        let none = || Error::from(SessionError::NoSession);
        let bearer = bearer.filter(|bearer| bearer.starts_with("eyJ")).ok_or_else(none)?;
        Ok(Self(authentication::verify(deps, &Secret::new(bearer)).await?))
    }
}

/// Who wants to sign in.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct LoginBody {
    #[schema(value_type = String, max_length = 320, example = "ana@acme.example")]
    email: Personal<String>,
    #[schema(value_type = String, format = Password, max_length = 256)]
    password: Secret,
    /// The slug of the tenant to sign in to; needed only if the password is right in several.
    #[schema(max_length = 100, example = "acme")]
    tenant: Option<String>,
}

/// A pair of tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenPair {
    /// Send it as `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// How long the access token is valid, in seconds.
    expires_in: u64,
    /// Exchange it for the next pair at `POST /v1/auth/refresh`. It works once.
    refresh_token: String,
    session_id: SessionId,
    /// The slug of the tenant that was signed in to; `null` for an operator, and on a refresh.
    #[schema(required = true)]
    tenant: Option<String>,
}

pub(crate) fn handed_out(pair: Pair) -> impl IntoResponse {
    let body = TokenPair {
        access_token: pair.access.expose().to_owned(),
        token_type: "Bearer",
        expires_in: pair.expires_in_s,
        refresh_token: pair.refresh.expose().to_owned(),
        session_id: pair.session,
        tenant: pair.slug,
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(body))
}

/// What the program that signs in calls itself.
pub(crate) fn device_of(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(agent.chars().take(DEVICE_CHARS_MAX).collect())
}

/// Signs in with a password, into a tenant or, as an operator, into the platform.
#[utoipa::path(post, path = "/v1/auth/login", tag = "session", security(()),
    request_body = LoginBody,
    responses((status = 200, description = "signed in", body = TokenPair)))]
async fn login(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    headers: HeaderMap,
    Valid(body): Valid<LoginBody>,
) -> Result<impl IntoResponse, Problem> {
    let device = device_of(&headers);
    let LoginBody { email: Personal(email), password, tenant } = body;
    let login = Login { email, password, tenant, device, peer };
    Ok(handed_out(service::login(&deps, &ctx, login).await?))
}

/// The token to be exchanged.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct RefreshBody {
    #[schema(value_type = String, format = Password, max_length = 256)]
    refresh_token: Secret,
}

/// Exchanges a refresh token for a new pair. Using one twice ends its session, unless the first
/// answer was lost.
#[utoipa::path(post, path = "/v1/auth/refresh", tag = "session", security(()),
    request_body = RefreshBody,
    responses((status = 200, description = "the next pair", body = TokenPair)))]
async fn refresh(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    Valid(body): Valid<RefreshBody>,
) -> Result<impl IntoResponse, Problem> {
    Ok(handed_out(service::refresh(&deps, &ctx, &body.refresh_token, peer).await?))
}

/// Signs out: this session's tokens stop working within a second.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "session",
    responses((status = 204, description = "signed out")))]
async fn logout(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
) -> Result<StatusCode, Problem> {
    service::logout(&deps, &ctx, &claims).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The old password and the new one.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct PasswordBody {
    #[schema(value_type = String, format = Password, max_length = 256)]
    current_password: Secret,
    /// At least 12 characters.
    #[schema(value_type = String, format = Password, max_length = 256)]
    new_password: Secret,
}

/// Changes the caller's password. All their sessions end and a new one begins with this answer.
#[utoipa::path(post, path = "/v1/auth/password", tag = "session", request_body = PasswordBody,
    responses((status = 200, description = "changed; the new session", body = TokenPair)))]
async fn change_password(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
    Valid(body): Valid<PasswordBody>,
) -> Result<impl IntoResponse, Problem> {
    let PasswordBody { current_password, new_password } = body;
    let pair =
        service::change_password(&deps, &ctx, &claims, current_password, new_password).await?;
    Ok(handed_out(pair))
}

/// The tenant that the caller acts in.
#[derive(Serialize, ToSchema)]
struct MyTenant {
    id: TenantId,
    /// Its name at sign-in.
    #[schema(required = true)]
    slug: Option<String>,
}

/// The caller, by what they are.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum MeBody {
    /// A person of a tenant.
    User {
        id: UserId,
        #[schema(value_type = String)]
        email: Personal<String>,
        #[schema(value_type = String)]
        name: Personal<String>,
        role: String,
        tenant: MyTenant,
        /// Everything they may do.
        permissions: Vec<Permission>,
    },
    /// A program of a tenant.
    ApiKey {
        id: ApiKeyId,
        name: String,
        tenant: MyTenant,
        /// Everything it may do.
        permissions: Vec<Permission>,
    },
    /// A person who runs the platform.
    Operator {
        id: OperatorId,
        #[schema(value_type = String)]
        email: Personal<String>,
        /// Everything they may do.
        permissions: Vec<Permission>,
    },
}

/// Who the credential says the caller is, and what they may do.
#[utoipa::path(get, path = "/v1/auth/me", tag = "session",
    responses((status = 200, description = "the caller", body = MeBody)))]
async fn me(State(deps): State<Arc<Deps>>, caller: Caller) -> Result<Json<MeBody>, Problem> {
    let (me, tenant, grants) = match &caller {
        Caller::Tenant(ctx) => {
            (service::me_in_tenant(&deps, ctx).await?, Some(ctx.tenant()), ctx.grants())
        }
        Caller::Operator(ctx) => (service::me_on_platform(&deps, ctx).await?, None, ctx.grants()),
    };
    let permissions = grants.iter().collect();
    let body = match (me, tenant) {
        (Me::User { user, slug }, Some(id)) => MeBody::User {
            id: user.id,
            role: user.role_slug().to_owned(),
            email: user.email,
            name: user.name,
            tenant: MyTenant { id, slug },
            permissions,
        },
        (Me::ApiKey { id: key, name, slug }, Some(id)) => {
            MeBody::ApiKey { id: key, name, tenant: MyTenant { id, slug }, permissions }
        }
        (Me::Operator { id, email }, _) => {
            MeBody::Operator { id, email: Personal(email), permissions }
        }
        (Me::User { .. } | Me::ApiKey { .. }, None) => return Err(no_session()),
    };
    Ok(Json(body))
}

fn no_session() -> Problem {
    Error::from(SessionError::NoSession).into()
}

/// One of the caller's sessions.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionBody {
    id: SessionId,
    /// What the program that signed in calls itself.
    #[schema(required = true)]
    device: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its tokens were last exchanged.
    #[schema(value_type = String, format = DateTime)]
    used_at: Timestamp,
    /// When it ends unless it is used before.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Whether it is the one that asks.
    current: bool,
}

/// The caller's sessions, oldest first.
#[utoipa::path(get, path = "/v1/auth/sessions", tag = "session", params(Paging),
    responses((status = 200, description = "one page", body = Page<SessionBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
    paging: Paging,
) -> Result<Json<Page<SessionBody>>, Problem> {
    let page = service::list(&deps, &ctx, &claims, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(|session| SessionBody {
        current: session.id == claims.session,
        id: session.id,
        device: session.device,
        created_at: session.created_at,
        used_at: session.used_at,
        expires_at: session.expires_at,
    })))
}

/// Ends all of the caller's sessions, the present one included.
#[utoipa::path(delete, path = "/v1/auth/sessions", tag = "session",
    responses((status = 204, description = "signed out everywhere")))]
async fn revoke_all(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
) -> Result<StatusCode, Problem> {
    service::revoke_all(&deps, &ctx, &claims).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of the caller's sessions.
#[utoipa::path(delete, path = "/v1/auth/sessions/{id}", tag = "session",
    params(("id" = SessionId, Path)), responses((status = 204, description = "ended")))]
async fn revoke(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
    PathId(id): PathId<SessionId>,
) -> Result<StatusCode, Problem> {
    service::revoke(&deps, &ctx, &claims, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
