//! Room `tenancy`: `/v1/tenants` for operators and `/v1/tenant` for a tenant's own people.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use garde::{Path, Report, Validate};
use misy_core::{Page, Personal, Secret, TenantId, Timestamp};
use misy_web::{IfMatch, MergePatch, Operator, Paging, Params, PathId, Problem, Tagged, Valid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{self, Brand, Change, Contact, NewOwner, NewTenant, Placement, Status};
use super::service::{self, Filter};
use crate::Deps;

/// The routes of tenants.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update))
        .routes(routes!(get_own, update_own))
        .with_state(deps)
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(crate) struct TenantView {
    id: TenantId,
    /// Its name in addresses.
    slug: String,
    /// Its public id, by which a web page names it.
    site_id: String,
    name: String,
    status: Status,
    /// Why it has this status.
    status_reason: Option<String>,
    /// What the operator said to that.
    status_note: Option<String>,
    /// When everything of it is removed, once it is closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    purge_at: Option<Timestamp>,
    plan: String,
    placement: Placement,
    locale: String,
    time_zone: String,
    business: Map<String, Value>,
    /// Origins from which browsers may call the API.
    allowed_origins: Vec<String>,
    /// How it looks to its customers.
    brand: Brand,
    /// Whom to ask there.
    contacts: Vec<Contact>,
    version: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<model::Tenant> for TenantView {
    fn from(tenant: model::Tenant) -> Self {
        Self {
            id: tenant.id,
            slug: tenant.slug,
            site_id: tenant.site_id,
            name: tenant.name,
            status: tenant.status,
            status_reason: tenant.status_reason,
            status_note: tenant.status_note,
            purge_at: tenant.purge_at,
            plan: tenant.plan,
            placement: Placement { shard: tenant.shard, residency: tenant.residency },
            locale: tenant.locale,
            time_zone: tenant.time_zone,
            business: tenant.business,
            allowed_origins: tenant.allowed_origins,
            brand: tenant.brand,
            contacts: tenant.contacts,
            version: tenant.version,
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
        }
    }
}

pub(crate) fn tagged(tenant: model::Tenant) -> Tagged<TenantView> {
    Tagged::new(tenant.version, tenant.into())
}

#[derive(Deserialize, Validate, ToSchema)]
struct OwnerBody {
    /// Signs in with this.
    #[garde(email)]
    #[schema(max_length = 254, format = Email)]
    email: String,
    #[garde(custom(by(model::check_text)))]
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Without one the owner gets an invitation.
    #[garde(skip)]
    password: Option<Secret>,
}

#[derive(Deserialize, Validate, ToSchema)]
struct NewTenantBody {
    /// 2 to 63 characters of a-z, 0-9 and single hyphens; cannot be changed.
    #[garde(custom(by(model::check_slug)))]
    #[schema(example = "acme")]
    slug: String,
    #[garde(custom(by(model::check_name)))]
    #[schema(min_length = 1, max_length = 200, example = "Acme GmbH")]
    name: String,
    /// The first person of the tenant.
    #[garde(dive)]
    owner: OwnerBody,
    /// `trial`, `standard`, `unlimited` or a plan of the operator's own.
    #[garde(skip)]
    #[serde(default = "default_plan")]
    #[schema(default = "standard", pattern = "^[a-z0-9_-]{1,64}$")]
    plan: String,
    #[garde(custom(by(model::check_locale)))]
    #[serde(default = "default_locale")]
    #[schema(default = "en", example = "de-DE")]
    locale: String,
    #[garde(custom(by(model::check_time_zone)))]
    #[serde(default = "default_time_zone")]
    #[schema(default = "UTC", example = "Europe/Berlin")]
    time_zone: String,
    /// Address, contacts, tax number: whatever the business says of itself, up to 16 KiB.
    #[garde(custom(by(model::check_business)))]
    #[serde(default)]
    business: Map<String, Value>,
    /// Origins from which browsers may call the API.
    #[garde(inner(custom(by(model::check_origin))))]
    #[serde(default)]
    #[schema(max_items = 50)]
    allowed_origins: Vec<String>,
    /// How it looks to its customers.
    #[garde(skip)]
    #[serde(default)]
    brand: Brand,
    /// Whom to ask there.
    #[garde(skip)]
    #[serde(default)]
    #[schema(max_items = 20)]
    contacts: Vec<Contact>,
    /// Where it lies; cannot be changed but for the residency.
    #[garde(skip)]
    #[serde(default)]
    placement: Placement,
}

/// A rule of the model in the form in which bodies are checked.
pub(crate) fn by<T: ?Sized>(
    rule: fn(&T) -> Result<(), &'static str>,
) -> impl Fn(&T, &()) -> garde::Result {
    move |value, ()| rule(value).map_err(garde::Error::new)
}

fn default_plan() -> String {
    "standard".to_owned()
}
pub(crate) fn default_locale() -> String {
    "en".to_owned()
}
pub(crate) fn default_time_zone() -> String {
    "UTC".to_owned()
}

impl From<NewTenantBody> for NewTenant {
    fn from(body: NewTenantBody) -> Self {
        let OwnerBody { email, name, password } = body.owner;
        Self {
            slug: body.slug,
            name: body.name,
            owner: NewOwner {
                email: Personal(email.to_lowercase()),
                name: Personal(name),
                password,
            },
            plan: body.plan,
            locale: body.locale,
            time_zone: body.time_zone,
            business: body.business,
            allowed_origins: body.allowed_origins,
            brand: body.brand,
            contacts: body.contacts,
            placement: body.placement,
        }
    }
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct OwnChangeBody {
    #[garde(inner(custom(by(model::check_name))))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[garde(inner(custom(by(model::check_locale))))]
    locale: Option<String>,
    #[garde(inner(custom(by(model::check_time_zone))))]
    time_zone: Option<String>,
    /// Replaces all of it.
    #[garde(inner(custom(by(model::check_business))))]
    business: Option<Map<String, Value>>,
    /// Replaces all of them.
    #[garde(inner(inner(custom(by(model::check_origin)))))]
    #[schema(max_items = 50)]
    allowed_origins: Option<Vec<String>>,
    /// Replaces all of it.
    #[garde(skip)]
    brand: Option<Brand>,
    /// Replaces all of them.
    #[garde(skip)]
    #[schema(max_items = 20)]
    contacts: Option<Vec<Contact>>,
}

impl From<OwnChangeBody> for Change {
    fn from(body: OwnChangeBody) -> Self {
        Self {
            name: body.name,
            locale: body.locale,
            time_zone: body.time_zone,
            business: body.business,
            allowed_origins: body.allowed_origins,
            brand: body.brand,
            contacts: body.contacts,
            plan: None,
            residency: None,
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
struct ChangeBody {
    #[serde(flatten)]
    own: OwnChangeBody,
    /// Its limits follow, except those that an operator has set.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    plan: Option<String>,
    /// Where its data must stay.
    #[schema(pattern = "^[a-z0-9-]{2,40}$")]
    residency: Option<String>,
}

/// A fault of a flattened member lies where the client wrote it, not inside `own`.
impl Validate for ChangeBody {
    type Context = ();

    fn validate_into(&self, ctx: &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        self.own.validate_into(ctx, parent, report);
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only those with this status.
    #[param(inline)]
    status: Option<Status>,
    /// Only those with this plan.
    #[param(pattern = "^[a-z0-9_-]{1,64}$")]
    plan: Option<String>,
    /// Only the one with this slug.
    #[param(pattern = "^[a-z0-9-]{1,63}$")]
    slug: Option<String>,
    /// Only those in whose slug, name or site id this occurs, in small or capital letters.
    #[param(min_length = 1, max_length = 200)]
    q: Option<String>,
}

/// List tenants, oldest first.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", params(ListParams, Paging),
    responses((status = 200, body = Page<TenantView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    Params(params): Params<ListParams>,
    Paging { limit, cursor }: Paging,
) -> Result<Json<Page<TenantView>>, Problem> {
    let ListParams { status, plan, slug, q } = params;
    let filter = Filter { status, plan, slug, text: q };
    let page = service::list(&deps, &ctx, filter, cursor, limit).await?;
    Ok(Json(page.map(TenantView::from)))
}

/// Create a tenant with everything it needs.
#[utoipa::path(post, path = "/v1/tenants", tag = "tenants", request_body = NewTenantBody,
    responses((status = 201, body = TenantView)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    Valid(body): Valid<NewTenantBody>,
) -> Result<(StatusCode, Tagged<TenantView>), Problem> {
    let tenant = service::create(&deps, &ctx, body.into()).await?;
    Ok((StatusCode::CREATED, tagged(tenant)))
}

/// Read a tenant.
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = TenantId, Path)), responses((status = 200, body = TenantView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
) -> Result<Tagged<TenantView>, Problem> {
    Ok(tagged(service::get(&deps, &ctx, id).await?))
}

/// Change a tenant.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = TenantId, Path)), request_body = ChangeBody,
    responses((status = 200, body = TenantView)))]
async fn update(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
    expected: IfMatch,
    MergePatch(body): MergePatch<ChangeBody>,
) -> Result<Tagged<TenantView>, Problem> {
    let ChangeBody { own, plan, residency } = body;
    let change = Change { plan, residency, ..own.into() };
    Ok(tagged(service::update(&deps, &ctx, id, change, &expected).await?))
}

/// Read one's own tenant.
#[utoipa::path(get, path = "/v1/tenant", tag = "tenant",
    responses((status = 200, body = TenantView)))]
async fn get_own(
    State(deps): State<Arc<Deps>>,
    misy_web::Tenant(ctx): misy_web::Tenant,
) -> Result<Tagged<TenantView>, Problem> {
    Ok(tagged(service::get_own(&deps, &ctx).await?))
}

/// Change one's own tenant.
#[utoipa::path(patch, path = "/v1/tenant", tag = "tenant", request_body = OwnChangeBody,
    responses((status = 200, body = TenantView)))]
async fn update_own(
    State(deps): State<Arc<Deps>>,
    misy_web::Tenant(ctx): misy_web::Tenant,
    expected: IfMatch,
    MergePatch(body): MergePatch<OwnChangeBody>,
) -> Result<Tagged<TenantView>, Problem> {
    Ok(tagged(service::update_own(&deps, &ctx, body.into(), &expected).await?))
}
