//! Room `integration`: what is to be delivered again, and how far that has come.

use misy_core::error::Fault;
use misy_core::{Code, DeliveryId, EndpointId, OperationId, Public, SourceId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Below;
use crate::sources::model::Stage;

/// Which deliveries are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those that were given up.
    Dead,
    /// Every kept event that the endpoint wants and has not got, for whatever reason.
    Missed,
    /// What was received from sources and can be told again.
    Received,
}

/// What is wanted; with nothing set, all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Which deliveries.
    pub scope: Scope,
    /// Only this one.
    pub only: Option<DeliveryId>,
    /// Only those to this endpoint. Always set for [`Scope::Missed`].
    pub endpoint: Option<EndpointId>,
    /// Only events of this type.
    pub kind: Option<String>,
    /// Only what was received from this source.
    pub source: Option<SourceId>,
    /// Only what was received and became this.
    pub stage: Option<Stage>,
    /// Only what happened at or after this.
    pub since: Option<Timestamp>,
    /// Only what happened before this.
    pub until: Timestamp,
}

impl Wish {
    /// All of them before this time.
    pub fn all(scope: Scope, until: Timestamp) -> Self {
        let (only, endpoint, kind, source, stage, since) = (None, None, None, None, None, None);
        Self { scope, only, endpoint, kind, source, stage, since, until }
    }
}

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReplayStatus)]
pub enum Status {
    /// It goes on.
    Running,
    /// Everything is under way.
    Succeeded,
    /// It was given up.
    Failed,
}

impl Status {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// Reads [`Status::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Succeeded, Self::Failed].into_iter().find(|it| it.slug() == text)
    }
}

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Its id.
    pub id: OperationId,
    /// What is wanted.
    pub wish: Wish,
    /// Where it stands.
    pub status: Status,
    /// Everything up to this id is done.
    pub place: Uuid,
    /// Deliveries that were made, or receipts that are told again.
    pub replayed: i64,
    /// Dead letters, events or receipts that were looked at.
    pub looked_at: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it came on last.
    pub updated_at: Timestamp,
}

/// The id before which everything lies that happened up to this moment, to the millisecond.
pub(crate) fn end_id(until: Timestamp) -> Uuid {
    Uuid::from_u128((u128::try_from(until.as_millisecond()).unwrap_or(0) + 1) << 80)
}

/// The least UUIDv7 of a moment.
pub(crate) fn first_id(at: Timestamp) -> Uuid {
    Uuid::from_u128(u128::try_from(at.as_millisecond()).unwrap_or(0) << 80)
}

/// Why nothing is replayed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such endpoint, source or replay.
    #[error("no such endpoint, source or replay")]
    NotFound,
    /// The endpoint gets nothing.
    #[error("the endpoint is not enabled")]
    Off,
    /// What was refused or came twice is not kept.
    #[error("receipts of this status cannot be replayed")]
    NotKept,
    /// A lower room.
    #[error(transparent)]
    Below(#[from] Below),
}

impl From<misy_store::Error> for Error {
    fn from(error: misy_store::Error) -> Self {
        Self::Below(error.into())
    }
}

impl From<misy_core::ctx::Denied> for Error {
    fn from(error: misy_core::ctx::Denied) -> Self {
        Self::Below(error.into())
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Off => Code::Conflict,
            Self::NotKept => Code::Invalid,
            Self::Below(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Off => Some("Switch the endpoint on first.".to_owned()),
            Self::Below(error) => error.detail(),
            Self::NotFound | Self::NotKept => None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::NotKept => {
                let detail = "is not `stored`, `forwarded` or `invalid`".to_owned();
                vec![Fault { pointer: "/status".to_owned(), detail }]
            }
            _ => Vec::new(),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Below(error) => error.retry_after_s(),
            _ => None,
        }
    }
}
