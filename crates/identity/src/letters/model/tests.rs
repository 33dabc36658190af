//! Room `identity`: links open what they were made for and nothing else.

use misy_core::id::TypedId;
use proptest::prelude::*;

use super::*;

fn letter(kind: Kind) -> Letter {
    Letter {
        id: Uuid::from_u128(7),
        kind,
        tenant: Some(TenantId::from_uuid(Uuid::from_u128(1))),
        account: Some(Uuid::from_u128(2)),
        user: None,
        nonce: vec![9; 16],
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: Timestamp::from_second(60).expect("in range"),
        detail: None,
    }
}

fn found(kind: Kind) -> Found {
    Found {
        letter: letter(kind),
        email: Some(Personal("ana@acme.example".to_owned())),
        slug: Some("acme".to_owned()),
        look: Look::default(),
        used: false,
    }
}

const PUBLIC_URL: &str = "https://api.example";

fn key() -> Key {
    Key::new([3; 32])
}

#[test]
fn a_link_is_of_its_letter_its_kind_its_nonce_and_its_key() {
    let made = link(&key(), &letter(Kind::Recovery));
    let read = Link::read(&made).expect("a link of ours");
    assert!(read.is_of(&key(), &letter(Kind::Recovery)));
    assert!(!read.is_of(&key(), &letter(Kind::Invitation)), "another purpose");
    assert!(!read.is_of(&Key::new([4; 32]), &letter(Kind::Recovery)), "another installation");
    let renewed = Letter { nonce: vec![8; 16], ..letter(Kind::Recovery) };
    assert!(!read.is_of(&key(), &renewed), "sent again since");
    let other = Letter { id: Uuid::from_u128(8), ..letter(Kind::Recovery) };
    assert!(!read.is_of(&key(), &other), "another letter");
}

#[test]
fn a_letter_is_open_until_it_is_used_or_late() {
    let fresh = found(Kind::Recovery);
    assert!(fresh.is_open(Timestamp::from_second(59).expect("in range")));
    assert!(!fresh.is_open(Timestamp::from_second(60).expect("in range")));
    assert!(!Found { used: true, ..fresh }.is_open(Timestamp::UNIX_EPOCH));
}

#[test]
fn every_kind_has_a_name_of_its_own_that_reads_back() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_slug(kind.slug()), Some(kind));
    }
}

#[test]
fn the_link_is_in_the_text_alone_and_behind_the_fragment_of_the_page() {
    let app_url = Some("https://app.example/".to_owned());
    let links = Links { app_url, ..Links::default() };
    let made = link(&key(), &letter(Kind::Invitation));
    let mail = compose(&found(Kind::Invitation), &key(), &links, PUBLIC_URL, Timestamp::UNIX_EPOCH)
        .expect("there is a receiver");
    let page = format!("https://app.example/invitation#token={}\n", made.expose());
    assert!(mail.text.expose().contains(&page), "{}", mail.text.expose());
    assert!(mail.text.expose().contains("https://api.example/v1/auth/invitation"));
    assert!(!mail.subject.contains(made.expose()));
}

fn brand() -> Value {
    serde_json::json!({
        "name": "Acme", "mail_sender_name": "Acme's desk",
        "mail_sender_address": "desk@mail.acme.example", "app_url": "https://chat.acme.example/in",
    })
}

#[test]
fn a_mail_looks_like_its_tenant_once_the_domain_is_shown_to_be_the_tenants() {
    let links = Links { app_url: Some("https://app.example".to_owned()), ..Links::default() };
    let write = |domains: &[&str]| {
        let domains: Vec<String> = domains.iter().map(|one| (*one).to_owned()).collect();
        let look = Look::of(&brand(), &domains);
        let found = Found { look, ..found(Kind::Invitation) };
        compose(&found, &key(), &links, PUBLIC_URL, Timestamp::UNIX_EPOCH).expect("a receiver")
    };
    let own = write(&["other.example", "acme.example"]);
    assert_eq!(own.from.address.as_deref(), Some("desk@mail.acme.example"));
    assert!(own.text.expose().contains("https://chat.acme.example/in/invitation#token=mbl_"));
    assert_eq!(own.subject, "You are invited to Acme");
    for others in [&[][..], &["other.example"], &["cme.example"], &["chat.acme.example.evil"]] {
        let mail = write(others);
        assert_eq!(mail.from.address, None, "{others:?}");
        assert_eq!(mail.from.name.as_deref(), Some("Acme's desk"), "a name proves nothing");
        assert!(mail.text.expose().contains("https://app.example/invitation#"), "{others:?}");
    }
}

#[test]
fn a_page_that_only_seems_to_be_the_tenants_is_none() {
    let domains = ["acme.example".to_owned()];
    for url in [
        "https://acme.example@evil.example/",
        "http://acme.example/",
        "https://evil.example/acme.example",
        "https://evil.example?acme.example",
        "https://evil.example#.acme.example",
        "https://notacme.example",
        "https://evil.example\\.acme.example",
    ] {
        let brand = serde_json::json!({ "app_url": url });
        assert_eq!(Look::of(&brand, &domains).app_url, None, "{url}");
    }
    let brand = serde_json::json!({ "app_url": "https://ACME.example:8443/x" });
    assert!(Look::of(&brand, &domains).app_url.is_some());
}

#[test]
fn a_note_has_no_link_and_nobody_gets_no_mail() {
    let links = Links::default();
    for kind in [Kind::PasswordChanged, Kind::FactorAdded, Kind::FactorRemoved] {
        let mail = compose(&found(kind), &key(), &links, PUBLIC_URL, Timestamp::UNIX_EPOCH);
        let text = mail.expect("there is a receiver").text;
        assert!(!text.expose().contains(PREFIX), "{kind:?}");
    }
    let nobody = Found { email: None, ..found(Kind::Recovery) };
    assert!(compose(&nobody, &key(), &links, PUBLIC_URL, Timestamp::UNIX_EPOCH).is_none());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,90}") {
        prop_assert!(Link::read(&Secret::new(text.clone())).is_none());
        let _ = Link::read(&Secret::new(format!("mbl_{text}")));
    }

    #[test]
    fn a_link_with_another_bit_is_of_no_letter(at in 0usize..64, bit in 0u8..6) {
        let good = link(&key(), &letter(Kind::Recovery));
        let mut bytes = crypto::from_base64url(&good.expose()[4..]).expect("base64url");
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let text = Secret::new(format!("mbl_{}", crypto::to_base64url(&bytes)));
        let read = Link::read(&text).expect("of the right length");
        prop_assert!(!read.is_of(&key(), &letter(Kind::Recovery)));
    }
}
