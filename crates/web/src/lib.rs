//! Room `web`: the HTTP kit of all verticals. Extractors that turn a request into a context and a
//! value, problems for whatever goes wrong, and the layers around every route: request id,
//! canonical log line, limits, idempotency, security headers, the reference.
//!
//! Never: a feature.

mod admission;
mod app;
mod bodies;
mod cookies;
mod docs;
mod gate;
mod health;
mod json;
mod kit;
pub mod metrics;
mod observe;
pub mod openapi;
mod paths;
pub mod policies;
mod problem;
mod queries;
pub mod rates;
mod replay;
mod request;
mod rest;
mod routes;
pub mod serve;
mod shapes;
mod shield;
mod tags;
mod turnstile;
mod visits;
pub mod webhooks;

pub use admission::{
    Anyone, AuthError, Authenticator, Caller, Claimed, Hook, Operator, Peer, Principal, Tenant,
    TenantDirectory,
};
pub use app::app;
pub use bodies::{Content, MergePatch, Raw, Valid, nullable};
pub use cookies::{
    ACCESS_COOKIE, MayUseCookies, Presented, REFRESH_COOKIE, cookie, no_cookies, read_cookie,
};
pub use docs::{errors_markdown, hash_source};
pub use health::Readiness;
pub use kit::{Config, Kit};
pub use metrics::admin_router;
pub use paths::PathId;
pub use policies::{Judge, Judging, Policies, Unrestricted};
pub use problem::Problem;
pub use queries::{Paging, Params};
pub use rates::{Class, RateLimits};
pub use routes::{Traits, with};
pub use serve::serve;
pub use tags::{IfMatch, Stale, Tag, Tagged};
pub use visits::{CallingPage, Held, Meter};
