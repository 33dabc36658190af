//! Room `store`: one connection to Redis, signed in as nobody between pipelines. Each pipeline is
//! `AUTH`, its commands and `RESET`, in one round trip; what forgets to sign in gets `NOAUTH`.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::identity::Identity;

/// Why Redis did not do as told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection is not there, broke or was too slow: it is not used until it is made anew.
    Away,
    /// Others were in the way for too long.
    Busy,
    /// Redis does not know the user or its password, or the user lacks a right.
    User,
    /// A script is not there.
    Script,
    /// Redis refused, with this code.
    Refused(String),
}

impl Trouble {
    /// A label for metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Busy => "busy",
            Self::User => "user",
            Self::Script => "script",
            Self::Refused(_) => "refused",
        }
    }

    pub(super) fn of(error: &redis::ServerError) -> Self {
        match error.code() {
            "WRONGPASS" | "NOAUTH" | "NOPERM" => Self::User,
            "NOSCRIPT" => Self::Script,
            code => Self::Refused(code.to_owned()),
        }
    }
}

/// A place for a connection.
#[derive(Default)]
pub(super) struct Slot(RwLock<Option<MultiplexedConnection>>);

impl Slot {
    pub(super) fn connection(&self) -> Option<MultiplexedConnection> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(super) fn open(&self, connection: MultiplexedConnection) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    /// Uses the connection no more. Who is waiting on it gets an answer or the end of it.
    pub(super) fn shut(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A connection that tenants share, and how many pipelines may be under way on it.
pub(super) struct Door {
    pub(super) slot: Slot,
    turns: Semaphore,
    wait: Duration,
}

impl Door {
    pub(super) fn new(in_flight: usize, wait: Duration) -> Self {
        let turns = Semaphore::new(in_flight.clamp(1, Semaphore::MAX_PERMITS));
        Self { slot: Slot::default(), turns, wait }
    }

    /// A turn of the tenant's own share, then one of this connection's. As each tenant stands here
    /// with its share at most, whoever comes waits for a few of each other tenant, however many
    /// calls one of them makes.
    async fn take_turn<'a>(
        &'a self,
        who: &'a Identity,
    ) -> Result<(SemaphorePermit<'a>, SemaphorePermit<'a>), Trouble> {
        let own = who.share().turn().await.ok_or(Trouble::Busy)?;
        let here = self.turns.acquire().await.map_err(|_| Trouble::Busy)?;
        Ok((own, here))
    }

    /// Sends commands as a tenant's user; gives an answer for each, or the first refusal.
    pub(super) async fn send(
        &self,
        who: &Identity,
        commands: impl IntoIterator<Item = Cmd>,
    ) -> Result<Vec<Value>, Trouble> {
        let mut connection = self.slot.connection().ok_or(Trouble::Away)?;
        let taking = self.take_turn(who);
        let Ok(turns) = tokio::time::timeout(self.wait, taking).await else {
            return Err(Trouble::Busy);
        };
        let _turns = turns?;
        let mut pipeline = Pipeline::with_capacity(4);
        pipeline.add_command(who.sign_in());
        for command in commands {
            pipeline.add_command(command);
        }
        pipeline.add_command(redis::cmd("RESET"));
        let count = pipeline.len();
        let answers = connection.send_packed_commands(&pipeline, 0, count).await;
        let inner = answers.ok().and_then(|answers| unwrap_envelope(answers, count));
        let Some((signed_in, answers)) = inner else {
            self.slot.shut();
            return Err(Trouble::Away);
        };
        signed_in?;
        match answers.iter().find_map(refusal) {
            Some(trouble) => Err(trouble),
            None => Ok(answers),
        }
    }
}

/// Takes off the answers to `AUTH` and `RESET`. If they do not stand where they must, answers have
/// been shifted and may be somebody else's: `None`, and nothing of them may be used.
fn unwrap_envelope(
    mut answers: Vec<Value>,
    count: usize,
) -> Option<(Result<(), Trouble>, Vec<Value>)> {
    let is_reset = |last: &Value| matches!(last, Value::SimpleString(text) if text == "RESET");
    if answers.len() != count || !answers.pop().as_ref().is_some_and(is_reset) {
        return None;
    }
    let signed_in = match answers.remove(0) {
        Value::Okay => Ok(()),
        Value::ServerError(error) => Err(Trouble::of(&error)),
        _ => return None,
    };
    Some((signed_in, answers))
}

fn refusal(answer: &Value) -> Option<Trouble> {
    match answer {
        Value::ServerError(error) => Some(Trouble::of(error)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::BulkString(value.as_bytes().to_vec())
    }

    fn reset() -> Value {
        Value::SimpleString("RESET".to_owned())
    }

    #[test]
    fn answers_that_are_shifted_are_nobodys() {
        let whole = vec![Value::Okay, text("mine"), reset()];
        assert_eq!(unwrap_envelope(whole, 3), Some((Ok(()), vec![text("mine")])));
        for shifted in [
            vec![reset(), Value::Okay, text("another's")],
            vec![text("another's"), reset(), Value::Okay],
            vec![Value::Okay, text("RESET")],
            vec![Value::Okay, text("mine"), text("RESET")],
            vec![Value::Okay, text("mine"), text("more"), reset()],
            vec![],
        ] {
            assert_eq!(unwrap_envelope(shifted.clone(), 3), None, "{shifted:?}");
        }
    }
}
