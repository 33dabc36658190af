//! Room `store`: how a room that makes something limited asks whether one more may be. The vertical
//! that keeps the limits implements it; `server` ties the two.

use async_trait::async_trait;
use misy_core::{Code, Public};

use crate::{Error, TenantTx};

/// Something that a plan limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limited {
    /// Messages sent in a calendar month, in UTC.
    MessagesPerMonth,
    /// Channel accounts.
    Channels,
    /// People.
    Users,
    /// Contacts.
    Contacts,
    /// Endpoints of webhooks.
    WebhookEndpoints,
    /// Agents that answer.
    Agents,
    /// Bytes of texts that are kept for good.
    StorageBytes,
    /// Requests of all of a tenant's people and programs in a minute.
    ApiRequestsPerMinute,
    /// Days for which anything may be kept.
    RetentionDays,
}

impl Limited {
    /// Everything that is limited.
    pub const ALL: [Self; 9] = [
        Self::MessagesPerMonth,
        Self::Channels,
        Self::Users,
        Self::Contacts,
        Self::WebhookEndpoints,
        Self::Agents,
        Self::StorageBytes,
        Self::ApiRequestsPerMinute,
        Self::RetentionDays,
    ];

    /// Its name in plans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MessagesPerMonth => "messages_per_month",
            Self::Channels => "channels",
            Self::Users => "users",
            Self::Contacts => "contacts",
            Self::WebhookEndpoints => "webhook_endpoints",
            Self::Agents => "agents",
            Self::StorageBytes => "storage_bytes",
            Self::ApiRequestsPerMinute => "api_requests_per_minute",
            Self::RetentionDays => "retention_days",
        }
    }

    /// Whether it begins at nothing with each month.
    pub const fn renews(self) -> bool {
        matches!(self, Self::MessagesPerMonth)
    }

    /// Whether the limit is told and nothing is refused: a customer who writes is never sent away.
    pub const fn is_soft(self) -> bool {
        matches!(self, Self::Contacts)
    }
}

/// Why one more may not be.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// The plan allows so many and no more.
    #[error("the limit `{}` is reached", what.name())]
    Exceeded {
        /// What is limited.
        what: Limited,
        /// How many may be.
        max_count: i64,
        /// In how many seconds there is room again by itself, if ever.
        renews_in_s: Option<u32>,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Public for QuotaError {
    fn code(&self) -> Code {
        match self {
            Self::Exceeded { .. } => Code::QuotaExceeded,
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Exceeded { what, max_count, .. } => Some(format!(
                "The plan allows {max_count} of `{}`. An operator raises it with another plan, or \
                 for this tenant alone at `PUT /v1/tenants/{{tenant}}/quotas`.",
                what.name()
            )),
            Self::Store(error) => error.detail(),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Exceeded { renews_in_s, .. } => *renews_in_s,
            Self::Store(error) => error.retry_after_s(),
        }
    }
}

/// Tells those who work inside a tenant how much they may.
#[async_trait]
pub trait Quota: Send + Sync {
    /// Uses so much of what is counted as it is used: messages, contacts, bytes. It counts exactly
    /// if the transaction is committed.
    async fn take(&self, tx: &mut TenantTx, what: Limited, count: u32) -> Result<(), QuotaError>;

    /// Begins to use so much, behind the next statement of the transaction and in its round trip.
    /// Nothing is used or refused before [`Quota::settle`] has said so.
    fn take_behind(&self, _: &mut TenantTx, _: Limited, _: u32) {}

    /// Ends what [`Quota::take_behind`] began with the same arguments, as [`Quota::take`] would.
    async fn settle(&self, tx: &mut TenantTx, what: Limited, count: u32) -> Result<(), QuotaError> {
        self.take(tx, what, count).await
    }

    /// How many there may be; `None` if as many as one likes. Until the transaction ends nobody
    /// else of the tenant is told, so whoever counts now counts right.
    async fn ceiling(&self, tx: &mut TenantTx, what: Limited) -> Result<Option<i64>, Error>;

    /// Gives back what was taken and does not renew.
    async fn give_back(&self, _: &mut TenantTx, _: Limited, _: u32) -> Result<(), Error> {
        Ok(())
    }

    /// Refuses one more if there are `count` by now, counted after [`Quota::ceiling`] was asked,
    /// and tells when most or all is used.
    async fn admit(
        &self,
        _: &mut TenantTx,
        what: Limited,
        ceiling: i64,
        count: i64,
    ) -> Result<(), QuotaError> {
        self.check(what, Some(ceiling), count)
    }

    /// Refuses one more if there are `count` by now, counted after [`Quota::ceiling`] was asked.
    fn check(&self, what: Limited, ceiling: Option<i64>, count: i64) -> Result<(), QuotaError> {
        match ceiling {
            Some(max_count) if count >= max_count => {
                Err(QuotaError::Exceeded { what, max_count, renews_in_s: None })
            }
            _ => Ok(()),
        }
    }
}

/// No limits at all: for programs and tests that have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

#[async_trait]
impl Quota for Unlimited {
    async fn take(&self, _: &mut TenantTx, _: Limited, _: u32) -> Result<(), QuotaError> {
        Ok(())
    }

    async fn ceiling(&self, _: &mut TenantTx, _: Limited) -> Result<Option<i64>, Error> {
        Ok(None)
    }
}
