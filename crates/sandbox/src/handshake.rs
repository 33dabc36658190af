//! Room `sandbox`: the handshake before webhooks are sent anywhere: the receiver must know the
//! verify token and echo the challenge.

use crate::courier;
use crate::engine::Engine;
use crate::names;

/// Why a receiver was not taken, and what it answered.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) status: Option<u16>,
    pub(crate) body: String,
}

impl Refusal {
    /// Refused before anybody was asked.
    fn early(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), status: None, body: String::new() }
    }
}

/// Asks the receiver as Meta does and, if it echoes the challenge, sends webhooks there from now
/// on.
pub(crate) async fn subscribe(
    engine: &Engine,
    account: &str,
    url: &str,
    verify_token: &str,
) -> Result<(), Refusal> {
    let mut address = url::Url::parse(url).map_err(|error| Refusal::early(error.to_string()))?;
    if !matches!(address.scheme(), "http" | "https") {
        return Err(Refusal::early("the address must begin with http:// or https://"));
    }
    let challenge = names::number(&engine.ambient, 10);
    address
        .query_pairs_mut()
        .append_pair("hub.mode", "subscribe")
        .append_pair("hub.challenge", &challenge)
        .append_pair("hub.verify_token", verify_token);
    let answer = courier::ask(engine.http.get(address)).await;
    let reason = match (answer.status, &answer.error) {
        (Some(200), _) if answer.body == challenge => None,
        (Some(200), _) => Some("the receiver did not echo hub.challenge".to_owned()),
        (Some(status), _) => Some(format!("the receiver answered with status {status}")),
        (None, error) => Some(error.clone().unwrap_or_default()),
    };
    if let Some(reason) = reason {
        return Err(Refusal { reason, status: answer.status, body: answer.body });
    }
    let stored = engine.edit_account(account, |account| {
        account.webhook_url = Some(url.to_owned());
        verify_token.clone_into(&mut account.verify_token);
    });
    match stored {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::early(error.to_string())),
    }
}
