//! Room `identity`: what this program does of SCIM (RFC 7644 section 4), and what it does not.

use std::sync::Arc;

use axum::extract::{Path, State};
use misy_web::{Traits, with};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Answer, Asked, Directory, Refusal};
use crate::Deps;
use crate::scim::Error;
use crate::scim::model::schemas;
use crate::scim::service::base;

pub(super) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    let lenient = Traits::new().any_query();
    OpenApiRouter::new()
        .routes(with(routes!(provider_config), lenient))
        .routes(with(routes!(resource_types), lenient))
        .routes(with(routes!(resource_type), lenient))
        .routes(with(routes!(schemas_all), lenient))
        .routes(with(routes!(schema), lenient))
        .with_state(Arc::clone(deps))
}

/// What this program does of SCIM.
#[utoipa::path(get, path = "/scim/v2/ServiceProviderConfig", tag = "scim",
    responses((status = 200, description = "the description", body = Value,
        content_type = "application/scim+json")))]
async fn provider_config(State(deps): State<Arc<Deps>>, _: Directory) -> Result<Answer, Refusal> {
    Ok(Answer::of(schemas::provider_config(&base(&deps))))
}

/// All of a kind. A filter on a description is refused (RFC 7644 section 4).
fn all(asked: &Asked, found: Vec<Value>) -> Result<Answer, Refusal> {
    if asked.0.contains_key("filter") {
        let refused = misy_web::Problem::new(misy_core::Code::PermissionDenied);
        return Err(refused.with_detail("Descriptions cannot be filtered.").into());
    }
    Ok(Answer::of(json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": found.len(), "startIndex": 1, "itemsPerPage": found.len(),
        "Resources": found,
    })))
}

fn one(found: Vec<Value>, id: &str) -> Result<Answer, Refusal> {
    let known = found.into_iter().find(|one| one["id"].as_str() == Some(id));
    known.map(Answer::of).ok_or_else(|| Error::NotFound.into())
}

/// The types of resources.
#[utoipa::path(get, path = "/scim/v2/ResourceTypes", tag = "scim",
    responses((status = 200, description = "both", body = Value,
        content_type = "application/scim+json")))]
async fn resource_types(
    State(deps): State<Arc<Deps>>,
    _: Directory,
    asked: Asked,
) -> Result<Answer, Refusal> {
    all(&asked, schemas::resource_types(&base(&deps)))
}

/// One type of resources.
#[utoipa::path(get, path = "/scim/v2/ResourceTypes/{resource_type}", tag = "scim",
    params(("resource_type" = String, Path)),
    responses((status = 200, description = "the type", body = Value,
        content_type = "application/scim+json")))]
async fn resource_type(
    State(deps): State<Arc<Deps>>,
    _: Directory,
    Path(id): Path<String>,
) -> Result<Answer, Refusal> {
    one(schemas::resource_types(&base(&deps)), &id)
}

/// The schemas.
#[utoipa::path(get, path = "/scim/v2/Schemas", tag = "scim",
    responses((status = 200, description = "all", body = Value,
        content_type = "application/scim+json")))]
async fn schemas_all(
    State(deps): State<Arc<Deps>>,
    _: Directory,
    asked: Asked,
) -> Result<Answer, Refusal> {
    all(&asked, schemas::schemas(&base(&deps)))
}

/// One schema.
#[utoipa::path(get, path = "/scim/v2/Schemas/{schema}", tag = "scim",
    params(("schema" = String, Path)),
    responses((status = 200, description = "the schema", body = Value,
        content_type = "application/scim+json")))]
async fn schema(
    State(deps): State<Arc<Deps>>,
    _: Directory,
    Path(id): Path<String>,
) -> Result<Answer, Refusal> {
    one(schemas::schemas(&base(&deps)), &id)
}

/// Answers in the form of SCIM where there is nothing; what the RFC knows and this program does not
/// do is told apart.
pub(super) async fn nothing_there(
    _: Directory,
    Path(rest): Path<String>,
) -> Result<Answer, Refusal> {
    let unsupported = matches!(rest.as_str(), "Bulk" | "Me" | ".search");
    Err(if unsupported { Error::Unsupported } else { Error::NotFound }.into())
}
