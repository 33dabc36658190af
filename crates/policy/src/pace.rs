//! Room `policy`: how long a decision takes, beside the same one without the index. Timed here so
//! that the bench and whoever tunes the index measure the same.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use misy_core::{Permission, Role};

use crate::things::uid;
use crate::vocabulary::{CONVERSATION, ROLE, USER, permissions};
use crate::{Compiled, Question, Situation, Stored, Thing, Value};

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// A decision with 50 policies, entities built from their parts, in microseconds.
    pub decision_us_50_policies: f64,
    /// With 1,000.
    pub decision_us_1000_policies: f64,
    /// The same with 50 without the index.
    pub unsliced_us_50_policies: f64,
    /// With 1,000 without it.
    pub unsliced_us_1000_policies: f64,
    /// Asking a set of grants for a permission, in nanoseconds.
    pub role_check_ns: f64,
}

/// Policies as tenants have them: each for a role, an action and a kind of thing.
fn policies(count: usize) -> Arc<Compiled> {
    let actions: Vec<Permission> = permissions().collect();
    let stored: Vec<Stored> = (0..count)
        .map(|at| {
            let (role, slug) = (at % 7, actions[at % actions.len()].slug());
            let condition = match slug {
                "conversation.read" | "conversation.update" | "message.read" | "message.send" => {
                    format!(
                        ", resource is MisyBot::Conversation) when {{ \
                             resource has assignee && resource.assignee != principal && \
                             resource.channel == \"cha_{at}\" }};"
                    )
                }
                _ => ", resource is MisyBot::Tenant) when { context.impersonated };".to_owned(),
            };
            let text = format!(
                "forbid (principal in MisyBot::Role::\"role{role}\", \
                 action == MisyBot::Action::\"{slug}\"{condition}"
            );
            Stored { id: format!("pol_{at}"), name: format!("{at}"), text }
        })
        .collect();
    Arc::new(Compiled::new(1, &stored, None).expect("these are well-formed"))
}

fn question(compiled: &Compiled) -> Question {
    let text = |text: &str| Value::Text(text.to_owned());
    let (ana, bo) = (uid(&USER, "usr_ana"), uid(&USER, "usr_bo"));
    let principal = Thing::new(ana)
        .with("tenant", text("ten_acme"))
        .with("role", text("role3"))
        .within(uid(&ROLE, "role3"))
        .within(uid(&ROLE, "agent"));
    let resource = Thing::new(uid(&CONVERSATION, "cnv_1"))
        .with("tenant", text("ten_acme"))
        .with("status", text("open"))
        .with("channel", text("cha_none"))
        .with("contact", text("con_1"))
        .with("assignee", Value::Entity(bo));
    let action = compiled.vocabulary().action(Permission::ConversationRead);
    Question { principal, action, resource, context: Situation::plain(true).context() }
}

/// The shortest of five runs, for each of which the work is done so often.
fn shortest(rounds: u32, mut work: impl FnMut()) -> Duration {
    let run = |work: &mut dyn FnMut()| {
        let began = Instant::now();
        for _ in 0..rounds {
            work();
        }
        began.elapsed() / rounds
    };
    (0..5).map(|_| run(&mut work)).min().unwrap_or_default()
}

fn decide_us(compiled: &Arc<Compiled>, rounds: u32, sliced: bool) -> f64 {
    let asked = question(compiled);
    let took = shortest(rounds, || {
        let question = black_box(asked.clone());
        let verdict =
            if sliced { compiled.decide(question) } else { compiled.decide_unsliced(question) };
        assert!(black_box(verdict).allowed, "no policy is about this conversation");
    });
    took.as_secs_f64() * 1e6
}

/// Measures for some seconds. `rounds` is how many decisions make a run.
pub fn measure(rounds: u32) -> Pace {
    let (few, many) = (policies(50), policies(1_000));
    let grants = Role::Agent.grants();
    let checks = 1_000_u32;
    let check = shortest(rounds, || {
        for _ in 0..checks {
            black_box(black_box(grants).has(black_box(Permission::MessageSend)));
        }
    });
    Pace {
        decision_us_50_policies: decide_us(&few, rounds, true),
        decision_us_1000_policies: decide_us(&many, rounds, true),
        unsliced_us_50_policies: decide_us(&few, rounds / 10 + 1, false),
        unsliced_us_1000_policies: decide_us(&many, rounds / 100 + 1, false),
        role_check_ns: check.as_secs_f64() * 1e9 / f64::from(checks),
    }
}
