//! Room `tenancy`: the letters of a sign-up.

use misy_core::{Mail, Secret, Timestamp, crypto};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use misy_core::id::TypedId;

use super::{Front, Signup, link};

/// What a letter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// Show that the address is yours.
    Address,
    /// The tenant is there.
    Acceptance,
    /// There will be none.
    Rejection,
}

/// Writes a letter of a sign-up.
pub fn compose(about: About, signup: &Signup, front: &Front, now: Timestamp) -> Mail {
    let (subject, text) = match about {
        About::Address => ("Confirm your address".to_owned(), confirm(signup, front)),
        About::Acceptance => (
            format!("{} is ready", signup.asked.name),
            format!(
                "Your sign-up was accepted. Sign in at {} with this address, the password you \
                 chose and the name `{}`.\n",
                front.app_url.as_deref().unwrap_or(&front.public_url),
                signup.asked.slug
            ),
        ),
        About::Rejection => (
            "Your sign-up was not accepted".to_owned(),
            format!(
                "Your sign-up for {} was not accepted: {}\n",
                signup.asked.name,
                signup.reason.as_deref().unwrap_or("no reason was given")
            ),
        ),
    };
    Mail {
        id: id(about, signup.id.uuid()),
        tenant: signup.tenant,
        from: misy_core::mail::From::default(),
        to: signup.asked.email.clone(),
        subject,
        text: Secret::new(text),
        written_at: now,
    }
}

fn confirm(signup: &Signup, front: &Front) -> String {
    let link = link(&front.key, signup.id.uuid(), &signup.nonce);
    let (link, until) = (link.expose(), signup.expires_at.strftime("%F %R UTC"));
    // Behind `#`, a browser sends it to no server and into no log.
    let page = front.app_url.as_deref().map_or_else(String::new, |app| {
        format!("Open this page:\n\n  {}/signup#token={link}\n\n", app.trim_end_matches('/'))
    });
    format!(
        "Somebody, perhaps you, asked for {} with this address. Confirm that it is yours and \
         choose a password.\n\n{page}Programs post this to {}/v1/signup/verify, as `token`, with \
         a `password`:\n\n  {link}\n\nIt works once, until {until}. If it was not you, leave this \
         mail alone: nothing happens then.\n",
        signup.asked.name, front.public_url
    )
}

/// The same for every attempt to send the same letter.
fn id(about: About, signup: Uuid) -> Uuid {
    let mut bytes = signup.as_bytes().to_vec();
    bytes.push(about as u8);
    let digest = crypto::sha256(&bytes);
    digest
        .first_chunk()
        .map_or(signup, |first| uuid::Builder::from_custom_bytes(*first).into_uuid())
}
