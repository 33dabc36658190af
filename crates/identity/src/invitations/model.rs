//! Room `identity`: an invitation and what may be done with it.

use misy_core::{Code, InvitationId, Personal, Public, Timestamp, UserId};

use crate::roles::model::Assigned;

/// Somebody who was asked in and has not come yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invitation {
    pub(crate) id: InvitationId,
    pub(crate) user: UserId,
    pub(crate) email: Personal<String>,
    pub(crate) name: Personal<String>,
    pub(crate) role: Assigned,
    pub(crate) created_at: Timestamp,
    /// When the link stops working.
    pub(crate) expires_at: Timestamp,
    /// When the newest mail left; `None` while it has not.
    pub(crate) sent_at: Option<Timestamp>,
}

/// Where an invitation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvitationState)]
pub(crate) enum State {
    /// Its mail has not left yet.
    Waiting,
    /// Its mail has left.
    Sent,
    /// Its link has stopped working: send it again.
    Expired,
}

impl Invitation {
    /// Where it stands now.
    pub(crate) fn state(&self, now: Timestamp) -> State {
        match self.sent_at {
            _ if now >= self.expires_at => State::Expired,
            Some(_) => State::Sent,
            None => State::Waiting,
        }
    }
}

/// What fails around invitations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such invitation in this tenant, or it was accepted.
    #[error("no such invitation")]
    NotFound,
}

impl Public for Error {
    fn code(&self) -> Code {
        Code::NotFound
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_core::Role;
    use misy_core::id::TypedId;
    use uuid::Uuid;

    #[test]
    fn an_invitation_waits_is_sent_and_expires() {
        let second = |at| Timestamp::from_second(at).expect("in range");
        let waiting = Invitation {
            id: InvitationId::from_uuid(Uuid::nil()),
            user: UserId::from_uuid(Uuid::nil()),
            email: Personal(String::new()),
            name: Personal(String::new()),
            role: Assigned { base: Role::Agent, own: None },
            created_at: second(0),
            expires_at: second(60),
            sent_at: None,
        };
        assert_eq!(waiting.state(second(1)), State::Waiting);
        let sent = Invitation { sent_at: Some(second(2)), ..waiting };
        assert_eq!(sent.state(second(59)), State::Sent);
        assert_eq!(sent.state(second(60)), State::Expired);
    }
}
