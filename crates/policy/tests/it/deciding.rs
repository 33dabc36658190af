//! Room `policy`: decisions of the platform's policies and of a tenant's.

use std::sync::Arc;

use misy_core::Permission;
use misy_policy::things::uid;
use misy_policy::vocabulary::{API_KEY, CONVERSATION, ROLE, TENANT, USER};
use misy_policy::{CompileError, Compiled, Question, Situation, Stored, Thing, Value, Verdict};

const TENANT_ID: &str = "ten_1";

fn person(id: &str, role: &str) -> Thing {
    Thing::new(uid(&USER, id))
        .with("tenant", Value::Text(TENANT_ID.to_owned()))
        .within(uid(&ROLE, role))
}

fn conversation(assignee: Option<&str>) -> Thing {
    let text = |text: &str| Value::Text(text.to_owned());
    let one = Thing::new(uid(&CONVERSATION, "cnv_1"))
        .with("tenant", text(TENANT_ID))
        .with("status", text("open"))
        .with("channel", text("cha_1"))
        .with("contact", text("con_1"));
    match assignee {
        Some(id) => one.with("assignee", Value::Entity(uid(&USER, id))),
        None => one,
    }
}

fn whole(tenant: &str) -> Thing {
    Thing::new(uid(&TENANT, tenant)).with("tenant", Value::Text(tenant.to_owned()))
}

fn ask(
    compiled: &Arc<Compiled>,
    principal: Thing,
    permission: Permission,
    resource: Thing,
    situation: Situation,
) -> Verdict {
    let action = compiled.vocabulary().action(permission);
    compiled.decide(Question { principal, action, resource, context: situation.context() })
}

fn policies(texts: &[&str]) -> Arc<Compiled> {
    let stored: Vec<Stored> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| Stored {
            id: format!("pol_{at}"),
            name: format!("policy {at}"),
            text: (*text).to_owned(),
        })
        .collect();
    Arc::new(Compiled::new(3, &stored, None).expect("compiles"))
}

#[test]
fn without_policies_of_its_own_a_tenant_has_what_roles_grant() {
    let platform = Compiled::of_platform();
    for (granted, allowed) in [(true, true), (false, false)] {
        let situation = Situation::plain(granted);
        let verdict = ask(
            &platform,
            person("ana", "agent"),
            Permission::ConversationRead,
            conversation(None),
            situation,
        );
        assert_eq!(verdict.allowed, allowed);
        let told = verdict.sentence(&platform);
        let expected = if granted {
            "Permitted by: Their role grants it. (`platform.role`)"
        } else {
            "No policy permits it, and no role grants it."
        };
        assert_eq!(told, expected);
    }
}

#[test]
fn the_platforms_forbids_hold_whatever_a_tenant_permits() {
    let permit = "permit (principal in MisyBot::Role::\"owner\", action, resource);";
    let compiled = policies(&[permit]);
    let base = Situation::plain(true);
    let cases = [
        (base, whole(TENANT_ID), Permission::RoleManage, None),
        (base, whole("ten_2"), Permission::RoleManage, Some("platform.tenant")),
        (
            Situation { tenant_active: false, ..base },
            whole(TENANT_ID),
            Permission::TenantRead,
            Some("platform.suspended"),
        ),
        (
            Situation { impersonated: true, ..base },
            whole(TENANT_ID),
            Permission::RoleManage,
            Some("platform.impersonation"),
        ),
        (Situation { impersonated: true, ..base }, whole(TENANT_ID), Permission::RoleRead, None),
        (
            Situation { mfa_required: true, ..base },
            whole(TENANT_ID),
            Permission::ApiKeyManage,
            Some("platform.second_factor"),
        ),
        (
            Situation { mfa_required: true, mfa_age_s: Some(901), ..base },
            whole(TENANT_ID),
            Permission::ApiKeyManage,
            Some("platform.second_factor"),
        ),
        (
            Situation { mfa_required: true, mfa_age_s: Some(900), ..base },
            whole(TENANT_ID),
            Permission::ApiKeyManage,
            None,
        ),
    ];
    for (situation, resource, permission, forbidden) in cases {
        let verdict = ask(&compiled, person("olga", "owner"), permission, resource, situation);
        assert_eq!(verdict.allowed, forbidden.is_none(), "{permission} {situation:?}");
        if let Some(id) = forbidden {
            assert_eq!(verdict.policies, [id], "{permission}");
        }
    }
}

const OWN_ONLY: &str = "forbid (principal in MisyBot::Role::\"agent\", \
    action == MisyBot::Action::\"conversation.read\", resource is MisyBot::Conversation) \
    when { resource has assignee && resource.assignee != principal };";

#[test]
fn a_tenants_forbid_bites_whom_and_where_it_says() {
    let compiled = policies(&[OWN_ONLY]);
    let read = |who: Thing, what: Thing| {
        ask(&compiled, who, Permission::ConversationRead, what, Situation::plain(true))
    };
    assert!(read(person("ana", "agent"), conversation(None)).allowed);
    assert!(read(person("ana", "agent"), conversation(Some("ana"))).allowed);
    assert!(read(person("sue", "supervisor"), conversation(Some("ana"))).allowed);
    let denied = read(person("bo", "agent"), conversation(Some("ana")));
    assert_eq!((denied.allowed, denied.version), (false, 3));
    assert_eq!(denied.policies, ["pol_0"]);
    assert_eq!(denied.sentence(&compiled), "Forbidden by: \"policy 0\" (`pol_0`).");
    let own_role = person("cy", "shift").within(uid(&ROLE, "agent"));
    assert!(!read(own_role, conversation(Some("ana"))).allowed, "it inherits from agent");
    let key = Thing::new(uid(&API_KEY, "key_1"))
        .with("tenant", Value::Text(TENANT_ID.to_owned()))
        .within(uid(&ROLE, "agent"));
    assert!(!read(key, conversation(Some("ana"))).allowed);
}

#[test]
fn a_panel_answers_for_many_as_one_question_does_for_each() {
    let compiled = policies(&[OWN_ONLY]);
    let action = compiled.vocabulary().action(Permission::ConversationRead);
    let all = [None, Some("ana"), Some("bo")].map(conversation);
    let context = Situation::plain(true).context();
    let panel = compiled.panel(person("ana", "agent"), &action, &all[0], context.clone());
    assert!(panel.has_own_policies());
    for resource in all {
        let question = Question {
            principal: person("ana", "agent"),
            action: action.clone(),
            resource: resource.clone(),
            context: context.clone(),
        };
        assert_eq!(panel.decide(resource), compiled.decide(question));
    }
    let other = compiled.vocabulary().action(Permission::MessageSend);
    let panel = compiled.panel(person("ana", "agent"), &other, &conversation(None), context);
    assert!(!panel.has_own_policies(), "none of the tenant's is about sending");
}

#[test]
fn a_forbid_that_cannot_be_evaluated_denies() {
    let text = "forbid (principal, action == MisyBot::Action::\"conversation.read\", \
        resource is MisyBot::Conversation) when { resource.assignee.tenant == \"x\" };";
    let compiled = policies(&[text]);
    let situation = Situation::plain(true);
    let verdict = ask(
        &compiled,
        person("ana", "agent"),
        Permission::ConversationRead,
        conversation(None),
        situation,
    );
    assert!(!verdict.allowed);
    assert_eq!((verdict.policies.as_slice(), verdict.errors.len()), (&["pol_0".to_owned()][..], 1));
    assert!(verdict.sentence(&compiled).contains("could not be evaluated, so it denies"));
}

#[test]
fn policies_that_cannot_be_read_any_more_allow_nothing_instead_of_less() {
    let stored = |id: &str, text: &str| Stored {
        id: id.to_owned(),
        name: id.to_owned(),
        text: text.to_owned(),
    };
    let broken = Compiled::new(1, &[stored("pol_1", "forbid (principal")], None).err();
    assert_eq!(broken, Some(CompileError::Policy("pol_1".to_owned())));
    let platform = Compiled::new(1, &[stored("platform.role", OWN_ONLY)], None).err();
    assert_eq!(platform, Some(CompileError::Twice));
    let declared = Compiled::new(1, &[], Some("namespace MisyBot {}")).err();
    assert!(matches!(declared, Some(CompileError::Vocabulary(_))));
}
