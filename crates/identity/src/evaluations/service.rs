//! Room `identity`: deciding for a tenant's own applications.

use std::sync::Arc;

use misy_core::{Ctx, Permission};
use misy_policy::Compiled;

use super::model::{Asked, Batch, Reason};
use crate::entities::model::Known;
use crate::{Deps, Error};

/// One decision, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) allowed: bool,
    pub(super) reason: String,
    pub(super) policies: Vec<String>,
}

/// What a request comes to.
pub(super) enum Answer {
    One(Decided),
    Several(Vec<Decided>),
    /// It is not understood.
    Refused(Reason),
}

/// Decides one question or several, by what the tenant declares and permits.
pub(super) async fn evaluate(
    deps: &Deps,
    ctx: &Ctx,
    batch: Result<Batch, Reason>,
) -> Result<Answer, Error> {
    ctx.require(Permission::AccessEvaluate)?;
    let batch = match batch {
        Ok(batch) => batch,
        Err(reason) => return Ok(Answer::Refused(reason)),
    };
    let compiled = deps.policies.compiled(ctx.tenant()).await?;
    let known = deps.policies.known(ctx.tenant()).await?;
    if batch.each.is_empty() {
        return Ok(match decide(deps, ctx, (&compiled, &known), &batch.shared) {
            Ok(decided) => Answer::One(decided),
            Err(reason) => Answer::Refused(reason),
        });
    }
    let mut all = Vec::with_capacity(batch.each.len());
    for asked in batch.each {
        let decided = decide(deps, ctx, (&compiled, &known), &asked.or(&batch.shared));
        // One that is not understood does not take the others with it.
        let refused = |reason| Decided { allowed: false, reason, policies: Vec::new() };
        let decided = decided.unwrap_or_else(refused);
        let ends = batch.semantic.ends_with(decided.allowed);
        all.push(decided);
        if ends {
            break;
        }
    }
    Ok(Answer::Several(all))
}

/// The names of the tenant's own actions that a subject may do with a resource, in the order of the
/// alphabet. Like a list, it writes nothing down.
pub(super) async fn search_actions(
    deps: &Deps,
    ctx: &Ctx,
    asked: Result<Asked, Reason>,
) -> Result<Result<Vec<String>, Reason>, Error> {
    ctx.require(Permission::AccessEvaluate)?;
    let compiled = deps.policies.compiled(ctx.tenant()).await?;
    let known = deps.policies.known(ctx.tenant()).await?;
    let permitted = |asked: &Asked| -> Result<Vec<String>, Reason> {
        asked.question(compiled.vocabulary(), &known)?;
        let mut names = Vec::new();
        for name in compiled.vocabulary().declared_actions() {
            let question = asked.about(&name).question(compiled.vocabulary(), &known)?;
            if compiled.decide(question).allowed {
                names.push(name);
            }
        }
        Ok(names)
    };
    Ok(asked.and_then(|asked| permitted(&asked)))
}

fn decide(
    deps: &Deps,
    ctx: &Ctx,
    (compiled, known): (&Arc<Compiled>, &Known),
    asked: &Asked,
) -> Result<Decided, Reason> {
    let question = asked.question(compiled.vocabulary(), known)?;
    let verdict = compiled.decide(question);
    let reason = verdict.sentence(compiled);
    if !verdict.allowed {
        let (subject, action, resource) = asked.told();
        deps.policies.note(ctx, (&subject, &action, &resource), &verdict, &reason);
    }
    Ok(Decided { allowed: verdict.allowed, reason, policies: verdict.policies })
}
