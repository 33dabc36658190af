//! Room `identity`: `/v1/users`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use garde::Validate;
use misy_core::{Page, Personal, Secret, Timestamp, UserId};
use misy_web::{IfMatch, MergePatch, Paging, PathId, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{NewUser, Status, User};
use super::service::{self, Wanted};
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .with_state(Arc::clone(deps))
}

/// A person of the tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
struct UserBody {
    id: UserId,
    /// The address they sign in with.
    #[schema(value_type = String)]
    email: Personal<String>,
    /// The name as shown.
    #[schema(value_type = String)]
    name: Personal<String>,
    /// The slug of a built-in role or one of the tenant's own.
    #[schema(example = "agent")]
    role: String,
    status: Status,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        let role = user.role_slug().to_owned();
        let User { id, email, name, status, created_at, updated_at, .. } = user;
        Self { id, email, name, role, status, created_at, updated_at }
    }
}

fn tagged(user: User) -> Tagged<UserBody> {
    Tagged::new(user.version, user.into())
}

/// A person to be added.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct CreateUser {
    /// The address they will sign in with.
    #[schema(value_type = String, max_length = 254, example = "ana@acme.example")]
    email: Personal<String>,
    /// The name as shown.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Ana Roy")]
    name: Personal<String>,
    /// The slug of a built-in role or one of the tenant's own.
    #[schema(max_length = 50, pattern = "^[a-z][a-z0-9_]*$", example = "agent")]
    role: String,
    /// Opens this tenant and nothing else. Without one the person is invited by mail to choose one.
    #[schema(value_type = Option<String>, format = Password, max_length = 256)]
    password: Option<Secret>,
}

/// What is to change; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct UpdateUser {
    /// The name as shown.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, nullable = false)]
    name: Option<Personal<String>>,
    /// The slug of a built-in role or one of the tenant's own.
    #[schema(max_length = 50, pattern = "^[a-z][a-z0-9_]*$", nullable = false)]
    role: Option<String>,
    #[schema(nullable = false)]
    status: Option<Status>,
}

/// The people of the tenant, oldest first.
#[utoipa::path(get, path = "/v1/users", tag = "users", params(Paging),
    responses((status = 200, description = "one page", body = Page<UserBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<UserBody>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(UserBody::from)))
}

/// Adds a person.
#[utoipa::path(post, path = "/v1/users", tag = "users", request_body = CreateUser,
    responses((status = 201, description = "added", body = UserBody)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<CreateUser>,
) -> Result<impl IntoResponse, Problem> {
    let CreateUser { email, name, role, password } = body;
    let new = NewUser { email, name, role, password };
    let user = service::create(&deps, &ctx, new).await?;
    Ok((StatusCode::CREATED, tagged(user)))
}

/// One person.
#[utoipa::path(get, path = "/v1/users/{id}", tag = "users", params(("id" = UserId, Path)),
    responses((status = 200, description = "the person", body = UserBody)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<UserId>,
) -> Result<Tagged<UserBody>, Problem> {
    Ok(tagged(service::get(&deps, &ctx, id).await?))
}

/// Changes name, role or status. A new role or status ends the validity of the person's access
/// tokens.
#[utoipa::path(patch, path = "/v1/users/{id}", tag = "users", params(("id" = UserId, Path)),
    request_body = UpdateUser,
    responses((status = 200, description = "changed", body = UserBody)))]
async fn update(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<UserId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<UpdateUser>,
) -> Result<Tagged<UserBody>, Problem> {
    let wanted = Wanted { name: body.name, role: body.role, status: body.status };
    Ok(tagged(service::update(&deps, &ctx, id, wanted, &seen).await?))
}

/// Removes a person; their sessions end.
#[utoipa::path(delete, path = "/v1/users/{id}", tag = "users", params(("id" = UserId, Path)),
    responses((status = 204, description = "removed")))]
async fn delete(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<UserId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    service::delete(&deps, &ctx, id, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}
