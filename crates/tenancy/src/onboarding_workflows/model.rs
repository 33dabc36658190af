//! Room `tenancy`: what a workflow is, and which ones can be walked to their end.

mod forms;

use std::collections::BTreeSet;

use misy_core::error::Fault;
use misy_core::{Code, OnboardingWorkflowId, Public, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use forms::{check_form, fits, judge};

/// What has to be so before a step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OnboardingCheck)]
pub enum Check {
    /// Its form is filled in.
    Form,
    /// The tenant's business data fits the form.
    BusinessProfile,
    /// There are so many people beside the first.
    Team,
    /// So many channel accounts work: something verified has come in over each.
    Channel,
    /// There are so many knowledge entries.
    Knowledge,
    /// The tenant's opening hours are known.
    OpeningHours,
    /// A customer's message and an answer to it, since the onboarding began.
    TestConversation,
    /// All that it needs is settled: the tenant is live.
    GoLive,
}

/// One step of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = OnboardingStepDefinition)]
#[serde(deny_unknown_fields)]
pub struct StepDefinition {
    /// Its name within the workflow.
    #[schema(pattern = "^[a-z][a-z0-9_]{0,39}$", example = "team")]
    pub key: String,
    /// What it is called for people.
    #[schema(min_length = 1, max_length = 200)]
    pub title: String,
    /// What there is to say to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// What has to be so before it is done.
    pub check: Check,
    /// At least so many of what is counted.
    #[serde(default = "one")]
    #[schema(default = 1, minimum = 1, maximum = 1000)]
    pub min_count: u32,
    /// The steps that have to be done or skipped before.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub needs: Vec<String>,
    /// Whether somebody may skip it.
    #[serde(default)]
    pub may_skip: bool,
    /// Skipped by itself once this JSON Schema fits the data of all steps, by their keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub skip_when: Option<Value>,
    /// The form: a JSON Schema (2020-12) of what is sent for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Value>,
}

const fn one() -> u32 {
    1
}

/// A workflow in one of its versions.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// Its id, the same for all versions.
    pub id: OnboardingWorkflowId,
    /// Goes up with every change.
    pub version: i64,
    /// Its name in plans; `default` is for tenants whose plan names none.
    pub slug: String,
    /// Its name for people.
    pub title: String,
    /// In the order in which they are shown.
    pub steps: Vec<StepDefinition>,
    /// When this version was written.
    pub created_at: Timestamp,
}

/// The workflow of tenants whose plan names none.
pub const DEFAULT: &str = "default";

fn fault(pointer: String, detail: &str) -> Fault {
    Fault { pointer, detail: detail.to_owned() }
}

/// Every fault of a workflow's steps.
pub fn check_steps(steps: &[StepDefinition]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !(1..=50).contains(&steps.len()) {
        faults.push(fault("/steps".to_owned(), "expected 1 to 50 steps"));
    }
    let keys: Vec<&str> = steps.iter().map(|step| step.key.as_str()).collect();
    for (at, step) in steps.iter().enumerate() {
        check_step(&mut faults, &keys, at, step);
    }
    for at in in_circles(steps) {
        let detail = "these needs lead back to the step itself";
        faults.push(fault(format!("/steps/{at}/needs"), detail));
    }
    faults
}

fn check_step(faults: &mut Vec<Fault>, keys: &[&str], at: usize, step: &StepDefinition) {
    let mut demand = |holds: bool, member: &str, detail: &str| {
        if !holds {
            faults.push(fault(format!("/steps/{at}/{member}"), detail));
        }
    };
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    let starts = step.key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let good = starts && step.key.len() <= 40 && step.key.bytes().all(plain);
    demand(good, "key", "expected a letter and up to 39 letters, digits or underscores");
    demand(!keys[..at].contains(&step.key.as_str()), "key", "another step has this key");
    demand(!step.title.trim().is_empty(), "title", "expected some text");
    demand((1..=1_000).contains(&step.min_count), "min_count", "expected 1 to 1000");
    for (index, need) in step.needs.iter().enumerate() {
        let known = keys.contains(&need.as_str());
        demand(known, &format!("needs/{index}"), "there is no such step");
    }
    let wants_form = matches!(step.check, Check::Form | Check::BusinessProfile);
    demand(!wants_form || step.schema.is_some(), "schema", "this check needs a form");
    demand(
        step.check != Check::GoLive || !(step.may_skip || step.skip_when.is_some()),
        "may_skip",
        "going live cannot be skipped",
    );
    for (member, schema) in [("schema", &step.schema), ("skip_when", &step.skip_when)] {
        let outcome = schema.as_ref().map_or(Ok(()), check_form);
        faults.extend(
            outcome.err().map(|detail| Fault { pointer: format!("/steps/{at}/{member}"), detail }),
        );
    }
}

/// The steps that cannot come because they wait for each other
/// ([Kahn's algorithm](https://doi.org/10.1145/368996.369025): what is left over).
fn in_circles(steps: &[StepDefinition]) -> Vec<usize> {
    let keys: BTreeSet<&str> = steps.iter().map(|step| step.key.as_str()).collect();
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    loop {
        let is_ready = |step: &&StepDefinition| {
            let waits =
                |need: &String| keys.contains(need.as_str()) && !settled.contains(need.as_str());
            !settled.contains(step.key.as_str()) && !step.needs.iter().any(waits)
        };
        let ready: Vec<&str> =
            steps.iter().filter(is_ready).map(|step| step.key.as_str()).collect();
        if ready.is_empty() {
            break;
        }
        settled.extend(ready);
    }
    let stuck = steps.iter().enumerate().filter(|(_, step)| !settled.contains(step.key.as_str()));
    stuck.map(|(at, _)| at).collect()
}

/// Why something about a workflow cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields are wrong.
    #[error("the workflow is not valid")]
    Invalid(Vec<Fault>),
    /// There is no such workflow.
    #[error("no such workflow")]
    NotFound,
    /// Another one has the slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// Tenants whose plan names no workflow need it.
    #[error("the default workflow stays")]
    Default,
    /// It was changed meanwhile.
    #[error("the workflow was changed meanwhile")]
    Stale,
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] misy_core::ctx::Denied),
    /// The database.
    #[error(transparent)]
    Store(#[from] misy_store::Error),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::Invalid,
            Self::NotFound => Code::NotFound,
            Self::SlugTaken | Self::Default => Code::Conflict,
            Self::Stale => Code::Stale,
            Self::Denied(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::SlugTaken => Some("Another workflow has this slug; choose another.".to_owned()),
            Self::Default => Some("The default workflow can be changed, not removed.".to_owned()),
            Self::Denied(error) => error.detail(),
            _ => None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        if let Self::Invalid(faults) = self { faults.clone() } else { Vec::new() }
    }

    fn retry_after_s(&self) -> Option<u32> {
        if let Self::Store(error) = self { error.retry_after_s() } else { None }
    }
}

#[cfg(test)]
mod tests;
