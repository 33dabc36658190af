//! Room `integration`: `/v1/webhook-signatures`, the place to try signatures. Nothing is kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use garde::Validate;
use misy_core::Secret;
use misy_web::{Problem, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Received, Verdict};
use super::service;
use crate::Deps;

/// The routes of the playground.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(sign)).routes(routes!(verify)).with_state(deps)
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = SignWebhook)]
#[serde(deny_unknown_fields)]
struct SignBody {
    /// `whsec_..` or `whsk_..`.
    #[garde(skip)]
    secret: Secret,
    /// `webhook-id`.
    #[garde(length(min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    id: String,
    /// Seconds since 1970; now if not given.
    #[garde(skip)]
    timestamp: Option<i64>,
    /// The body, as it is sent.
    #[garde(length(bytes, max = 262_144))]
    #[schema(max_length = 262_144)]
    body: String,
}

/// The headers that a delivery would have.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookSignature)]
struct SignedView {
    #[serde(rename = "webhook-id")]
    id: String,
    #[serde(rename = "webhook-timestamp")]
    timestamp: String,
    #[serde(rename = "webhook-signature")]
    signature: String,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = VerifyWebhook)]
#[serde(deny_unknown_fields)]
struct VerifyBody {
    /// `whsec_..`, or `whpk_..` for `v1a`.
    #[garde(skip)]
    secret: Secret,
    /// `webhook-id`, as it came.
    #[garde(length(max = 200))]
    #[schema(max_length = 200)]
    id: String,
    /// `webhook-timestamp`, as it came.
    #[garde(length(max = 40))]
    #[schema(max_length = 40)]
    timestamp: String,
    /// `webhook-signature`, as it came.
    #[garde(length(max = 4_000))]
    #[schema(max_length = 4_000)]
    signature: String,
    /// The body, as it came.
    #[garde(length(bytes, max = 262_144))]
    #[schema(max_length = 262_144)]
    body: String,
}

/// Whether a delivery is genuine, and if not, what to do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookVerdict)]
struct VerdictView {
    genuine: bool,
    reason: Verdict,
    advice: &'static str,
}

/// Sign a body with a secret of your own.
#[utoipa::path(post, path = "/v1/webhook-signatures", tag = "webhook-signatures",
    request_body = SignBody, responses((status = 200, body = SignedView)))]
async fn sign(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<SignBody>,
) -> Result<Json<SignedView>, Problem> {
    let signed = service::sign(&deps, &ctx, &body.secret, &body.id, body.timestamp, &body.body)?;
    let (timestamp, signature) = signed.map_err(|error| {
        let fault =
            misy_core::error::Fault { pointer: "/secret".to_owned(), detail: error.to_string() };
        Problem::new(misy_core::Code::Invalid).with_faults(vec![fault])
    })?;
    Ok(Json(SignedView { id: body.id, timestamp: timestamp.to_string(), signature }))
}

/// Check a delivery that you received, and be told what is wrong with it.
#[utoipa::path(post, path = "/v1/webhook-signatures/verify", tag = "webhook-signatures",
    request_body = VerifyBody, responses((status = 200, body = VerdictView)))]
async fn verify(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<VerifyBody>,
) -> Result<Json<VerdictView>, Problem> {
    let received = Received {
        secret: &body.secret,
        id: &body.id,
        timestamp: &body.timestamp,
        signature: &body.signature,
        body: body.body.as_bytes(),
    };
    let reason = service::check(&deps, &ctx, &received)?;
    let genuine = reason == Verdict::Genuine;
    Ok(Json(VerdictView { genuine, reason, advice: reason.advice() }))
}
