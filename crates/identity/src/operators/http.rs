//! Room `identity`: `/v1/operators`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use garde::Validate;
use misy_core::{OperatorId, Page, Permission, Personal, Role, Secret, Timestamp};
use misy_web::{IfMatch, MergePatch, Operator as Platform, Paging, PathId, Problem, Tagged, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{NewOperator, Operator, OperatorChange};
use super::service;
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(update))
        .with_state(Arc::clone(deps))
}

/// Whether a person of the platform can sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OperatorStatus {
    Active,
    Disabled,
}

/// A person who runs the platform (`operator`) or looks after it (`support`, `auditor`).
#[derive(Serialize, ToSchema)]
#[schema(as = Operator)]
struct OperatorBody {
    id: OperatorId,
    #[schema(value_type = String)]
    email: Personal<String>,
    #[schema(value_type = String)]
    name: Personal<String>,
    role: Role,
    /// Everything they may do.
    permissions: Vec<Permission>,
    status: OperatorStatus,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Operator> for OperatorBody {
    fn from(operator: Operator) -> Self {
        let Operator { id, email, name, role, active, created_at, .. } = operator;
        let status = if active { OperatorStatus::Active } else { OperatorStatus::Disabled };
        let permissions = role.grants().iter().collect();
        Self { id, email, name, role, permissions, status, created_at }
    }
}

/// The people of the platform, oldest first.
#[utoipa::path(get, path = "/v1/operators", tag = "operators", params(Paging),
    responses((status = 200, description = "one page", body = Page<OperatorBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Platform(ctx): Platform,
    paging: Paging,
) -> Result<Json<Page<OperatorBody>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(OperatorBody::from)))
}

/// A person of the platform to be added.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct CreateOperator {
    /// The address they will sign in with.
    #[schema(value_type = String, max_length = 254, example = "sam@platform.example")]
    email: Personal<String>,
    /// The name as shown.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Sam Stone")]
    name: Personal<String>,
    /// `operator`, `support` or `auditor`.
    role: Role,
    /// Opens the platform and no tenant.
    #[schema(value_type = String, format = Password, max_length = 256)]
    password: Secret,
}

/// Adds a person to the platform.
#[utoipa::path(post, path = "/v1/operators", tag = "operators", request_body = CreateOperator,
    responses((status = 201, description = "added", body = OperatorBody)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Platform(ctx): Platform,
    Valid(body): Valid<CreateOperator>,
) -> Result<impl IntoResponse, Problem> {
    let CreateOperator { email, name, role, password } = body;
    let new = NewOperator { email, name, role, password };
    let operator = service::create(&deps, &ctx, new).await?;
    let version = operator.version;
    Ok((StatusCode::CREATED, Tagged::new(version, OperatorBody::from(operator))))
}

/// What is to change; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct UpdateOperator {
    /// The name as shown.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, nullable = false)]
    name: Option<Personal<String>>,
    /// `operator`, `support` or `auditor`.
    #[schema(nullable = false)]
    role: Option<Role>,
    #[schema(nullable = false)]
    status: Option<OperatorStatus>,
}

/// Changes name, role or status of a person of the platform, who has to sign in anew.
#[utoipa::path(patch, path = "/v1/operators/{operator}", tag = "operators",
    params(("operator" = OperatorId, Path)), request_body = UpdateOperator,
    responses((status = 200, description = "changed", body = OperatorBody)))]
async fn update(
    State(deps): State<Arc<Deps>>,
    Platform(ctx): Platform,
    PathId(id): PathId<OperatorId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<UpdateOperator>,
) -> Result<Tagged<OperatorBody>, Problem> {
    let UpdateOperator { name, role, status } = body;
    let active = status.map(|status| status == OperatorStatus::Active);
    let change = OperatorChange { name, role, active };
    let operator = service::update(&deps, &ctx, id, &seen, change).await?;
    Ok(Tagged::new(operator.version, operator.into()))
}
