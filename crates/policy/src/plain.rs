//! Room `policy`: the short way to a decision. Most conditions compare a few properties of those
//! they are about; these are read where they stand, without making entities of them first.
//!
//! What is not certain to mean here what it means to Cedar has no answer here: sets and records as
//! values, numbers that are added, functions, whatever would be an error. Then Cedar's own
//! evaluator is asked, as it is by the tests that compare the two.

use cedar_policy::Entity;
use cedar_policy_core::ast::{self, BinaryOp, EntityUID, Expr, ExprKind, Literal, UnaryOp, Var};
use cedar_policy_core::entities::{Dereference, Entities as Surroundings};

use crate::things::{Thing, Value};

/// What a part of a condition comes to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Said<'a> {
    Flag(bool),
    Number(i64),
    Text(&'a str),
    Entity(&'a EntityUID),
    /// Several, as they were told.
    List(&'a [Value]),
    /// Several that are written in the policy.
    Written(&'a [Expr]),
    /// Named ones, of which the later one of a name holds.
    Members(&'a [(String, Value)]),
    /// A set or a record of Cedar's.
    Several(&'a ast::Value),
    /// The circumstances as Cedar has them.
    Context(&'a ast::Context),
}

impl<'a> Said<'a> {
    fn told(value: &'a Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(text),
            Value::Flag(flag) => Self::Flag(*flag),
            Value::Number(number) => Self::Number(*number),
            Value::List(items) => Self::List(items),
            Value::Record(members) => Self::Members(members),
            Value::Entity(uid) => Self::Entity(uid.as_ref()),
        }
    }

    fn literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Bool(flag) => Self::Flag(*flag),
            Literal::Long(number) => Self::Number(*number),
            Literal::String(text) => Self::Text(text),
            Literal::EntityUID(uid) => Self::Entity(uid),
        }
    }

    fn value(value: &'a ast::Value) -> Option<Self> {
        Some(match value.value_kind() {
            ast::ValueKind::Lit(literal) => Self::literal(literal),
            ast::ValueKind::Set(_) | ast::ValueKind::Record(_) => Self::Several(value),
            ast::ValueKind::ExtensionValue(_) => return None,
        })
    }

    fn flag(self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// Whether two are the same; what is neither a text, a flag, a number nor an entity is not
    /// compared here.
    fn is(self, other: Self) -> Option<bool> {
        Some(match (self, other) {
            (Self::Flag(one), Self::Flag(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Entity(one), Self::Entity(other)) => is_same(one, other),
            (one, other) if one.is_single() && other.is_single() => false,
            _ => return None,
        })
    }

    fn is_single(self) -> bool {
        matches!(self, Self::Flag(_) | Self::Number(_) | Self::Text(_) | Self::Entity(_))
    }

    /// A member of what has members that are known.
    fn member(self, name: &str) -> Option<Option<Self>> {
        let members = match self {
            Self::Members(members) => return Some(last(members, name)),
            Self::Context(ast::Context::Value(members)) => members,
            Self::Several(value) => match value.value_kind() {
                ast::ValueKind::Record(members) => members,
                _ => return None,
            },
            _ => return None,
        };
        match members.get(name) {
            Some(value) => Some(Some(Self::value(value)?)),
            None => Some(None),
        }
    }
}

/// The later one of a name holds.
fn last<'a>(members: &'a [(String, Value)], name: &str) -> Option<Said<'a>> {
    let found = members.iter().rev().find(|(known, _)| known == name);
    found.map(|(_, value)| Said::told(value))
}

/// Ids differ more often than types do, and sooner.
pub(crate) fn is_same(one: &EntityUID, other: &EntityUID) -> bool {
    std::ptr::eq(one, other)
        || (one.eid() == other.eid() && one.entity_type() == other.entity_type())
}

/// Where the facts are that a condition is about.
pub(crate) trait Ground<'a> {
    /// Who asks, and all that they belong to.
    fn parties(&self) -> impl Iterator<Item = &'a EntityUID>;
    /// One of the three, or the circumstances.
    fn one(&self, which: Var) -> Option<Said<'a>>;
    /// A property of an entity; inside, `None` if it has none of this name. `None` if there is no
    /// such entity.
    fn property(&self, of: &EntityUID, name: &str) -> Option<Option<Said<'a>>>;
    /// Whether the first, which is not the second, belongs to it.
    fn belongs(&self, one: &EntityUID, group: &EntityUID) -> bool;
}

/// A question as it was asked.
pub(crate) struct Plain<'a> {
    principal: &'a Thing,
    action: &'a ast::Entity,
    resource: &'a Thing,
    context: &'a [(String, Value)],
}

impl<'a> Plain<'a> {
    /// `None` if one of the three is a group of another, or the action is one of the others: then
    /// what belongs to what has to be worked out first.
    pub(crate) fn new(
        principal: &'a Thing,
        action: &'a Entity,
        resource: &'a Thing,
        context: &'a [(String, Value)],
    ) -> Option<Self> {
        let action: &ast::Entity = action.as_ref();
        let (who, what) = (principal.uid.as_ref(), resource.uid.as_ref());
        // One who asks about themselves is there once, as who asks.
        let resource = if is_same(who, what) { principal } else { resource };
        let all = [who, action.uid(), what];
        let is_here = |group: &EntityUID| all.iter().any(|one| is_same(one, group));
        let mut groups = principal.groups.iter().chain(&resource.groups);
        let tangled = is_same(who, action.uid())
            || is_same(what, action.uid())
            || groups.any(|group| is_here(group.as_ref()))
            || action.ancestors().any(is_here);
        (!tangled).then_some(Self { principal, action, resource, context })
    }

    fn thing(&self, uid: &EntityUID) -> Option<&'a Thing> {
        [self.principal, self.resource].into_iter().find(|one| is_same(one.uid.as_ref(), uid))
    }
}

impl<'a> Ground<'a> for Plain<'a> {
    fn parties(&self) -> impl Iterator<Item = &'a EntityUID> {
        // One that is told twice has one say.
        let groups = &self.principal.groups;
        let once = groups.iter().enumerate().filter(|(at, one)| !groups[..*at].contains(one));
        std::iter::once(self.principal.uid.as_ref()).chain(once.map(|(_, one)| one.as_ref()))
    }

    fn one(&self, which: Var) -> Option<Said<'a>> {
        Some(match which {
            Var::Principal => Said::Entity(self.principal.uid.as_ref()),
            Var::Action => Said::Entity(self.action.uid()),
            Var::Resource => Said::Entity(self.resource.uid.as_ref()),
            Var::Context => Said::Members(self.context),
        })
    }

    fn property(&self, of: &EntityUID, name: &str) -> Option<Option<Said<'a>>> {
        self.thing(of).map(|thing| last(&thing.facts, name))
    }

    fn belongs(&self, one: &EntityUID, group: &EntityUID) -> bool {
        if let Some(thing) = self.thing(one) {
            return thing.groups.iter().any(|known| is_same(known.as_ref(), group));
        }
        is_same(one, self.action.uid())
            && self.action.ancestors().any(|known| is_same(known, group))
    }
}

/// A question in Cedar's own form.
pub(crate) struct Made<'a> {
    pub(crate) request: &'a ast::Request,
    pub(crate) entities: &'a Surroundings,
}

impl<'a> Made<'a> {
    fn entity(&self, uid: &EntityUID) -> Option<&'a ast::Entity> {
        match self.entities.entity(uid) {
            Dereference::Data(entity) => Some(entity),
            _ => None,
        }
    }
}

impl<'a> Ground<'a> for Made<'a> {
    fn parties(&self) -> impl Iterator<Item = &'a EntityUID> {
        let who = self.request.principal().uid();
        let groups = who.and_then(|who| self.entity(who)).map(ast::Entity::ancestors);
        who.into_iter().chain(groups.into_iter().flatten())
    }

    fn one(&self, which: Var) -> Option<Said<'a>> {
        let (request, uid) = (self.request, |entry: &'a ast::EntityUIDEntry| entry.uid());
        match which {
            Var::Principal => uid(request.principal()).map(Said::Entity),
            Var::Action => uid(request.action()).map(Said::Entity),
            Var::Resource => uid(request.resource()).map(Said::Entity),
            Var::Context => request.context().map(Said::Context),
        }
    }

    fn property(&self, of: &EntityUID, name: &str) -> Option<Option<Said<'a>>> {
        match self.entity(of)?.get(name) {
            Some(ast::PartialValue::Value(value)) => Some(Some(Said::value(value)?)),
            Some(ast::PartialValue::Residual(_)) => None,
            None => Some(None),
        }
    }

    fn belongs(&self, one: &EntityUID, group: &EntityUID) -> bool {
        self.entity(one).is_some_and(|entity| entity.is_descendant_of(group))
    }
}

/// Whether a condition holds; `None` if that cannot be told here.
pub(crate) fn holds<'a>(ground: &impl Ground<'a>, condition: &'a Expr) -> Option<bool> {
    says(ground, condition)?.flag()
}

fn says<'a>(ground: &impl Ground<'a>, part: &'a Expr) -> Option<Said<'a>> {
    let holds = |part: &'a Expr| holds(ground, part);
    Some(match part.expr_kind() {
        ExprKind::Lit(literal) => Said::literal(literal),
        ExprKind::Var(which) => return ground.one(*which),
        ExprKind::Set(items) => Said::Written(items),
        // What is not reached cannot fail.
        ExprKind::And { left, right } => Said::Flag(holds(left)? && holds(right)?),
        ExprKind::Or { left, right } => Said::Flag(holds(left)? || holds(right)?),
        ExprKind::If { test_expr, then_expr, else_expr } => {
            return says(ground, if holds(test_expr)? { then_expr } else { else_expr });
        }
        ExprKind::UnaryApp { op: UnaryOp::Not, arg } => Said::Flag(!holds(arg)?),
        ExprKind::BinaryApp { op, arg1, arg2 } => {
            let (one, other) = (says(ground, arg1)?, says(ground, arg2)?);
            Said::Flag(compare(ground, *op, one, other)?)
        }
        // What is not there is an error, which Cedar has the words for.
        ExprKind::GetAttr { expr, attr } => match says(ground, expr)? {
            Said::Entity(uid) => ground.property(uid, attr)??,
            members => members.member(attr)??,
        },
        ExprKind::HasAttr { expr, attr } => Said::Flag(match says(ground, expr)? {
            Said::Entity(uid) => ground.property(uid, attr)?.is_some(),
            members => members.member(attr)?.is_some(),
        }),
        ExprKind::Is { expr, entity_type } => match says(ground, expr)? {
            Said::Entity(uid) => Said::Flag(uid.entity_type() == entity_type),
            _ => return None,
        },
        ExprKind::Like { expr, pattern } => match says(ground, expr)? {
            Said::Text(text) => Said::Flag(pattern.wildcard_match(text)),
            _ => return None,
        },
        _ => return None,
    })
}

fn compare<'a>(
    ground: &impl Ground<'a>,
    op: BinaryOp,
    one: Said<'a>,
    other: Said<'a>,
) -> Option<bool> {
    match (op, one, other) {
        (BinaryOp::Eq, one, other) => one.is(other),
        (BinaryOp::Less, Said::Number(one), Said::Number(other)) => Some(one < other),
        (BinaryOp::LessEq, Said::Number(one), Said::Number(other)) => Some(one <= other),
        (BinaryOp::In, Said::Entity(one), other) => within(ground, one, other),
        (BinaryOp::Contains, all, one) if one.is_single() => {
            let is_it = |known: Said<'a>| known.is(one) == Some(true);
            Some(members(ground, all)?.into_iter().any(is_it))
        }
        _ => None,
    }
}

fn within<'a>(ground: &impl Ground<'a>, one: &EntityUID, groups: Said<'a>) -> Option<bool> {
    let is_in = |group: &EntityUID| is_same(one, group) || ground.belongs(one, group);
    match groups {
        Said::Entity(group) => Some(is_in(group)),
        groups => {
            let entity = |said| match said {
                Said::Entity(uid) => Some(uid),
                _ => None,
            };
            let groups = members(ground, groups)?.into_iter().map(entity);
            let groups = groups.collect::<Option<Vec<_>>>()?;
            Some(groups.into_iter().any(is_in))
        }
    }
}

/// What is in a list or a set.
fn members<'a>(ground: &impl Ground<'a>, all: Said<'a>) -> Option<Vec<Said<'a>>> {
    match all {
        Said::List(items) => Some(items.iter().map(Said::told).collect()),
        Said::Written(items) => items.iter().map(|item| says(ground, item)).collect(),
        Said::Several(value) => match value.value_kind() {
            ast::ValueKind::Set(set) => set.iter().map(Said::value).collect(),
            _ => None,
        },
        _ => None,
    }
}
