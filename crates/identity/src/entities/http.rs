//! Room `identity`: `/v1/policies/entities`.

use std::sync::Arc;

use axum::extract::State;
use garde::Validate;
use misy_web::{IfMatch, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Entity, Name};
use super::service;
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(get, put)).with_state(Arc::clone(deps))
}

/// Type and id of a subject or a resource of an application.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EntityName {
    /// `user` is `App::user` of what the tenant declares.
    #[serde(rename = "type")]
    #[schema(max_length = 256, example = "user")]
    kind: String,
    #[schema(min_length = 1, max_length = 256, example = "alice")]
    id: String,
}

impl From<EntityName> for Name {
    fn from(EntityName { kind, id }: EntityName) -> Self {
        Self { kind, id }
    }
}

impl From<Name> for EntityName {
    fn from(Name { kind, id }: Name) -> Self {
        Self { kind, id }
    }
}

/// A subject or a resource of an application, as policies see it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PolicyEntity {
    /// `user` is `App::user` of what the tenant declares.
    #[serde(rename = "type")]
    #[schema(max_length = 256, example = "user")]
    kind: String,
    #[schema(min_length = 1, max_length = 256, example = "alice")]
    id: String,
    /// What is known of it.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"role": "admin"}))]
    properties: Map<String, Value>,
    /// What it belongs to: `principal in App::team::"red"`.
    #[serde(default)]
    #[schema(max_items = 50)]
    parents: Vec<EntityName>,
}

impl From<PolicyEntity> for Entity {
    fn from(PolicyEntity { kind, id, properties, parents }: PolicyEntity) -> Self {
        let parents = parents.into_iter().map(Name::from).collect();
        Self { name: Name { kind, id }, properties, parents }
    }
}

impl From<Entity> for PolicyEntity {
    fn from(Entity { name: Name { kind, id }, properties, parents }: Entity) -> Self {
        let parents = parents.into_iter().map(EntityName::from).collect();
        Self { kind, id, properties, parents }
    }
}

/// All that the decision API knows of a tenant's own applications.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct PolicyEntities {
    #[schema(max_items = 5_000)]
    entities: Vec<PolicyEntity>,
}

/// The subjects and resources that the decision API knows.
#[utoipa::path(get, path = "/v1/policies/entities", tag = "policies",
    responses((status = 200, description = "all of them", body = PolicyEntities)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
) -> Result<Tagged<PolicyEntities>, Problem> {
    let (entities, version) = service::get(&deps, &ctx).await?;
    let entities = entities.into_iter().map(PolicyEntity::from).collect();
    Ok(Tagged::new(version, PolicyEntities { entities }))
}

/// Replaces the subjects and resources that the decision API knows: what it adds to questions about
/// them, and what can be searched for.
#[utoipa::path(put, path = "/v1/policies/entities", tag = "policies", request_body = PolicyEntities,
    responses((status = 200, description = "replaced", body = PolicyEntities)))]
async fn put(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    seen: IfMatch,
    Valid(body): Valid<PolicyEntities>,
) -> Result<Tagged<PolicyEntities>, Problem> {
    let entities: Vec<Entity> = body.entities.into_iter().map(Entity::from).collect();
    let version = service::put(&deps, &ctx, &seen, &entities).await?;
    let entities = entities.into_iter().map(PolicyEntity::from).collect();
    Ok(Tagged::new(version, PolicyEntities { entities }))
}
