//! Room `sandbox`: sinks: receivers of webhooks that a person looks into, and that misbehave if
//! they are told to.

mod answers;
mod http;
mod signatures;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use misy_core::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use http::router;
use signatures::Verdict;

/// Requests of a sink that are kept.
const KEPT: usize = 200;

/// Bytes of a body that are kept.
const BODY_KEPT: usize = 64 * 1024;

/// Sinks at most; a name is enough to make one.
const SINKS_MAX: usize = 200;

/// How a sink answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Behaviour {
    /// By which signatures are checked: `whsec_..`, `whpk_..`.
    secrets: Vec<String>,
    /// Answer 401 to what none of them signed.
    refuse_unsigned: bool,
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
    delay_ms: u64,
    fail_next: Option<FailNext>,
    /// Give `data.challenge` back.
    answer_challenge: bool,
    hostile: Option<Hostile>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            refuse_unsigned: false,
            status: 200,
            headers: BTreeMap::new(),
            body: "ok".to_owned(),
            delay_ms: 0,
            fail_next: None,
            answer_challenge: true,
            hostile: None,
        }
    }
}

/// An order to refuse what comes next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailNext {
    status: u16,
    #[serde(default = "once")]
    times: u32,
}

fn once() -> u32 {
    1
}

/// What no receiver should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Hostile {
    EndlessBody,
    SlowBody,
    ManyHeaders,
    Silence,
    HangUp,
}

/// A request as it came.
#[derive(Debug, Clone, Serialize)]
struct Request {
    serial: u64,
    at: Timestamp,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    /// Whether one of the secrets signed it, and if not, why.
    signature: Verdict,
    /// What is answered; nothing if it is hostile.
    answered: Option<u16>,
}

/// One receiver.
#[derive(Debug, Default)]
struct Sink {
    behaviour: Behaviour,
    received: u64,
    genuine: u64,
    refused: u64,
    requests: VecDeque<Request>,
    /// How often each `webhook-id` came.
    ids: HashMap<String, u32>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Sinks(Mutex<BTreeMap<String, Sink>>);

impl Sinks {
    /// Looks at a sink or changes it; makes it if it may. `None` if there are too many.
    fn with<T>(&self, name: &str, work: impl FnOnce(&mut Sink) -> T) -> Option<T> {
        let mut sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let fits = (1..=64).contains(&name.len()) && name.bytes().all(word);
        if !sinks.contains_key(name) && (!fits || sinks.len() >= SINKS_MAX) {
            return None;
        }
        Some(work(sinks.entry(name.to_owned()).or_default()))
    }

    /// Looks at one that is there.
    fn look<T>(&self, name: &str, look: impl FnOnce(&Sink) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(look)
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn forget(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()
    }
}

impl Sink {
    /// Notes a request and says how it is answered.
    fn take(&mut self, mut request: Request, id: Option<String>) -> Behaviour {
        let mut behaviour = self.behaviour.clone();
        self.received += 1;
        request.serial = self.received;
        self.genuine += u64::from(request.signature == Verdict::Genuine);
        if behaviour.refuse_unsigned && request.signature != Verdict::Genuine {
            (behaviour.status, behaviour.hostile) = (401, None);
        }
        if let Some(fail) = self.behaviour.fail_next.as_mut() {
            behaviour.status = fail.status;
            fail.times = fail.times.saturating_sub(1);
            if fail.times == 0 {
                self.behaviour.fail_next = None;
            }
        }
        request.answered = behaviour.hostile.is_none().then_some(behaviour.status);
        let taken = (200..300).contains(&behaviour.status) && behaviour.hostile.is_none();
        self.refused += u64::from(!taken);
        if let Some(id) = id.filter(|_| taken) {
            *self.ids.entry(id).or_default() += 1;
        }
        if self.requests.len() == KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
        behaviour
    }
}
