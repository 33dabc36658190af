//! Room `policy`: what a question is about, built by constructors: reading text would take longer
//! than deciding.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression,
};

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

/// The three, and what surrounds them. One who asks about themselves is there once.
pub(crate) fn entities(principal: Thing, action: &Entity, resource: Option<Thing>) -> Entities {
    let resource = resource.filter(|resource| resource.uid != principal.uid);
    let all = [principal.entity(), action.clone()];
    let all = all.into_iter().chain(resource.map(Thing::entity));
    Entities::from_entities(all, None).unwrap_or_else(|_| Entities::empty())
}

pub(crate) fn context(members: Vec<(String, Value)>) -> Context {
    Context::from_pairs(expressions(members)).unwrap_or_else(|_| Context::empty())
}
