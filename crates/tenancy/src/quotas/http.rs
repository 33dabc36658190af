//! Room `tenancy`: `/v1/tenants/{tenant}/quotas`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use garde::Validate;
use misy_core::{TenantId, Timestamp};
use misy_web::{Operator, Params, PathId, Problem, Valid};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{model, service};
use crate::Deps;
use crate::tenants::http::by;

/// The routes of quotas.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, set))
        .routes(routes!(usage))
        .routes(routes!(usage_own))
        .with_state(deps)
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quota)]
struct QuotaView {
    /// What is limited.
    name: String,
    /// How many.
    max_count: i64,
    /// `plan` or `operator`.
    source: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Quotas {
    data: Vec<QuotaView>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct OverridesBody {
    /// How many of each; names of a-z and underscores.
    #[garde(custom(by(model::check)))]
    #[schema(example = json!({"messages_per_month": 5000}))]
    overrides: BTreeMap<String, i64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AtParams {
    /// At which time; now if it is absent.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// Read the limits in force for a tenant, now or, as far as it is decided, at another time.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/quotas", tag = "tenants",
    params(("tenant" = TenantId, Path), AtParams), responses((status = 200, body = Quotas)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
    Params(params): Params<AtParams>,
) -> Result<Json<Quotas>, Problem> {
    Ok(shown(service::list(&deps, &ctx, id, params.at).await?))
}

/// Set limits of a tenant's own, in place of those set before. All others follow its plan.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/quotas", tag = "tenants",
    params(("tenant" = TenantId, Path)), request_body = OverridesBody,
    responses((status = 200, body = Quotas)))]
async fn set(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
    Valid(body): Valid<OverridesBody>,
) -> Result<Json<Quotas>, Problem> {
    Ok(shown(service::set(&deps, &ctx, id, body.overrides).await?))
}

fn shown(quotas: Vec<super::Quota>) -> Json<Quotas> {
    let view = |quota: super::Quota| QuotaView {
        name: quota.name,
        max_count: quota.max_count,
        source: quota.source,
    };
    Json(Quotas { data: quotas.into_iter().map(view).collect() })
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
struct UsageView {
    /// What is limited.
    #[schema(example = "messages_per_month")]
    name: String,
    /// How much is used now; null of a rate or a ceiling, which is not counted.
    used: Option<i64>,
    /// From where on it is told, as `quota.warning`. All of it is `quota.reached`.
    warned_at: Option<i64>,
    /// How much may be; null if as much as one likes.
    max_count: Option<i64>,
    /// How much it will be at the end of the month if it goes on like this.
    forecast: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Usages {
    data: Vec<UsageView>,
}

/// Read what a tenant uses of each of its limits.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/usage", tag = "tenants",
    params(("tenant" = TenantId, Path)), responses((status = 200, body = Usages)))]
async fn usage(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
) -> Result<Json<Usages>, Problem> {
    Ok(used(service::usage_of(&deps, &ctx, id).await?))
}

/// Read what one's own tenant uses of each of its limits.
#[utoipa::path(get, path = "/v1/tenant/usage", tag = "tenant",
    responses((status = 200, body = Usages)))]
async fn usage_own(
    State(deps): State<Arc<Deps>>,
    misy_web::Tenant(ctx): misy_web::Tenant,
) -> Result<Json<Usages>, Problem> {
    Ok(used(service::usage_own(&deps, &ctx).await?))
}

fn used(usages: Vec<model::Usage>) -> Json<Usages> {
    let view = |one: model::Usage| UsageView {
        name: one.name,
        used: one.used,
        warned_at: one.warned_at,
        max_count: one.max_count,
        forecast: one.forecast,
    };
    Json(Usages { data: usages.into_iter().map(view).collect() })
}
