//! Room `policy`: a decision of ours is the one that Cedar's authorizer makes by itself of the same
//! policies and the same question, with the same reasons and the same errors.

use std::sync::Arc;

use misy_core::Permission;
use misy_policy::things::uid;
use misy_policy::vocabulary::{CONVERSATION, ROLE, TENANT, USER};
use misy_policy::{Compiled, Question, Situation, Stored, Thing, Value};
use proptest::prelude::*;

use crate::slicing::{part, policy_of};

fn policy() -> impl Strategy<Value = String> {
    let principal = &[
        "principal",
        "principal == MisyBot::User::\"ana\"",
        "principal in MisyBot::Role::\"agent\"",
        "principal in MisyBot::Role::\"house\"",
        "principal in MisyBot::Role::\"boss\"",
        "principal is MisyBot::User",
        "principal is MisyBot::User in MisyBot::Role::\"agent\"",
        "principal in MisyBot::User::\"ana\"",
    ];
    let action = &[
        "action",
        "action == MisyBot::Action::\"conversation.read\"",
        "action == MisyBot::Action::\"role.manage\"",
        "action in MisyBot::Action::\"any\"",
        "action in [MisyBot::Action::\"sensitive\"]",
    ];
    let resource = &[
        "resource",
        "resource is MisyBot::Conversation",
        "resource is MisyBot::User",
        "resource == MisyBot::User::\"ana\"",
        "resource in MisyBot::Role::\"house\"",
        "resource in MisyBot::Role::\"agent\"",
    ];
    let condition = &[
        "",
        "when { principal.tags.contains(\"late\") }",
        "when { resource has assignee && resource.assignee == principal }",
        "unless { resource.assignee.tenant == \"ten_1\" }",
        "when { principal.desk.floor > 2 }",
        "when { context.impersonated || context has mfa_age_s }",
        "when { principal.level + resource.level < 3 }",
        "when { resource in principal }",
        "when { principal in resource }",
        "when { action in MisyBot::Action::\"sensitive\" }",
    ];
    policy_of(principal, action, resource, condition)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Somebody or something with every kind of property, some of them twice.
fn thing(one: Thing, level: i64, groups: &[&str]) -> Thing {
    let desk = vec![
        ("floor".to_owned(), Value::Number(9)),
        ("floor".to_owned(), Value::Number(level)),
        ("seats".to_owned(), Value::List(vec![Value::Number(1), Value::Flag(true)])),
    ];
    let one = one
        .with("tenant", text("ten_0"))
        .with("tenant", text("ten_1"))
        .with("level", Value::Number(level))
        .with("tags", Value::List(vec![text("late"), text("late"), Value::Number(level)]))
        .with("desk", Value::Record(desk));
    groups.iter().fold(one, |one, group| one.within(uid(&ROLE, group)))
}

fn resource(kind: &str, level: i64) -> Thing {
    match kind {
        "conversation" => thing(Thing::new(uid(&CONVERSATION, "cnv_1")), level, &[])
            .with("assignee", Value::Entity(uid(&USER, "ana"))),
        "unassigned" => Thing::new(uid(&CONVERSATION, "cnv_2")).with("tenant", text("ten_1")),
        "ana" => thing(Thing::new(uid(&USER, "ana")), level, &["boss"]),
        "bo" => thing(Thing::new(uid(&USER, "bo")), level, &["agent"]),
        // What others belong to, itself in a house that these were not said to be in.
        "role" => thing(Thing::new(uid(&ROLE, "agent")), level, &["house"]),
        "itself" => thing(Thing::new(uid(&ROLE, "agent")), level, &["agent"]),
        "team" => Thing::new(uid(&USER, "team")).within(uid(&USER, "ana")),
        _ => thing(Thing::new(uid(&TENANT, "ten_1")), level, &[]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_question_is_decided_as_cedars_authorizer_does(
        texts in prop::collection::vec(policy(), 0..10),
        person in part(&["ana", "bo"]),
        roles in prop::sample::subsequence(vec!["agent", "boss", "house"], 0..3),
        about in part(&[
            "conversation", "unassigned", "ana", "bo", "role", "itself", "team", "tenant",
        ]),
        sensitive: bool,
        granted: bool,
        impersonated: bool,
        level in 0..5_i64,
    ) {
        let stored: Vec<Stored> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| Stored {
                id: format!("pol_{at}"),
                name: String::new(),
                text: text.clone(),
            })
            .collect();
        let compiled = Arc::new(Compiled::new(1, &stored, None).expect("compiles"));
        let permission =
            if sensitive { Permission::RoleManage } else { Permission::ConversationRead };
        let question = Question {
            principal: thing(Thing::new(uid(&USER, person)), level, &roles),
            action: compiled.vocabulary().action(permission),
            resource: resource(about, level),
            context: Situation { impersonated, ..Situation::plain(granted) }.context(),
        };
        let plain = compiled.decide_unsliced(question.clone());
        prop_assert_eq!(&compiled.decide(question.clone()), &plain);
        let Question { principal, action, resource, context } = question;
        let panel = compiled.panel(principal, &action, &resource, context);
        prop_assert_eq!(&panel.decide(resource.clone()), &plain, "from a panel");
        prop_assert_eq!(&panel.decide(resource), &plain, "from a panel that was used");
    }
}
