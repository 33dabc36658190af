//! Room `channel`: the suite that every adapter passes against an emulator of its provider. What a
//! channel cannot do by its [`Capability`](crate::Capability), and what the emulator cannot play,
//! is skipped by name; a test of the adapter decides which skips are right.

mod inbound;
mod outbound;
mod troubles;

use async_trait::async_trait;
use http::HeaderMap;
use misy_core::MessageId;
use misy_egress::Egress;

use crate::content::{Content, Template};
use crate::event::{Event, Kind, StatusUpdate};
use crate::outbound::{Outbound, Recipient, SendError, Sent};
use crate::{Account, Channel};

/// What the provider delivered to our hook.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The headers of the request.
    pub headers: HeaderMap,
    /// The body as it came.
    pub raw: Vec<u8>,
}

/// A message as a customer's device shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The provider's id.
    pub external_id: String,
    /// The provider's word for its form.
    pub form: String,
    /// Everything it says, as the provider holds it.
    pub raw: String,
}

/// How the provider is to behave from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As on a good day.
    Calm,
    /// The first status comes before the answer to the send.
    StatusFirst,
    /// The next message is taken and its answer lost.
    LoseAnswer,
    /// The next message is refused because there are too many.
    Throttle,
    /// The next message is refused because of a passing fault.
    Falter,
}

/// The emulator behind the adapter, and what it lets a test see and do.
#[async_trait]
pub trait Remote: Send + Sync {
    /// The account as an administrator entered it.
    fn account(&self) -> Account;

    /// The same account with a credential that the provider refuses; `None` if it needs none.
    fn account_with_bad_token(&self) -> Option<Account>;

    /// A customer who wrote a moment ago.
    fn customer(&self) -> Recipient;

    /// A customer whom only the provider's own user id names; `None` if there are none.
    fn customer_by_user_id(&self) -> Option<Recipient>;

    /// A customer whose last message is older than the window; `None` if there is no window.
    fn silent_customer(&self) -> Option<Recipient>;

    /// A template that the provider approved; `None` if there are none.
    fn template(&self) -> Option<Template>;

    /// The handshake's query as the provider would send it, with a challenge of `12345`; `None` if
    /// there is no handshake.
    fn handshake(&self) -> Option<String>;

    /// Lets the customer of [`Remote::customer`] write; gives back the provider's id of it.
    async fn customer_writes(&self, text: &str) -> String;

    /// Changes how the provider behaves; `false` if it cannot.
    async fn order(&self, order: Order) -> bool;

    /// Hears what was sent, where no provider does: what is stored is what the customer's page
    /// fetches.
    async fn keep(&self, message: &Outbound, sent: &Sent) {
        let _ = (message, sent);
    }

    /// What customers' devices have shown so far, oldest first.
    async fn received(&self) -> Vec<Received>;

    /// Waits until what was delivered to our hook is enough; gives back all of it, or what there is
    /// when it gives up.
    async fn hooks(&self, is_enough: &(dyn for<'a> Fn(&'a [Hook]) -> bool + Sync)) -> Vec<Hook>;
}

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It cannot be asked of this channel or emulator.
    Skipped(&'static str),
    /// It does not hold.
    Failed(String),
}

/// What came of all cases, in their order.
pub type Report = Vec<(&'static str, Verdict)>;

/// A case that fails says why.
type Outcome = Result<Verdict, String>;

/// Runs every case.
pub async fn run(channel: &dyn Channel, io: &Egress, remote: &dyn Remote) -> Report {
    let suite = Suite { channel, io, remote };
    let mut report = Report::new();
    inbound::run(&suite, &mut report).await;
    outbound::run(&suite, &mut report).await;
    troubles::run(&suite, &mut report).await;
    report
}

/// What every case needs.
struct Suite<'a> {
    channel: &'a dyn Channel,
    io: &'a Egress,
    remote: &'a dyn Remote,
}

impl Suite<'_> {
    /// A message of the suite; ids are told apart by a number.
    fn message(&self, number: u32, content: Content) -> Outbound {
        let id: MessageId = format!("msg_{number:026}").parse().expect("digits are valid base32");
        Outbound { id, to: self.remote.customer(), content, reply_to: None }
    }

    async fn send(&self, message: &Outbound) -> Result<Sent, SendError> {
        let sent = self.channel.send(self.io, &self.remote.account(), message).await?;
        self.remote.keep(message, &sent).await;
        Ok(sent)
    }

    /// Sends and looks at what arrived.
    async fn deliver(&self, message: &Outbound) -> Result<Received, String> {
        let sent = self.send(message).await.map_err(|error| error.to_string())?;
        let received = self.remote.received().await;
        let found = received.into_iter().find(|one| one.external_id == sent.external_id);
        found.ok_or_else(|| format!("{} did not arrive", sent.external_id))
    }

    /// All events of a delivery, after the checks that every delivery passes.
    fn events(&self, hook: &Hook) -> Result<Vec<Event>, String> {
        let account = self.remote.account();
        if self.channel.front().is_none() {
            let verified = self.channel.verify(&account, &hook.headers, &hook.raw);
            verified.map_err(|error| error.to_string())?;
        }
        let routed = self.channel.route(&hook.raw).map_err(|error| error.to_string())?;
        let mine: Vec<_> =
            routed.iter().filter(|one| one.external_id == account.external_id).collect();
        ensure(mine.len() == 1, "a delivery routes to its account once")?;
        let once = self.channel.receive(&mine[0].raw).map_err(|error| error.to_string())?;
        let twice = self.channel.receive(&mine[0].raw).map_err(|error| error.to_string())?;
        ensure(once == twice, "the same bytes give the same events")?;
        Ok(once)
    }

    /// The statuses of a message in these deliveries, in the order of arrival.
    fn statuses(&self, hooks: &[Hook], message: &Outbound) -> Vec<StatusUpdate> {
        let id = message.id.to_string();
        let events = hooks.iter().filter_map(|hook| self.events(hook).ok()).flatten();
        let all = events.filter_map(|event| match event.kind {
            Kind::Status(status) => Some(status),
            _ => None,
        });
        all.filter(|status| status.correlation.as_deref() == Some(id.as_str())).collect()
    }

    /// Waits for a status of a message that is as wanted.
    async fn status(
        &self,
        message: &Outbound,
        is_wanted: impl Fn(&StatusUpdate) -> bool + Sync,
    ) -> Result<StatusUpdate, String> {
        let is_enough = |hooks: &[Hook]| self.statuses(hooks, message).iter().any(&is_wanted);
        let hooks = self.remote.hooks(&is_enough).await;
        let found = self.statuses(&hooks, message).into_iter().find(is_wanted);
        found.ok_or_else(|| "the status did not come".to_owned())
    }
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("does not hold: {otherwise}")) }
}

fn record(report: &mut Report, name: &'static str, outcome: Outcome) {
    report.push((name, outcome.unwrap_or_else(Verdict::Failed)));
}
