//! Room `tenancy`: `/v1/signup` for strangers and `/v1/signups` for operators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_core::{Page, Personal, Secret, SignupId, TenantId, Timestamp};
use misy_web::{Anyone, Class, Operator, Paging, Params, PathId, Peer, Problem, Traits, Valid};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{NewSignup, Signup, Status};
use super::service;
use crate::Deps;
use crate::tenants::http::{by, default_locale, default_time_zone};
use crate::tenants::model;

/// The routes of sign-ups.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    let slow = Traits::new().class(Class::SignIn);
    OpenApiRouter::new()
        .routes(misy_web::with(routes!(begin), slow))
        .routes(misy_web::with(routes!(verify), slow))
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .with_state(deps)
}

#[derive(Deserialize, Validate, ToSchema)]
struct SignupBody {
    /// 2 to 63 characters of a-z, 0-9 and single hyphens; cannot be changed later.
    #[garde(custom(by(model::check_slug)))]
    #[schema(example = "acme")]
    slug: String,
    /// The name of the business.
    #[garde(custom(by(model::check_name)))]
    #[schema(min_length = 1, max_length = 200, example = "Acme GmbH")]
    name: String,
    /// Who will own it; the letter goes there.
    #[garde(email)]
    #[schema(max_length = 254, format = Email)]
    email: String,
    /// Their name.
    #[garde(custom(by(model::check_text)))]
    #[schema(min_length = 1, max_length = 200)]
    owner_name: String,
    #[garde(custom(by(model::check_locale)))]
    #[serde(default = "default_locale")]
    #[schema(default = "en", example = "de-DE")]
    locale: String,
    #[garde(custom(by(model::check_time_zone)))]
    #[serde(default = "default_time_zone")]
    #[schema(default = "UTC", example = "Europe/Berlin")]
    time_zone: String,
}

#[derive(Deserialize, Validate, ToSchema)]
struct VerifySignup {
    /// From the letter.
    #[garde(skip)]
    #[schema(value_type = String, format = Password, max_length = 256)]
    token: Secret,
    /// The owner signs in with it.
    #[garde(skip)]
    #[schema(value_type = String, format = Password, max_length = 1024)]
    password: Secret,
    /// Another name in addresses, should the first be taken by now.
    #[garde(inner(custom(by(model::check_slug))))]
    slug: Option<String>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct RejectSignup {
    /// Told to the person.
    #[garde(custom(by(model::check_text)))]
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// How far a sign-up is, as the person sees it.
#[derive(Debug, Serialize, ToSchema)]
struct SignupProgress {
    /// `waiting` for an operator, or `accepted`: then signing in works within seconds.
    status: Status,
    /// The tenant's name at sign-in.
    slug: String,
    tenant_id: Option<TenantId>,
}

/// A sign-up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Signup)]
struct SignupView {
    id: SignupId,
    slug: String,
    name: String,
    #[schema(value_type = String)]
    email: Personal<String>,
    #[schema(value_type = String)]
    owner_name: Personal<String>,
    locale: String,
    time_zone: String,
    plan: String,
    status: Status,
    /// What it has become.
    tenant_id: Option<TenantId>,
    /// Why it was rejected.
    reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When the link of its letter stops working.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    verified_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
}

impl From<Signup> for SignupView {
    fn from(one: Signup) -> Self {
        let NewSignup { slug, name, email, owner_name, locale, time_zone } = one.asked;
        Self {
            id: one.id,
            slug,
            name,
            email,
            owner_name,
            locale,
            time_zone,
            plan: one.plan,
            status: one.status,
            tenant_id: one.tenant,
            reason: one.reason,
            created_at: one.created_at,
            expires_at: one.expires_at,
            verified_at: one.verified_at,
            decided_at: one.decided_at,
        }
    }
}

/// Ask for a tenant of one's own. The answer does not tell whether the address is known; what
/// follows is in the letter.
#[utoipa::path(post, path = "/v1/signup", tag = "signup", security(()),
    operation_id = "begin_signup", request_body = SignupBody,
    responses((status = 202, description = "A letter is on its way."),
        (status = 404, description = "Sign-up is not open here."),
        (status = 409, description = "The slug is taken.")))]
async fn begin(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    Valid(body): Valid<SignupBody>,
) -> Result<StatusCode, Problem> {
    let asked = NewSignup {
        slug: body.slug,
        name: body.name,
        email: Personal(body.email.to_lowercase()),
        owner_name: Personal(body.owner_name),
        locale: body.locale,
        time_zone: body.time_zone,
    };
    service::begin(&deps, &ctx, asked, peer).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Confirm the address and choose a password. The tenant is made, or an operator is asked; the
/// same link tells later how far that is, and does nothing again.
#[utoipa::path(post, path = "/v1/signup/verify", tag = "signup", security(()),
    operation_id = "verify_signup", request_body = VerifySignup,
    responses((status = 200, body = SignupProgress),
        (status = 401, description = "The link does not work (any more)."),
        (status = 404, description = "Sign-up is not open here."),
        (status = 409, description = "The slug is taken; send another.")))]
async fn verify(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    Valid(body): Valid<VerifySignup>,
) -> Result<Json<SignupProgress>, Problem> {
    let VerifySignup { token, password, slug } = body;
    let done = service::verify(&deps, &ctx, &token, password, slug).await?;
    let (status, slug, tenant_id) = (done.status, done.asked.slug, done.tenant);
    Ok(Json(SignupProgress { status, slug, tenant_id }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only those that are so far.
    #[param(inline)]
    status: Option<Status>,
}

/// List sign-ups, oldest first.
#[utoipa::path(get, path = "/v1/signups", tag = "signup", operation_id = "list_signups",
    params(ListParams, Paging), responses((status = 200, body = Page<SignupView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    Params(params): Params<ListParams>,
    Paging { limit, cursor }: Paging,
) -> Result<Json<Page<SignupView>>, Problem> {
    let page = service::list(&deps, &ctx, params.status, cursor, limit).await?;
    Ok(Json(page.map(SignupView::from)))
}

/// Read a sign-up.
#[utoipa::path(get, path = "/v1/signups/{signup}", tag = "signup", operation_id = "get_signup",
    params(("signup" = SignupId, Path)), responses((status = 200, body = SignupView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<SignupId>,
) -> Result<Json<SignupView>, Problem> {
    Ok(Json(service::get(&deps, &ctx, id).await?.into()))
}

/// Say yes to a sign-up that waits: its tenant is made and the person is told.
#[utoipa::path(post, path = "/v1/signups/{signup}/approve", tag = "signup",
    operation_id = "approve_signup", params(("signup" = SignupId, Path)),
    responses((status = 200, body = SignupView)))]
async fn approve(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<SignupId>,
) -> Result<Json<SignupView>, Problem> {
    Ok(Json(service::approve(&deps, &ctx, id).await?.into()))
}

/// Say no to a sign-up that waits; the person is told why.
#[utoipa::path(post, path = "/v1/signups/{signup}/reject", tag = "signup",
    operation_id = "reject_signup", params(("signup" = SignupId, Path)),
    request_body = RejectSignup, responses((status = 200, body = SignupView)))]
async fn reject(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<SignupId>,
    Valid(body): Valid<RejectSignup>,
) -> Result<Json<SignupView>, Problem> {
    Ok(Json(service::reject(&deps, &ctx, id, body.reason).await?.into()))
}
