//! Room `identity`: what those who run a tenant are told without having asked.

use misy_core::News;
use misy_core::UserId;
use misy_core::crypto::sha256;
use misy_core::id::TypedId;
use serde_json::Value;
use uuid::Uuid;

use super::Kind;

impl Kind {
    /// The letter that brings such news.
    pub(crate) const fn of(news: &News) -> Self {
        match news {
            News::EndpointDisabled { .. } => Self::EndpointDisabled,
        }
    }
}

/// The id of the letter that brings news to somebody: the same however often it is written.
pub(crate) fn id_of(news: &News, user: UserId) -> Uuid {
    let News::EndpointDisabled { endpoint, at, .. } = news;
    let when = at.as_nanosecond().to_be_bytes();
    let parts = [endpoint.uuid().as_bytes(), &when[..], user.uuid().as_bytes()].concat();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&sha256(&parts)[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Subject and text. `None` if the detail cannot be read.
pub(super) fn compose(house: &str, public_url: &str, detail: &Value) -> Option<(String, String)> {
    let news = serde_json::from_value(detail.clone()).ok()?;
    let News::EndpointDisabled { endpoint, reason, at } = news;
    let why = match reason.as_str() {
        "gone" => "it answered `410 Gone`",
        _ => "for days it did nothing but fail",
    };
    let text = format!(
        "The webhook endpoint {endpoint} of {house} was switched off on {}, because {why}. Nothing \
         is delivered to it any more; what waited for it lies with the dead letters for as long as \
         events are kept.\n\n\
         An administrator sees where it is, and once its receiver works again switches it on and \
         has it sent what it missed:\n\n  \
         GET {public_url}/v1/webhook-endpoints/{endpoint}\n  \
         PATCH {public_url}/v1/webhook-endpoints/{endpoint} {{\"enabled\": true}}\n  \
         POST {public_url}/v1/webhook-endpoints/{endpoint}/replay\n\n\
         Owners and administrators get this mail each time an endpoint is switched off, unless \
         `mail_when_disabled` is `false` among its settings.\n",
        at.strftime("%F at %R UTC"),
    );
    Some((format!("A webhook endpoint of {house} was switched off"), text))
}

#[cfg(test)]
mod tests {
    use misy_core::{EndpointId, Timestamp};
    use serde_json::json;

    use super::*;

    fn news(reason: &str, at: i64) -> News {
        News::EndpointDisabled {
            endpoint: EndpointId::from_uuid(Uuid::from_u128(5)),
            reason: reason.to_owned(),
            at: Timestamp::from_second(at).expect("in range"),
        }
    }

    #[test]
    fn each_switch_off_is_one_letter_to_each() {
        let (ana, ben) = (UserId::from_uuid(Uuid::from_u128(1)), UserId::from_uuid(Uuid::max()));
        assert_eq!(id_of(&news("gone", 7), ana), id_of(&news("gone", 7), ana));
        assert_ne!(id_of(&news("gone", 7), ana), id_of(&news("gone", 8), ana));
        assert_ne!(id_of(&news("gone", 7), ana), id_of(&news("gone", 7), ben));
    }

    #[test]
    fn the_mail_says_which_where_why_and_what_to_do() {
        let compose = |detail: &Value| compose("Acme", "https://api.example", detail);
        let (subject, text) = compose(&json!(news("gone", 0))).expect("readable");
        assert_eq!(subject, "A webhook endpoint of Acme was switched off");
        for part in ["whe_", "GET https://api.example/v1/", "410 Gone", "/replay", "1970-01-01"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let (_, text) = compose(&json!(news("failing", 0))).expect("readable");
        assert!(text.contains("nothing but fail") && !text.contains("410"), "{text}");
        assert_eq!(compose(&json!({"what": "nothing"})), None);
    }
}
