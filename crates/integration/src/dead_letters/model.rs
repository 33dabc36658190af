//! Room `integration`: a delivery that was given up.

use misy_core::{DeliveryId, EndpointId, EventId, Timestamp};

/// A delivery that was given up, until it is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The delivery.
    pub id: DeliveryId,
    /// What was to be delivered.
    pub event: EventId,
    /// Of which type that is.
    pub kind: String,
    /// To whom.
    pub endpoint: EndpointId,
    /// Why the last try failed.
    pub reason: String,
    /// How often it was tried.
    pub attempts: i16,
    /// When it was given up.
    pub died_at: Timestamp,
}
