//! Room `saml`: what a service provider of SAML 2.0 says and believes. Pure: texts, keys and the
//! time come in, texts and facts go out.
//!
//! Never: IO, a tenant, the library's names beyond this crate.

mod bounds;
mod engine;
mod keys;
mod metadata;
mod refusals;
mod requests;
mod xml;

use misy_core::{Personal, Timestamp};

pub use engine::Strict;
pub use keys::{KeyPair, certificate_of, is_certificate};
pub use metadata::read as read_metadata;
pub use refusals::Refusal;
pub use xml::certificate_text;

/// How a message travels through the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// In the query of a redirect, deflated.
    Redirect,
    /// In a form that submits itself.
    Post,
}

/// What we are to one provider.
#[derive(Debug, Clone)]
pub struct Us {
    /// Our entity id: the address of our metadata.
    pub entity_id: String,
    /// Where responses go.
    pub acs_url: String,
    /// Where requests and answers of logout go.
    pub slo_url: String,
    /// Signs requests and opens what is encrypted for us.
    pub key: Option<KeyPair>,
    /// Whether authentication requests are signed.
    pub sign_requests: bool,
}

/// What we know of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its entity id.
    pub entity_id: String,
    /// Where it takes authentication requests, and how.
    pub sso_url: String,
    /// How it takes them.
    pub sso_binding: Binding,
    /// Where it takes messages of logout.
    pub slo_url: Option<String>,
    /// Certificates that verify its signatures, PEM or bare base64. Two while it rotates.
    pub certificates: Vec<String>,
}

/// A message for the browser to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// An address to go to.
    Redirect(String),
    /// A form to submit: where to, and its fields.
    Post(String, Vec<(String, String)>),
}

/// An authentication request to be made.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its `ID`; an XML name.
    pub id: &'a str,
    /// What comes back with the response; 80 bytes at most.
    pub relay_state: &'a str,
    /// When it is made.
    pub now: Timestamp,
}

/// A response as the browser brought it.
#[derive(Clone, Copy)]
pub struct Response<'a> {
    /// The field `SAMLResponse`.
    pub message: &'a str,
    /// The field `RelayState`.
    pub relay_state: Option<&'a str>,
    /// The request that it has to answer; `None` takes only one that answers none.
    pub request_id: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
    /// How far the provider's clock may be off, in seconds.
    pub skew_s: u32,
}

/// A message of logout as the browser brought it.
#[derive(Clone, Copy)]
pub enum Incoming<'a> {
    /// The query as it came: its signature is over these bytes.
    Redirect(&'a str),
    /// Names and values of the form.
    Post(&'a [(String, String)]),
}

/// A name of a message that may be used once, and until when it could be used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// What it is, like `assertion_id:_a1`.
    pub key: String,
    /// After this it would be refused anyway.
    pub until: Timestamp,
}

/// Who a response is about. Whoever uses it has to keep [`Once`] first: that is not done here.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The provider's name of the person.
    pub name_id: Personal<String>,
    /// What kind of name it is.
    pub name_id_format: Option<String>,
    /// Attributes in the order in which they came.
    pub attributes: Personal<Vec<(String, Vec<String>)>>,
    /// The provider's name of its session.
    pub session_index: Option<String>,
    /// When the person proved who they are.
    pub authenticated_at: Option<Timestamp>,
    /// Names that may be used once.
    pub once: Vec<Once>,
}

/// A request of the provider to end sessions, and the answer to carry back.
#[derive(Debug, Clone)]
pub struct Logout {
    /// Whose sessions.
    pub name_id: Personal<String>,
    /// Which ones; all of the person's if empty.
    pub session_indexes: Vec<String>,
    /// Names that may be used once.
    pub once: Vec<Once>,
    /// Our signed answer.
    pub answer: Outgoing,
}

/// A service provider of SAML 2.0. A trait, so that the library behind it can be another one.
pub trait ServiceProvider: Send + Sync {
    /// Our metadata for a provider to read.
    fn metadata(&self, us: &Us) -> Result<String, Refusal>;

    /// An authentication request to send to the provider.
    fn begin(&self, us: &Us, peer: &Peer, request: Request<'_>) -> Result<Outgoing, Refusal>;

    /// Who a response is about, if every word of it is to be believed.
    fn accept(&self, us: &Us, peer: &Peer, response: Response<'_>) -> Result<Subject, Refusal>;

    /// Whose sessions the provider ends, if the request is to be believed.
    fn accept_logout(
        &self,
        us: &Us,
        peer: &Peer,
        message: Incoming<'_>,
        now: Timestamp,
        skew_s: u32,
    ) -> Result<Logout, Refusal>;
}
