//! Room `egress`: mails that lie in a folder, for an operator without a mail server.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use lettre::message::Mailbox;
use misy_core::id::TypedId;
use misy_core::mail::Sending;
use misy_core::{Mail, MailError, Mailer, TenantId};

use super::message;

/// Puts every mail into a file of its own that the owner alone can read, for links are in them:
/// `<time>-<id>.eml`, or `<time>-<id>-of-<tenant>.eml` if it is about a tenant.
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
        let end = mail.tenant.map_or_else(|| ".eml".to_owned(), ending);
        let name = format!("{}-{}{end}", mail.written_at.strftime("%Y%m%dT%H%M%SZ"), mail.id);
        write(&self.folder, &name, &text).map_err(|error| unusable(&error))
    }

    /// The files of mails about a tenant; none if no mail was ever put here.
    fn of(&self, tenant: TenantId) -> std::io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let (end, mut found) = (ending(tenant), Vec::new());
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(&end) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

/// How names end of files of mails about a tenant.
fn ending(tenant: TenantId) -> String {
    format!("-of-{}.eml", tenant.uuid())
}

fn unusable(error: &std::io::Error) -> MailError {
    MailError::Unavailable(format!("the outbox: {error}"))
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

    fn count_kept(&self, tenant: TenantId) -> Result<usize, MailError> {
        self.of(tenant).map(|files| files.len()).map_err(|error| unusable(&error))
    }

    fn forget(&self, tenant: TenantId) -> Result<(), MailError> {
        let files = self.of(tenant).map_err(|error| unusable(&error))?;
        files.iter().try_for_each(|file| match std::fs::remove_file(file) {
            // Its reader has removed it meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(|error| unusable(&error)),
        })
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
            tenant: None,
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
    async fn mails_about_a_tenant_go_with_it_and_no_others() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("outbox");
        let outbox = Outbox::new(&folder, "bot@misybot.example".parse().expect("an address"));
        let (acme, bolt) = (TenantId::from_uuid(Uuid::max()), TenantId::from_uuid(Uuid::nil()));
        assert_eq!(outbox.count_kept(acme), Ok(0), "there is no folder yet");
        for (number, tenant) in [(1, Some(acme)), (2, Some(bolt)), (3, None), (4, Some(acme))] {
            let mail = Mail {
                id: Uuid::from_u128(number),
                tenant,
                to: Personal("ana@acme.example".to_owned()),
                from: misy_core::mail::From::default(),
                subject: "Hello".to_owned(),
                text: Secret::new("Hello\n"),
                written_at: Timestamp::UNIX_EPOCH,
            };
            outbox.send(&mail).await.expect("is put there");
        }
        assert_eq!((outbox.count_kept(acme), outbox.count_kept(bolt)), (Ok(2), Ok(1)));
        outbox.forget(acme).expect("removed");
        assert_eq!((outbox.count_kept(acme), outbox.count_kept(bolt)), (Ok(0), Ok(1)));
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 2);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_told_and_tried_again() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let outbox = Outbox::new(file.path(), "bot@misybot.example".parse().expect("an address"));
        let mail = Mail {
            id: Uuid::nil(),
            tenant: None,
            to: Personal("ana@acme.example".to_owned()),
            from: misy_core::mail::From::default(),
            subject: String::new(),
            text: Secret::new(""),
            written_at: Timestamp::UNIX_EPOCH,
        };
        assert!(matches!(outbox.send(&mail).await, Err(MailError::Unavailable(_))));
    }
}
