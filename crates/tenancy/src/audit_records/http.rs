//! Room `tenancy`: `/v1/audit/records`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use misy_core::{AuditId, Page, Timestamp};
use misy_web::{Paging, Params, Problem, Tenant};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Filter, Record};
use super::service;
use crate::Deps;

/// The routes of the audit log.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).with_state(deps)
}

/// Who did what to what, when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditRecord)]
struct RecordView {
    id: AuditId,
    /// An id of a person, key or operator, or `system` or `channel`.
    actor: String,
    /// What was done, in the past tense.
    #[schema(example = "channel.created")]
    action: String,
    /// The kind of thing it was done to.
    #[schema(example = "channel")]
    resource: String,
    resource_id: String,
    /// More about it: names of fields, counts, ids.
    detail: Value,
    /// `X-Request-Id` of the request that began it.
    request_id: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Record> for RecordView {
    fn from(record: Record) -> Self {
        Self {
            id: record.id,
            actor: record.actor,
            action: record.action,
            resource: record.resource,
            resource_id: record.resource_id,
            detail: record.detail,
            request_id: record.request_id,
            created_at: record.created_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FilterParams {
    /// Only this action, for example `tenant.updated`.
    #[param(pattern = "^[a-z0-9_.]{1,100}$")]
    action: Option<String>,
    /// Only this kind of thing, for example `tenant`.
    #[param(pattern = "^[a-z0-9_.]{1,100}$")]
    resource: Option<String>,
    /// Only the thing with this id.
    #[param(pattern = "^[!-~]{1,200}$")]
    resource_id: Option<String>,
    /// Only what this person, key or operator did.
    #[param(pattern = "^[!-~]{1,100}$")]
    actor: Option<String>,
}

/// Search the tenant's audit log, newest first.
#[utoipa::path(get, path = "/v1/audit/records", tag = "audit", params(FilterParams, Paging),
    responses((status = 200, body = Page<RecordView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Params(params): Params<FilterParams>,
    Paging { limit, cursor }: Paging,
) -> Result<Json<Page<RecordView>>, Problem> {
    let FilterParams { action, resource, resource_id, actor } = params;
    let filter = Filter { action, resource, resource_id, actor };
    let page = service::list(&deps, &ctx, &filter, cursor, limit).await?;
    Ok(Json(page.map(RecordView::from)))
}
