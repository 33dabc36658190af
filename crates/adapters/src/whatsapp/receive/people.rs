//! Room `adapters`: who somebody is. Since 2026 a person may have a phone number, a business-scoped
//! user id, or both; the id is the stronger one, because numbers find new owners.

use misy_channel::event::{IdentityClaim, PHONE, Sender};
use misy_core::Personal;

use super::super::USER_ID;
use super::super::wire::Contact;
use crate::meta::values::{Fields, Id, phone};

/// The people that a change names beside its items.
pub(crate) struct People(Vec<Contact>);

/// A phone number as an identity; `None` if the text is none (a group's id, a placeholder).
pub(crate) fn by_phone(id: &Id) -> Option<IdentityClaim> {
    let value = phone(&id.0)?;
    Some(IdentityClaim { namespace: PHONE, value: Personal(value) })
}

/// A business-scoped user id as an identity: `CC.` and up to 128 letters and digits.
pub(crate) fn by_user_id(id: &Id) -> Option<IdentityClaim> {
    let (country, rest) = id.0.split_once('.')?;
    let valid = country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=132).contains(&rest.len())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    valid.then(|| IdentityClaim { namespace: USER_ID, value: Personal(id.0.clone()) })
}

/// Both, strongest first.
pub(crate) fn claims(user_id: Option<&Id>, number: Option<&Id>) -> Vec<IdentityClaim> {
    user_id.and_then(by_user_id).into_iter().chain(number.and_then(by_phone)).collect()
}

impl People {
    /// Reads the `contacts` of a change; one that cannot be read hides no other.
    pub(crate) fn read(value: &Fields<'_>) -> Self {
        let all = value.find_list("contacts").unwrap_or_default();
        Self(all.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect())
    }

    /// The person with this number or id, with everything that is said of it; `None` if that is not
    /// enough to recognise anybody.
    pub(crate) fn find(&self, user_id: Option<&Id>, number: Option<&Id>) -> Option<Sender> {
        let known = self.find_contact(user_id, number);
        let user_id = user_id.filter(|id| by_user_id(id).is_some());
        let number = number.filter(|id| by_phone(id).is_some());
        let user_id = user_id.or_else(|| known.and_then(|one| one.user_id.as_ref()));
        let number = number.or_else(|| known.and_then(|one| one.wa_id.as_ref()));
        let identities = claims(user_id, number);
        let name = known.and_then(|one| one.profile.name.clone()).filter(|name| !name.is_empty());
        (!identities.is_empty()).then(|| Sender { identities, display_name: name.map(Personal) })
    }

    fn find_contact(&self, user_id: Option<&Id>, number: Option<&Id>) -> Option<&Contact> {
        let is_same = |one: &&Contact| {
            let by_id = user_id.is_some() && one.user_id.as_ref() == user_id;
            let by_number = number.and_then(by_phone);
            by_id || (by_number.is_some() && one.wa_id.as_ref().and_then(by_phone) == by_number)
        };
        let named = user_id.and_then(by_user_id).or_else(|| number.and_then(by_phone));
        match (&self.0[..], named) {
            // An item that names nobody belongs to the only person there is.
            ([only], None) => Some(only),
            (all, _) => all.iter().find(is_same),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(json: &str) -> People {
        let raw = serde_json::from_str(json).expect("JSON");
        People::read(&Fields::read(raw).expect("an object"))
    }

    fn values(sender: Option<Sender>) -> Vec<String> {
        let all = sender.map(|one| one.identities).unwrap_or_default();
        all.into_iter().map(|one| format!("{}:{}", one.namespace, one.value.0)).collect()
    }

    fn id(text: &str) -> Id {
        Id(text.to_owned())
    }

    const TWO: &str = r#"{"contacts":[
        {"wa_id":"972987654321","user_id":"US.1349","profile":{"name":"Ann"}},
        {"user_id":"DE.77","profile":{}}, 7]}"#;

    #[test]
    fn number_and_user_id_complete_each_other() {
        let found = people(TWO).find(None, Some(&id("972987654321")));
        assert_eq!(
            found.as_ref().and_then(|one| one.display_name.clone()),
            Some(Personal("Ann".into()))
        );
        assert_eq!(values(found), ["whatsapp_user_id:US.1349", "phone:+972987654321"]);
        assert_eq!(values(people(TWO).find(Some(&id("DE.77")), None)), ["whatsapp_user_id:DE.77"]);
    }

    #[test]
    fn a_strangers_name_is_not_borrowed() {
        let found = people(TWO).find(None, Some(&id("4915551234"))).expect("a number");
        assert_eq!(found.display_name, None);
        let one = people(r#"{"contacts":[{"wa_id":"1","profile":{"name":"Ann"}}]}"#);
        let other = one.find(None, Some(&id("4915551234"))).expect("a number");
        assert_eq!(other.display_name, None);
    }

    #[test]
    fn an_item_without_a_sender_belongs_to_the_only_person_or_nobody() {
        let one = people(r#"{"contacts":[{"wa_id":972987654321}]}"#);
        assert_eq!(values(one.find(None, Some(&id("<NUMBER>")))), ["phone:+972987654321"]);
        assert_eq!(people(TWO).find(None, None), None);
        assert_eq!(people("{}").find(None, None), None);
    }

    #[test]
    fn a_user_id_has_a_form() {
        for (text, valid) in [
            ("US.1349", true),
            ("US.ENT.11815", true),
            ("us.1", false),
            ("US.", false),
            ("x", false),
        ] {
            assert_eq!(by_user_id(&id(text)).is_some(), valid, "{text}");
        }
    }
}
