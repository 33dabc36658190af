//! Room `policy`: the index. Of a thousand policies a question needs the few whose scope can match
//! its action and the type of its resource; only those are evaluated.
//!
//! A policy is left out only if its scope, which is evaluated first and cannot fail, is false for
//! the question: what is decided, by which policies, and what errs is the same as without it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{
    ActionConstraint, Authorizer, Decision, Effect, Entities, EntityTypeName, EntityUid, Policy,
    PolicyId, PolicySet, Request, ResourceConstraint, Response,
};

/// Which questions a policy's scope can match.
struct Reach {
    /// `None` is every action.
    actions: Option<HashSet<EntityUid>>,
    /// `None` is every type.
    kind: Option<EntityTypeName>,
}

type Slices = HashMap<Option<EntityUid>, HashMap<Option<EntityTypeName>, Arc<PolicySet>>>;

/// Policies by what they can be asked about. Slices are made when they are first needed.
pub struct Index {
    policies: Vec<(Reach, Policy)>,
    forbids: HashSet<PolicyId>,
    actions: HashSet<EntityUid>,
    kinds: HashSet<EntityTypeName>,
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

impl Index {
    /// Indexes policies. `actions` holds every action that belongs to a group.
    pub fn new(policies: impl IntoIterator<Item = Policy>, actions: &Entities) -> Self {
        let policies: Vec<(Reach, Policy)> =
            policies.into_iter().map(|policy| (reach(&policy, actions), policy)).collect();
        let named = policies.iter().filter_map(|(reach, _)| reach.actions.as_ref());
        Self {
            actions: named.flatten().cloned().collect(),
            kinds: policies.iter().filter_map(|(reach, _)| reach.kind.clone()).collect(),
            forbids: policies
                .iter()
                .filter(|(_, policy)| policy.effect() == Effect::Forbid)
                .map(|(_, policy)| policy.id().clone())
                .collect(),
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
    pub fn slice(&self, action: &EntityUid, kind: &EntityTypeName) -> Arc<PolicySet> {
        let action = self.actions.get(action);
        let kind = self.kinds.get(kind);
        let known = self.slices.read().unwrap_or_else(PoisonError::into_inner);
        // A look-up by `Option<&T>` in a map of `Option<T>` needs a clone, which is a counter's.
        let (action, kind) = (action.cloned(), kind.cloned());
        if let Some(slice) = known.get(&action).and_then(|kinds| kinds.get(&kind)) {
            return Arc::clone(slice);
        }
        drop(known);
        let slice = Arc::new(self.cut(action.as_ref(), kind.as_ref()));
        let mut known = self.slices.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(action).or_default().insert(kind, Arc::clone(&slice));
        slice
    }

    /// All policies, which is what an evaluation without the index works through.
    pub fn whole(&self) -> PolicySet {
        let all = self.policies.iter().map(|(_, policy)| policy.clone());
        PolicySet::from_policies(all).expect("the ids of indexed policies are unique")
    }

    fn cut(&self, action: Option<&EntityUid>, kind: Option<&EntityTypeName>) -> PolicySet {
        let matches = |reach: &Reach| {
            let acts = reach.actions.as_ref();
            acts.is_none_or(|all| action.is_some_and(|action| all.contains(action)))
                && reach.kind.as_ref().is_none_or(|one| Some(one) == kind)
        };
        let matching = self.policies.iter().filter(|(reach, _)| matches(reach));
        let matching = matching.map(|(_, policy)| policy.clone());
        PolicySet::from_policies(matching).expect("the ids of indexed policies are unique")
    }

    /// Decides by all policies that matter.
    pub fn decide(&self, request: &Request, entities: &Entities) -> Outcome {
        let (Some(action), Some(resource)) = (request.action(), request.resource()) else {
            return Outcome { allowed: false, policies: Vec::new(), errors: Vec::new() };
        };
        let slice = self.slice(action, resource.type_name());
        self.decide_by(&slice, request, entities)
    }

    /// Decides by a slice that was taken before, for many questions of one kind.
    pub fn decide_by(&self, slice: &PolicySet, request: &Request, entities: &Entities) -> Outcome {
        self.read(&self.authorizer.is_authorized(request, slice, entities))
    }

    /// A forbid that cannot be evaluated denies: a mistake in it must not open anything.
    fn read(&self, response: &Response) -> Outcome {
        let mut policies: Vec<String> =
            response.diagnostics().reason().map(ToString::to_string).collect();
        let mut allowed = response.decision() == Decision::Allow;
        let mut errors = Vec::new();
        for error in response.diagnostics().errors() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(failed) = error;
            let id = failed.policy_id();
            if self.forbids.contains(id) {
                if allowed {
                    policies.clear();
                }
                allowed = false;
                policies.push(id.to_string());
            }
            errors.push((id.to_string(), failed.inner().to_string()));
        }
        policies.sort();
        policies.dedup();
        errors.sort();
        Outcome { allowed, policies, errors }
    }

    /// The ids of the policies of a slice that are not the platform's.
    pub fn names(slice: &PolicySet) -> impl Iterator<Item = String> + '_ {
        slice.policies().map(|policy| policy.id().to_string())
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
