//! Room `identity`: what a SAML provider's attributes mean, and pages that carry messages to it.

use misy_core::{Personal, crypto};
use misy_saml::{Binding, Outgoing, Peer, Subject, Us};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::sso::model::{Assertion, Check, Refusal, texts};
use crate::sso_connections::model::{Attributes, SamlSettings};

/// What providers call the address, the name and the groups of a person, unless an administrator
/// chose otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Profile {
    /// The names of the connection alone, and those of the LDAP attribute profile.
    #[default]
    Generic,
    /// Microsoft Entra ID.
    Entra,
    /// Okta.
    Okta,
    /// Active Directory Federation Services.
    Adfs,
    /// Google Workspace.
    Google,
}

struct Names {
    email: &'static [&'static str],
    name: &'static [&'static str],
    given: &'static str,
    family: &'static str,
    groups: &'static [&'static str],
}

const CLAIMS_EMAIL: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress";
const CLAIMS_GIVEN: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname";
const CLAIMS_FAMILY: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname";

impl Profile {
    fn names(self) -> Names {
        match self {
            Self::Generic => Names {
                email: &["urn:oid:0.9.2342.19200300.100.1.3", "mail"],
                name: &["urn:oid:2.16.840.1.113730.3.1.241", "displayName"],
                given: "urn:oid:2.5.4.42",
                family: "urn:oid:2.5.4.4",
                groups: &["urn:oid:1.3.6.1.4.1.5923.1.5.1.1", "memberOf"],
            },
            Self::Entra => Names {
                email: &[CLAIMS_EMAIL],
                name: &["http://schemas.microsoft.com/identity/claims/displayname"],
                given: CLAIMS_GIVEN,
                family: CLAIMS_FAMILY,
                groups: &[
                    "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
                    "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
                ],
            },
            Self::Adfs => Names {
                email: &[CLAIMS_EMAIL],
                name: &["http://schemas.xmlsoap.org/claims/CommonName"],
                given: CLAIMS_GIVEN,
                family: CLAIMS_FAMILY,
                groups: &[
                    "http://schemas.xmlsoap.org/claims/Group",
                    "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
                ],
            },
            Self::Okta => Names {
                email: &["email", "user.email"],
                name: &["displayName"],
                given: "firstName",
                family: "lastName",
                groups: &["groups"],
            },
            Self::Google => Names {
                email: &["email", "Email"],
                name: &["name", "displayName"],
                given: "firstName",
                family: "lastName",
                groups: &["groups", "Groups"],
            },
        }
    }
}

const EMAIL_FORMAT: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
const TRANSIENT_FORMAT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";

/// Whether the provider names the person anew at each login, so that nobody is recognised by it.
fn is_transient(subject: &Subject) -> bool {
    subject.name_id_format.as_deref() == Some(TRANSIENT_FORMAT)
}

/// What a response says of the person, if it can be used at all.
pub(crate) fn read(
    chosen: &Attributes,
    profile: Profile,
    subject: &Subject,
) -> Result<Assertion, Refusal> {
    if is_transient(subject) {
        return Err(Refusal::SamlTransientName);
    }
    Ok(assertion(chosen, profile, subject))
}

/// The subject of a response that an administrator makes up: `sub` is the name id, `name_id_format`
/// its format, and all others are attributes.
pub(crate) fn rehearsed(said: &Map<String, Value>) -> Subject {
    let one = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
    let attributes = said.iter().filter(|(name, _)| !["sub", "name_id_format"].contains(&&***name));
    Subject {
        name_id: Personal(one("sub").unwrap_or_default()),
        name_id_format: one("name_id_format"),
        attributes: Personal(
            attributes.map(|(name, value)| (name.clone(), texts(value))).collect(),
        ),
        session_index: None,
        authenticated_at: None,
        once: Vec::new(),
    }
}

/// What can be said of a connection without the provider, to which only browsers go. `begun` is a
/// request as a login would begin with.
pub(crate) fn checks(
    us: &Us,
    settings: &SamlSettings,
    begun: &Result<Outgoing, misy_saml::Refusal>,
) -> Vec<Check> {
    let (has_key, by) =
        (us.key.is_some(), if settings.sso_by_post { "a form" } else { "a redirect" });
    let signed = if us.sign_requests { "signed" } else { "not signed" };
    let request = match begun {
        Ok(_) => format!("goes to {} by {by}, {signed}", settings.sso_url),
        Err(refusal) => refusal.to_string(),
    };
    let believed = settings.certificates.len();
    let encryption = if has_key {
        "our certificate is in our metadata: assertions may come encrypted"
    } else {
        "there is no key of ours: assertions have to come unencrypted"
    };
    let logout = has_key && settings.slo_url.is_some();
    let offered = if logout { "offered" } else { "not offered: only our session will end" };
    vec![
        Check::new("request", begun.is_ok(), request),
        Check::new("certificates", believed > 0, format!("{believed} that are believed")),
        Check::new("encryption", has_key, encryption),
        Check::new("logout", logout, offered),
    ]
}

/// What a response says of the person: by the connection's names first, then by the profile's.
fn assertion(chosen: &Attributes, profile: Profile, subject: &Subject) -> Assertion {
    let known = profile.names();
    let find = |wanted: &str| {
        let found = subject.attributes.0.iter().find(|(name, _)| name == wanted);
        found.map(|(_, values)| values.as_slice()).filter(|values| !values.is_empty())
    };
    let among = |chosen: &str, others: &[&str]| {
        find(chosen).or_else(|| others.iter().find_map(|name| find(name)))
    };
    let one = |values: Option<&[String]>| values.and_then(|values| values.first()).cloned();
    let by_name = (subject.name_id_format.as_deref() == Some(EMAIL_FORMAT))
        .then(|| subject.name_id.0.clone());
    let parts = [known.given, known.family].map(|name| one(find(name)));
    let joined = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    Assertion {
        subject: subject.name_id.0.clone(),
        email: one(among(&chosen.email, known.email)).or(by_name),
        email_verified: true,
        name: one(among(&chosen.name, known.name)).or((!joined.is_empty()).then_some(joined)),
        groups: among(&chosen.groups, known.groups).unwrap_or_default().to_vec(),
        session_index: subject.session_index.clone(),
        auth_time: subject.authenticated_at,
        amr: Vec::new(),
    }
}

/// The provider of a connection.
pub(crate) fn peer(settings: &SamlSettings) -> Peer {
    Peer {
        entity_id: settings.entity_id.clone(),
        sso_url: settings.sso_url.clone(),
        sso_binding: if settings.sso_by_post { Binding::Post } else { Binding::Redirect },
        slo_url: settings.slo_url.clone(),
        certificates: settings.certificates.clone(),
    }
}

/// Sends the form without a click; its hash is in the page's policy.
const SUBMIT: &str = "document.forms[0].submit()";

/// A page that carries a form to a provider, and the policy that lets it go there and nowhere else.
pub(crate) fn page(action: &str, fields: &[(String, String)]) -> (String, String) {
    let hidden = fields.iter().map(|(name, value)| {
        let (name, value) = (escape(name), escape(value));
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
    });
    let hidden = hidden.collect::<Vec<_>>().concat();
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Sign in</title>\
         <form method=\"post\" action=\"{}\">{hidden}<button>Continue</button></form>\
         <script>{SUBMIT}</script>",
        escape(action)
    );
    let hash = data_encoding::BASE64.encode(&crypto::sha256(SUBMIT.as_bytes()));
    let origin = url::Url::parse(action).map(|url| url.origin().ascii_serialization());
    let policy = format!(
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
         script-src 'sha256-{hash}'; form-action {}",
        origin.unwrap_or_else(|_| "'none'".to_owned())
    );
    (page, policy)
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(attributes: &[(&str, &[&str])], format: &str) -> Subject {
        let owned = |(name, values): &(&str, &[&str])| {
            ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
        };
        Subject {
            name_id: Personal("ana@acme.example".to_owned()),
            name_id_format: Some(format.to_owned()),
            attributes: Personal(attributes.iter().map(owned).collect()),
            session_index: None,
            authenticated_at: None,
            once: Vec::new(),
        }
    }

    #[test]
    fn the_names_of_each_provider_are_known() {
        let chosen = Attributes::default();
        for (profile, email, groups) in [
            (Profile::Generic, "urn:oid:0.9.2342.19200300.100.1.3", "memberOf"),
            (
                Profile::Entra,
                CLAIMS_EMAIL,
                "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
            ),
            (Profile::Adfs, CLAIMS_EMAIL, "http://schemas.xmlsoap.org/claims/Group"),
            (Profile::Okta, "user.email", "groups"),
            (Profile::Google, "Email", "Groups"),
        ] {
            let names = profile.names();
            let said = subject(
                &[
                    (email, &["a@b.example"]),
                    (groups, &["x", "y"]),
                    (names.given, &["Ana"]),
                    (names.family, &["Roy"]),
                ],
                "urn:x",
            );
            let read = assertion(&chosen, profile, &said);
            assert_eq!(read.email.as_deref(), Some("a@b.example"), "{profile:?}");
            assert_eq!(read.name.as_deref(), Some("Ana Roy"), "{profile:?}");
            assert_eq!(read.groups, ["x", "y"], "{profile:?}");
        }
    }

    #[test]
    fn the_names_that_were_chosen_come_first_and_the_name_id_last() {
        let chosen = Attributes { email: "work".to_owned(), ..Attributes::default() };
        let said = subject(&[("mail", &["b@b.example"]), ("work", &["a@b.example"])], EMAIL_FORMAT);
        let read = assertion(&chosen, Profile::Generic, &said);
        assert_eq!(read.email.as_deref(), Some("a@b.example"));
        let none = assertion(&chosen, Profile::Generic, &subject(&[], EMAIL_FORMAT));
        assert_eq!(none.email.as_deref(), Some("ana@acme.example"));
        let other = assertion(&chosen, Profile::Generic, &subject(&[], "urn:x"));
        assert_eq!((other.email, other.name), (None, None));
        let anew = super::read(&chosen, Profile::Generic, &subject(&[], TRANSIENT_FORMAT));
        assert_eq!(anew, Err(Refusal::SamlTransientName));
    }

    #[test]
    fn a_rehearsed_response_is_read_like_one_that_came() {
        let said = serde_json::json!({"sub": "ana-1", "name_id_format": "urn:x",
            "mail": "ana@acme.example", "memberOf": ["support", "leads"], "level": 3});
        let said = rehearsed(said.as_object().expect("an object"));
        let came = Subject {
            name_id: Personal("ana-1".to_owned()),
            ..subject(
                &[("mail", &["ana@acme.example"]), ("memberOf", &["support", "leads"])],
                "urn:x",
            )
        };
        let chosen = Attributes::default();
        let read = |subject| assertion(&chosen, Profile::Generic, subject);
        assert_eq!(read(&said), read(&came));
        assert!(rehearsed(&Map::new()).name_id.0.is_empty(), "which a login refuses");
    }

    #[test]
    fn a_page_carries_what_it_is_given_and_nothing_more() {
        let fields = [("SAMLRequest".to_owned(), "\"><script>alert(1)</script>".to_owned())];
        let (page, policy) = page("https://idp.example/sso?a=1&b='", &fields);
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.contains("action=\"https://idp.example/sso?a=1&amp;b=&#39;\""), "{page}");
        assert!(policy.contains("form-action https://idp.example"), "{policy}");
        assert!(super::page("x", &[]).1.contains("form-action 'none'"));
    }
}
