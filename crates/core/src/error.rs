//! Room `core`: the closed catalogue of error codes and what an error may tell the outside.
//!
//! `docs/errors.md` is generated from [`Code::ALL`]; tests iterate it.

use serde::Serialize;

macro_rules! codes {
    ($($name:ident = $slug:literal, $status:literal, $title:literal, $help:literal;)*) => {
        /// One kind of error that a client can meet. The slug never changes once published.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// Every code, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable name, for example `conversation.window_closed`.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// A short title, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What to do about it, for the reference.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }
        }
    };
}

codes! {
    MalformedRequest = "request.malformed", 400, "The request cannot be read",
        "Check that the body is complete, valid JSON in UTF-8 and that ids in the path have the \
         right form.";
    UnknownParameter = "request.unknown_parameter", 400, "A query parameter is not known",
        "Remove the parameter or correct its name; the reference lists those each operation takes.";
    TenantAmbiguous =
        "context.ambiguous_tenant", 400, "It names another tenant than the one it comes from",
        "The credential names the tenant. Leave `X-Misy-Tenant` and `misy.tenant` in `baggage` out, \
         or send the same tenant.";
    Unauthenticated = "auth.unauthenticated", 401, "No valid credential",
        "Send `Authorization: Bearer <access token or API key>`; if the token has expired, refresh \
         it.";
    InvalidLogin = "auth.invalid_login", 401, "The e-mail address or password is wrong",
        "Check both. The answer is the same for an unknown address, on purpose.";
    InvalidRefreshToken = "auth.invalid_refresh_token", 401, "The refresh token is not valid",
        "Sign in again. A refresh token works once; using one twice ends its session.";
    InvalidLink = "auth.invalid_link", 401, "The link is not valid",
        "It was used, withdrawn or has expired. Ask for another one.";
    InvalidCode = "auth.invalid_code", 401, "The code of the second factor is not right",
        "Send the six digits shown now, or a recovery code. Each works once; the clock of the \
         device has to be right.";
    SsoFailed = "auth.sso_failed", 400, "The sign-in through the identity provider did not work",
        "Start the sign-in again. If it fails again, give the reference to your administrator: the \
         audit log has the reason under it.";
    TokenExchangeFailed = "auth.token_exchange_failed", 400, "The token is not exchanged",
        "`error` is the code of RFC 6749 section 5.2 or RFC 8693 section 2.2.2, \
         `error_description` says what to change.";
    InvalidSignature = "hook.invalid_signature", 401, "The signature does not match",
        "Sign the raw body with the secret of the channel account or the source; do not write it anew.";
    TenantChoiceNeeded = "auth.tenant_choice_needed", 409, "The account belongs to several tenants",
        "Repeat the sign-in with `tenant` set to the slug of the one you want.";
    PermissionDenied = "auth.permission_denied", 403, "Not allowed",
        "Ask an administrator for a role with the permission named in the detail.";
    CrossSite = "auth.cross_site", 403, "The page that calls is a stranger",
        "A session in a cookie works from our own pages and from origins that the tenant allows; \
         programs send `Authorization: Bearer`.";
    OriginNotAllowed = "widget.origin_not_allowed", 403, "The page is not one of the tenant's",
        "The chat works from our own page and from the origins in the tenant's `allowed_origins`. \
         The page's browser sends `Origin`; a request without it is refused.";
    VerificationFailed = "hook.verification_failed", 403, "The verify token does not match",
        "Set the same verify token at the provider and in the channel account or the source.";
    TenantMissing = "context.missing_tenant", 403, "It works inside a tenant and comes from none",
        "Send a credential of a tenant; an operator exchanges his for one at `POST /v1/auth/token`, \
         with a reason.";
    TenantInactive = "tenant.inactive", 403, "The tenant is not active",
        "Ask the operator of the platform why, and to activate it.";
    QuotaExceeded = "quota.exceeded", 403, "A limit of the plan is reached",
        "The detail names the limit and how it is raised; `GET /v1/tenant/usage` shows all of them. \
         What renews each month is free again after the seconds that `Retry-After` says.";
    NotFound = "request.not_found", 404, "Nothing is here",
        "Check the id and the path. Objects of other tenants look exactly like this.";
    MethodNotAllowed = "request.method_not_allowed", 405, "The method is not allowed here",
        "The `Allow` header lists the methods that are.";
    Conflict = "request.conflict", 409, "It conflicts with what is there",
        "Read the detail: usually a name or an id is already taken.";
    IdempotencyInFlight =
        "idempotency.in_flight", 409, "The first request with this key still runs",
        "Wait and repeat the request with the same key to get its answer.";
    Stale = "request.stale", 412, "It was changed meanwhile",
        "Read it again, apply your change to the new version and send its ETag in `If-Match`.";
    TooLarge = "request.too_large", 413, "The body is too large",
        "Send less at once; the detail names the limit.";
    UnsupportedMediaType =
        "request.unsupported_media_type", 415, "The content type is not supported",
        "Send `Content-Type: application/json` (PATCH also takes `application/merge-patch+json`).";
    Invalid = "request.invalid", 422, "The content is not valid",
        "`errors` lists every fault with a JSON pointer to it; mend them all at once.";
    IdempotencyMismatch = "idempotency.mismatch", 422, "The key was used for another request",
        "Use a new Idempotency-Key for a new request.";
    ChannelUnsupported = "channel.unsupported", 422, "The channel cannot carry this",
        "The detail says what it cannot carry; `/v1/channel-types` lists what each channel can.";
    HostNotAllowed = "channel.host_not_allowed", 422, "The host is not allowed",
        "Private and loopback hosts are refused unless the operator's configuration allows them.";
    WindowClosed = "conversation.window_closed", 422, "The customer's 24-hour window is closed",
        "Send an approved template, or wait until the customer writes again.";
    RateLimited = "request.rate_limited", 429, "Too many requests",
        "Wait as long as `Retry-After` says.";
    Internal = "server.internal", 500, "Something went wrong on our side",
        "It was logged. Give the request id from `X-Request-Id` to the operator.";
    Unavailable = "server.unavailable", 503, "A service it needs is not available",
        "Repeat the request after the seconds that `Retry-After` says.";
    Timeout = "server.timeout", 504, "It took too long",
        "Repeat the request; with an Idempotency-Key that is safe.";
}

/// One thing wrong with a request, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the body, or the name of a query parameter.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// What an error tells the outside. The error's own text and sources stay in the log.
pub trait Public: std::error::Error + Send + Sync + 'static {
    /// Its place in the catalogue.
    fn code(&self) -> Code;

    /// One sentence about this occurrence, safe to show to the caller.
    fn detail(&self) -> Option<String> {
        None
    }

    /// Every fault of an invalid request.
    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    /// After how many seconds a repetition makes sense.
    fn retry_after_s(&self) -> Option<u32> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_has_a_slug_of_its_own_and_help() {
        let slugs: HashSet<_> = Code::ALL.iter().map(|code| code.slug()).collect();
        assert_eq!(slugs.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!((400..=599).contains(&code.status()), "{code:?}");
            assert!(code.help().ends_with('.') && !code.title().ends_with('.'), "{code:?}");
            assert!(code.slug().contains('.'), "{code:?}");
        }
    }
}
