//! Room `egress`: mails, the other way out. By SMTP to the operator's server, or into a folder that
//! the operator reads where there is none.
//!
//! Never: a text or an address in a log, a second attempt (the caller's job decides that).

mod config;
mod outbox;
mod smtp;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use misy_core::{Mail, MailError, Mailer};

pub use config::{MailConfig, MailFault, Mode, Tls};
pub use outbox::Outbox;
pub use smtp::Smtp;

/// The way out that is configured. `folder` is where mails lie if that is nowhere.
pub fn mailer(config: &MailConfig, folder: &Path) -> Result<Arc<dyn Mailer>, MailFault> {
    Ok(match config.mode {
        Mode::Outbox => Arc::new(Outbox::new(folder, config.sender()?)),
        Mode::Smtp => Arc::new(Smtp::new(config)?),
    })
}

/// The mail as it is sent (RFC 5322): one receiver, plain text, and an id that is the same for
/// every attempt.
fn message(mail: &Mail, from: &Mailbox) -> Result<Message, MailError> {
    let unusable = |what: &str| MailError::Refused(format!("{what} cannot be written"));
    let to = mail.to.0.parse().map_err(|_| unusable("the receiver's address"))?;
    let since = u64::try_from(mail.written_at.as_second()).unwrap_or(0);
    let from = sender(mail, from);
    let id = format!("<{}@{}>", mail.id, from.email.domain());
    Message::builder()
        .from(from)
        .to(Mailbox::new(None, to))
        .date(SystemTime::UNIX_EPOCH + Duration::from_secs(since))
        .message_id(Some(id))
        .subject(&mail.subject)
        .header(ContentType::TEXT_PLAIN)
        .body(mail.text.expose().to_owned())
        .map_err(|_| unusable("the text"))
}

/// The installation's sender with what the mail says in its place. An address that cannot be
/// written is not: the mail then comes from the installation, in the same name. `lettre` gives up
/// on a name with a line break in it, so none gets there.
fn sender(mail: &Mail, own: &Mailbox) -> Mailbox {
    let given = mail.from.address.as_deref().and_then(|address| address.parse().ok());
    let name = mail.from.name.clone().or_else(|| own.name.clone());
    let name = name.map(|name| name.chars().filter(|char| !char.is_control()).collect());
    Mailbox::new(name, given.unwrap_or_else(|| own.email.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_core::{Personal, Secret, Timestamp};
    use uuid::Uuid;

    fn mail(to: &str, subject: &str) -> Mail {
        Mail {
            id: Uuid::from_u128(7),
            tenant: None,
            to: Personal(to.to_owned()),
            from: misy_core::mail::From::default(),
            subject: subject.to_owned(),
            text: Secret::new("Hello\n"),
            written_at: Timestamp::from_second(1_700_000_000).expect("in range"),
        }
    }

    fn from_bot() -> Mailbox {
        "MisyBot <bot@misybot.example>".parse().expect("an address")
    }

    #[test]
    fn a_mail_is_one_persons_plain_text_with_an_id_of_its_own() {
        let written =
            message(&mail("ana@acme.example", "Hi"), &from_bot()).expect("can be written");
        let text = String::from_utf8(written.formatted()).expect("ASCII");
        for line in [
            "To: ana@acme.example\r\n",
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
            "Message-ID: <00000000-0000-0000-0000-000000000007@misybot.example>\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn neither_a_subject_nor_an_address_brings_a_header_of_its_own() {
        let bad = "a@b.example\r\nBcc: c@d.example";
        assert!(message(&mail(bad, "Hi"), &from_bot()).is_err());
        let subject = "Hi\r\nBcc: c@d.example";
        let written = message(&mail("a@b.example", subject), &from_bot()).expect("can be written");
        let text = String::from_utf8(written.formatted()).expect("ASCII");
        assert!(!text.contains("\nBcc:"), "{text}");
    }

    #[test]
    fn a_mail_comes_from_whom_it_says_and_no_name_brings_a_header_of_its_own() {
        let said = |name: &str, address: &str| {
            let (name, address) = (Some(name.to_owned()), Some(address.to_owned()));
            let from = misy_core::mail::From { name, address };
            let mail = Mail { from, ..mail("ana@acme.example", "Hi") };
            let written = message(&mail, &from_bot()).expect("can be written");
            String::from_utf8(written.formatted()).expect("ASCII")
        };
        let text = said("Acme", "desk@acme.example");
        assert!(text.lines().any(|line| line == "From: Acme <desk@acme.example>"), "{text}");
        assert!(text.contains("7@acme.example>"), "{text}");
        let text = said("Acme", "no address");
        assert!(text.contains("<bot@misybot.example>") && text.contains("Acme"), "{text}");
        let text = said("Acme\r\nBcc: c@d.example", "desk@acme.example");
        assert!(!text.contains("\nBcc:"), "{text}");
    }
}
