//! One snapshot for each file of test data: what comes of every type of item.

use serde_json::Value;

use crate::shown::{shown, whatsapp};

fn check(name: &str) {
    let path = format!("{}/src/whatsapp/testdata/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let raw = std::fs::read(&path).expect(&path);
    let events = whatsapp().receive(&raw).expect("a payload");
    let events: Vec<Value> = events.iter().map(shown).collect();
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_json_snapshot!(name, events);
    });
}

#[test]
fn texts_keep_what_they_answer_and_where_they_come_from() {
    check("text");
}

#[test]
fn files_keep_every_reference() {
    check("media");
}

#[test]
fn places_and_contact_cards_are_read() {
    check("location_and_contacts");
}

#[test]
fn presses_and_choices_are_read() {
    check("interactive");
}

#[test]
fn an_empty_or_absent_emoji_takes_a_reaction_back() {
    check("reaction");
}

#[test]
fn edits_and_revocations_name_the_original() {
    check("edit_and_revoke");
}

#[test]
fn a_new_number_or_id_is_an_identity_change() {
    check("system");
}

#[test]
fn types_without_a_form_of_their_own_keep_everything() {
    check("other_types");
}

#[test]
fn statuses_tell_who_and_why() {
    check("statuses");
}

#[test]
fn a_person_may_have_a_number_or_an_id_or_both() {
    check("identities");
}

#[test]
fn what_the_business_sent_elsewhere_is_an_echo() {
    check("echoes");
}

#[test]
fn history_is_marked_and_split_by_direction() {
    check("history");
}

#[test]
fn notices_are_kept_whole() {
    check("notices");
}

#[test]
fn a_broken_item_never_loses_its_neighbours() {
    check("broken_neighbours");
}

#[test]
fn notices_without_a_number_route_by_the_business_account() {
    let settings = serde_json::from_str(r#"{"waba_id": "102290129340398"}"#).expect("an object");
    assert_eq!(whatsapp().more_routes(&settings), ["102290129340398"]);
    assert_eq!(whatsapp().more_routes(&serde_json::Map::new()), Vec::<String>::new());
    assert_eq!(whatsapp().shared_hook(), Some("meta"));
}
