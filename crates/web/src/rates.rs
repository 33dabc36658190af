//! Room `web`: how much may be asked how fast. One bucket each credential or address, one each
//! tenant, per class of route (GCRA, <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>),
//! told by the `RateLimit` headers
//! (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/>).

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use misy_core::{Actor, Code, TenantId, Timestamp};
use moka::sync::Cache;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Peer, Problem};

/// Routes that share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Reads (`GET`, `HEAD`), unless said otherwise.
    Read,
    /// Everything else, unless said otherwise.
    Write,
    /// Sign-in, sign-up, recovery: slow, so that guessing is.
    SignIn,
    /// Providers' deliveries: as fast as they come.
    Hook,
    /// What visitors of tenants' pages do: each visitor, all visitors of an address, and all of a
    /// tenant are counted.
    Widget,
    /// Events that tenants publish: by the thousand a second. What holds them back is the backlog
    /// of their deliveries, not this.
    Publish,
    /// Health and reference pages: not limited.
    Operations,
}

/// So many requests in so many seconds, all of them at once if one likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests in a window; at least 1.
    pub requests: u32,
    /// Length of the window in seconds; at least 1.
    pub window_s: u32,
}

/// What one class of routes allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// Each credential, or each address that sends none.
    pub each: Quota,
    /// All credentials of a tenant together.
    pub tenant: Quota,
}

const fn per_minute(requests: u32) -> Quota {
    Quota { requests, window_s: 60 }
}

/// The limits of every class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Allowances {
    /// Of reads.
    pub read: Allowance,
    /// Of writes.
    pub write: Allowance,
    /// Of sign-in, sign-up and recovery.
    pub sign_in: Allowance,
    /// Of providers' deliveries.
    pub hook: Allowance,
    /// Of publishing events.
    pub publish: Allowance,
    /// Of visitors of tenants' pages; `each` is an address, behind which many may sit.
    pub widget: Allowance,
    /// Of one visitor.
    pub visitor: Quota,
    /// Bad credentials from one address, before it is refused unread.
    pub bad_credentials: Quota,
}

impl Default for Allowances {
    fn default() -> Self {
        let twofold =
            |each, tenant| Allowance { each: per_minute(each), tenant: per_minute(tenant) };
        Self {
            read: twofold(3_000, 30_000),
            write: twofold(1_200, 12_000),
            sign_in: twofold(60, 600),
            hook: twofold(6_000_000, 6_000_000),
            publish: twofold(300_000, 600_000),
            widget: twofold(1_200, 60_000),
            visitor: per_minute(120),
            bad_credentials: per_minute(60),
        }
    }
}

impl Allowances {
    /// Every quota by its place in the configuration.
    pub(crate) fn quotas(&self) -> Vec<(String, Quota)> {
        let classes = [
            ("read", self.read),
            ("write", self.write),
            ("sign_in", self.sign_in),
            ("hook", self.hook),
            ("publish", self.publish),
            ("widget", self.widget),
        ];
        let pairs = classes.into_iter().flat_map(|(name, allowance)| {
            [(format!("{name}/each"), allowance.each), (format!("{name}/tenant"), allowance.tenant)]
        });
        let single = [("visitor", self.visitor), ("bad_credentials", self.bad_credentials)];
        pairs.chain(single.map(|(name, quota)| (name.to_owned(), quota))).collect()
    }

    /// The limits of one class; `None` if it has none.
    pub const fn of(&self, class: Class) -> Option<Allowance> {
        match class {
            Class::Read => Some(self.read),
            Class::Write => Some(self.write),
            Class::SignIn => Some(self.sign_in),
            Class::Hook => Some(self.hook),
            Class::Publish => Some(self.publish),
            Class::Widget => Some(self.widget),
            Class::Operations => None,
        }
    }
}

/// Gives the limits of the configuration ([`Allowances`]) and, beside them, that of a tenant's
/// plan.
#[async_trait]
pub trait RateLimits: Send + Sync {
    /// What is allowed to this tenant, or to callers of none; `None` is without limit.
    async fn allowance(&self, tenant: Option<TenantId>, class: Class) -> Option<Allowance>;

    /// What its plan allows a tenant in all, reads and writes; `None` is without limit.
    async fn of_plan(&self, _: TenantId) -> Option<Quota> {
        None
    }
}

#[async_trait]
impl RateLimits for Allowances {
    async fn allowance(&self, _: Option<TenantId>, class: Class) -> Option<Allowance> {
        self.of(class)
    }
}

/// Who a bucket belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Credential(Option<TenantId>, Actor),
    Address(Peer),
    Tenant(TenantId),
    /// Whom the handler knows and the door does not.
    Visitor(TenantId, Uuid),
    /// With the plan's number: another one begins anew.
    Plan(TenantId, u32),
    BadCredentials(Peer),
}

impl Subject {
    const fn policy(self) -> &'static str {
        match self {
            Self::Credential(..) => "credential",
            Self::Address(_) => "address",
            Self::Tenant(_) => "tenant",
            Self::Visitor(..) => "visitor",
            Self::Plan(..) => "plan",
            Self::BadCredentials(_) => "bad-credentials",
        }
    }
}

/// What a bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whose bucket.
    subject: Subject,
    /// How large it is.
    quota: Quota,
    /// Requests that would pass now.
    remaining: u32,
    /// Until the bucket is full again, or, if it refused, until the next request passes.
    wait_s: u32,
    /// Whether this one passed.
    pub(crate) allowed: bool,
}

/// All buckets, at most so many; the longest unused are forgotten first.
#[derive(Debug, Clone)]
pub(crate) struct Buckets(Cache<(Subject, Class), Arc<AtomicI64>>);

const SECOND_NS: i64 = 1_000_000_000;

impl Buckets {
    /// Bounded in number and time: an attacker with many addresses costs no memory.
    pub(crate) fn new() -> Self {
        let idle = Duration::from_hours(1);
        Self(Cache::builder().max_capacity(200_000).time_to_idle(idle).build())
    }

    /// Takes one request out of a bucket.
    pub(crate) fn take(
        &self,
        subject: Subject,
        class: Class,
        quota: Quota,
        now: Timestamp,
    ) -> Verdict {
        self.visit(subject, class, quota, now, true)
    }

    /// Says what [`Buckets::take`] would, and takes nothing.
    pub(crate) fn look(
        &self,
        subject: Subject,
        class: Class,
        quota: Quota,
        now: Timestamp,
    ) -> Verdict {
        self.visit(subject, class, quota, now, false)
    }

    /// The whole state of a bucket is the time at which it is full again, so one compare-and-swap
    /// is all the locking there is.
    fn visit(
        &self,
        subject: Subject,
        class: Class,
        quota: Quota,
        now: Timestamp,
        take: bool,
    ) -> Verdict {
        let bucket = self.0.get_with((subject, class), Arc::default);
        let now = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX / 2);
        let window = i64::from(quota.window_s.max(1)) * SECOND_NS;
        let step = (window / i64::from(quota.requests.max(1))).max(1);
        // Further ahead than a window it can only be because the clock was set back: forget it.
        let from = |due: i64| if due > now + window { now } else { due.max(now) };
        let passes = |due: i64| (from(due) + step <= now + window).then(|| from(due) + step);
        let taken = if take {
            bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, passes)
        } else {
            let due = bucket.load(Ordering::Relaxed);
            passes(due).map(|_| due).ok_or(due)
        };
        let (due, allowed) = match taken {
            Ok(due) if take => (from(due) + step, true),
            Ok(due) => (from(due), true),
            Err(due) => (from(due), false),
        };
        let wait = if allowed { due - now } else { due + step - window - now };
        Verdict {
            subject,
            quota,
            remaining: u32::try_from((now + window - due) / step).unwrap_or(0),
            wait_s: u32::try_from((wait + SECOND_NS - 1) / SECOND_NS).unwrap_or(u32::MAX),
            allowed,
        }
    }
}

/// The answer to one request too many.
pub(crate) fn refuse(verdict: &Verdict) -> Problem {
    let Quota { requests, window_s } = verdict.quota;
    let how = match verdict.subject {
        Subject::Plan(..) => format!(
            "The plan allows {requests} requests in {window_s} s (`api_requests_per_minute`). An \
             operator raises it with another plan, or for this tenant alone at \
             `PUT /v1/tenants/{{tenant}}/quotas`."
        ),
        other => format!(
            "The limit of each {} is {requests} requests in {window_s} s.",
            other.policy().replace('-', " ")
        ),
    };
    Problem::new(Code::RateLimited)
        .with_detail(format!("{how} Wait {} s.", verdict.wait_s))
        .with_retry_after_s(verdict.wait_s)
}

/// Tells the caller how much is left.
pub(crate) fn tell(verdicts: &[Verdict], response: &mut Response) {
    let (mut policy, mut state) = (String::new(), String::new());
    for (index, verdict) in verdicts.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let (name, Quota { requests, window_s }) = (verdict.subject.policy(), verdict.quota);
        let (remaining, wait_s) = (verdict.remaining, verdict.wait_s);
        let _ = write!(policy, "{comma}\"{name}\";q={requests};w={window_s}");
        let _ = write!(state, "{comma}\"{name}\";r={remaining};t={wait_s}");
    }
    for (name, text) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::try_from(text)
            && !verdicts.is_empty()
        {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
}
