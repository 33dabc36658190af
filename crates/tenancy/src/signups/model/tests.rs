//! Room `tenancy`: links of sign-ups and what is set about them.

use super::*;

fn key() -> Key {
    Key::new([3; 32])
}

#[test]
fn a_link_names_its_sign_up_and_proves_it() {
    let id = Uuid::from_u128(7);
    let text = link(&key(), id, b"nonce");
    assert_eq!(named(&text), Some(id));
    assert!(is_link_of(&text, &key(), id, b"nonce"));
    assert!(!is_link_of(&text, &key(), id, b"other"), "another letter");
    assert!(!is_link_of(&text, &key(), Uuid::from_u128(8), b"nonce"), "another sign-up");
    assert!(!is_link_of(&text, &Key::new([4; 32]), id, b"nonce"), "another installation");
}

#[test]
fn what_is_no_link_names_nothing() {
    let good = link(&key(), Uuid::from_u128(7), b"nonce");
    let cut = &good.expose()[..good.expose().len() - 4];
    for text in ["", "mbs_", "mbs_!!!!", "mbl_AAAA", cut] {
        assert_eq!(named(&Secret::new(text)), None, "{text}");
    }
}

#[test]
fn networks_are_counted_under_a_key() {
    assert_eq!(digest(&key(), "192.0.2.1"), digest(&key(), "192.0.2.1"));
    assert_ne!(digest(&key(), "192.0.2.1"), digest(&key(), "192.0.2.2"));
    assert_ne!(digest(&key(), "192.0.2.1"), digest(&Key::new([4; 32]), "192.0.2.1"));
}

#[test]
fn sign_up_is_off_unless_somebody_opens_it() {
    let config = Config::default();
    assert!(!config.enabled);
    assert_eq!(config.validate(), Vec::<String>::new());
}

#[test]
fn every_setting_that_cannot_work_is_named() {
    let config = Config {
        plan: String::new(),
        link_s: 1,
        kept_s: 1,
        per_address: 0,
        per_email: 0,
        ..Config::default()
    };
    assert_eq!(config.validate().len(), 5);
}

#[test]
fn a_fault_of_the_password_lies_where_the_person_wrote_it() {
    let fault = |pointer: &str| Fault { pointer: pointer.to_owned(), detail: String::new() };
    let faults = vec![fault("/owner/password"), fault("/slug")];
    let error = Error::from(TenantError::Invalid(faults));
    let pointers: Vec<String> = error.faults().into_iter().map(|one| one.pointer).collect();
    assert_eq!(pointers, ["/password", "/slug"]);
}

#[test]
fn why_a_link_does_not_work_is_told_to_nobody() {
    assert_eq!((Error::Link.code(), Error::Link.detail()), (Code::InvalidLink, None));
}
