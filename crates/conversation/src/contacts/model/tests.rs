//! Room `conversation`: tests of how senders are recognised.

use misy_channel::event::PHONE;
use misy_testkit::ambient;
use proptest::prelude::*;

use super::*;

fn claim(namespace: &'static str, value: &str) -> IdentityClaim {
    IdentityClaim { namespace, value: Personal(value.to_owned()) }
}

fn sender(claims: &[IdentityClaim], name: &str) -> Sender {
    let display_name = (!name.is_empty()).then(|| Personal(name.to_owned()));
    Sender { identities: claims.to_vec(), display_name }
}

#[test]
fn two_senders_are_joined_by_a_third_that_has_an_identity_of_each() {
    let (phone, user) = (claim(PHONE, "+1"), claim("user", "a"));
    let senders = [
        sender(std::slice::from_ref(&phone), ""),
        sender(std::slice::from_ref(&user), ""),
        sender(&[claim(PHONE, "+2")], "Bob"),
        sender(&[phone, user], "Ann"),
    ];
    let (people, of_sender) = people(&senders);
    assert_eq!(of_sender, [0, 0, 1, 0]);
    assert_eq!(people[0].display_name, Some("Ann"));
    assert_eq!(people[0].claims.len(), 2);
}

#[test]
fn the_same_value_in_another_namespace_is_another_person() {
    let senders = [sender(&[claim(PHONE, "7")], ""), sender(&[claim("user", "7")], "")];
    assert_eq!(people(&senders).1, [0, 1]);
}

#[test]
fn the_holder_of_the_strongest_identity_is_the_contact() {
    let (phone, user) = (claim(PHONE, "+1"), claim("user", "a"));
    let (one, two): (ContactId, ContactId) = (ambient().id(), ambient().id());
    let holder = |contact| Holder { contact, named: true };
    let holders = HashMap::from([(&phone, holder(one)), (&user, holder(two))]);
    let senders = [sender(&[phone.clone(), user.clone()], "Ann")];
    let plan = plan(&people(&senders).0, &holders, &ambient());
    assert_eq!(plan.contacts, [one]);
    assert!(plan.is_empty(), "the other contact keeps its identity");
}

#[test]
fn a_known_person_gets_the_new_identity_and_the_first_name() {
    let (phone, user) = (claim(PHONE, "+1"), claim("user", "a"));
    let known: ContactId = ambient().id();
    let holders = HashMap::from([(&phone, Holder { contact: known, named: false })]);
    let senders = [sender(&[phone.clone(), user.clone()], " Ann ")];
    let plan = plan(&people(&senders).0, &holders, &ambient());
    assert_eq!((plan.identities, plan.names), (vec![(known, &user)], vec![(known, "Ann")]));
    assert!(plan.new.is_empty());
}

#[test]
fn language_tags_are_told_from_other_words() {
    for tag in ["en", "de-AT", "pt-BR", "zh-Hant", "gsw"] {
        assert!(is_language(tag), "{tag}");
    }
    for text in ["", "e", "English", "EN", "en_US", "en-", "en-x y", "deutsch", "en\0"] {
        assert!(!is_language(text), "{text}");
    }
}

fn any_senders() -> impl Strategy<Value = Vec<Sender>> {
    let claim = (0..2_u8, 0..6_u8).prop_map(|(namespace, value)| {
        let namespace = if namespace == 0 { PHONE } else { "user" };
        IdentityClaim { namespace, value: Personal(value.to_string()) }
    });
    let sender = prop::collection::vec(claim, 1..4)
        .prop_map(|identities| Sender { identities, display_name: None });
    prop::collection::vec(sender, 0..8)
}

proptest! {
    #[test]
    fn every_identity_of_a_batch_belongs_to_one_person(senders in any_senders()) {
        let (people, of_sender) = people(&senders);
        let claims: usize = people.iter().map(|person| person.claims.len()).sum();
        let distinct: std::collections::HashSet<_> =
            senders.iter().flat_map(|sender| &sender.identities).collect();
        prop_assert_eq!(claims, distinct.len(), "each identity belongs to one person");
        for (sender, person) in senders.iter().zip(&of_sender) {
            for claim in &sender.identities {
                prop_assert!(people[*person].claims.contains(&claim));
            }
        }
    }

    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(senders in any_senders()) {
        let (people, _) = people(&senders);
        let first = plan(&people, &HashMap::new(), &ambient());
        let holders = first
            .identities
            .iter()
            .map(|(contact, claim)| (*claim, Holder { contact: *contact, named: false }))
            .collect();
        let second = plan(&people, &holders, &ambient());
        prop_assert!(second.is_empty() && second.new.is_empty());
        prop_assert_eq!(second.contacts, first.contacts);
    }
}
