//! Room `sandbox`: delivers webhooks: signed, retried until the receiver says 200, in order within
//! their lane, over kept connections, so many at once as the account's behaviour allows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use crate::engine::Engine;
use crate::model::{Behaviour, Hook};
use crate::outbox::Parcel;
use crate::wire;
use crate::world::{LogLine, Record};

/// How long webhooks are gathered before a group is batched or turned round.
const GATHER: Duration = Duration::from_millis(60);
/// The pause before the second attempt; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// Webhooks in flight for one account, whatever its behaviour says.
pub(crate) const CONNECTIONS_MAX: u32 = 64;

/// Where and how the webhooks of an account go at this moment.
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) waba_id: String,
    pub(crate) behaviour: Behaviour,
}

/// What a receiver answered, or why it did not.
pub(crate) struct Answer {
    pub(crate) status: Option<u16>,
    pub(crate) body: String,
    pub(crate) error: Option<String>,
    pub(crate) elapsed_ms: u64,
}

/// Serves one account for ever.
pub(crate) async fn run(engine: Arc<Engine>, account: String, bell: Arc<Notify>) {
    let mut flying = FuturesUnordered::new();
    loop {
        let behaviour = behaviour_of(&engine, &account);
        let group = behaviour.batch.max(behaviour.reorder).max(1);
        let connections = behaviour.connections.clamp(1, CONNECTIONS_MAX) as usize;
        let ready =
            engine.read(|world| world.find(&account).is_some_and(|room| room.outbox.is_ready()));
        if ready && group > 1 {
            tokio::time::sleep(GATHER).await;
        }
        while flying.len() < connections {
            let parcel = engine.touch(|world| {
                world.find_mut(&account).and_then(|room| room.outbox.take(group as usize))
            });
            let Some(parcel) = parcel else { break };
            flying.push(deliver(&engine, &account, parcel));
        }
        tokio::select! {
            Some(lane) = flying.next(), if !flying.is_empty() => release(&engine, &account, &lane),
            () = bell.notified() => {}
        }
    }
}

/// Gives a lane back after its parcel is done.
fn release(engine: &Engine, account: &str, lane: &str) {
    engine.touch(|world| {
        if let Some(room) = world.find_mut(account) {
            room.outbox.release(lane);
        }
    });
}

/// What the account wants at this moment; it may be changed between two webhooks.
fn behaviour_of(engine: &Engine, account: &str) -> Behaviour {
    let found = engine.read(|world| world.find(account).map(|room| room.account.behaviour.clone()));
    found.unwrap_or_default()
}

/// The receiver of an account; `None` if it has none, or is not subscribed.
pub(crate) fn target_of(engine: &Engine, account: &str) -> Option<Target> {
    engine.read(|world| {
        let account = &world.find(account)?.account;
        let url = account.webhook_url.clone().filter(|_| account.subscribed)?;
        Some(Target {
            url,
            secret: account.app_secret.clone(),
            waba_id: account.waba_id.clone(),
            behaviour: account.behaviour.clone(),
        })
    })
}

/// Delivers a parcel and names the lane that is free again.
async fn deliver(engine: &Engine, account: &str, parcel: Parcel) -> String {
    let Parcel { lane, mut hooks } = parcel;
    let behaviour = behaviour_of(engine, account);
    if behaviour.reorder > 1 {
        hooks.reverse();
    }
    for packet in hooks.chunks(behaviour.batch.max(1) as usize) {
        let delivered = deliver_packet(engine, account, packet).await;
        let serials: Vec<u64> = packet.iter().map(|hook| hook.serial).collect();
        let settled = Record::Settled { account: account.to_owned(), serials, delivered };
        let written = engine.change(|_| Ok::<_, std::io::Error>((vec![settled], ())));
        if let Err(error) = written {
            // Not noted as delivered, so it will be delivered again: late, but not lost.
            tracing::error!(%error, "the sandbox could not write its journal");
        }
        engine.settled.notify_waiters();
    }
    lane
}

/// Repeats until the receiver says 200, as often as duplicates are wanted; false if it was given up
/// because there is no receiver any more.
async fn deliver_packet(engine: &Engine, account: &str, packet: &[Arc<Hook>]) -> bool {
    let (mut copies, mut attempt) = (0, 0_u32);
    loop {
        let Some(target) = target_of(engine, account) else { return false };
        let body = wire::envelope(&target.waba_id, packet.iter().map(AsRef::as_ref));
        let answer = post(engine, &target, body).await;
        attempt += 1;
        log(engine, account, packet, attempt, &answer);
        if answer.status == Some(200) {
            copies += 1;
            if copies >= target.behaviour.duplicates.max(1) {
                return true;
            }
            continue;
        }
        let most = Duration::from_millis(engine.config.retry_max_ms);
        let pause = FIRST_RETRY.saturating_mul(1 << attempt.saturating_sub(1).min(12));
        tokio::time::sleep(pause.min(most)).await;
    }
}

/// Notes an attempt for people to look at.
fn log(engine: &Engine, account: &str, packet: &[Arc<Hook>], attempt: u32, answer: &Answer) {
    let summary = match packet {
        [only] => wire::summary(only),
        many => format!("batch of {}", many.len()),
    };
    let line = LogLine {
        at: engine.ambient.now(),
        serials: packet.iter().map(|hook| hook.serial).collect(),
        summary,
        attempt,
        status: answer.status,
        error: answer.error.clone(),
        elapsed_ms: answer.elapsed_ms,
    };
    engine.touch(|world| {
        if let Some(room) = world.find_mut(account) {
            room.note(line);
        }
    });
}

/// Signs a body and posts it once.
pub(crate) async fn post(engine: &Engine, target: &Target, body: Vec<u8>) -> Answer {
    let secret = if target.behaviour.bad_signature { "not the secret" } else { &target.secret };
    let request = engine
        .http
        .post(&target.url)
        .header("Content-Type", "application/json")
        .header("Accept", "*/*")
        .header("X-Hub-Signature-256", wire::signature(secret, &body))
        .body(body);
    ask(request).await
}

/// Sends a request and reads the beginning of the answer.
pub(crate) async fn ask(request: reqwest::RequestBuilder) -> Answer {
    const SHOWN_BYTES: usize = 2_000;
    let began = Instant::now();
    let elapsed = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match request.send().await {
        Err(error) => {
            let error = Some(reason(&error));
            Answer { status: None, body: String::new(), error, elapsed_ms: elapsed() }
        }
        Ok(response) => {
            let status = response.status().as_u16();
            let body = response.bytes().await.unwrap_or_default();
            let body = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]).into_owned();
            Answer { status: Some(status), body, error: None, elapsed_ms: elapsed() }
        }
    }
}

/// The innermost cause, without the address.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
