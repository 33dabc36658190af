//! Room `adapters`: one call to the Graph API for one account.

use http::Method;
use misy_channel::Account;
use misy_channel::outbound::{FailureKind, SendError};
use misy_core::Secret;
use misy_egress::{Answer, Call, Egress, Error};
use serde_json::Value;
use url::Url;

use super::{signature, usage};

/// Where and as whom to call.
pub(crate) struct Graph<'a> {
    /// The account whose connection it is.
    pub(crate) account: &'a Account,
    /// Scheme and host, perhaps with a path.
    pub(crate) host: &'a str,
    /// `v25.0`.
    pub(crate) version: &'a str,
    /// Whether each call carries a proof of the app secret.
    pub(crate) proof: bool,
}

impl Graph<'_> {
    /// Posts JSON to an edge of the account's own object.
    pub(crate) async fn post(
        &self,
        io: &Egress,
        edge: &str,
        template: &'static str,
        body: &Value,
    ) -> Result<Answer, SendError> {
        let call = self.call(Method::POST, Some(edge), template, &[])?;
        let call = call.body("application/json", body.to_string());
        io.call(call).await.map_err(|error| lost(&error))
    }

    /// Reads fields of the account's own object.
    pub(crate) async fn get(
        &self,
        io: &Egress,
        template: &'static str,
        fields: &str,
    ) -> Result<Answer, SendError> {
        let call = self.call(Method::GET, None, template, &[("fields", fields)])?;
        io.call(call).await.map_err(|error| lost(&error))
    }

    fn call(
        &self,
        method: Method,
        edge: Option<&str>,
        template: &'static str,
        query: &[(&str, &str)],
    ) -> Result<Call, SendError> {
        let token = self.secret("access_token")?;
        let url = self.url(edge, query)?;
        let made = Call::new(self.account.tenant, self.account.id, method, url.as_str(), template)
            .and_then(|call| call.secret_header("authorization", "Bearer ", token));
        let mut call = made.map_err(|error| lost(&error))?;
        // The host is the administrator's setting, checked when it was entered; whether private
        // hosts are allowed at all is the operator's word, which egress knows.
        call.private_hosts_allowed = true;
        call.pacing = Some(usage::pacing);
        Ok(call)
    }

    fn url(&self, edge: Option<&str>, query: &[(&str, &str)]) -> Result<Url, SendError> {
        let bad = || SendError::new(FailureKind::Account, "api_host", "api_host is not a URL");
        let mut url = Url::parse(self.host).map_err(|_| bad())?;
        url.path_segments_mut()
            .map_err(|()| bad())?
            .pop_if_empty()
            .extend([self.version, &self.account.external_id])
            .extend(edge);
        if !query.is_empty() || self.proof {
            let mut pairs = url.query_pairs_mut();
            pairs.extend_pairs(query);
            if self.proof {
                let proof = signature::appsecret_proof(
                    self.secret("app_secret")?,
                    self.secret("access_token")?,
                );
                pairs.append_pair("appsecret_proof", proof.expose());
            }
        }
        Ok(url)
    }

    fn secret(&self, name: &'static str) -> Result<&Secret, SendError> {
        let missing = || SendError::new(FailureKind::Account, name, "the credential is missing");
        self.account.credentials.find(name).ok_or_else(missing)
    }
}

/// What a call without an answer means for a message.
fn lost(error: &Error) -> SendError {
    let kind = match error {
        Error::Refused(_) | Error::Misplaced(_) => FailureKind::Account,
        Error::NotSent(_) => FailureKind::Transient,
        Error::Unknown(_) | Error::TooLarge { .. } => FailureKind::UnknownOutcome,
        Error::BreakerOpen { .. } | Error::Limited { .. } => FailureKind::Throttled,
    };
    let code = match error {
        Error::Refused(_) => "host_not_allowed",
        Error::Misplaced(_) => "foreign_tenant",
        Error::NotSent(_) => "not_sent",
        Error::Unknown(_) | Error::TooLarge { .. } => "no_answer",
        Error::BreakerOpen { .. } => "breaker_open",
        Error::Limited { .. } => "paced",
    };
    let mut failure = SendError::new(kind, code, error.to_string());
    failure.retry_after_ms = error.retry_after_ms();
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_channel::account::Credentials;

    fn account() -> Account {
        let secrets = [("access_token", "tok"), ("app_secret", "sec")];
        let credentials = secrets.map(|(name, text)| (name.to_owned(), Secret::new(text)));
        Account {
            id: "cha_00000000000000000000000001".parse().expect("an id"),
            tenant: "ten_00000000000000000000000001".parse().expect("an id"),
            external_id: "106/../540".to_owned(),
            credentials: Credentials(credentials.into()),
            settings: serde_json::Map::new(),
        }
    }

    #[test]
    fn an_odd_id_cannot_leave_its_place_in_the_url() {
        let account = account();
        let graph = Graph {
            account: &account,
            host: "https://example.org/a/",
            version: "v25.0",
            proof: false,
        };
        let url = graph.url(Some("messages"), &[]).expect("a URL");
        assert_eq!(url.as_str(), "https://example.org/a/v25.0/106%2F..%2F540/messages");
    }

    #[test]
    fn the_proof_is_the_hmac_of_the_token() {
        let account = account();
        let graph =
            Graph { account: &account, host: "https://example.org", version: "v1", proof: true };
        let url = graph.url(None, &[("fields", "a,b")]).expect("a URL");
        let tag = misy_core::crypto::to_hex(&misy_core::crypto::hmac_sha256(b"sec", b"tok"));
        assert_eq!(url.query(), Some(format!("fields=a%2Cb&appsecret_proof={tag}").as_str()));
    }

    #[test]
    fn only_a_request_that_may_have_arrived_has_an_unknown_outcome() {
        let kind = |error: Error| lost(&error).failure.kind;
        assert_eq!(kind(Error::NotSent("x".into())), FailureKind::Transient);
        assert_eq!(kind(Error::Unknown("x".into())), FailureKind::UnknownOutcome);
        assert_eq!(kind(Error::Refused("x".into())), FailureKind::Account);
        let open = lost(&Error::BreakerOpen { retry_after_ms: 7 });
        assert_eq!((open.failure.kind, open.retry_after_ms), (FailureKind::Throttled, Some(7)));
    }
}
