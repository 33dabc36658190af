//! Room `web`: typed ids in paths.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use misy_core::Code;
use misy_core::id::TypedId;

use crate::Problem;

/// The id in the path. One that is not of the wanted kind is answered like one that does not exist.
/// Of several ids in a path, each is found by its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathId<I>(pub I);

impl<S: Send + Sync, I: TypedId> FromRequestParts<S> for PathId<I> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let absent = || Problem::new(Code::NotFound);
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| absent())?;
        params.iter().find_map(|(_, text)| text.parse().ok()).map(Self).ok_or_else(absent)
    }
}
