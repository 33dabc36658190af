//! Room `egress`: mails that lie in a folder, for an operator without a mail server.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use lettre::message::Mailbox;
use misy_core::mail::Sending;
use misy_core::{Mail, MailError, Mailer};

use super::message;

/// Puts every mail into a file of its own, `<time>-<id>.eml`, that the owner alone can read: links
/// are in them.
#[derive(Debug)]
pub struct Outbox {
    folder: PathBuf,
    from: Mailbox,
}

impl Outbox {
    /// The folder is made with the first mail.
    pub fn new(folder: &Path, from: Mailbox) -> Self {
        Self { folder: folder.to_owned(), from }
    }

    fn put(&self, mail: &Mail) -> Result<(), MailError> {
        let text = message(mail, &self.from)?.formatted();
        let name = format!("{}-{}.eml", mail.written_at.strftime("%Y%m%dT%H%M%SZ"), mail.id);
        let written = write(&self.folder, &name, &text);
        written.map_err(|error| MailError::Unavailable(format!("the outbox: {error}")))
    }
}

/// Under another name first, so that nobody reads half a mail.
fn write(folder: &Path, name: &str, text: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".{name}"));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(draft, folder.join(name))
}

impl Mailer for Outbox {
    fn send<'a>(&'a self, mail: &'a Mail) -> Sending<'a> {
        Box::pin(async move { self.put(mail) })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use misy_core::{Personal, Secret, Timestamp};
    use uuid::Uuid;

    #[tokio::test]
    async fn a_mail_lies_there_for_its_owner_alone_and_once_however_often_it_is_sent() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("outbox");
        let outbox = Outbox::new(&folder, "bot@misybot.example".parse().expect("an address"));
        let mail = Mail {
            id: Uuid::from_u128(7),
            to: Personal("ana@acme.example".to_owned()),
            from: misy_core::mail::From::default(),
            subject: "You are invited".to_owned(),
            text: Secret::new("Open mbl_link\n"),
            written_at: Timestamp::UNIX_EPOCH,
        };
        outbox.send(&mail).await.expect("is put there");
        outbox.send(&mail).await.expect("is put there again");
        let files: Vec<_> = std::fs::read_dir(&folder).expect("a folder").flatten().collect();
        assert_eq!(files.len(), 1);
        let name = files[0].file_name().to_string_lossy().into_owned();
        assert_eq!(name, "19700101T000000Z-00000000-0000-0000-0000-000000000007.eml");
        let mode = files[0].metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(files[0].path()).expect("text");
        assert!(text.contains("Open mbl_link"), "{text}");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_told_and_tried_again() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let outbox = Outbox::new(file.path(), "bot@misybot.example".parse().expect("an address"));
        let mail = Mail {
            id: Uuid::nil(),
            to: Personal("ana@acme.example".to_owned()),
            from: misy_core::mail::From::default(),
            subject: String::new(),
            text: Secret::new(""),
            written_at: Timestamp::UNIX_EPOCH,
        };
        assert!(matches!(outbox.send(&mail).await, Err(MailError::Unavailable(_))));
    }
}
