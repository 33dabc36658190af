//! Room `channel`: the cases of what comes in.

use super::{Outcome, Report, Suite, Verdict, ensure, record};
use crate::VerifyError;
use crate::event::Kind;

pub(super) async fn run(suite: &Suite<'_>, report: &mut Report) {
    record(report, "the handshake gives the challenge back", handshake(suite));
    record(report, "what a customer writes is received", customer_writes(suite).await);
    record(report, "a changed byte breaks the signature", changed_byte(suite).await);
}

fn handshake(suite: &Suite<'_>) -> Outcome {
    let Some(query) = suite.remote.handshake() else {
        return Ok(Verdict::Skipped("no handshake"));
    };
    let account = suite.remote.account();
    let answer = suite.channel.handshake(&account, &query).map_err(|error| error.to_string())?;
    ensure(answer == "12345", "the challenge is answered as it is")?;
    ensure(suite.channel.handshake_token(&query).is_some(), "the token can be read")?;
    let mut stranger = account;
    stranger.credentials.0.clear();
    ensure(suite.channel.handshake(&stranger, &query).is_err(), "another account refuses it")?;
    Ok(Verdict::Passed)
}

async fn customer_writes(suite: &Suite<'_>) -> Outcome {
    let text = "Grüße 👋 <b>&</b> / \\ \"";
    let id = suite.remote.customer_writes(text).await;
    let of = |hook: &super::Hook| -> Option<crate::InboundMessage> {
        let events = suite.events(hook).ok()?;
        events.into_iter().find_map(|event| match event.kind {
            Kind::Message(message) if message.external_id == id => Some(message),
            _ => None,
        })
    };
    let hooks = suite.remote.hooks(&|hooks| hooks.iter().any(|hook| of(hook).is_some())).await;
    let message = hooks.iter().find_map(of).ok_or("the message was not received")?;
    ensure(message.content.words() == Some(text), "its words are the customer's")?;
    let known = &suite.remote.customer().0;
    let recognised = message.from.identities.iter().any(|claim| known.contains(claim));
    ensure(recognised, "its sender is the customer")?;
    Ok(Verdict::Passed)
}

async fn changed_byte(suite: &Suite<'_>) -> Outcome {
    let hooks = suite.remote.hooks(&|hooks| !hooks.is_empty()).await;
    let hook = hooks.first().ok_or("nothing was delivered")?;
    let account = suite.remote.account();
    if suite.channel.front().is_some() {
        let refused = suite.channel.verify(&account, &hook.headers, &hook.raw);
        ensure(refused.is_err(), "nobody delivers what only our own pages say")?;
        return Ok(Verdict::Passed);
    }
    let mut raw = hook.raw.clone();
    for at in [0, raw.len() / 2, raw.len() - 1] {
        raw[at] ^= 1;
        let refused = suite.channel.verify(&account, &hook.headers, &raw);
        ensure(refused == Err(VerifyError::Mismatch), "a changed payload is refused")?;
        raw[at] ^= 1;
    }
    let unsigned = suite.channel.verify(&account, &http::HeaderMap::new(), &raw);
    ensure(unsigned == Err(VerifyError::Missing), "an unsigned payload is refused")?;
    Ok(Verdict::Passed)
}
