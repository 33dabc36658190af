//! Room `identity`: the published keys, a JWK Set (RFC 7517).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use misy_core::crypto;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Deps;

/// The routes of this resource, at the root.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(jwks)).with_state(Arc::clone(deps))
}

#[derive(Serialize, utoipa::ToSchema)]
struct JwkSet {
    /// Every key that may have signed a token that is still valid.
    keys: Vec<Jwk>,
}

/// An Ed25519 public key (RFC 8037).
#[derive(Serialize, utoipa::ToSchema)]
struct Jwk {
    /// Always `OKP`.
    kty: &'static str,
    /// Always `Ed25519`.
    crv: &'static str,
    /// Always `EdDSA`.
    alg: &'static str,
    /// Always `sig`.
    #[serde(rename = "use")]
    usage: &'static str,
    /// Names the key in the header of tokens.
    kid: String,
    /// The public key in base64url.
    x: String,
}

/// The keys with which access tokens are verified.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "session", security(()),
    responses((status = 200, description = "the keys in force", body = JwkSet)))]
async fn jwks(State(deps): State<Arc<Deps>>) -> impl IntoResponse {
    let keys = deps.keys.public_keys().into_iter().map(|(kid, public)| Jwk {
        kty: "OKP",
        crv: "Ed25519",
        alg: "EdDSA",
        usage: "sig",
        kid,
        x: crypto::to_base64url(&public.0),
    });
    ([(CACHE_CONTROL, "public, max-age=60")], Json(JwkSet { keys: keys.collect() }))
}
