//! Room `identity`: `/scim/v2` (RFC 7644) and `/v1/scim/role-mappings`.

mod answers;
mod discovery;
mod groups;
mod mappings;
mod users;

use std::sync::Arc;

use axum::routing;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::Deps;

/// Bodies hold all members of a group.
const BODY_BYTES_MAX: usize = 2 << 20;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    users::router(deps)
        .merge(groups::router(deps))
        .merge(discovery::router(deps))
        .merge(mappings::router(deps))
        .route("/scim/v2/{*rest}", routing::any(discovery::nothing_there))
}

/// Parameters of a list. They are described here and read leniently, as RFC 7644 wants it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what is read from the query as it comes")]
struct ListParams {
    /// For example `userName eq "ana@acme.example"`.
    filter: Option<String>,
    /// The first resource, counted from 1.
    start_index: Option<i64>,
    /// Resources a page, 200 at most.
    count: Option<i64>,
    /// An attribute to sort by.
    sort_by: Option<String>,
    /// `ascending` or `descending`.
    sort_order: Option<String>,
    /// Attributes to be answered, separated by commas.
    attributes: Option<String>,
    /// Attributes not to be answered.
    excluded_attributes: Option<String>,
}

/// Which attributes an answer holds.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what is read from the query as it comes")]
struct ShownParams {
    /// Attributes to be answered, separated by commas.
    attributes: Option<String>,
    /// Attributes not to be answered.
    excluded_attributes: Option<String>,
}
