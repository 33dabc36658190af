//! Room `identity`: `/v1/auth`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form as UrlForm, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use misy_core::{
    ApiKeyId, Code, OperatorId, Page, Permission, Personal, Secret, SessionId, TenantId, Timestamp,
    UserId,
};
use misy_web::{
    Anyone, Caller, MayUseCookies, Paging, PathId, Peer, Presented, Problem, REFRESH_COOKIE, Valid,
    read_cookie,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Error as SessionError, Method, summary};
use super::service::{self, Login, Me, SignedIn as Outcome};
use crate::accounts::model::Belonging;
use crate::{Deps, Error};

mod keeping;

use keeping::signed_out;
pub(crate) use keeping::{Form, SignedIn, TokenPair, device_of, handed_out};

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(revoke_token))
        .routes(routes!(change_password))
        .routes(routes!(me))
        .routes(routes!(list, revoke_all))
        .routes(routes!(revoke))
        .with_state(Arc::clone(deps))
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
    /// How the session is kept; as tokens, if nothing is said.
    #[schema(nullable = false)]
    session: Option<Form>,
}

/// The first step of a sign-in in two steps is done.
#[derive(Serialize, ToSchema)]
struct SecondFactorAsked {
    /// Always true.
    mfa_required: bool,
    /// Send it with a code to `POST /v1/auth/mfa/challenge`.
    challenge_token: String,
    /// How long it is waited for, in seconds.
    expires_in: u32,
    /// What is taken.
    methods: [&'static str; 2],
}

/// Signs in with a password, into a tenant or, as an operator, into the platform.
#[utoipa::path(post, path = "/v1/auth/login", tag = "session", security(()),
    request_body = LoginBody,
    responses((status = 200, description = "signed in", body = TokenPair),
        (status = 202, description = "a second factor is asked for", body = SecondFactorAsked),
        (status = 401, description = "Address, password or tenant is wrong."),
        (status = 403, description = "A page of a stranger asks for cookies."),
        (status = 409, description = "The password is right in several tenants: name one.")))]
async fn login(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    page: MayUseCookies,
    headers: HeaderMap,
    Valid(body): Valid<LoginBody>,
) -> Result<Response, Problem> {
    let LoginBody { email: Personal(email), password, tenant, session } = body;
    let form = session.unwrap_or_default().check(page)?;
    let login = Login { email, password, tenant, device: device_of(&headers), peer };
    Ok(match service::login(&deps, &ctx, login).await? {
        Outcome::Session(pair) => handed_out(pair, form),
        Outcome::Challenge { token, expires_in_s } => {
            let body = SecondFactorAsked {
                mfa_required: true,
                challenge_token: token.expose().to_owned(),
                expires_in: expires_in_s,
                methods: ["totp", "recovery_code"],
            };
            let no_store = [(header::CACHE_CONTROL, "no-store")];
            (StatusCode::ACCEPTED, no_store, Json(body)).into_response()
        }
    })
}

/// The token to be exchanged.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct RefreshBody {
    /// Without one, that of the cookie is exchanged.
    #[schema(value_type = Option<String>, format = Password, max_length = 256, nullable = false)]
    refresh_token: Option<Secret>,
}

/// Exchanges a refresh token for a new pair. Using one twice ends its session, unless the first
/// answer was lost.
#[utoipa::path(post, path = "/v1/auth/refresh", tag = "session", security(()),
    request_body = RefreshBody,
    responses((status = 200, description = "the next pair", body = TokenPair),
        (status = 401, description = "The refresh token is not valid (any more)."),
        (status = 403, description = "A page of a stranger would use the cookie.")))]
async fn refresh(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    page: MayUseCookies,
    headers: HeaderMap,
    Valid(body): Valid<RefreshBody>,
) -> Result<Response, Problem> {
    let (token, form) = if let Some(token) = body.refresh_token {
        (token, Form::Tokens)
    } else {
        let form = Form::Cookie.check(page)?;
        let none = || Problem::from(Error::from(SessionError::InvalidRefreshToken));
        (read_cookie(&headers, REFRESH_COOKIE).ok_or_else(none)?, form)
    };
    Ok(handed_out(service::refresh(&deps, &ctx, &token, peer).await?, form))
}

/// Signs out: this session's tokens stop working within a second.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "session",
    responses((status = 204, description = "signed out")))]
async fn logout(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    SignedIn(claims): SignedIn,
    presented: Presented,
) -> Result<Response, Problem> {
    service::logout(&deps, &ctx, &claims).await?;
    Ok(signed_out(&presented))
}

/// A token that nobody is to use any more.
#[derive(Debug, Deserialize, ToSchema)]
struct RevokeToken {
    /// A refresh token or an access token. What is neither works no more than before: 200 as well.
    #[schema(value_type = String, format = Password)]
    token: Secret,
    /// Taken and not needed: a token says itself what it is.
    #[serde(default, rename = "token_type_hint")]
    #[schema(nullable = false)]
    _token_type_hint: Option<String>,
}

/// Revokes a token (RFC 7009): its session ends. Whoever has the token may; one that is not known
/// is answered alike.
#[utoipa::path(post, path = "/v1/auth/revoke", tag = "session", security(()),
    request_body(content = RevokeToken, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "it works no more, if it ever did")))]
async fn revoke_token(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    body: Result<UrlForm<RevokeToken>, FormRejection>,
) -> Result<StatusCode, Problem> {
    let UrlForm(body) = body.map_err(|rejection| unreadable(&rejection))?;
    service::revoke_token(&deps, &ctx, &body.token, peer).await?;
    Ok(StatusCode::OK)
}

/// What the framework says of a form, as one of our problems.
fn unreadable(rejection: &FormRejection) -> Problem {
    let code = match rejection.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        StatusCode::UNPROCESSABLE_ENTITY => Code::Invalid,
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        _ => Code::MalformedRequest,
    };
    Problem::new(code).with_detail("The body has to be a form with one `token`.")
}

/// The old password and the new one.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct PasswordBody {
    #[schema(value_type = String, format = Password, max_length = 256)]
    current_password: Secret,
    /// At least 12 characters, and hard to guess.
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
    presented: Presented,
    Valid(body): Valid<PasswordBody>,
) -> Result<Response, Problem> {
    let PasswordBody { current_password, new_password } = body;
    let pair =
        service::change_password(&deps, &ctx, &claims, current_password, new_password).await?;
    Ok(handed_out(pair, Form::of(&presented)))
}

/// The tenant that the caller acts in.
#[derive(Serialize, ToSchema)]
struct MyTenant {
    id: TenantId,
    /// Its name at sign-in.
    #[schema(required = true)]
    slug: Option<String>,
}

/// A tenant that a person belongs to, with the role they have there.
#[derive(Serialize, ToSchema)]
struct Membership {
    tenant: MyTenant,
    /// The slug of the role.
    role: String,
    /// Whether it is the one of this session.
    current: bool,
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
        /// Whether they showed, by a link sent there, that the address is theirs.
        email_verified: bool,
        /// Every tenant they belong to; empty until they showed that the address is theirs.
        memberships: Vec<Membership>,
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
        (Me::User { user, slug, belongings }, Some(id)) => MeBody::User {
            id: user.id,
            role: user.role_slug().to_owned(),
            email: user.email,
            name: user.name,
            tenant: MyTenant { id, slug },
            email_verified: !belongings.is_empty(),
            memberships: belongings.into_iter().map(|one| membership(one, id)).collect(),
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

fn membership(belonging: Belonging, current: TenantId) -> Membership {
    let Belonging { tenant: id, slug, role } = belonging;
    Membership { tenant: MyTenant { id, slug }, role, current: id == current }
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
    /// The same in words, for example `Firefox on Linux`.
    #[schema(required = true)]
    device_summary: Option<String>,
    /// The address it signed in from.
    #[schema(required = true, value_type = Option<String>)]
    address: Option<Personal<String>>,
    method: Method,
    /// Whether a second factor was shown.
    second_factor: bool,
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
        device_summary: session.origin.device.as_deref().map(summary),
        device: session.origin.device,
        address: session.origin.address.map(Personal),
        method: session.origin.method,
        second_factor: session.origin.second_factor_at.is_some(),
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
    presented: Presented,
) -> Result<Response, Problem> {
    service::revoke_all(&deps, &ctx, &claims).await?;
    Ok(signed_out(&presented))
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
