//! Room `egress`: mails by SMTP (RFC 5321) to the operator's server.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use misy_core::mail::Sending;
use misy_core::{Mail, MailError, Mailer};

use super::{MailConfig, MailFault, Tls, message};

/// Hands mails to a server, one connection each: they are few, and a connection that nobody holds
/// never breaks.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Smtp")
    }
}

impl Smtp {
    /// Opens no connection yet.
    pub fn new(config: &MailConfig) -> Result<Self, MailFault> {
        let unusable = |error| MailFault(format!("the server cannot be used: {error}"));
        let host = &config.host;
        let builder = match config.tls {
            Tls::Implicit => AsyncSmtpTransport::<Tokio1Executor>::relay(host).map_err(unusable)?,
            Tls::Starttls => {
                AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host).map_err(unusable)?
            }
            Tls::None => AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host),
        };
        let mut builder = builder
            .port(config.port)
            .hello_name(ClientId::Domain(config.hello.clone()))
            .timeout(Some(Duration::from_millis(config.timeout_ms)));
        if let (Some(user), Some(password)) = (&config.user, config.secret()?) {
            let password = password.expose().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self { transport: builder.build(), from: config.sender()? })
    }
}

impl Mailer for Smtp {
    fn send<'a>(&'a self, mail: &'a Mail) -> Sending<'a> {
        Box::pin(async move {
            let message = message(mail, &self.from)?;
            self.transport.send(message).await.map(drop).map_err(|error| told(&error))
        })
    }
}

/// The server's words may hold the address, so only its code is told.
fn told(error: &lettre::transport::smtp::Error) -> MailError {
    let Some(code) = error.status() else {
        let what = if error.is_timeout() {
            "no answer in time"
        } else if error.is_tls() {
            "no protected connection"
        } else {
            "no connection"
        };
        return MailError::Unavailable(what.to_owned());
    };
    let code = code.to_string();
    // 53x is about us and our password at the server, which the operator mends.
    let ours = code.starts_with("53");
    if error.is_permanent() && !ours {
        return MailError::Refused(format!("the server says {code}"));
    }
    MailError::Unavailable(format!("the server says {code}"))
}
