//! Room `policy`: whether a text is a policy that a tenant may have, and everything that is wrong
//! with one that is not, each with its place.

use std::fmt::Write as _;

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint,
    ResourceConstraint, ValidationMode,
};
use miette::Diagnostic;

use crate::vocabulary::{OURS, Vocabulary};

/// The longest text of one policy, in bytes.
pub const TEXT_BYTES_MAX: usize = 8_192;

/// One thing that is wrong, or worth a thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters it spans.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right, if that is known.
    pub help: Option<String>,
}

/// A policy that a tenant may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Whether it forbids; else it permits.
    pub forbids: bool,
    /// What is not wrong, but perhaps not meant.
    pub warnings: Vec<Flaw>,
}

/// Checks one policy. Either all flaws of its form are told, or all of its meaning.
pub fn check(text: &str, vocabulary: &Vocabulary) -> Result<Checked, Vec<Flaw>> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("the policy is longer than {TEXT_BYTES_MAX} bytes");
        return Err(vec![at(text, 0, 0, message, None)]);
    }
    let id = PolicyId::new("policy");
    let policy = Policy::parse(Some(id), text)
        .map_err(|errors| errors.iter().flat_map(|error| flaws(text, error)).collect::<Vec<_>>())?;
    let mut found = rules(text, &policy);
    let set = PolicySet::from_policies([policy.clone()]).expect("one policy has one id");
    let result = vocabulary.validator().validate(&set, ValidationMode::Strict);
    found.extend(result.validation_errors().flat_map(|error| flaws(text, error)));
    // The validator tells them in no order.
    found.sort_by_key(|flaw| (flaw.line, flaw.column));
    if !found.is_empty() {
        return Err(found);
    }
    let mut warnings: Vec<Flaw> =
        result.validation_warnings().flat_map(|warning| flaws(text, warning)).collect();
    warnings.extend(second_thoughts(text, &policy));
    Ok(Checked { forbids: policy.effect() == Effect::Forbid, warnings })
}

/// A permit has to say for whom.
fn rules(text: &str, policy: &Policy) -> Vec<Flaw> {
    let unscoped = policy.principal_constraint() == PrincipalConstraint::Any;
    if policy.effect() != Effect::Permit || !unscoped {
        return Vec::new();
    }
    let (start, length) = word(text, "principal");
    let message = "a permit has to say for whom: this one is for everybody".to_owned();
    let help = format!("write `principal in {OURS}::Role::\"agent\"` or `principal == ...`");
    vec![at(text, start, length, message, Some(help))]
}

fn second_thoughts(text: &str, policy: &Policy) -> Vec<Flaw> {
    let of_ours = |uid: &EntityUid| uid.type_name().namespace() == OURS;
    let ours = match policy.action_constraint() {
        ActionConstraint::Any => match policy.resource_constraint() {
            ResourceConstraint::Any => true,
            ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) => of_ours(&uid),
            ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => {
                kind.namespace() == OURS
            }
        },
        ActionConstraint::Eq(action) => of_ours(&action),
        ActionConstraint::In(actions) => actions.iter().any(of_ours),
    };
    let everybody = policy.principal_constraint() == PrincipalConstraint::Any;
    let message = match policy.effect() {
        Effect::Permit if ours => {
            "a permit about MisyBot's own things gives nobody more than their role does"
        }
        Effect::Forbid if everybody && !policy.has_non_scope_constraint() => {
            "this forbids it to everybody, owners too"
        }
        _ => return Vec::new(),
    };
    let (start, length) = word(text, if ours { "action" } else { "principal" });
    vec![at(text, start, length, message.to_owned(), None)]
}

fn word(text: &str, word: &str) -> (usize, usize) {
    text.find(word).map_or((0, 0), |start| (start, word.len()))
}

/// Every place that a finding of Cedar's names; its first line if it names none.
fn flaws(text: &str, finding: &(impl Diagnostic + ?Sized)) -> Vec<Flaw> {
    let plain = |said: String| said.replace("for policy `policy`, ", "");
    let help = finding.help().map(|help| plain(help.to_string()));
    let mut message = plain(finding.to_string());
    let labels: Vec<_> = finding.labels().into_iter().flatten().collect();
    let Some(label) = labels.first() else { return vec![at(text, 0, 0, message, help)] };
    if let Some(said) = label.label().filter(|said| !message.contains(said)) {
        let _ = write!(message, ": {said}");
    }
    vec![at(text, label.offset(), label.len(), message, help)]
}

fn at(text: &str, offset: usize, length: usize, message: String, help: Option<String>) -> Flaw {
    let upto =
        |wanted: usize| (0..=wanted.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    let before = &text[..upto(offset).unwrap_or(0)];
    let whole = &text[..upto(offset.saturating_add(length)).unwrap_or(0)];
    let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    Flaw {
        line: before.matches('\n').count() + 1,
        column: before[begin..].chars().count() + 1,
        length: whole.chars().count().saturating_sub(before.chars().count()),
        message,
        help,
    }
}

/// A finding with what caused it, in one line.
pub(crate) fn chain(finding: &dyn Diagnostic) -> String {
    let mut text = finding.to_string();
    let mut cause = std::error::Error::source(finding);
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    if let Some(help) = finding.help() {
        let _ = write!(text, " ({help})");
    }
    text
}
