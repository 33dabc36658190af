//! Room `identity`: what logins come to, without a database.

use misy_core::UserId;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sso_connections::model::GroupRole;

fn rules(jit: bool, default_role: Option<Role>, mapping: &[(&str, Role)]) -> Rules {
    let mapping = mapping
        .iter()
        .map(|(group, role)| GroupRole { group: (*group).to_owned(), role: *role })
        .collect();
    Rules {
        jit,
        default_role,
        role_ceiling: Role::Admin,
        role_mapping: mapping,
        attributes: Attributes::default(),
    }
}

fn ana(groups: &[&str]) -> Assertion {
    Assertion {
        subject: "248289761001".to_owned(),
        email: Some("Ana@Acme.Example".to_owned()),
        email_verified: true,
        name: Some(" Ana Roy ".to_owned()),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Assertion::default()
    }
}

fn user(role: Role, status: Status) -> User {
    User {
        id: UserId::from_uuid(Uuid::from_u128(1)),
        account: Uuid::nil(),
        email: misy_core::Personal("ana@acme.example".to_owned()),
        name: misy_core::Personal("Ana".to_owned()),
        role,
        own_role: None,
        status,
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn enabled() -> Known {
    Known { enabled: true, ..Known::default() }
}

fn linked(role: Role, status: Status) -> Known {
    Known { linked: Some(user(role, status)), ..enabled() }
}

fn by_email(domain_verified: bool) -> Known {
    let by_email = Some(user(Role::Agent, Status::Active));
    Known { by_email, domain_verified, ..enabled() }
}

#[test]
fn a_newcomer_is_added_with_the_highest_role_of_their_groups() {
    let rules = rules(true, None, &[("a", Role::Viewer), ("b", Role::Supervisor)]);
    let found = yields(&rules, &ana(&["x", "b", "a"]), enabled()).expect("lets in");
    assert_eq!((found.role, found.groups), (Role::Supervisor, vec!["a".into(), "b".into()]));
    let Who::New { email, name } = found.who else { panic!("is new") };
    assert_eq!((email.as_str(), name.as_str()), ("ana@acme.example", "Ana Roy"));
}

#[test]
fn whoever_has_no_group_and_no_default_stays_outside() {
    let rules = rules(true, None, &[("a", Role::Viewer)]);
    assert_eq!(yields(&rules, &ana(&["A", "a "]), enabled()), Err(Refusal::NoRole));
    let known = linked(Role::Viewer, Status::Active);
    assert_eq!(yields(&rules, &ana(&[]), known), Err(Refusal::NoRole));
}

#[test]
fn without_a_mapping_a_person_keeps_the_role_they_have() {
    let rules = rules(false, Some(Role::Viewer), &[]);
    let known = linked(Role::Supervisor, Status::Active);
    assert_eq!(yields(&rules, &ana(&[]), known).map(|it| it.role), Ok(Role::Supervisor));
}

#[test]
fn an_address_alone_opens_nothing_that_is_not_vouched_for() {
    let rules = rules(true, Some(Role::Agent), &[]);
    let unverified = Assertion { email_verified: false, ..ana(&[]) };
    let refused = yields(&rules, &unverified, by_email(true));
    assert_eq!(refused, Err(Refusal::EmailNotVerified));
    let refused = yields(&rules, &ana(&[]), by_email(false));
    assert_eq!(refused, Err(Refusal::DomainNotVerified));
    let found = yields(&rules, &ana(&[]), by_email(true)).expect("lets in");
    assert!(matches!(found.who, Who::Found(_)));
}

#[test]
fn an_owner_and_whoever_is_disabled_stay_outside() {
    let rules = rules(true, Some(Role::Agent), &[]);
    let owner = yields(&rules, &ana(&[]), linked(Role::Owner, Status::Active));
    assert_eq!(owner, Err(Refusal::AboveCeiling));
    let disabled = yields(&rules, &ana(&[]), linked(Role::Agent, Status::Disabled));
    assert_eq!(disabled, Err(Refusal::UserDisabled));
}

#[test]
fn what_is_missing_is_named() {
    let rules = rules(true, Some(Role::Agent), &[]);
    let nobody = Assertion { subject: String::new(), ..ana(&[]) };
    assert_eq!(yields(&rules, &nobody, enabled()), Err(Refusal::NoSubject));
    let long = Assertion { subject: "x".repeat(256), ..ana(&[]) };
    assert_eq!(yields(&rules, &long, enabled()), Err(Refusal::NoSubject));
    for email in [None, Some("ana".to_owned())] {
        let without = Assertion { email, ..ana(&[]) };
        assert_eq!(yields(&rules, &without, enabled()), Err(Refusal::NoEmail));
    }
    let closed = Rules { jit: false, ..rules.clone() };
    assert_eq!(yields(&closed, &ana(&[]), enabled()), Err(Refusal::NotProvisioned));
    let off = Known { enabled: false, ..linked(Role::Agent, Status::Active) };
    assert_eq!(yields(&rules, &ana(&[]), off), Err(Refusal::Disabled));
}

#[test]
fn claims_are_read_by_the_names_of_the_connection() {
    let names = Attributes {
        email: "upn".to_owned(),
        name: "https://x/name".to_owned(),
        groups: "roles".to_owned(),
    };
    let claims = json!({
        "upn": ["ana@acme.example", "other@acme.example"], "https://x/name": "Ana",
        "roles": ["a", 7, "", "b"], "sid": "s1", "auth_time": 10, "amr": "pwd", "email": "no",
    });
    let read = Assertion::read(&names, "1", claims.as_object().expect("an object"), false);
    assert_eq!(read.email.as_deref(), Some("ana@acme.example"));
    assert_eq!((read.groups, read.amr), (vec!["a".into(), "b".into()], vec!["pwd".into()]));
    assert_eq!(read.auth_time, Timestamp::from_second(10).ok());
    assert_eq!(read.session_index.as_deref(), Some("s1"));
}

#[test]
fn an_assertion_prints_nothing_of_the_person() {
    let shown = format!("{:?}", ana(&["secret-group"]));
    assert!(!shown.contains("Ana") && !shown.contains("2482") && !shown.contains("secret"));
}

#[test]
fn only_a_path_of_ours_is_returned_to() {
    for path in ["/", "/app", "/app/a?b=c&d=%2F", "/a//b"] {
        assert!(is_own_path(path), "{path}");
    }
    let foreign = [
        "",
        "app",
        "//evil.test",
        "/\\evil.test",
        "\\/evil.test",
        "https://evil.test/",
        "javascript:alert(1)",
        "/a\r\nLocation: https://evil.test",
        "/a\tb",
        "/a#sso_code=mine",
        "/\u{e9}",
    ];
    for path in foreign {
        assert!(!is_own_path(path), "{path}");
    }
}

#[test]
fn an_address_is_on_a_page_if_nothing_of_its_host_differs() {
    let page = "https://Chat.acme.example:8443/start#x";
    for address in [
        "https://chat.acme.example:8443",
        "https://CHAT.acme.example:8443/in?next=1",
        "https://chat.acme.example:8443?a=b",
    ] {
        assert!(is_on_page(page, address), "{address}");
    }
    for address in [
        "https://chat.acme.example/",
        "http://chat.acme.example:8443/",
        "https://chat.acme.example:8443.evil.test/",
        "https://chat.acme.example:8443@evil.test/",
        "https://chat.acme.example:8443\\@evil.test/",
        "https://evil.test/?https://chat.acme.example:8443/",
        "https://chat.acme.example:8443/#sso_code=mine",
        "https://chat.acme.example:8443/a\r\nb",
        "https:///in",
        "//chat.acme.example:8443/",
        "",
    ] {
        assert!(!is_on_page(page, address), "{address}");
    }
    assert!(!is_on_page("https://", "https://"), "a page without a host");
    assert_eq!(address_of("https://api.example", "/app"), "https://api.example/app");
}

#[test]
fn what_a_state_derives_depends_on_the_key_and_the_purpose() {
    let key = |byte| crypto::Key::new([byte; 32]);
    let first = derive(&key(1), "state");
    assert_ne!(first.nonce, first.verifier.expose());
    assert_ne!(first.nonce, derive(&key(2), "state").nonce);
    assert_ne!(first.nonce, derive(&key(1), "other").nonce);
    assert!((43..=128).contains(&first.verifier.expose().len()), "RFC 7636 section 4.1");
}

#[test]
fn the_challenge_is_that_of_the_standard() {
    // RFC 7636 appendix B.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(challenge_of(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

proptest! {
    #[test]
    fn nobody_gets_more_than_the_ceiling_and_nobody_becomes_an_owner(
        ceiling in 0usize..4, has in 0usize..5, mapped in prop::collection::vec(0usize..5, 0..4),
        known in 0u8..3, jit: bool,
    ) {
        let roles = Role::OF_TENANT;
        let names: Vec<String> = (0..mapped.len()).map(|at| format!("g{at}")).collect();
        let mapping: Vec<_> =
            names.iter().zip(&mapped).map(|(name, role)| (name.as_str(), roles[*role])).collect();
        let mut rules = rules(jit, Some(Role::Viewer), &mapping);
        rules.role_ceiling = roles[ceiling];
        let groups: Vec<&str> = names.iter().map(String::as_str).collect();
        let who = Some(user(roles[has], Status::Active));
        let known = match known {
            0 => enabled(),
            1 => Known { linked: who, ..enabled() },
            _ => Known { by_email: who, domain_verified: true, ..enabled() },
        };
        if let Ok(found) = yields(&rules, &ana(&groups), known) {
            prop_assert!(found.role <= rules.role_ceiling && found.role < Role::Owner);
        }
    }

    #[test]
    fn a_code_reads_back_and_no_text_makes_the_reader_panic(
        bits: u128, secret: [u8; 32], text in "(mbc_)?.{0,90}",
    ) {
        let id = SsoConnectionId::from_uuid(Uuid::from_u128(bits));
        let read = read_code(&code_text(id, secret));
        prop_assert_eq!(read, Some((id, crypto::sha256(&secret).to_vec())));
        prop_assert_eq!(read_code(&Secret::new(text)), None);
    }
}

#[test]
fn a_second_factor_is_believed_where_the_provider_names_one() {
    let saw = |amr: &[&str]| {
        let amr = amr.iter().map(|one| (*one).to_owned()).collect();
        Assertion { amr, ..ana(&[]) }.saw_second_factor()
    };
    assert!(saw(&["mfa"]) && saw(&["pwd", "otp"]) && saw(&["pin", "hwk"]));
    assert!(!saw(&[]) && !saw(&["pwd"]) && !saw(&["otp"]) && !saw(&["pwd", "pin"]));
}

#[test]
fn nobody_comes_in_whose_own_role_goes_beyond_the_ceiling() {
    let rules = Rules { role_ceiling: Role::Agent, ..rules(false, None, &[]) };
    let known = |own: Role| Known {
        linked: Some(user(Role::Viewer, Status::Active)),
        own: Some(own.grants()),
        enabled: true,
        ..Known::default()
    };
    assert_eq!(yields(&rules, &ana(&[]), known(Role::Admin)), Err(Refusal::AboveCeiling));
    assert!(yields(&rules, &ana(&[]), known(Role::Agent)).is_ok());
}
