//! Room `core`: a mail and whoever carries it, so that rooms which write mails need not know how
//! one leaves.

use std::pin::Pin;

use uuid::Uuid;

use crate::error::{Code, Public};
use crate::{Personal, Secret, TenantId, Timestamp};

/// One mail to one person, in plain text.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Names it; the same for every attempt, so that a receiver can tell a repetition.
    pub id: Uuid,
    /// The tenant it is about, with which it goes from where it is kept.
    pub tenant: Option<TenantId>,
    /// The one address it goes to.
    pub to: Personal<String>,
    /// In whose name, where that is not the installation's own.
    pub from: From,
    /// Shown in lists of mails, so nothing secret is in it.
    pub subject: String,
    /// The text; it may hold a link that works once.
    pub text: Secret,
    /// When it was written.
    pub written_at: Timestamp,
}

/// In whose name a mail is sent. What is absent is the installation's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct From {
    /// The name that is shown.
    pub name: Option<String>,
    /// The address; only one whose domain was shown to be the sender's.
    pub address: Option<String>,
}

/// Why a mail did not leave. Printed in logs: neither an address nor a text is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// It will never be taken: the address, or our right to send.
    #[error("the mail is refused: {0}")]
    Refused(String),
    /// It may be taken later.
    #[error("the mail cannot leave now: {0}")]
    Unavailable(String),
}

impl Public for MailError {
    fn code(&self) -> Code {
        match self {
            Self::Refused(_) => Code::Invalid,
            Self::Unavailable(_) => Code::Unavailable,
        }
    }
    fn retry_after_s(&self) -> Option<u32> {
        matches!(self, Self::Unavailable(_)).then_some(5)
    }
}

/// An attempt under way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), MailError>> + Send + 'a>>;

/// Carries mails. One attempt each; whoever asks decides about another.
pub trait Mailer: Send + Sync {
    /// Hands a mail over; it is somebody else's when this has succeeded.
    fn send<'a>(&'a self, mail: &'a Mail) -> Sending<'a>;

    /// How many mails about a tenant are kept here. Those that have left are not.
    fn count_kept(&self, _tenant: TenantId) -> Result<usize, MailError> {
        Ok(0)
    }

    /// Removes them.
    fn forget(&self, _tenant: TenantId) -> Result<(), MailError> {
        Ok(())
    }
}

/// Carries nothing: for a program that was given no way out.
#[derive(Debug, Clone, Copy)]
pub struct NoMailer;

impl Mailer for NoMailer {
    fn send<'a>(&'a self, _: &'a Mail) -> Sending<'a> {
        let refused = MailError::Unavailable("no way out is configured".to_owned());
        Box::pin(std::future::ready(Err(refused)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_shows_neither_its_text_nor_its_receiver() {
        let mail = Mail {
            id: Uuid::nil(),
            tenant: None,
            to: Personal("ana@acme.example".to_owned()),
            from: From::default(),
            subject: "Hello".to_owned(),
            text: Secret::new("the link"),
            written_at: Timestamp::UNIX_EPOCH,
        };
        let shown = format!("{mail:?}");
        assert!(!shown.contains("ana") && !shown.contains("link"), "{shown}");
    }

    #[test]
    fn a_refusal_is_final_and_an_absence_is_not() {
        assert_eq!(MailError::Refused(String::new()).retry_after_s(), None);
        assert_eq!(MailError::Unavailable(String::new()).code().status(), 503);
    }
}
