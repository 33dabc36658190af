//! Room `tenancy`: which names and steps are good ones.

use super::*;
use proptest::prelude::*;

fn faults_of_slug(slug: &str) -> usize {
    usize::from(check_slug(slug).is_err())
}

fn new(slug: &str) -> NewTenant {
    NewTenant {
        slug: slug.to_owned(),
        name: "Acme".to_owned(),
        owner: NewOwner {
            email: Personal("ann@acme.example".to_owned()),
            name: Personal("Ann".to_owned()),
            password: Some(Secret::new("correct horse")),
        },
        plan: "trial".to_owned(),
        locale: "de-DE".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        business: Map::new(),
        allowed_origins: vec!["https://ok.example".to_owned()],
        brand: Brand::default(),
        contacts: Vec::new(),
        placement: Placement::default(),
    }
}

fn pointers(faults: &[Fault]) -> Vec<&str> {
    faults.iter().map(|fault| fault.pointer.as_str()).collect()
}

#[test]
fn ordinary_slugs_are_taken() {
    for slug in ["acme", "a1", "bakery-24", "0x"] {
        assert_eq!(faults_of_slug(slug), 0, "{slug}");
    }
}

#[test]
fn slugs_that_mislead_are_refused() {
    for slug in
        ["a", "Acme", "аcme", "xn--80ak6aa92e", "-a", "a-", "a--b", "admin", "a.b", "", "a b"]
    {
        assert_eq!(faults_of_slug(slug), 1, "{slug}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    assert_eq!(check_new(&new("acme")), []);
    let mut bad = new("A");
    bad.name = "A\nB".to_owned();
    bad.owner.name = Personal(" ".to_owned());
    bad.time_zone = "Mars/Olympus".to_owned();
    bad.locale = "english".to_owned();
    bad.business.insert("vat".to_owned(), Value::from("DE\0"));
    bad.allowed_origins.push("https://no.example/path".to_owned());
    assert_eq!(
        pointers(&check_new(&bad)),
        [
            "/slug",
            "/name",
            "/owner/name",
            "/locale",
            "/time_zone",
            "/business",
            "/allowed_origins/1"
        ]
    );
}

#[test]
fn a_change_is_judged_by_what_it_changes() {
    assert_eq!(check_change(&Change::default()), []);
    let change = Change {
        locale: Some("x".to_owned()),
        allowed_origins: Some(vec!["HTTPS://A".to_owned()]),
        ..Change::default()
    };
    assert_eq!(pointers(&check_change(&change)), ["/locale", "/allowed_origins/0"]);
    assert_eq!(change.fields(), ["locale", "allowed_origins"]);
}

#[test]
fn business_data_may_speak_of_the_character_it_may_not_hold() {
    let business = |text: &str| Map::from_iter([("note".to_owned(), Value::from(text))]);
    assert_eq!(check_business(&business("\\u0000")), Ok(()));
    assert!(check_business(&business("\\\0")).is_err());
    assert!(check_business(&business(&"x".repeat(20_000))).is_err());
}

#[test]
fn a_seed_reads_back_and_shows_nothing() {
    let owner = new("acme").owner;
    let seed = owner.to_seed();
    assert!(!format!("{seed:?} {owner:?}").contains("acme"));
    let read = NewOwner::from_seed(&seed).expect("what was written");
    assert_eq!((read.email, read.name), (owner.email, owner.name));
    assert_eq!(read.password, owner.password);
}

/// The table as people read it: a row for each status, a column for each event of an operator.
#[test]
fn every_event_in_every_status_leads_where_the_table_says_or_nowhere() {
    use Event::{Activate, Close, GivenUp, Provisioned, Purge, Purged, Restore, Suspend};
    let mut shown = String::new();
    for status in Status::ALL {
        let events = [Provisioned, GivenUp, Activate, Suspend, Close, Restore, Purge, Purged];
        let cells = events.map(|event| status.after(event).map_or("-", Status::slug));
        shown = format!("{shown}{}: {}\n", status.slug(), cells.join(" "));
    }
    let expected = "\
requested: - - - - - - - -
provisioning: active failed active - - - - -
active: - - - suspended closing - - -
suspended: - - active - closing - - -
closing: - - - - - active purging -
purging: - - - - - - - purged
purged: - - - - - - - -
failed: - - - - - - purging -
";
    assert_eq!(shown, expected);
    let restored = Status::ALL.map(|status| status.after(Event::RestoreSuspended));
    let restored: Vec<_> = restored.into_iter().flatten().collect();
    assert_eq!(restored, [Status::Suspended]);
}

#[test]
fn the_table_says_each_thing_once() {
    let pairs: std::collections::HashSet<_> =
        TRANSITIONS.iter().map(|(from, event, _)| (from, event)).collect();
    assert_eq!(pairs.len(), TRANSITIONS.len());
    for (_, event, _) in TRANSITIONS {
        assert!(ACTIONS.iter().any(|(one, ..)| *one == event), "{event:?} has a name");
    }
}

/// Wherever a tenant stands but at its end, it can be brought to its end.
#[test]
fn no_status_is_a_trap() {
    for start in Status::ALL.into_iter().filter(|status| *status != Status::Requested) {
        let mut reached = vec![start];
        let mut at = 0;
        while at < reached.len() {
            let from = reached[at];
            let next = TRANSITIONS.iter().filter(|(one, ..)| *one == from).map(|(.., to)| *to);
            let next: Vec<_> = next.filter(|to| !reached.contains(to)).collect();
            reached.extend(next);
            at += 1;
        }
        assert!(reached.contains(&Status::Purged), "{start:?}");
    }
}

#[test]
fn a_word_of_two_scripts_is_no_name_and_a_name_of_two_words_may_be() {
    for good in ["Acme GmbH", "Кафе Acme", "株式会社ミシー", "Café 24/7", "O’Neil & Söhne"]
    {
        assert_eq!(check_name(good), Ok(()), "{good}");
    }
    // The first letter is Cyrillic, and so is the third of the second.
    for bad in ["\u{410}cme GmbH", "Pa\u{443}pal", ""] {
        assert!(check_name(bad).is_err(), "{bad}");
    }
}

#[test]
fn every_fault_of_a_look_is_told_where_it_is() {
    let brand = Brand {
        name: Some("\u{410}cme".to_owned()),
        logo_url: Some("javascript:alert(1)".to_owned()),
        app_url: Some("https://acme.example@evil.example".to_owned()),
        mail_sender_address: Some("nobody".to_owned()),
        ..Brand::default()
    };
    let contact = Contact {
        role: "billing".to_owned(),
        name: Personal("\u{7}".to_owned()),
        email: Personal("x@y".to_owned()),
        phone: None,
    };
    let change = Change { brand: Some(brand), contacts: Some(vec![contact]), ..Change::default() };
    let pointers: Vec<_> = check_change(&change).into_iter().map(|fault| fault.pointer).collect();
    let expected = [
        "/brand/name",
        "/brand/logo_url",
        "/brand/app_url",
        "/brand/mail_sender_address",
        "/contacts/0/name",
        "/contacts/0/email",
    ];
    assert_eq!(pointers, expected);
}

#[test]
fn statuses_read_back() {
    for status in Status::ALL {
        assert_eq!(Status::parse(status.slug()), Some(status));
    }
}

proptest! {
    #[test]
    fn a_slug_that_is_taken_is_a_host_label(slug in "[a-zA-Z0-9.\\-_ä]{0,70}") {
        if faults_of_slug(&slug) == 0 {
            prop_assert!(slug.len() <= 63 && slug.is_ascii());
            prop_assert!(!slug.starts_with('-') && !slug.ends_with('-'));
        }
    }
}
