//! Room `tenancy`: which step comes next, which may be skipped, when all is done.

mod hours;

use std::collections::BTreeMap;

use misy_core::error::Fault;
use misy_core::{Code, OnboardingWorkflowId, Public, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::onboarding_workflows::model::{StepDefinition, fits};

pub use hours::check_hours;

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OnboardingStepState)]
pub enum State {
    /// Nothing yet.
    Open,
    /// What it checks is so.
    Done,
    /// Left out.
    Skipped,
}

impl State {
    /// Its name on the wire and in the table.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Skipped => "skipped",
        }
    }

    /// Reads [`State::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Done, Self::Skipped].into_iter().find(|one| one.slug() == text)
    }
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// What became of it.
    pub state: State,
    /// What was sent for it.
    pub data: Option<Value>,
    /// Why it was skipped.
    pub reason: Option<String>,
    /// When it was done or skipped.
    pub settled_at: Option<Timestamp>,
}

impl Standing {
    /// Of a step that nobody has looked at.
    pub const OPEN: Self = Self { state: State::Open, data: None, reason: None, settled_at: None };
}

/// A tenant's onboarding.
#[derive(Debug, Clone, PartialEq)]
pub struct Onboarding {
    /// The workflow it began.
    pub workflow: OnboardingWorkflowId,
    /// And in which version.
    pub workflow_version: i64,
    /// The workflow's name for people.
    pub title: String,
    /// The steps as they were when it began.
    pub steps: Vec<StepDefinition>,
    /// What became of them, by key.
    pub standings: BTreeMap<String, Standing>,
    /// When it began.
    pub began_at: Timestamp,
    /// When the last step was settled.
    pub completed_at: Option<Timestamp>,
    /// Goes up with every change.
    pub version: i64,
}

impl Onboarding {
    /// A step by its key.
    pub fn step(&self, key: &str) -> Result<&StepDefinition, Error> {
        self.steps.iter().find(|step| step.key == key).ok_or(Error::NoSuchStep)
    }

    /// Where a step stands.
    pub fn standing(&self, key: &str) -> &Standing {
        self.standings.get(key).unwrap_or(&Standing::OPEN)
    }

    fn is_settled(&self, key: &str) -> bool {
        self.standing(key).state != State::Open
    }

    /// The steps that have to be settled before this one.
    pub fn missing(&self, step: &StepDefinition) -> Vec<String> {
        step.needs.iter().filter(|need| !self.is_settled(need)).cloned().collect()
    }

    /// The step, if its turn has come.
    pub fn ready(&self, key: &str) -> Result<&StepDefinition, Error> {
        let step = self.step(key)?;
        let missing = self.missing(step);
        if missing.is_empty() { Ok(step) } else { Err(Error::Blocked(missing)) }
    }

    /// The step, if it may be skipped now.
    pub fn skippable(&self, key: &str) -> Result<&StepDefinition, Error> {
        let step = self.ready(key)?;
        if !step.may_skip {
            return Err(Error::Needed);
        }
        if self.is_settled(key) { Err(Error::Settled) } else { Ok(step) }
    }

    /// The keys of open steps whose turn has come.
    pub fn next(&self) -> Vec<&str> {
        let open = self.steps.iter().filter(|step| !self.is_settled(&step.key));
        open.filter(|step| self.missing(step).is_empty()).map(|step| step.key.as_str()).collect()
    }

    /// How many steps are settled.
    pub fn settled(&self) -> usize {
        self.steps.iter().filter(|step| self.is_settled(&step.key)).count()
    }

    /// Settles a step, and those that are skipped by themselves after that. Gives the keys of all.
    pub fn settle(&mut self, key: &str, standing: Standing, now: Timestamp) -> Vec<String> {
        self.standings.insert(key.to_owned(), standing);
        let mut settled = vec![key.to_owned()];
        while let Some(next) = self.skipped_by_itself() {
            let reason = Some("the answers so far make it needless".to_owned());
            let skipped =
                Standing { state: State::Skipped, reason, settled_at: Some(now), data: None };
            self.standings.insert(next.clone(), skipped);
            settled.push(next);
        }
        if self.completed_at.is_none() && self.settled() == self.steps.len() {
            self.completed_at = Some(now);
        }
        settled
    }

    fn skipped_by_itself(&self) -> Option<String> {
        let sent = self.standings.iter();
        let sent = sent.filter_map(|(key, one)| Some((key.clone(), one.data.clone()?)));
        let answers = Value::Object(sent.collect::<Map<_, _>>());
        let open = self.steps.iter().filter(|step| !self.is_settled(&step.key));
        let mut needless = open.filter(|step| {
            let rule = step.skip_when.as_ref();
            self.missing(step).is_empty() && rule.is_some_and(|rule| fits(rule, &answers))
        });
        needless.next().map(|step| step.key.clone())
    }

    /// Opens a step again, with all that need it. Gives the keys of those that were settled.
    pub fn reopen(&mut self, key: &str) -> Vec<String> {
        let mut opened = vec![key.to_owned()];
        let mut at = 0;
        while let Some(current) = opened.get(at).cloned() {
            let later = self.steps.iter().filter(|step| step.needs.contains(&current));
            let later: Vec<String> = later.map(|step| step.key.clone()).collect();
            opened
                .extend(later.into_iter().filter(|one| !opened.contains(one)).collect::<Vec<_>>());
            at += 1;
        }
        opened.retain(|one| self.is_settled(one));
        for one in &opened {
            if let Some(standing) = self.standings.get_mut(one) {
                *standing = Standing { data: standing.data.take(), ..Standing::OPEN };
            }
        }
        self.completed_at = None;
        opened
    }
}

/// Why something about an onboarding cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The workflow has no such step.
    #[error("no such step")]
    NoSuchStep,
    /// No workflow is there to begin.
    #[error("no workflow")]
    NoWorkflow,
    /// Others come first.
    #[error("the step waits for others")]
    Blocked(Vec<String>),
    /// It may not be skipped.
    #[error("the step is needed")]
    Needed,
    /// It is done or skipped.
    #[error("the step is settled")]
    Settled,
    /// It is open.
    #[error("the step is open")]
    Open,
    /// It has no form.
    #[error("the step takes no data")]
    NoForm,
    /// What it checks is not so.
    #[error("what the step checks is not so: {found} of {wanted}")]
    NotYet {
        /// How much of it there is.
        found: i64,
        /// How much there has to be.
        wanted: i64,
    },
    /// What was sent is wrong.
    #[error("the data is not valid")]
    Invalid(Vec<Fault>),
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
            Self::NoWorkflow => Code::NotFound,
            Self::NoSuchStep | Self::NoForm | Self::Invalid(_) => Code::Invalid,
            Self::Blocked(_) | Self::Needed | Self::Settled | Self::Open | Self::NotYet { .. } => {
                Code::Conflict
            }
            Self::Denied(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        Some(match self {
            Self::Blocked(missing) => format!("First settle: {}.", missing.join(", ")),
            Self::Needed => "This step cannot be skipped.".to_owned(),
            Self::Settled => "This step is settled; reopen it first.".to_owned(),
            Self::Open => "This step is open.".to_owned(),
            Self::NotYet { found, wanted } => {
                format!("What this step checks is not so yet: {found} of {wanted}.")
            }
            Self::Denied(error) => return error.detail(),
            _ => return None,
        })
    }

    fn faults(&self) -> Vec<Fault> {
        let one = |pointer: &str, detail: &str| {
            vec![Fault { pointer: pointer.to_owned(), detail: detail.to_owned() }]
        };
        match self {
            Self::Invalid(faults) => faults.clone(),
            Self::NoSuchStep => one("/step", "the workflow has no such step"),
            Self::NoForm => one("/data", "this step takes no data; have it checked"),
            _ => Vec::new(),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        if let Self::Store(error) = self { error.retry_after_s() } else { None }
    }
}

#[cfg(test)]
mod tests;
