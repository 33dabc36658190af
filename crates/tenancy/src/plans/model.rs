//! Room `tenancy`: a plan, its versions, and decisions about who has it.

use std::collections::BTreeMap;

use misy_core::error::Fault;
use misy_core::{Code, Public, Timestamp};
use serde_json::{Map, Value};

use crate::quotas::model::check as check_limits;

/// What tenants may use, under a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its name in requests; never changes.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it allows now, by limit; one that is absent is none.
    pub limits: BTreeMap<String, i64>,
    /// What a new tenant begins with, by the part that makes it.
    pub starter: Map<String, Value>,
    /// Goes up with every change.
    pub version: i64,
    /// Since when no tenant can get it any more.
    pub retired_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// What a plan allows from when on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Which, from 1.
    pub number: i32,
    /// What it allows.
    pub limits: BTreeMap<String, i64>,
    /// From when on.
    pub effective_from: Timestamp,
    /// When all tenants of the plan had it; `None` before.
    pub applied_at: Option<Timestamp>,
}

/// What an operator gives to make a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPlan {
    /// Its name in requests.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it allows.
    pub limits: BTreeMap<String, i64>,
    /// What a new tenant begins with.
    pub starter: Map<String, Value>,
}

/// What an operator changes of a plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// A new name.
    pub name: Option<String>,
    /// What it allows instead, all of it.
    pub limits: Option<BTreeMap<String, i64>>,
    /// What new tenants begin with instead.
    pub starter: Option<Map<String, Value>>,
    /// From when on the limits count; at once if it is not said.
    pub effective_from: Option<Timestamp>,
}

/// That a tenant has a plan from when on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which plan.
    pub plan: String,
    /// From when on.
    pub effective_from: Timestamp,
    /// Who decided.
    pub decided_by: String,
    /// When that was.
    pub decided_at: Timestamp,
    /// When it came.
    pub applied_at: Option<Timestamp>,
    /// When something else was decided before it came.
    pub withdrawn_at: Option<Timestamp>,
}

fn fault(pointer: &str, detail: &str) -> Fault {
    Fault { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

/// Whether a change can come at this time; one that is dated back could be undone by nobody.
pub fn check_time(at: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Fault> {
    match at {
        Some(at) if at < now => {
            Err(fault("/effective_from", "has to be in the future; leave it out for now"))
        }
        at => Ok(at.unwrap_or(now)),
    }
}

/// What is wrong with a new plan.
pub fn check_new(new: &NewPlan) -> Vec<Fault> {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    let mut faults = Vec::new();
    if !(1..=64).contains(&new.id.len()) || !new.id.bytes().all(plain) {
        faults.push(fault("/id", "expected 1 to 64 of a-z, 0-9, hyphens and underscores"));
    }
    faults.extend(check_limits(&new.limits).err().map(|detail| fault("/limits", detail)));
    faults
}

/// What is wrong with a change.
pub fn check_change(change: &Change, now: Timestamp) -> Vec<Fault> {
    let limits = change.limits.as_ref().and_then(|limits| check_limits(limits).err());
    let mut faults: Vec<Fault> =
        limits.map(|detail| fault("/limits", detail)).into_iter().collect();
    faults.extend(check_time(change.effective_from, now).err());
    if change.effective_from.is_some() && change.limits.is_none() {
        faults.push(fault("/effective_from", "dates `limits`, which are absent"));
    }
    faults
}

/// Why something about a plan cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such plan.
    #[error("no such plan")]
    NotFound,
    /// There is one of this name.
    #[error("the plan is there already")]
    Taken,
    /// It was changed meanwhile.
    #[error("the plan was changed meanwhile")]
    Stale,
    /// Fields are wrong.
    #[error("the plan's data is not valid")]
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
            Self::NotFound => Code::NotFound,
            Self::Taken => Code::Conflict,
            Self::Stale => Code::Stale,
            Self::Invalid(_) => Code::Invalid,
            Self::Denied(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Taken => Some("There is a plan of this id, perhaps a retired one.".to_owned()),
            Self::Denied(error) => error.detail(),
            Self::Store(error) => error.detail(),
            Self::NotFound | Self::Stale | Self::Invalid(_) => None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        if let Self::Invalid(faults) = self { faults.clone() } else { Vec::new() }
    }

    fn retry_after_s(&self) -> Option<u32> {
        if let Self::Store(error) = self { error.retry_after_s() } else { None }
    }
}
