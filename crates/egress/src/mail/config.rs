//! Room `egress`: what an operator may set about mails.

use std::path::PathBuf;

use lettre::message::Mailbox;
use misy_core::Secret;
use misy_core::error::Fault;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where mails go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Into a folder of the installation, for trying it out without a server.
    Outbox,
    /// To a server.
    Smtp,
}

/// How the connection to the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// From the first byte (RFC 8314), usually at port 465.
    Implicit,
    /// Demanded before anything is said (RFC 3207), usually at port 587.
    Starttls,
    /// Not at all; to a server on this machine only.
    None,
}

/// How mails leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MailConfig {
    /// Where they go.
    pub mode: Mode,
    /// Who they come from: `Name <address>`.
    pub from: String,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Who we are at the server, if it asks.
    pub user: Option<String>,
    /// The password there.
    #[serde(skip_serializing)]
    pub password: Option<Secret>,
    /// A file that holds the password, instead of `password`.
    pub password_file: Option<PathBuf>,
    /// What we call ourselves (`EHLO`).
    pub hello: String,
    /// Longest time for one answer of the server, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Outbox,
            from: "MisyBot <misybot@misybot.invalid>".to_owned(),
            host: "localhost".to_owned(),
            port: 587,
            tls: Tls::Starttls,
            user: None,
            password: None,
            password_file: None,
            hello: "misybot.invalid".to_owned(),
            timeout_ms: 20_000,
        }
    }
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("[mail] {0}")]
pub struct MailFault(pub(super) String);

impl MailConfig {
    /// Every value that cannot work.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let local = ["localhost", "127.0.0.1", "::1"].contains(&self.host.as_str());
        let rules = [
            ("/from", self.sender().is_err(), "has to be `Name <address>`"),
            ("/host", self.mode == Mode::Smtp && self.host.is_empty(), "must not be empty"),
            ("/tls", self.tls == Tls::None && !local, "`none` is for a server on this machine"),
            (
                "/password",
                self.password.is_some() && self.password_file.is_some(),
                "set `password` or `password_file`, not both",
            ),
            ("/timeout_ms", self.timeout_ms == 0, "must not be 0"),
        ];
        let broken = rules.into_iter().filter(|(_, is_broken, _)| *is_broken);
        let faults: Vec<Fault> = broken
            .map(|(pointer, _, detail)| Fault { pointer: pointer.into(), detail: detail.into() })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    pub(super) fn sender(&self) -> Result<Mailbox, MailFault> {
        self.from.parse().map_err(|_| MailFault("`from` is no address".to_owned()))
    }

    /// The password, from wherever it was given.
    pub(super) fn secret(&self) -> Result<Option<Secret>, MailFault> {
        let Some(file) = &self.password_file else { return Ok(self.password.clone()) };
        let text = std::fs::read_to_string(file)
            .map_err(|error| MailFault(format!("cannot read {}: {error}", file.display())))?;
        Ok(Some(Secret::new(text.trim())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_every_fault_is_told_at_once() {
        assert_eq!(MailConfig::default().validate(), Ok(()));
        let broken = MailConfig {
            from: "nobody".to_owned(),
            host: "mail.example".to_owned(),
            tls: Tls::None,
            timeout_ms: 0,
            ..MailConfig::default()
        };
        assert_eq!(broken.validate().map_err(|faults| faults.len()), Err(3));
    }

    #[test]
    fn the_password_is_never_written_and_comes_from_a_file_if_one_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "hunter2\n").expect("written");
        let config = MailConfig {
            password_file: Some(file.path().to_owned()),
            password: Some(Secret::new("other")),
            ..MailConfig::default()
        };
        assert_eq!(config.secret().expect("readable"), Some(Secret::new("hunter2")));
        assert!(config.validate().is_err(), "two passwords are one too many");
        let shown = format!("{config:?}{}", serde_json::json!(config));
        assert!(!shown.contains("other"), "{shown}");
    }
}
