//! Room `conversation`: `/v1/contacts`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use garde::Validate;
use misy_core::{ContactId, IdentityId, Page, Timestamp};
use misy_web::{IfMatch, MergePatch, Paging, Params, PathId, Problem, Tagged, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Change, Contact, Identity};
use super::service;
use crate::Deps;

/// The routes of contacts.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, change))
        .routes(routes!(list_identities))
        .with_state(deps)
}

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Contact)]
struct ContactView {
    id: ContactId,
    #[schema(required = true)]
    display_name: Option<String>,
    /// The language the customer writes.
    #[schema(required = true)]
    language: Option<String>,
    /// Every way to recognise the customer, oldest first.
    identities: Vec<IdentityView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// One way to recognise a customer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Identity)]
struct IdentityView {
    id: IdentityId,
    /// `phone`, `email`, `visitor` or a provider's own user id.
    namespace: String,
    value: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// Every identity of a contact.
#[derive(Debug, Serialize, ToSchema)]
struct Identities {
    data: Vec<IdentityView>,
}

fn identity(identity: Identity) -> IdentityView {
    IdentityView {
        id: identity.id,
        namespace: identity.namespace,
        value: identity.value.0,
        created_at: identity.created_at,
    }
}

fn view(contact: Contact) -> ContactView {
    ContactView {
        id: contact.id,
        display_name: contact.display_name.map(|name| name.0),
        language: contact.language,
        identities: contact.identities.into_iter().map(identity).collect(),
        created_at: contact.created_at,
        updated_at: contact.updated_at,
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ContactFilter {
    /// Only the contact that holds this identity: namespace, colon, value in normal form.
    #[param(example = "phone:+4915551234567", pattern = "^[a-z0-9_]+:.+$")]
    identity: Option<String>,
}

/// List contacts, newest first.
#[utoipa::path(get, path = "/v1/contacts", tag = "contacts", operation_id = "list_contacts",
    params(Paging, ContactFilter), responses((status = 200, body = Page<ContactView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
    Params(filter): Params<ContactFilter>,
) -> Result<Json<Page<ContactView>>, Problem> {
    let wanted = filter.identity.as_deref().and_then(|text| text.split_once(':'));
    let page = service::list(&deps, &ctx, wanted, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(view)))
}

/// Read a contact.
#[utoipa::path(get, path = "/v1/contacts/{contact}", tag = "contacts",
    operation_id = "get_contact", params(("contact" = ContactId, Path)),
    responses((status = 200, body = ContactView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ContactId>,
) -> Result<Tagged<ContactView>, Problem> {
    let contact = service::get(&deps, &ctx, id).await?;
    Ok(Tagged::new(contact.version, view(contact)))
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct ContactChange {
    /// `null` takes the name away.
    #[garde(skip)]
    #[serde(default, deserialize_with = "misy_web::nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    display_name: Option<Option<String>>,
    /// `null` takes the language away; it is learnt again from what the customer writes.
    #[garde(skip)]
    #[serde(default, deserialize_with = "misy_web::nullable")]
    #[schema(value_type = Option<String>, example = "pt-BR")]
    language: Option<Option<String>>,
}

/// Change a contact.
#[utoipa::path(patch, path = "/v1/contacts/{contact}", tag = "contacts",
    operation_id = "change_contact", params(("contact" = ContactId, Path)),
    request_body = ContactChange, responses((status = 200, body = ContactView)))]
async fn change(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ContactId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<ContactChange>,
) -> Result<Tagged<ContactView>, Problem> {
    let change = Change { display_name: body.display_name, language: body.language };
    let contact = service::change(&deps, &ctx, id, &seen, change).await?;
    Ok(Tagged::new(contact.version, view(contact)))
}

/// List a contact's identities, oldest first.
#[utoipa::path(get, path = "/v1/contacts/{contact}/identities", tag = "contacts",
    operation_id = "list_identities", params(("contact" = ContactId, Path)),
    responses((status = 200, body = Identities)))]
async fn list_identities(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ContactId>,
) -> Result<Json<Identities>, Problem> {
    let contact = service::get(&deps, &ctx, id).await?;
    let data = contact.identities.into_iter().map(identity).collect();
    Ok(Json(Identities { data }))
}
