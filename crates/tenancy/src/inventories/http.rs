//! Room `tenancy`: `/v1/tenants/{tenant}/inventory`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use misy_core::TenantId;
use misy_web::{Operator, PathId, Problem};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Inventory, Item, Verdict};
use super::service;
use crate::Deps;
use crate::tenants::model::Status;

/// The routes of inventories.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(get)).with_state(deps)
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InventoryItem)]
struct ItemView {
    /// The part of a tenant it belongs to.
    #[schema(example = "identity.people")]
    part: String,
    /// `postgresql`, `queue`, `cache`, `documents` or `files`.
    store: String,
    /// A table, a collection, a user.
    what: String,
    count: i64,
    verdict: Verdict,
}

impl From<Item> for ItemView {
    fn from(item: Item) -> Self {
        let Item { part, store, what, count, verdict } = item;
        Self { part: part.to_owned(), store: store.to_owned(), what, count, verdict }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Inventory)]
struct InventoryView {
    tenant: TenantId,
    status: Status,
    /// Whether nothing is missing and nothing left over.
    sound: bool,
    items: Vec<ItemView>,
}

impl From<Inventory> for InventoryView {
    fn from(found: Inventory) -> Self {
        Self {
            tenant: found.tenant,
            status: found.status,
            sound: found.is_sound(),
            items: found.items.into_iter().map(ItemView::from).collect(),
        }
    }
}

/// List everything that any store holds of a tenant, and whether it should.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/inventory", tag = "tenants",
    params(("tenant" = TenantId, Path)), responses((status = 200, body = InventoryView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
) -> Result<Json<InventoryView>, Problem> {
    Ok(Json(service::look(&deps, &ctx, id).await?.into()))
}
