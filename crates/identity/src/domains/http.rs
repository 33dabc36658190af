//! Room `identity`: `/v1/domains` and `/v1/auth/discover`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use garde::Validate;
use misy_core::{DomainId, Page, Personal, SsoConnectionId, TenantId, Timestamp};
use misy_web::{
    Anyone, IfMatch, MergePatch, Operator, Paging, Params, PathId, Peer, Problem, Tagged, Tenant,
    Valid,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::Domain;
use super::service;
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(verify))
        .routes(routes!(discover))
        .routes(routes!(list_of))
        .routes(routes!(take_away))
        .with_state(Arc::clone(deps))
}

/// A domain of the tenant's people.
#[derive(Serialize, ToSchema)]
#[schema(as = Domain)]
struct DomainBody {
    id: DomainId,
    name: String,
    /// Whether the proof was found.
    verified: bool,
    /// What to publish in the domain name system as proof.
    record: TxtRecord,
    /// Where its people sign in.
    #[schema(required = true)]
    connection_id: Option<SsoConnectionId>,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    verified_at: Option<Timestamp>,
    /// When the proof was last looked for.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    checked_at: Option<Timestamp>,
    /// Since when the proof is not there any more. A week after that the domain counts no longer.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    missing_since: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A record of the domain name system.
#[derive(Serialize, ToSchema)]
struct TxtRecord {
    /// Always `TXT`.
    #[serde(rename = "type")]
    kind: &'static str,
    #[schema(example = "_misybot-challenge.acme.example")]
    name: String,
    value: String,
}

impl From<Domain> for DomainBody {
    fn from(domain: Domain) -> Self {
        let (name, value) = (domain.record_name(), domain.record_value());
        let record = TxtRecord { kind: "TXT", name, value };
        Self {
            id: domain.id,
            name: domain.name,
            verified: domain.verified_at.is_some(),
            record,
            connection_id: domain.connection,
            verified_at: domain.verified_at,
            checked_at: domain.checked_at,
            missing_since: domain.missing_since,
            created_at: domain.created_at,
        }
    }
}

fn tagged(domain: Domain) -> Tagged<DomainBody> {
    Tagged::new(domain.version, domain.into())
}

/// A domain to be added.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct CreateDomain {
    #[schema(min_length = 1, max_length = 254, example = "acme.example")]
    name: String,
    /// Where its people sign in.
    connection_id: Option<SsoConnectionId>,
}

/// What is to change; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct UpdateDomain {
    /// Where its people sign in; `null` for a password.
    #[serde(default, deserialize_with = "misy_web::nullable")]
    connection_id: Option<Option<SsoConnectionId>>,
}

/// The tenant's domains, oldest first.
#[utoipa::path(get, path = "/v1/domains", tag = "single sign-on", params(Paging),
    responses((status = 200, description = "one page", body = Page<DomainBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<DomainBody>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(DomainBody::from)))
}

/// Adds a domain. It counts once its record is published and was verified.
#[utoipa::path(post, path = "/v1/domains", tag = "single sign-on", request_body = CreateDomain,
    responses((status = 201, description = "added", body = DomainBody)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<CreateDomain>,
) -> Result<impl IntoResponse, Problem> {
    let domain = service::create(&deps, &ctx, &body.name, body.connection_id).await?;
    Ok((StatusCode::CREATED, tagged(domain)))
}

/// One domain.
#[utoipa::path(get, path = "/v1/domains/{id}", tag = "single sign-on",
    params(("id" = DomainId, Path)),
    responses((status = 200, description = "the domain", body = DomainBody)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<DomainId>,
) -> Result<Tagged<DomainBody>, Problem> {
    Ok(tagged(service::get(&deps, &ctx, id).await?))
}

/// Changes where the people of a domain sign in.
#[utoipa::path(patch, path = "/v1/domains/{id}", tag = "single sign-on",
    params(("id" = DomainId, Path)), request_body = UpdateDomain,
    responses((status = 200, description = "changed", body = DomainBody)))]
async fn update(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<DomainId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<UpdateDomain>,
) -> Result<Tagged<DomainBody>, Problem> {
    Ok(tagged(service::update(&deps, &ctx, id, body.connection_id, &seen).await?))
}

/// Looks for the record and, if it is there, has the domain count.
#[utoipa::path(post, path = "/v1/domains/{id}/verify", tag = "single sign-on",
    params(("id" = DomainId, Path)),
    responses((status = 200, description = "verified", body = DomainBody)))]
async fn verify(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<DomainId>,
) -> Result<Tagged<DomainBody>, Problem> {
    Ok(tagged(service::verify(&deps, &ctx, id).await?))
}

/// Removes a domain; its people sign in with a password again.
#[utoipa::path(delete, path = "/v1/domains/{id}", tag = "single sign-on",
    params(("id" = DomainId, Path)), responses((status = 204, description = "removed")))]
async fn delete(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<DomainId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    service::delete(&deps, &ctx, id, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The domains of a tenant, oldest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/domains", tag = "tenants",
    params(("tenant" = TenantId, Path), Paging),
    responses((status = 200, description = "one page", body = Page<DomainBody>)))]
async fn list_of(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(tenant): PathId<TenantId>,
    paging: Paging,
) -> Result<Json<Page<DomainBody>>, Problem> {
    let page = service::list_of(&deps, &ctx, tenant, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(DomainBody::from)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TakeAwayParams {
    /// Why; the tenant reads it.
    #[param(min_length = 10, max_length = 500)]
    reason: String,
}

/// Takes a domain from a tenant: its people are led to their password at once. The tenant's audit
/// log says who did it and why.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/domains/{id}", tag = "tenants",
    params(("tenant" = TenantId, Path), ("id" = DomainId, Path), TakeAwayParams),
    responses((status = 204, description = "taken away")))]
async fn take_away(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(tenant): PathId<TenantId>,
    PathId(id): PathId<DomainId>,
    Params(params): Params<TakeAwayParams>,
) -> Result<StatusCode, Problem> {
    service::take_away(&deps, &ctx, tenant, id, &params.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who wants to sign in.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct DiscoverBody {
    #[schema(value_type = String, max_length = 320, example = "ana@acme.example")]
    email: Personal<String>,
}

/// How they sign in.
#[derive(Serialize, ToSchema)]
struct Discovered {
    /// `sso` or `password`.
    method: &'static str,
    /// Where the browser begins; `null` for a password.
    #[schema(required = true)]
    start_url: Option<String>,
}

/// Says how people of an address's domain sign in, whether or not the address is known.
#[utoipa::path(post, path = "/v1/auth/discover", tag = "single sign-on", security(()),
    request_body = DiscoverBody,
    responses((status = 200, description = "how to sign in", body = Discovered)))]
async fn discover(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    Valid(body): Valid<DiscoverBody>,
) -> Result<Json<Discovered>, Problem> {
    let Personal(email) = body.email;
    let realm = service::discover(&deps, &ctx, &email, peer).await?;
    Ok(Json(match realm {
        Some(realm) => {
            let (issuer, kind, id) = (&deps.config.issuer, realm.kind, realm.connection);
            let start_url = Some(format!("{issuer}/v1/auth/{kind}/{id}/start"));
            Discovered { method: "sso", start_url }
        }
        None => Discovered { method: "password", start_url: None },
    }))
}
