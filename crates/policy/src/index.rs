//! Room `policy`: the index. Of a thousand policies a question needs the few whose scope can match
//! its action, the type of its resource and who asks; only those are evaluated.
//!
//! A policy is left out only if its scope, which is evaluated first and cannot fail, is false for
//! the question: what is decided, by which policies, and what errs is the same as without it. What
//! is left is read as it stands, or evaluated by Cedar's own evaluator, on conditions that were put
//! together once.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{
    ActionConstraint, Authorizer, Decision, Effect, Entities, EntityTypeName, EntityUid, Policy,
    PolicyId, PolicySet, PrincipalConstraint, Request, ResourceConstraint, Response,
};
use cedar_policy_core::ast::{self, EntityUID, Literal, ValueKind};
use cedar_policy_core::entities::Entities as Surroundings;
use cedar_policy_core::evaluator::{EvaluationError, Evaluator};
use cedar_policy_core::extensions::Extensions;

use crate::plain::{Ground, Made, holds, is_same};

/// Which questions a policy's scope can match.
struct Reach {
    /// `None` is every action.
    actions: Option<HashSet<EntityUid>>,
    /// `None` is every type.
    kind: Option<EntityTypeName>,
}

/// A policy with all that evaluating it needs.
struct Ready {
    id: String,
    forbids: bool,
    /// Scope and conditions in one. Cedar's authorizer puts it together for every question anew.
    condition: ast::Expr,
    slots: ast::SlotEnv,
    /// The one that who asks has to be or to belong to; `None` is anybody, or all of a type.
    party: Option<EntityUID>,
}

/// Whom policies name, and these policies.
type Party = (EntityUID, Vec<Arc<Ready>>);

/// The policies that questions with one action and one type of resource need, by whom they are
/// about.
#[derive(Default)]
pub struct Slice {
    everybody: Vec<Arc<Ready>>,
    /// By id, then by the whole name: ids alone are found sooner.
    parties: HashMap<String, Vec<Party>>,
}

/// By the numbers of an action and of a type; zero is what no policy names.
type Slices = HashMap<(usize, usize), Arc<Slice>>;

/// Policies by what they can be asked about. Slices are made when they are first needed.
pub struct Index {
    policies: Vec<(Reach, Policy, Arc<Ready>)>,
    actions: HashMap<EntityUid, usize>,
    kinds: HashMap<EntityTypeName, usize>,
    slices: RwLock<Slices>,
    authorizer: Authorizer,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The policies that decided, in the order of their names.
    pub policies: Vec<String>,
    /// Policies that could not be evaluated, and why.
    pub errors: Vec<(String, String)>,
}

impl Outcome {
    /// Not allowed, by nobody in particular.
    pub(crate) const NO: Self = Self { allowed: false, policies: Vec::new(), errors: Vec::new() };
}

/// Numbers from one.
fn numbered<T: Hash + Eq>(items: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut numbers = HashMap::new();
    for item in items {
        let next = numbers.len() + 1;
        numbers.entry(item).or_insert(next);
    }
    numbers
}

impl Index {
    /// Indexes policies. `actions` holds every action that belongs to a group.
    pub fn new(policies: impl IntoIterator<Item = Policy>, actions: &Entities) -> Self {
        let indexed = |policy: Policy| {
            let ready = Arc::new(ready(&policy));
            (reach(&policy, actions), policy, ready)
        };
        let policies: Vec<_> = policies.into_iter().map(indexed).collect();
        let named = policies.iter().filter_map(|(reach, ..)| reach.actions.as_ref());
        Self {
            actions: numbered(named.flatten().cloned()),
            kinds: numbered(policies.iter().filter_map(|(reach, ..)| reach.kind.clone())),
            policies,
            slices: RwLock::default(),
            authorizer: Authorizer::new(),
        }
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The policies that a question with this action and type of resource needs. What no policy
    /// names shares one slice, so that questions cannot make memory grow.
    pub fn slice(&self, action: &EntityUid, kind: &EntityTypeName) -> Arc<Slice> {
        let action = self.actions.get_key_value(action);
        let kind = self.kinds.get_key_value(kind);
        let key = (action.map_or(0, |(_, number)| *number), kind.map_or(0, |(_, number)| *number));
        let known = self.slices.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(slice) = known.get(&key) {
            return Arc::clone(slice);
        }
        drop(known);
        let slice = Arc::new(self.cut(action.map(|(uid, _)| uid), kind.map(|(name, _)| name)));
        let mut known = self.slices.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(key, Arc::clone(&slice));
        slice
    }

    /// All policies, which is what an evaluation without the index works through.
    pub fn whole(&self) -> PolicySet {
        let all = self.policies.iter().map(|(_, policy, _)| policy.clone());
        PolicySet::from_policies(all).expect("the ids of indexed policies are unique")
    }

    fn cut(&self, action: Option<&EntityUid>, kind: Option<&EntityTypeName>) -> Slice {
        let matches = |reach: &Reach| {
            let acts = reach.actions.as_ref();
            acts.is_none_or(|all| action.is_some_and(|action| all.contains(action)))
                && reach.kind.as_ref().is_none_or(|one| Some(one) == kind)
        };
        let mut slice = Slice::default();
        for (_, _, ready) in self.policies.iter().filter(|(reach, ..)| matches(reach)) {
            let among = match &ready.party {
                Some(party) => slice.policies_of(party),
                None => &mut slice.everybody,
            };
            among.push(Arc::clone(ready));
        }
        slice
    }

    /// Decides by all policies that matter.
    pub fn decide(&self, request: &Request, entities: &Entities) -> Outcome {
        let (Some(action), Some(resource)) = (request.action(), request.resource()) else {
            return Outcome::NO;
        };
        let slice = self.slice(action, resource.type_name());
        let (request, entities): (&ast::Request, _) = (request.as_ref(), entities.as_ref());
        slice.decide(&Made { request, entities })
    }

    /// Decides as Cedar's authorizer does by itself, for comparison.
    pub fn decide_by(&self, all: &PolicySet, request: &Request, entities: &Entities) -> Outcome {
        self.read(&self.authorizer.is_authorized(request, all, entities))
    }

    fn forbids(&self, id: &PolicyId) -> bool {
        let forbids = |one: &Policy| one.id() == id && one.effect() == Effect::Forbid;
        self.policies.iter().any(|(_, policy, _)| forbids(policy))
    }

    fn read(&self, response: &Response) -> Outcome {
        let mut policies: Vec<String> =
            response.diagnostics().reason().map(ToString::to_string).collect();
        let mut allowed = response.decision() == Decision::Allow;
        let mut errors = Vec::new();
        for error in response.diagnostics().errors() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(failed) = error;
            let id = failed.policy_id();
            if self.forbids(id) {
                if allowed {
                    policies.clear();
                }
                allowed = false;
                policies.push(id.to_string());
            }
            errors.push((id.to_string(), failed.inner().to_string()));
        }
        policies.sort();
        errors.sort();
        Outcome { allowed, policies, errors }
    }
}

/// What the policies of a slice said, one after the other.
#[derive(Default)]
struct Votes {
    permits: Vec<String>,
    forbids: Vec<String>,
    errors: Vec<(String, String)>,
}

impl Votes {
    fn take(&mut self, ready: &Ready, applies: bool) {
        if applies {
            let votes = if ready.forbids { &mut self.forbids } else { &mut self.permits };
            votes.push(ready.id.clone());
        }
    }

    fn read(&mut self, ready: &Ready, said: Result<ast::Value, EvaluationError>) {
        let applies = match said {
            Ok(value) => matches!(value.value_kind(), ValueKind::Lit(Literal::Bool(true))),
            // A forbid that cannot be evaluated denies: a mistake in it must not open anything.
            Err(error) => {
                self.errors.push((ready.id.clone(), error.to_string()));
                ready.forbids
            }
        };
        self.take(ready, applies);
    }

    fn count(self) -> Outcome {
        let Self { permits, forbids, mut errors } = self;
        let allowed = forbids.is_empty() && !permits.is_empty();
        let mut policies = if allowed { permits } else { forbids };
        policies.sort();
        errors.sort();
        Outcome { allowed, policies, errors }
    }
}

/// What was said so far, and who has to be asked by Cedar's evaluator.
pub(crate) struct Ballot<'s> {
    votes: Votes,
    open: Vec<&'s Ready>,
}

impl Ballot<'_> {
    /// Whether all were asked.
    pub(crate) fn is_whole(&self) -> bool {
        self.open.is_empty()
    }

    /// What was decided, if all were asked.
    pub(crate) fn count(self) -> Outcome {
        self.votes.count()
    }

    /// Asks the others. What this rests on is Cedar's own evaluator without its authorizer; the
    /// version is pinned, and the authorizer and the corpus are what this is judged by.
    pub(crate) fn finish(mut self, request: ast::Request, entities: &Surroundings) -> Outcome {
        let evaluator = Evaluator::new(request, entities, Extensions::all_available());
        for ready in self.open {
            self.votes.read(ready, evaluator.interpret(&ready.condition, &ready.slots));
        }
        self.votes.count()
    }
}

impl Slice {
    /// The ids of its policies.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let about_some = self.parties.values().flatten().flat_map(|(_, policies)| policies);
        self.everybody.iter().chain(about_some).map(|ready| ready.id.as_str())
    }

    /// Whether one of them permits.
    pub(crate) fn can_permit(&self) -> bool {
        let about_some = self.parties.values().flatten().flat_map(|(_, policies)| policies);
        self.everybody.iter().chain(about_some).any(|ready| !ready.forbids)
    }

    fn policies_of(&mut self, party: &EntityUID) -> &mut Vec<Arc<Ready>> {
        let id: &str = party.eid().as_ref();
        let named = self.parties.entry(id.to_owned()).or_default();
        let at = named.iter().position(|(known, _)| is_same(known, party)).unwrap_or_else(|| {
            named.push((party.clone(), Vec::new()));
            named.len() - 1
        });
        &mut named[at].1
    }

    fn about(&self, party: &EntityUID) -> &[Arc<Ready>] {
        let named = self.parties.get(AsRef::<str>::as_ref(party.eid()));
        let found = named.and_then(|all| all.iter().find(|(known, _)| is_same(known, party)));
        found.map_or(&[], |(_, policies)| policies)
    }

    /// Asks all that matter, as far as their conditions can be read as they stand.
    pub(crate) fn ask<'s>(&'s self, ground: &impl Ground<'s>) -> Ballot<'s> {
        let mut ballot = Ballot { votes: Votes::default(), open: Vec::new() };
        let about_these = ground.parties().flat_map(|party| self.about(party));
        for ready in self.everybody.iter().chain(about_these) {
            match holds(ground, &ready.condition) {
                Some(applies) => ballot.votes.take(ready, applies),
                None => ballot.open.push(ready),
            }
        }
        ballot
    }

    /// Decides a question in Cedar's own form.
    pub(crate) fn decide(&self, made: &Made<'_>) -> Outcome {
        let ballot = self.ask(made);
        if ballot.is_whole() {
            return ballot.count();
        }
        ballot.finish(made.request.clone(), made.entities)
    }
}

fn ready(policy: &Policy) -> Ready {
    let inner: &ast::Policy = policy.as_ref();
    let party = match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        PrincipalConstraint::In(uid)
        | PrincipalConstraint::Eq(uid)
        | PrincipalConstraint::IsIn(_, uid) => Some(EntityUID::from(uid)),
    };
    Ready {
        id: policy.id().to_string(),
        forbids: policy.effect() == Effect::Forbid,
        condition: inner.condition(),
        slots: inner.env().clone(),
        party,
    }
}

fn reach(policy: &Policy, actions: &Entities) -> Reach {
    let actions = match policy.action_constraint() {
        ActionConstraint::Any => None,
        ActionConstraint::Eq(action) => Some(HashSet::from([action])),
        ActionConstraint::In(groups) => {
            let below = actions
                .iter()
                .map(cedar_policy::Entity::uid)
                .filter(|action| groups.iter().any(|group| actions.is_ancestor_of(group, action)));
            let below: Vec<EntityUid> = below.collect();
            Some(groups.into_iter().chain(below).collect())
        }
    };
    let kind = match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::In(_) => None,
        ResourceConstraint::Eq(uid) => Some(uid.type_name().clone()),
        ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => Some(kind),
    };
    Reach { actions, kind }
}
