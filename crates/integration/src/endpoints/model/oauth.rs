//! Room `integration`: how a token is asked for that a receiver wants to see: OAuth 2.0 client
//! credentials (RFC 6749 section 4.4).

use serde::{Deserialize, Serialize};

/// How a token is asked for; the client's secret is kept apart and never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookOAuth)]
pub struct OAuth {
    /// Where tokens are given.
    #[schema(max_length = 2_000, example = "https://login.shop.example/oauth2/token")]
    pub token_url: String,
    /// Who we are there.
    #[schema(max_length = 500)]
    pub client_id: String,
    /// What for, as the token server names it.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    pub scope: Option<String>,
    /// For whom, for token servers that ask (`audience`).
    #[serde(default)]
    #[schema(max_length = 1_000)]
    pub audience: Option<String>,
    /// How id and secret are shown.
    #[serde(default)]
    pub client_authentication: ClientAuthentication,
}

/// How id and secret are shown to the token server (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookClientAuthentication)]
pub enum ClientAuthentication {
    /// In `authorization: Basic`.
    #[default]
    Basic,
    /// In the body, as `client_id` and `client_secret`.
    Body,
}

impl OAuth {
    /// What is wrong with it: pointers within it, and what it is.
    pub(crate) fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > 1_000);
        let found = [
            ("/token_url", super::faults::check_url(&self.token_url).err()),
            ("/token_url", (self.token_url.len() > 2_000).then_some("is too long")),
            ("/client_id", self.client_id.is_empty().then_some("is missing")),
            ("/client_id", (self.client_id.len() > 500).then_some("is too long")),
            ("/scope", long(&self.scope).then_some("is too long")),
            ("/audience", long(&self.audience).then_some("is too long")),
        ];
        found.into_iter().filter_map(|(place, fault)| Some((place, fault?))).collect()
    }
}
