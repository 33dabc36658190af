//! Room `policy`: which texts are policies of tenants, and what is said of those that are not.

use misy_core::Permission;
use misy_policy::vocabulary::{self, schema_text};
use misy_policy::{Flaw, Vocabulary, VocabularyError, check, templates};

fn flaws(text: &str) -> Vec<Flaw> {
    check(text, Vocabulary::plain()).expect_err("refused")
}

const CONVERSATION: &str = "principal in MisyBot::Role::\"agent\", \
    action == MisyBot::Action::\"conversation.read\", resource is MisyBot::Conversation";

#[test]
fn a_forbid_of_our_words_is_good() {
    let text = format!("forbid ({CONVERSATION}) when {{ resource.status == \"closed\" }};");
    let checked = check(&text, Vocabulary::plain()).expect("good");
    assert!(checked.forbids && checked.warnings.is_empty(), "{checked:?}");
}

#[test]
fn every_flaw_of_meaning_is_told_at_once_with_its_place() {
    let text = format!(
        "forbid ({CONVERSATION})\nwhen {{\n  resource.colour == \"red\" ||\n  resource.status == 7\n}};"
    );
    let found = flaws(&text);
    let places: Vec<(usize, usize)> = found.iter().map(|flaw| (flaw.line, flaw.column)).collect();
    assert_eq!(places, [(3, 3), (4, 3)], "{found:#?}");
    assert!(found[0].message.contains("colour"), "{}", found[0].message);
    assert!(found.iter().all(|flaw| !flaw.message.contains("for policy")), "{found:#?}");
}

#[test]
fn a_flaw_of_form_is_told_with_what_was_expected() {
    let found = flaws("forbid (principal, action, resource)\nwhen { resource.status = 1 };");
    assert_eq!((found.len(), found[0].line), (1, 2), "{found:#?}");
    let found = flaws("allow everything");
    assert_eq!((found[0].line, found[0].column), (1, 7), "{found:#?}");
    assert!(found[0].message.contains("expected `(`"), "{found:#?}");
    for text in ["", "   ", "// nothing", "permit(principal == ?principal, action, resource);"] {
        assert!(!flaws(text).is_empty(), "{text}");
    }
    let two = format!("forbid ({CONVERSATION}); forbid ({CONVERSATION});");
    assert!(!flaws(&two).is_empty(), "one policy has one text");
    assert!(flaws(&"é".repeat(5_000))[0].message.contains("longer"));
}

#[test]
fn a_permit_for_everybody_is_refused_and_one_for_somebody_is_not() {
    let found = flaws("permit (principal, action, resource);");
    assert!(found[0].message.contains("for everybody"), "{found:#?}");
    assert_eq!((found[0].line, found[0].column, found[0].length), (1, 9, 9));
    let condition = "permit (principal, action, resource) when { principal.tenant == \"x\" };";
    assert!(flaws(condition).iter().any(|flaw| flaw.message.contains("for everybody")));
    let scoped = format!("permit ({CONVERSATION});");
    let checked = check(&scoped, Vocabulary::plain()).expect("good");
    assert!(checked.warnings[0].message.contains("more than their role"), "{checked:?}");
}

#[test]
fn who_or_what_is_not_there_is_refused() {
    for wrong in [
        "forbid (principal in MisyBot::Team::\"x\", action, resource);",
        "forbid (principal, action == MisyBot::Action::\"conversation.burn\", resource);",
        "forbid (principal, action == Action::\"conversation.read\", resource);",
        "forbid (principal is MisyBot::Operator, action, resource);",
        "forbid (principal, action, resource) when { context.weather == \"bad\" };",
        "forbid (principal, action, resource) when { principal.role == \"agent\" };",
    ] {
        assert!(!flaws(wrong).is_empty(), "{wrong}");
    }
    let slip =
        flaws("forbid (principal, action == MisyBot::Action::\"conversation.raed\", resource);");
    assert!(slip.iter().any(|flaw| flaw.message.contains("conversation.raed")), "{slip:#?}");
    assert!(slip.iter().any(|flaw| flaw.help.is_some()), "{slip:#?}");
}

#[test]
fn a_forbid_for_everybody_is_let_through_with_a_warning() {
    let text = "forbid (principal, action == MisyBot::Action::\"audit.read\", resource);";
    let checked = check(text, Vocabulary::plain()).expect("good");
    assert!(checked.warnings.iter().any(|flaw| flaw.message.contains("everybody")));
}

#[test]
fn every_permission_of_tenants_is_a_word_and_none_of_the_platform() {
    for permission in Permission::ALL {
        let slug = permission.slug();
        let text = format!(
            "forbid (principal in MisyBot::Role::\"x\", action == MisyBot::Action::\"{slug}\", \
             resource);"
        );
        let good = check(&text, Vocabulary::plain()).is_ok();
        assert_eq!(good, !slug.starts_with("platform."), "{slug}");
    }
    let groups = vocabulary::SENSITIVE.iter().filter(|one| schema_text().contains(one.slug()));
    assert_eq!(groups.count(), vocabulary::SENSITIVE.len());
}

#[test]
fn a_tenant_declares_in_its_own_namespace_only() {
    let good = "namespace App { entity user; entity record { status?: String };
        action read appliesTo { principal: [user], resource: [record], context: {} }; }";
    let words = Vocabulary::new(Some(good)).expect("good");
    let text = "permit (principal == App::user::\"alice\", action == App::Action::\"read\", \
        resource is App::record) when { resource has status && resource.status == \"open\" };";
    let checked = check(text, &words).expect("good");
    assert!(!checked.forbids && checked.warnings.is_empty(), "{checked:?}");
    assert!(check(text, Vocabulary::plain()).is_err());
    for outside in
        ["entity user;", "namespace MisyBot { entity Spy; }", "namespace Else { entity a; }"]
    {
        let refused = Vocabulary::new(Some(outside)).err().expect("refused");
        assert!(
            matches!(refused, VocabularyError::Namespace | VocabularyError::Schema(_)),
            "{outside}"
        );
    }
    assert!(matches!(Vocabulary::new(Some("no schema")).err(), Some(VocabularyError::Schema(_))));
}

#[test]
fn every_template_gives_a_good_policy_and_takes_identifiers_only() {
    for template in templates::TEMPLATES {
        let text = template.fill(|_| Some("agent".to_owned())).expect("filled");
        let checked = check(&text, Vocabulary::plain());
        assert!(
            checked.as_ref().is_ok_and(|checked| checked.forbids),
            "{}: {checked:?}",
            template.slug
        );
        assert_eq!(templates::find(template.slug), Some(&template));
        let faults = template.fill(|_| None).expect_err("empty");
        assert_eq!(faults.len(), template.blanks.len());
        for sly in ["x\", action, resource); permit(principal in MisyBot::Role::\"x", "", "é"] {
            assert!(template.fill(|_| Some(sly.to_owned())).is_err());
        }
    }
    assert_eq!(templates::find("nothing"), None);
}
