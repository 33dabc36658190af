//! Room `tenancy`: `/v1/tenant/export` and `/v1/tenants/{tenant}/export`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use misy_core::TenantId;
use misy_web::{Operator, PathId, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service::{self, Export};
use crate::Deps;

/// The routes of exports.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(export)).routes(routes!(export_own)).with_state(deps)
}

/// Take all of a tenant along, as lines of JSON: first `{"export": {"tenant_id", "slug", ..}}`,
/// then `{"table", "row"}` for each row and document, at last `{"end": {"rows", "tables"}}`.
/// Without that last line it is not complete. Keys, hashes and sealed secrets are left out. It
/// works for suspended and closed tenants too; both audit logs say that it was done.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/export", tag = "tenants",
    params(("tenant" = TenantId, Path)),
    responses((status = 200, content_type = "application/x-ndjson", body = String)))]
async fn export(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
) -> Result<Response, Problem> {
    Ok(sent(service::begin(&deps, &ctx, id).await?, deps))
}

/// Take all of one's own tenant along, in the form of `/v1/tenants/{tenant}/export`. The audit log
/// says that it was done.
#[utoipa::path(get, path = "/v1/tenant/export", tag = "tenant",
    responses((status = 200, content_type = "application/x-ndjson", body = String)))]
async fn export_own(
    State(deps): State<Arc<Deps>>,
    misy_web::Tenant(ctx): misy_web::Tenant,
) -> Result<Response, Problem> {
    Ok(sent(service::begin_own(&deps, &ctx).await?, deps))
}

fn sent(export: Export, deps: Arc<Deps>) -> Response {
    // A slug has no character that a header would have to quote.
    let name = format!("attachment; filename=\"{}.ndjson\"", export.slug());
    let about = [(CONTENT_TYPE, "application/x-ndjson".to_owned()), (CONTENT_DISPOSITION, name)];
    (about, Body::from_stream(export.lines(deps))).into_response()
}
