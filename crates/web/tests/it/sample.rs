//! Room `web`: routes as a vertical writes them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use garde::Validate;
use misy_core::id::TypedId;
use misy_core::{Code, ContactId, Page, Permission, Public, Secret};
use misy_store::{Audit, Db};
use misy_web::{
    Anyone, Caller, Class, Hook, IfMatch, MergePatch, Operator, Paging, Params, PathId, Problem,
    Raw, Tagged, Tenant, Traits, Valid,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router(db: Db) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update))
        .routes(routes!(create_twice))
        .routes(routes!(platform_only, platform_create))
        .routes(routes!(me))
        .routes(misy_web::with(routes!(sign_in), Traits::new().class(Class::SignIn)))
        .routes(misy_web::with(
            routes!(deliver),
            Traits::new().class(Class::Hook).body_limit_bytes(3 << 20).any_query(),
        ))
        .routes(misy_web::with(routes!(slow), Traits::new().timeout_ms(20)))
        .routes(routes!(fail))
        .with_state(Arc::new(db))
}

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Colour {
    Red,
    Green,
}

/// Something attached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Attachment {
    /// A link.
    Link {
        #[garde(url)]
        href: String,
    },
    /// A place.
    Place {
        #[garde(range(min = -90.0, max = 90.0))]
        latitude: f64,
        #[garde(range(min = -180.0, max = 180.0))]
        longitude: f64,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
pub(crate) struct NewNote {
    /// The first line.
    #[garde(length(chars, min = 1, max = 20))]
    #[schema(min_length = 1, max_length = 20, example = "Call back")]
    pub(crate) title: String,
    #[garde(skip)]
    pub(crate) colour: Colour,
    #[garde(skip)]
    pub(crate) contact: Option<ContactId>,
    /// Not in the schema: only the type's own rule knows.
    #[garde(custom(even))]
    pub(crate) stars: u8,
    #[garde(dive)]
    #[serde(default)]
    pub(crate) attachments: Vec<Attachment>,
    #[garde(skip)]
    pub(crate) extra: Option<Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the validator's signature")]
fn even(stars: &u8, (): &()) -> garde::Result {
    if stars.is_multiple_of(2) { Ok(()) } else { Err(garde::Error::new("has to be even")) }
}

#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
struct ChangeNote {
    #[garde(inner(length(chars, min = 1, max = 20)))]
    title: Option<String>,
    #[garde(skip)]
    #[serde(default, deserialize_with = "misy_web::nullable")]
    contact: Option<Option<ContactId>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Note {
    id: String,
    title: String,
    version: i64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only these.
    archived: Option<bool>,
    #[param(inline)]
    colour: Option<Colour>,
    #[param(minimum = 0, maximum = 10)]
    stars: Option<u8>,
}

/// List notes.
#[utoipa::path(get, path = "/v1/notes", tag = "notes", params(Filter, Paging),
    responses((status = 200, body = Page<Note>)))]
async fn list(Tenant(_ctx): Tenant, Params(filter): Params<Filter>, paging: Paging) -> Json<Value> {
    Json(json!({
        "archived": filter.archived, "colour": filter.colour, "stars": filter.stars,
        "limit": paging.limit.show(), "cursor": paging.cursor.map(|cursor| cursor.0),
    }))
}

/// Write a note.
#[utoipa::path(post, path = "/v1/notes", tag = "notes", request_body = NewNote,
    responses((status = 201, body = Note)))]
async fn create(
    State(db): State<Arc<Db>>,
    Tenant(ctx): Tenant,
    Valid(note): Valid<NewNote>,
) -> Result<(StatusCode, Tagged<Value>), Problem> {
    ctx.require(Permission::ContactUpdate)?;
    if note.title == "echo" {
        tracing::warn!("a note is echoed");
        return Ok((StatusCode::CREATED, Tagged::new(1, json!(note))));
    }
    let id = db.ambient().uuid().to_string();
    let mut tx = db.tenant(&ctx).await?;
    tx.audit(Audit::new("note.created", "note", &id));
    tx.commit().await?;
    if note.title == "break" {
        return Err(Problem::new(Code::Internal));
    }
    if note.title == "linger" {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok((StatusCode::CREATED, Tagged::new(1, json!({"id": id, "title": note.title}))))
}

/// Write a note in two transactions, and read in between.
#[utoipa::path(post, path = "/v1/notes/twice", tag = "notes", responses((status = 200)))]
async fn create_twice(
    State(db): State<Arc<Db>>,
    Tenant(ctx): Tenant,
) -> Result<Json<Value>, Problem> {
    const COUNT: &str = "select count(*) from audit_records where tenant_id = $1";
    let mut counts = Vec::new();
    for _ in 0..2 {
        let mut tx = db.tenant(&ctx).await?;
        tx.audit(Audit::new("note.created", "note", "n"));
        tx.commit().await?;
        let mut read = db.read(&ctx).await?;
        let tenant = read.tenant();
        let row = read.query_opt(COUNT, &[&tenant]).await?;
        counts.push(row.map(|row| row.get::<_, i64>(0)));
    }
    Ok(Json(json!({ "counts": counts })))
}

const ONLY: Uuid = Uuid::from_u128(1);

/// Read a note.
#[utoipa::path(get, path = "/v1/notes/{id}", tag = "notes", params(("id" = ContactId, Path)),
    responses((status = 200, body = Note)))]
async fn get(Tenant(ctx): Tenant, PathId(id): PathId<ContactId>) -> Result<Tagged<Note>, Absent> {
    let own = ctx.tenant() == crate::kit::tenant(1);
    if !own || id.uuid() != ONLY {
        return Err(Absent);
    }
    Ok(Tagged::new(7, Note { id: id.to_string(), title: "only".to_owned(), version: 7 }))
}

/// Change a note.
#[utoipa::path(patch, path = "/v1/notes/{id}", tag = "notes", params(("id" = ContactId, Path)),
    request_body = ChangeNote, responses((status = 200, body = Note)))]
async fn update(
    Tenant(_ctx): Tenant,
    PathId(_id): PathId<ContactId>,
    seen: IfMatch,
    MergePatch(change): MergePatch<ChangeNote>,
) -> Result<Tagged<Value>, Problem> {
    seen.check(7)?;
    let contact = match change.contact {
        None => "stays".to_owned(),
        Some(None) => "goes".to_owned(),
        Some(Some(id)) => id.to_string(),
    };
    Ok(Tagged::new(8, json!({"title": change.title, "contact": contact})))
}

#[derive(Debug, thiserror::Error)]
#[error("no such note")]
struct Absent;

impl Public for Absent {
    fn code(&self) -> Code {
        Code::NotFound
    }
}

impl axum::response::IntoResponse for Absent {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}

/// For operators.
#[utoipa::path(get, path = "/v1/platform", tag = "platform", responses((status = 200)))]
async fn platform_only(Operator(ctx): Operator) -> Json<Value> {
    Json(json!({"actor": ctx.actor(), "request": ctx.request().as_str()}))
}

/// For operators too.
#[utoipa::path(post, path = "/v1/platform", tag = "platform", responses((status = 201)))]
async fn platform_create(
    State(db): State<Arc<Db>>,
    Operator(ctx): Operator,
) -> Result<StatusCode, Problem> {
    let mut tx = db.platform(&ctx).await?;
    tx.audit(Audit::new("thing.created", "thing", "t"));
    tx.commit().await?;
    Ok(StatusCode::CREATED)
}

/// Who am I?
#[utoipa::path(get, path = "/v1/auth/me", tag = "auth", responses((status = 200)))]
async fn me(caller: Caller) -> Json<Value> {
    Json(match caller {
        Caller::Tenant(ctx) => json!({"tenant": ctx.tenant(), "actor": ctx.actor()}),
        Caller::Operator(ctx) => json!({"actor": ctx.actor()}),
    })
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct SignIn {
    #[garde(email)]
    #[schema(format = Email)]
    email: String,
    #[garde(skip)]
    password: Secret,
}

/// Sign in.
#[utoipa::path(post, path = "/v1/auth/login", tag = "auth", security(()), request_body = SignIn,
    responses((status = 200)))]
async fn sign_in(Anyone(ctx): Anyone, Valid(body): Valid<SignIn>) -> Json<Value> {
    let known = body.email == "ana@acme.example" && !body.password.is_empty();
    Json(json!({"known": known, "actor": ctx.actor()}))
}

/// Take a delivery.
#[utoipa::path(post, path = "/hooks/{hook}", tag = "hooks", security(()),
    params(("hook" = String, Path)), request_body(content = Object), responses((status = 200)))]
async fn deliver(Hook(_ctx): Hook, Path(hook): Path<String>, Raw(body): Raw) -> String {
    format!("{hook} {}", body.len())
}

/// Take too long.
#[utoipa::path(get, path = "/v1/slow", tag = "notes", responses((status = 200)))]
async fn slow() {
    tokio::time::sleep(Duration::from_mins(1)).await;
}

/// Fail in the way that is asked for.
#[utoipa::path(get, path = "/v1/fail/{how}", tag = "notes", security(()),
    params(("how" = String, Path)), responses((status = 200)))]
async fn fail(Path(how): Path<String>) -> Result<(), Problem> {
    match how.as_str() {
        "panic" => panic!("the secret of the panic"),
        "database" => Err(misy_store::Error::Corrupt { column: "secret_column" }.into()),
        "down" => Err(misy_store::Error::Unavailable("secret-host:5432".into()).into()),
        _ => Ok(()),
    }
}
