//! Room `identity`: what roles come to, and which are refused.

use super::*;
use misy_core::id::TypedId;
use proptest::prelude::*;
use uuid::Uuid;

fn built_in(role: Role) -> TenantRole {
    let parent = parent(role).map(|role| role.slug().to_owned());
    let id = RoleId::from_uuid(Uuid::nil());
    let slug = role.slug().to_owned();
    TenantRole { id, slug, name: String::new(), parent, own: vec![], built_in: true, version: 1 }
}

fn own(slug: &str, inherits: &str, permissions: &[Permission]) -> TenantRole {
    let new = NewRole {
        slug: slug.to_owned(),
        name: slug.to_owned(),
        inherits: inherits.to_owned(),
        permissions: permissions.to_vec(),
    };
    make(RoleId::from_uuid(Uuid::nil()), new).expect("a role")
}

fn book(own: impl IntoIterator<Item = TenantRole>) -> RoleBook {
    RoleBook::new(Role::OF_TENANT.into_iter().map(built_in).chain(own))
}

#[test]
fn a_role_has_what_it_grants_and_all_it_inherits() {
    let reviewer = own("reviewer", "viewer", &[Permission::KnowledgeManage]);
    let lead = own("lead", "reviewer", &[Permission::AuditRead]);
    let book = book([reviewer, lead]);
    let granted = book.grants("lead");
    assert!(granted.covers(Role::Viewer.grants()));
    assert!(granted.has(Permission::KnowledgeManage) && granted.has(Permission::AuditRead));
    assert!(!granted.has(Permission::MessageSend));
    assert_eq!(book.effect("lead").base, Some(Role::Viewer));
    let affected: Vec<String> = book.affected("lead").into_iter().map(|one| one.0).collect();
    assert_eq!((affected, book.affected("reviewer").len()), (vec!["lead".to_owned()], 2));
}

#[test]
fn a_circle_an_unknown_parent_and_the_platform_are_refused() {
    let (one, two) = (own("one", "viewer", &[]), own("two", "one", &[]));
    let book = book([one.clone(), two]);
    let to = |inherits: &str| RoleChange { inherits: Some(inherits.to_owned()), ..<_>::default() };
    for inherits in ["two", "one", "three", ""] {
        let circle = change(&one, to(inherits)).expect("a role");
        assert!(matches!(book.check(&circle), Err(Error::Invalid(_))), "{inherits}");
    }
    assert_eq!(book.check(&own("four", "two", &[])), Ok(()));
    let platform = own("five", "viewer", &[Permission::PlatformTenantManage]);
    assert!(matches!(book.check(&platform), Err(Error::Invalid(_))));
    let changed = change(&built_in(Role::Admin), RoleChange::default());
    assert_eq!(changed, Err(Error::BuiltIn));
}

#[test]
fn a_line_is_as_long_as_allowed_and_no_longer() {
    let mut line = book([]);
    let mut above = "viewer".to_owned();
    for at in 0..DEPTH_MAX {
        let next = own(&format!("r{at}"), &above, &[]);
        assert_eq!(line.check(&next), Ok(()), "{at}");
        above.clone_from(&next.slug);
        line = line.with(next);
    }
    assert!(matches!(line.check(&own("last", &above, &[])), Err(Error::Invalid(_))));
}

#[test]
fn a_slug_is_plain_and_nobody_elses() {
    let named = |slug: &str| NewRole {
        slug: slug.to_owned(),
        name: String::new(),
        inherits: "viewer".to_owned(),
        permissions: Vec::new(),
    };
    let made = |slug: &str| make(RoleId::from_uuid(Uuid::nil()), named(slug));
    for slug in ["", "Big", "a b", "1st", "_x", "é"] {
        assert!(matches!(made(slug), Err(Error::Invalid(_))), "{slug}");
    }
    assert_eq!(made("support").err(), Some(Error::SlugTaken));
    assert_eq!(made("owner").err(), Some(Error::SlugTaken));
    assert!(made("shift_lead_2").is_ok());
    let book = book([own("mine", "agent", &[])]);
    assert!(assign("operator", &book).is_err() && assign("nobody", &book).is_err());
    let mine = assign("mine", &book).expect("a role");
    assert!(mine.grants(&book).covers(Role::Agent.grants()));
}

proptest! {
    #[test]
    fn whatever_the_book_says_asking_it_ends(parents in prop::collection::vec(0usize..6, 6)) {
        let names: Vec<String> = (0..6).map(|at| format!("r{at}")).collect();
        let roles = parents.iter().enumerate().map(|(at, to)| {
            let inherits = if *to == at { "viewer" } else { names[*to].as_str() };
            own(&names[at], inherits, &[Permission::ALL[at]])
        });
        let book = book(roles);
        for name in &names {
            let granted = book.grants(name);
            let sound = book.line(name).is_some();
            prop_assert_eq!(granted.covers(Role::Viewer.grants()), sound);
        }
    }
}

#[test]
fn each_role_inherits_from_the_one_below() {
    let line: Vec<_> = Role::OF_TENANT.iter().map(|role| parent(*role)).collect();
    let expected =
        [None, Some(Role::Viewer), Some(Role::Agent), Some(Role::Supervisor), Some(Role::Admin)];
    assert_eq!(line, expected);
    assert_eq!(parent(Role::Operator), None);
}

#[test]
fn nobody_hands_out_more_than_they_have() {
    for actor in Role::OF_TENANT {
        for role in Role::OF_TENANT {
            let allowed = within(actor.grants(), role.grants()).is_ok();
            assert_eq!(allowed, actor.grants().covers(role.grants()), "{actor:?} {role:?}");
        }
        assert_eq!(within(actor.grants(), Role::Operator.grants()), Err(Beyond));
    }
}
