//! Room `identity`: `/v1/policies`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use garde::Validate;
use misy_core::{ApiKeyId, Code, Page, PolicyId, Timestamp, UserId};
use misy_policy::{Flaw, templates};
use misy_web::{IfMatch, MergePatch, Paging, PathId, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::Policy;
use super::service::{self, Draft, Named, NewText, PolicyChange, Who};
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(validate))
        .routes(routes!(list_templates))
        .routes(routes!(explain))
        .routes(routes!(who_can))
        .routes(routes!(get_schema, put_schema))
        .routes(routes!(get, update, delete))
        .with_state(Arc::clone(deps))
}

/// What a policy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PolicyEffect {
    Permit,
    Forbid,
}

fn effect(forbids: bool) -> PolicyEffect {
    if forbids { PolicyEffect::Forbid } else { PolicyEffect::Permit }
}

/// A policy of the tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy)]
struct PolicyBody {
    id: PolicyId,
    name: String,
    description: String,
    /// What it says, in Cedar.
    text: String,
    effect: PolicyEffect,
    /// The template that it was made from.
    #[schema(required = true)]
    template: Option<String>,
    /// Whether it holds.
    enabled: bool,
    /// Who made it.
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Policy> for PolicyBody {
    fn from(policy: Policy) -> Self {
        Self {
            id: policy.id,
            name: policy.name,
            description: policy.description,
            text: policy.text,
            effect: effect(policy.forbids),
            template: policy.template,
            enabled: policy.enabled,
            created_by: policy.created_by,
            created_at: policy.created_at,
            updated_at: policy.updated_at,
        }
    }
}

fn tagged(policy: Policy) -> Tagged<PolicyBody> {
    Tagged::new(policy.version, policy.into())
}

/// The tenant's policies, oldest first.
#[utoipa::path(get, path = "/v1/policies", tag = "policies", params(Paging),
    responses((status = 200, description = "one page", body = Page<PolicyBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<PolicyBody>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(PolicyBody::from)))
}

/// A policy to be made, from its text or from a template.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct CreatePolicy {
    /// What it is called; decisions name it so.
    #[schema(min_length = 1, max_length = 100, example = "Agents see their own")]
    name: String,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    description: String,
    /// One policy in Cedar.
    #[schema(max_length = 8_192)]
    text: Option<String>,
    /// Or the slug of a template.
    #[schema(max_length = 50, example = "own_conversations")]
    template: Option<String>,
    /// What the blanks of the template are filled with.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"role": "agent"}))]
    values: BTreeMap<String, String>,
    /// Whether it holds; yes if absent.
    #[schema(nullable = false)]
    enabled: Option<bool>,
}

/// Makes a policy. It holds everywhere within a second.
#[utoipa::path(post, path = "/v1/policies", tag = "policies", request_body = CreatePolicy,
    responses((status = 201, description = "made", body = PolicyBody)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<CreatePolicy>,
) -> Result<impl IntoResponse, Problem> {
    let CreatePolicy { name, description, text, template, values, enabled } = body;
    let text = match (text, template) {
        (Some(text), None) => NewText::Text(text),
        (None, Some(slug)) => NewText::Template(slug, values),
        _ => return Err(only("/text", "either this or `template` has to be given")),
    };
    let draft = Draft { name, description, text, enabled: enabled.unwrap_or(true) };
    Ok((StatusCode::CREATED, tagged(service::create(&deps, &ctx, draft).await?)))
}

fn only(pointer: &str, detail: &str) -> Problem {
    let (pointer, detail) = (pointer.to_owned(), detail.to_owned());
    Problem::new(Code::Invalid).with_faults(vec![misy_core::error::Fault { pointer, detail }])
}

/// One policy.
#[utoipa::path(get, path = "/v1/policies/{policy}", tag = "policies",
    params(("policy" = PolicyId, Path)),
    responses((status = 200, description = "the policy", body = PolicyBody)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<PolicyId>,
) -> Result<Tagged<PolicyBody>, Problem> {
    Ok(tagged(service::get(&deps, &ctx, id).await?))
}

/// What is to change; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct UpdatePolicy {
    /// What it is called.
    #[schema(min_length = 1, max_length = 100, nullable = false)]
    name: Option<String>,
    /// What it is for.
    #[schema(max_length = 1_000, nullable = false)]
    description: Option<String>,
    /// One policy in Cedar.
    #[schema(max_length = 8_192, nullable = false)]
    text: Option<String>,
    /// Whether it holds.
    #[schema(nullable = false)]
    enabled: Option<bool>,
}

/// Changes a policy. It holds everywhere within a second.
#[utoipa::path(patch, path = "/v1/policies/{policy}", tag = "policies",
    params(("policy" = PolicyId, Path)), request_body = UpdatePolicy,
    responses((status = 200, description = "changed", body = PolicyBody)))]
async fn update(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<PolicyId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<UpdatePolicy>,
) -> Result<Tagged<PolicyBody>, Problem> {
    let UpdatePolicy { name, description, text, enabled } = body;
    let change = PolicyChange { name, description, text, enabled };
    Ok(tagged(service::update(&deps, &ctx, id, &seen, change).await?))
}

/// Removes a policy.
#[utoipa::path(delete, path = "/v1/policies/{policy}", tag = "policies",
    params(("policy" = PolicyId, Path)), responses((status = 204, description = "removed")))]
async fn delete(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<PolicyId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    service::delete(&deps, &ctx, id, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A text to be checked.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    /// One policy in Cedar.
    #[schema(max_length = 65_536)]
    text: String,
}

/// Something wrong with a text, and where.
#[derive(Serialize, ToSchema)]
struct PolicyFlaw {
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
    /// How many characters it spans.
    length: usize,
    message: String,
    /// What would be right, if that is known.
    #[schema(required = true)]
    help: Option<String>,
}

impl From<Flaw> for PolicyFlaw {
    fn from(flaw: Flaw) -> Self {
        let Flaw { line, column, length, message, help } = flaw;
        Self { line, column, length, message, help }
    }
}

/// What a check comes to.
#[derive(Serialize, ToSchema)]
struct PolicyCheck {
    valid: bool,
    #[schema(required = true)]
    effect: Option<PolicyEffect>,
    /// Everything that is wrong.
    errors: Vec<PolicyFlaw>,
    /// What is not wrong, but perhaps not meant.
    warnings: Vec<PolicyFlaw>,
}

/// Checks a policy without keeping it, and tells every fault with its place.
#[utoipa::path(post, path = "/v1/policies/validate", tag = "policies", request_body = PolicyText,
    responses((status = 200, description = "what was found", body = PolicyCheck)))]
async fn validate(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<PolicyText>,
) -> Result<Json<PolicyCheck>, Problem> {
    let found = service::validate(&deps, &ctx, &body.text).await?;
    let told = |flaws: Vec<Flaw>| flaws.into_iter().map(PolicyFlaw::from).collect();
    Ok(Json(PolicyCheck {
        valid: found.errors.is_empty(),
        effect: found.forbids.map(effect),
        errors: told(found.errors),
        warnings: told(found.warnings),
    }))
}

/// A blank of a template.
#[derive(Serialize, ToSchema)]
struct PolicyBlank {
    name: &'static str,
    description: &'static str,
}

/// A policy that many want, with blanks.
#[derive(Serialize, ToSchema)]
struct PolicyTemplate {
    slug: &'static str,
    title: &'static str,
    description: &'static str,
    values: Vec<PolicyBlank>,
}

/// All templates.
#[derive(Serialize, ToSchema)]
struct PolicyTemplates {
    data: Vec<PolicyTemplate>,
}

/// The templates that policies can be made from.
#[utoipa::path(get, path = "/v1/policies/templates", tag = "policies",
    responses((status = 200, description = "all of them", body = PolicyTemplates)))]
async fn list_templates(Tenant(ctx): Tenant) -> Result<Json<PolicyTemplates>, Problem> {
    ctx.require(misy_core::Permission::PolicyRead)?;
    let view = |template: templates::Template| PolicyTemplate {
        slug: template.slug,
        title: template.title,
        description: template.description,
        values: template
            .blanks
            .iter()
            .map(|blank| PolicyBlank { name: blank.name, description: blank.description })
            .collect(),
    };
    Ok(Json(PolicyTemplates { data: templates::TEMPLATES.into_iter().map(view).collect() }))
}

/// Who is asked about: one of the two, or nobody for whoever asks.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PolicyPrincipal {
    user_id: Option<UserId>,
    api_key_id: Option<ApiKeyId>,
}

/// What it is done with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PolicyResource {
    /// `conversation`, `user`, `api_key` or `tenant`.
    #[serde(rename = "type")]
    #[schema(max_length = 50, example = "conversation")]
    kind: String,
    #[schema(max_length = 100)]
    id: Option<String>,
    /// What is known about it: `status`, `channel`, `contact`, `assignee` of a conversation.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"assignee": "usr_01k8zq5m3ge0r8v0w1x2y3z4a5"}))]
    attributes: serde_json::Map<String, serde_json::Value>,
}

impl PolicyResource {
    fn named(self, action: String) -> Named {
        let attributes = serde_json::Value::Object(self.attributes);
        Named { action, kind: self.kind, id: self.id, attributes }
    }
}

/// A question: may this one do that with it, and why?
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct ExplainPolicy {
    #[serde(default)]
    principal: PolicyPrincipal,
    /// A permission.
    #[schema(max_length = 100, example = "conversation.read")]
    action: String,
    resource: PolicyResource,
}

/// A policy that decided.
#[derive(Serialize, ToSchema)]
struct DecidingPolicy {
    /// The platform's begin with `platform.`.
    id: String,
    name: String,
    effect: PolicyEffect,
}

/// The answer, and why.
#[derive(Serialize, ToSchema)]
struct PolicyExplanation {
    allowed: bool,
    /// Why, in a sentence.
    reason: String,
    policies: Vec<DecidingPolicy>,
    /// Which version the tenant's policies have.
    policy_version: i64,
}

/// Tells why somebody may do something or may not, and which policies decide it.
#[utoipa::path(post, path = "/v1/policies/explain", tag = "policies", request_body = ExplainPolicy,
    responses((status = 200, description = "the answer", body = PolicyExplanation)))]
async fn explain(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<ExplainPolicy>,
) -> Result<Json<PolicyExplanation>, Problem> {
    let who = match (body.principal.user_id, body.principal.api_key_id) {
        (Some(user), None) => Who::User(user),
        (None, Some(key)) => Who::ApiKey(key),
        (None, None) => Who::Me,
        (Some(_), Some(_)) => return Err(only("/principal", "has to name one, not two")),
    };
    let named = body.resource.named(body.action);
    let reply = service::explain(&deps, &ctx, who, &named).await?;
    let deciding = |(id, name, forbids)| DecidingPolicy { id, name, effect: effect(forbids) };
    Ok(Json(PolicyExplanation {
        allowed: reply.verdict.allowed,
        reason: reply.sentence,
        policies: reply.policies.into_iter().map(deciding).collect(),
        policy_version: reply.verdict.version,
    }))
}

/// A question: who may do that with it?
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct WhoCan {
    /// A permission.
    #[schema(max_length = 100, example = "conversation.read")]
    action: String,
    resource: PolicyResource,
}

/// Somebody who may.
#[derive(Serialize, ToSchema)]
struct AblePerson {
    id: UserId,
    role: String,
}

/// Everybody who may.
#[derive(Serialize, ToSchema)]
struct AblePeople {
    data: Vec<AblePerson>,
    /// How many people were asked about.
    considered: usize,
}

/// Tells which people of the tenant may do something.
#[utoipa::path(post, path = "/v1/policies/who-can", tag = "policies", request_body = WhoCan,
    responses((status = 200, description = "everybody who may", body = AblePeople)))]
async fn who_can(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<WhoCan>,
) -> Result<Json<AblePeople>, Problem> {
    let named = body.resource.named(body.action);
    let (able, considered) = service::who_can(&deps, &ctx, &named).await?;
    let data = able.into_iter().map(|(id, role)| AblePerson { id, role }).collect();
    Ok(Json(AblePeople { data, considered }))
}

/// What a tenant declares for applications of its own.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct PolicySchema {
    /// A Cedar schema in `namespace App { ... }`; empty if nothing is declared.
    #[schema(max_length = 65_536)]
    text: String,
}

/// What the tenant declares for its own applications, which the decision API decides for.
#[utoipa::path(get, path = "/v1/policies/schema", tag = "policies",
    responses((status = 200, description = "the declarations", body = PolicySchema)))]
async fn get_schema(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
) -> Result<Tagged<PolicySchema>, Problem> {
    let (text, version) = service::get_schema(&deps, &ctx).await?;
    Ok(Tagged::new(version, PolicySchema { text }))
}

/// Replaces what the tenant declares. Refused if a policy could not be said in it any more.
#[utoipa::path(put, path = "/v1/policies/schema", tag = "policies", request_body = PolicySchema,
    responses((status = 200, description = "replaced", body = PolicySchema)))]
async fn put_schema(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    seen: IfMatch,
    Valid(body): Valid<PolicySchema>,
) -> Result<Tagged<PolicySchema>, Problem> {
    let version = service::put_schema(&deps, &ctx, &seen, &body.text).await?;
    Ok(Tagged::new(version, body))
}
