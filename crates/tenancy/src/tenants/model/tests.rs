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

#[test]
fn only_these_steps_lead_somewhere() {
    let mut found = Vec::new();
    for status in Status::ALL {
        for step in [Step::Activate, Step::Suspend] {
            if let Some(next) = status.after(step) {
                found.push((status, step, next));
            }
        }
    }
    assert_eq!(
        found,
        [
            (Status::Provisioning, Step::Activate, Status::Active),
            (Status::Active, Step::Suspend, Status::Suspended),
            (Status::Suspended, Step::Activate, Status::Active),
        ]
    );
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
