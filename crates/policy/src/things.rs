//! Room `policy`: what a question is about, built by constructors: reading text would take longer
//! than deciding.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression,
};
use cedar_policy_core::ast::{self, EntityUIDEntry};
use cedar_policy_core::entities::{Entities as Surroundings, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;

/// The name of a type, for those who do not know Cedar.
pub type TypeName = EntityTypeName;

/// A property of somebody or something.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Several, in no order.
    List(Vec<Value>),
    /// Named ones.
    Record(Vec<(String, Value)>),
    /// Somebody or something else.
    Entity(EntityUid),
}

impl Value {
    /// Reads JSON; `None` for what policies cannot speak of: `null` and fractions.
    pub fn from_json(json: &serde_json::Value) -> Option<Self> {
        use serde_json::Value as Json;
        Some(match json {
            Json::Null => return None,
            Json::Bool(flag) => Self::Flag(*flag),
            Json::Number(number) => Self::Number(number.as_i64()?),
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(items) => Self::List(items.iter().filter_map(Self::from_json).collect()),
            Json::Object(_) => Self::Record(Self::members(json)),
        })
    }

    /// The members of a JSON object that policies can speak of.
    pub fn members(json: &serde_json::Value) -> Vec<(String, Self)> {
        let members = json.as_object().into_iter().flatten();
        members.filter_map(|(name, value)| Some((name.clone(), Self::from_json(value)?))).collect()
    }

    /// As it is evaluated: what was never written needs no reading.
    fn plain(self) -> ast::Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Flag(flag) => flag.into(),
            Self::Number(number) => number.into(),
            Self::List(items) => ast::Value::set(items.into_iter().map(Self::plain), None),
            Self::Record(members) => {
                let members = members.into_iter().map(|(name, value)| (name, value.plain()));
                ast::Value::record(members, None)
            }
            Self::Entity(uid) => ast::EntityUID::from(uid).into(),
        }
    }

    fn expression(self) -> Option<RestrictedExpression> {
        Some(match self {
            Self::Text(text) => RestrictedExpression::new_string(text),
            Self::Flag(flag) => RestrictedExpression::new_bool(flag),
            Self::Number(number) => RestrictedExpression::new_long(number),
            Self::List(items) => {
                RestrictedExpression::new_set(items.into_iter().filter_map(Self::expression))
            }
            Self::Record(members) => RestrictedExpression::new_record(expressions(members)).ok()?,
            Self::Entity(uid) => RestrictedExpression::new_entity_uid(uid),
        })
    }
}

/// Of two members of one name the later one holds.
fn expressions(members: Vec<(String, Value)>) -> HashMap<String, RestrictedExpression> {
    let members = members.into_iter();
    members.filter_map(|(name, value)| Some((name, value.expression()?))).collect()
}

/// Somebody or something with its properties.
#[derive(Debug, Clone, PartialEq)]
pub struct Thing {
    /// What it is and which one.
    pub uid: EntityUid,
    /// Its properties.
    pub facts: Vec<(String, Value)>,
    /// What it belongs to, at every level.
    pub groups: Vec<EntityUid>,
}

impl Thing {
    /// One without properties.
    pub fn new(uid: EntityUid) -> Self {
        Self { uid, facts: Vec::new(), groups: Vec::new() }
    }

    /// With one property more.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.facts.push((name.to_owned(), value));
        self
    }

    /// Belonging to one group more.
    #[must_use]
    pub fn within(mut self, group: EntityUid) -> Self {
        self.groups.push(group);
        self
    }

    /// Its type.
    pub fn kind(&self) -> &EntityTypeName {
        self.uid.type_name()
    }

    fn plain(self) -> ast::Entity {
        let facts = self.facts.into_iter();
        let facts = facts.map(|(name, value)| (name.into(), value.plain().into()));
        let groups = self.groups.into_iter().map(ast::EntityUID::from).collect();
        let uid = self.uid.into();
        ast::Entity::new_with_attr_partial_value(uid, facts, HashSet::new(), groups, [])
    }

    fn entity(self) -> Entity {
        let uid = self.uid.clone();
        let groups: HashSet<EntityUid> = self.groups.into_iter().collect();
        Entity::new(self.uid, expressions(self.facts), groups)
            .unwrap_or_else(|_| Entity::with_uid(uid))
    }
}

/// Names one entity.
pub fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// May this one do that with it?
#[derive(Debug, Clone)]
pub struct Question {
    /// Who.
    pub principal: Thing,
    /// What; its groups are those of the vocabulary.
    pub action: Entity,
    /// With what.
    pub resource: Thing,
    /// In which circumstances.
    pub context: Vec<(String, Value)>,
}

/// All of a question but what it is about, as the evaluator takes it.
pub(crate) struct Scene {
    principal: Arc<ast::Entity>,
    action: Arc<ast::Entity>,
    asked: (EntityUIDEntry, EntityUIDEntry),
    context: ast::Context,
    /// Who and what to do; `None` if these two cannot be told apart.
    both: Option<Surroundings>,
}

/// Puts more beside what is there; groups are known at every level.
fn join(
    known: Surroundings,
    more: impl IntoIterator<Item = Arc<ast::Entity>>,
) -> Option<Surroundings> {
    let (schema, closed) = (None::<&NoEntitiesSchema>, TCComputation::AssumeAlreadyComputed);
    known.add_entities(more, schema, closed, Extensions::all_available()).ok()
}

/// Puts entities together of which one is a group of another: the one hands on what it is in.
fn untangle(all: &[&Arc<ast::Entity>]) -> Option<Surroundings> {
    let all = all.iter().map(|one| ast::Entity::clone(one));
    let (schema, open) = (None::<&NoEntitiesSchema>, TCComputation::ComputeNow);
    Surroundings::from_entities(all, schema, open, Extensions::all_available()).ok()
}

impl Scene {
    pub(crate) fn new(principal: Thing, action: &Entity, context: Vec<(String, Value)>) -> Self {
        let action: &ast::Entity = action.as_ref();
        let (principal, action) = (Arc::new(principal.plain()), Arc::new(action.clone()));
        let known = |one: &ast::Entity| EntityUIDEntry::known(one.uid().clone(), None);
        let context = context.into_iter().map(|(name, value)| (name.into(), value.plain()));
        Self {
            asked: (known(&principal), known(&action)),
            context: ast::Context::Value(Arc::new(context.collect())),
            both: join(Surroundings::new(), [Arc::clone(&principal), Arc::clone(&action)]),
            principal,
            action,
        }
    }

    /// The question about one resource, and the three.
    pub(crate) fn about(&self, resource: Thing) -> (ast::Request, Surroundings) {
        let resource = Arc::new(resource.plain());
        let (principal, action) = self.asked.clone();
        let about = EntityUIDEntry::known(resource.uid().clone(), None);
        let context = Some(self.context.clone());
        let request = ast::Request::new_unchecked(principal, action, about, context);
        (request, self.surroundings(resource).unwrap_or_default())
    }

    /// One who asks about themselves is there once, as who asks.
    fn surroundings(&self, resource: Arc<ast::Entity>) -> Option<Surroundings> {
        let itself = resource.uid() == self.principal.uid();
        let resource = if itself { Arc::clone(&self.principal) } else { resource };
        let all = [&self.principal, &self.action, &resource];
        let is_here = |group: &ast::EntityUID| all.iter().any(|one| one.uid() == group);
        if all.iter().any(|one| one.ancestors().any(is_here)) {
            return untangle(if itself { &all[..2] } else { &all });
        }
        let both = self.both.clone()?;
        if itself { Some(both) } else { join(both, [resource]) }
    }
}

/// The three as Cedar takes them by itself, for comparison. One who asks about themselves is there
/// once.
pub(crate) fn entities(principal: Thing, action: &Entity, resource: Option<Thing>) -> Entities {
    let resource = resource.filter(|resource| resource.uid != principal.uid);
    let all = [principal.entity(), action.clone()];
    let all = all.into_iter().chain(resource.map(Thing::entity));
    Entities::from_entities(all, None).unwrap_or_else(|_| Entities::empty())
}

/// The circumstances as Cedar takes them by itself, for comparison.
pub(crate) fn context(members: Vec<(String, Value)>) -> Context {
    Context::from_pairs(expressions(members)).unwrap_or_else(|_| Context::empty())
}
