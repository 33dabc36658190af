//! Room `web`: the reference. What the verticals describe, completed with what holds for all operations.

use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;

/// The whole reference, OpenAPI 3.1.
pub fn document(api: &OpenApiRouter) -> Value {
    serde_json::to_value(api.get_openapi()).unwrap_or_default()
}
