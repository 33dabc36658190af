//! Room `identity`: `/scim/v2/Groups`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use misy_core::ScimGroupId;
use misy_web::{Traits, with};
use serde_json::Value;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Answer, Asked, Directory, Document, Refusal, Seen, id};
use super::{BODY_BYTES_MAX, ListParams, ShownParams};
use crate::Deps;
use crate::scim::model::queries::{Parameters, Query, Shown};
use crate::scim::model::schemas::Type;
use crate::scim::service::{Edit, groups as service};

/// What paths refer to and no body holds.
#[derive(OpenApi)]
#[openapi(components(schemas(ScimGroupId)))]
struct Named;

pub(super) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    let lenient = Traits::new().any_query().body_limit_bytes(BODY_BYTES_MAX);
    OpenApiRouter::with_openapi(Named::openapi())
        .routes(with(routes!(list, create), lenient))
        .routes(with(routes!(search), lenient))
        .routes(with(routes!(get, replace, patch, delete), lenient))
        .with_state(Arc::clone(deps))
}

async fn found(deps: &Deps, ctx: &misy_core::Ctx, asked: &Parameters) -> Result<Answer, Refusal> {
    let (query, shown) =
        (read(asked)?, Shown::read(Type::Group, asked).map_err(crate::Error::from)?);
    let (page, total) = service::list(deps, ctx, &query, shown.shows("members")).await?;
    let page = page.into_iter().map(|one| shown.apply(one)).collect();
    Ok(Answer::of(query.listed(page, total)))
}

fn read(asked: &Parameters) -> Result<Query, Refusal> {
    Ok(Query::read(Type::Group, asked).map_err(crate::Error::from)?)
}

fn shown(asked: &Asked, resource: Value) -> Result<Answer, Refusal> {
    let shown = Shown::read(Type::Group, &asked.0).map_err(crate::Error::from)?;
    Ok(Answer::of(shown.apply(resource)))
}

/// The groups of the tenant.
#[utoipa::path(get, path = "/scim/v2/Groups", tag = "scim", params(ListParams),
    responses((status = 200, description = "one page", body = Value,
        content_type = "application/scim+json")))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Directory(ctx): Directory,
    Asked(asked): Asked,
) -> Result<Answer, Refusal> {
    found(&deps, &ctx, &asked).await
}

/// The groups of the tenant, asked for in a body.
#[utoipa::path(post, path = "/scim/v2/Groups/.search", tag = "scim",
    request_body(content = Value, content_type = "application/scim+json"),
    responses((status = 200, description = "one page", body = Value,
        content_type = "application/scim+json")))]
async fn search(
    State(deps): State<Arc<Deps>>,
    Directory(ctx): Directory,
    Document(body): Document,
) -> Result<Answer, Refusal> {
    found(&deps, &ctx, &body.as_object().cloned().unwrap_or_default()).await
}

/// Adds a group. Its members get the role that its name is mapped to.
#[utoipa::path(post, path = "/scim/v2/Groups", tag = "scim", params(ShownParams),
    request_body(content = Value, content_type = "application/scim+json"),
    responses((status = 201, description = "added", body = Value,
        content_type = "application/scim+json")))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Directory(ctx): Directory,
    asked: Asked,
    Document(body): Document,
) -> Result<Answer, Refusal> {
    let made = service::create(&deps, &ctx, &body).await?;
    Ok(Answer { status: StatusCode::CREATED, ..shown(&asked, made)? })
}

/// One group.
#[utoipa::path(get, path = "/scim/v2/Groups/{id}", tag = "scim",
    params(("id" = ScimGroupId, Path), ShownParams),
    responses((status = 200, description = "the group", body = Value,
        content_type = "application/scim+json")))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Directory(ctx): Directory,
    Path(group): Path<String>,
    asked: Asked,
) -> Result<Answer, Refusal> {
    shown(&asked, service::get(&deps, &ctx, id(&group)?).await?)
}

/// Replaces a group and its members, whose roles follow at once.
#[utoipa::path(put, path = "/scim/v2/Groups/{id}", tag = "scim",
    params(("id" = ScimGroupId, Path), ShownParams),
    request_body(content = Value, content_type = "application/scim+json"),
    responses((status = 200, description = "replaced", body = Value,
        content_type = "application/scim+json")))]
async fn replace(
    State(deps): State<Arc<Deps>>,
    Directory(ctx): Directory,
    Path(group): Path<String>,
    asked: Asked,
    Seen(seen): Seen,
    Document(body): Document,
) -> Result<Answer, Refusal> {
    let edit = Edit::Replace(body);
    shown(&asked, service::edit(&deps, &ctx, id(&group)?, edit, &seen).await?)
}

/// Changes a group by operations; the roles of who came or went follow at once.
#[utoipa::path(patch, path = "/scim/v2/Groups/{id}", tag = "scim",
    params(("id" = ScimGroupId, Path), ShownParams),
    request_body(content = Value, content_type = "application/scim+json"),
    responses((status = 200, description = "changed", body = Value,
        content_type = "application/scim+json")))]
async fn patch(
    State(deps): State<Arc<Deps>>,
    Directory(ctx): Directory,
    Path(group): Path<String>,
    asked: Asked,
    Seen(seen): Seen,
    Document(body): Document,
) -> Result<Answer, Refusal> {
    let edit = Edit::Patch(body);
    shown(&asked, service::edit(&deps, &ctx, id(&group)?, edit, &seen).await?)
}

/// Removes a group. Its members stay, without the role that it gave.
#[utoipa::path(delete, path = "/scim/v2/Groups/{id}", tag = "scim",
    params(("id" = ScimGroupId, Path)), responses((status = 204, description = "removed")))]
async fn delete(
    State(deps): State<Arc<Deps>>,
    Directory(ctx): Directory,
    Path(group): Path<String>,
    Seen(seen): Seen,
) -> Result<StatusCode, Refusal> {
    service::delete(&deps, &ctx, id(&group)?, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}
