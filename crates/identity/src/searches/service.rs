//! Room `identity`: searching among what is known. All of it is in memory: a search asks no row of
//! anything, and nothing at all if no policy could permit.

use std::sync::Arc;

use misy_core::{Ctx, Permission};
use misy_policy::{Compiled, Question, Thing};

use super::model::{Search, Sought};
use crate::entities::model::Known;
use crate::evaluations::model::Reason;
use crate::{Deps, Error};

/// One page of what was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// In the order of the alphabet.
    pub(super) ids: Vec<String>,
    /// What asks for the next page; empty if this is the last one.
    pub(super) next: String,
}

/// Those of a type that a question is permitted about. Like a list, it writes nothing down.
pub(super) async fn search(
    deps: &Deps,
    ctx: &Ctx,
    search: Result<Search, Reason>,
) -> Result<Result<Found, Reason>, Error> {
    ctx.require(Permission::AccessEvaluate)?;
    let compiled = deps.policies.compiled(ctx.tenant()).await?;
    let known = deps.policies.known(ctx.tenant()).await?;
    Ok(search.and_then(|search| find(&compiled, &known, &search)))
}

fn find(compiled: &Arc<Compiled>, known: &Known, search: &Search) -> Result<Found, Reason> {
    let question = search.asked.question(compiled.vocabulary(), known)?;
    if !compiled.can_permit(&question.action, question.resource.kind()) {
        return Ok(Found::default());
    }
    let permits = asker(compiled, search.sought, question);
    let candidates = known.after(&search.kind, search.after.as_deref());
    let mut permitted = candidates.filter(|(_, thing)| permits(thing)).map(|(id, _)| id);
    let ids: Vec<String> = permitted.by_ref().take(search.limit).map(str::to_owned).collect();
    let next = match ids.last().filter(|_| permitted.next().is_some()) {
        Some(last) => search.token(last),
        None => String::new(),
    };
    Ok(Found { ids, next })
}

/// Decides about one candidate after the other. What the request says of them comes after what is
/// known and holds.
fn asker(
    compiled: &Arc<Compiled>,
    sought: Sought,
    question: Question,
) -> Box<dyn Fn(&Thing) -> bool + '_> {
    let Question { principal, action, resource, context } = question;
    let with = |thing: &Thing, told: &Thing| {
        let mut one = thing.clone();
        one.facts.extend(told.facts.iter().cloned());
        one
    };
    match sought {
        Sought::Resource => {
            let panel = compiled.panel(principal, &action, &resource, context);
            Box::new(move |thing| panel.decide(with(thing, &resource)).allowed)
        }
        Sought::Subject => Box::new(move |thing| {
            let (action, resource) = (action.clone(), resource.clone());
            let (principal, context) = (with(thing, &principal), context.clone());
            compiled.decide(Question { principal, action, resource, context }).allowed
        }),
    }
}
