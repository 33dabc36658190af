//! Room `identity`: `/access/v1/search/subject` and `/access/v1/search/resource`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use misy_core::Ctx;
use misy_web::{Problem, Raw, Tenant};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Search, Sought};
use super::service;
use crate::Deps;
use crate::evaluations::http::{check_json, refuse};

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(subjects))
        .routes(routes!(resources))
        .with_state(Arc::clone(deps))
}

/// A subject or a resource of an application.
#[derive(Serialize, ToSchema)]
struct FoundEntity {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

/// Where a search goes on.
#[derive(Serialize, ToSchema)]
struct SearchPage {
    /// What `page.token` of the next request has to be; empty after the last page.
    next_token: String,
    /// How many results this page has.
    count: usize,
}

/// What was found, in the order of the ids.
#[derive(Serialize, ToSchema)]
struct FoundEntities {
    results: Vec<FoundEntity>,
    page: SearchPage,
}

async fn answer(
    deps: &Deps,
    ctx: &Ctx,
    headers: &HeaderMap,
    body: &[u8],
    sought: Sought,
) -> Result<Json<FoundEntities>, Problem> {
    let search = check_json(headers).and_then(|()| Search::read(body, sought));
    let kind = search.as_ref().map(|search| search.kind.clone()).unwrap_or_default();
    let found = service::search(deps, ctx, search).await?.map_err(|reason| refuse(&reason))?;
    let page = SearchPage { next_token: found.next, count: found.ids.len() };
    let results = found.ids.into_iter().map(|id| FoundEntity { kind: kind.clone(), id }).collect();
    Ok(Json(FoundEntities { results, page }))
}

/// Says who may do something with a resource, of the subjects that were made known: `AuthZEN`
/// Subject Search.
#[utoipa::path(post, path = "/access/v1/search/subject", tag = "decisions",
    request_body(content = Object, content_type = "application/json",
        description = "`subject` {type, properties?}, `action` {name, properties?}, \
                       `resource` {type, id, properties?}, `context`?, `page`? {token?, limit?}"),
    responses((status = 200, description = "the subjects", body = FoundEntities)))]
async fn subjects(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<FoundEntities>, Problem> {
    answer(&deps, &ctx, &headers, &body, Sought::Subject).await
}

/// Says with what a subject may do something, of the resources that were made known: `AuthZEN`
/// Resource Search.
#[utoipa::path(post, path = "/access/v1/search/resource", tag = "decisions",
    request_body(content = Object, content_type = "application/json",
        description = "`subject` {type, id, properties?}, `action` {name, properties?}, \
                       `resource` {type, properties?}, `context`?, `page`? {token?, limit?}"),
    responses((status = 200, description = "the resources", body = FoundEntities)))]
async fn resources(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<FoundEntities>, Problem> {
    answer(&deps, &ctx, &headers, &body, Sought::Resource).await
}
