//! Room `identity`: what is known of the subjects and resources of a tenant's own applications.

use std::collections::{BTreeMap, BTreeSet};

use misy_core::error::Fault;
use misy_policy::things::uid;
use misy_policy::{Thing, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::evaluations::model::kind;

/// How many a tenant may make known; all of them are kept in memory while they are asked about.
pub(crate) const ENTITIES_MAX: usize = 5_000;
/// The longest id, in bytes.
const ID_BYTES_MAX: usize = 256;
/// What one may belong to directly.
const PARENTS_MAX: usize = 50;

/// Type and id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Name {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) id: String,
}

/// One as it was made known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entity {
    #[serde(flatten)]
    pub(crate) name: Name,
    pub(crate) properties: Map<String, Json>,
    /// What it belongs to.
    pub(crate) parents: Vec<Name>,
}

/// All that are known, as policies see them.
#[derive(Debug, Default)]
pub(crate) struct Known {
    by_type: BTreeMap<String, BTreeMap<String, Thing>>,
    count: usize,
}

impl Known {
    /// Takes a tenant's list; tells everything that is wrong with it at once.
    pub(crate) fn new(entities: &[Entity]) -> Result<Self, Vec<Fault>> {
        let faults = faults(entities);
        if !faults.is_empty() {
            return Err(faults);
        }
        let parents: BTreeMap<&Name, &[Name]> =
            entities.iter().map(|one| (&one.name, one.parents.as_slice())).collect();
        let mut known = Self { by_type: BTreeMap::new(), count: entities.len() };
        for one in entities {
            let Some(mut thing) = thing(&one.name) else { continue };
            thing.facts = Value::members(&Json::Object(one.properties.clone()));
            for group in above(&one.name, &parents) {
                thing.groups.extend(self::thing(group).map(|group| group.uid));
            }
            let of_type = known.by_type.entry(one.name.kind.clone()).or_default();
            of_type.insert(one.name.id.clone(), thing);
        }
        Ok(known)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// One, if it is known.
    pub(crate) fn find(&self, kind: &str, id: &str) -> Option<&Thing> {
        self.by_type.get(kind)?.get(id)
    }

    /// Those of a type whose ids come after this one, in the order of their ids.
    pub(crate) fn after<'a>(
        &'a self,
        kind: &str,
        last: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, &'a Thing)> {
        let of_type = self.by_type.get(kind).into_iter().flatten();
        let rest = of_type.skip_while(move |(id, _)| last.is_some_and(|last| id.as_str() <= last));
        rest.map(|(id, thing)| (id.as_str(), thing))
    }
}

fn thing(name: &Name) -> Option<Thing> {
    Some(Thing::new(uid(&kind(&name.kind).ok()?, &name.id)))
}

/// Everything that one belongs to, at every level and without itself.
fn above<'a>(one: &'a Name, parents: &BTreeMap<&'a Name, &'a [Name]>) -> BTreeSet<&'a Name> {
    let (mut found, mut open) = (BTreeSet::new(), vec![one]);
    while let Some(next) = open.pop() {
        let direct = parents.get(next).copied().unwrap_or_default();
        open.extend(direct.iter().filter(|parent| *parent != one && found.insert(*parent)));
    }
    found
}

fn faults(entities: &[Entity]) -> Vec<Fault> {
    let fault = |pointer: String, detail: &str| Fault { pointer, detail: detail.to_owned() };
    if entities.len() > ENTITIES_MAX {
        let detail = format!("holds more than {ENTITIES_MAX}");
        return vec![fault("/entities".to_owned(), &detail)];
    }
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for (at, one) in entities.iter().enumerate() {
        let place = format!("/entities/{at}");
        if let Some(detail) = wrong(&one.name) {
            all.push(fault(place.clone(), detail));
        }
        if !seen.insert(&one.name) {
            all.push(fault(place.clone(), "is there twice"));
        }
        if one.parents.len() > PARENTS_MAX {
            all.push(fault(format!("{place}/parents"), "holds more than 50"));
        }
        if let Some(detail) = one.parents.iter().find_map(wrong) {
            all.push(fault(format!("{place}/parents"), detail));
        }
    }
    all
}

fn wrong(name: &Name) -> Option<&'static str> {
    if name.id.is_empty() || name.id.len() > ID_BYTES_MAX {
        return Some("needs an id of 1 to 256 bytes");
    }
    kind(&name.kind).is_err().then_some("has a type that cannot be one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(kind: &str, id: &str, parents: &[(&str, &str)]) -> Entity {
        let name = |kind: &str, id: &str| Name { kind: kind.to_owned(), id: id.to_owned() };
        let parents = parents.iter().map(|(kind, id)| name(kind, id)).collect();
        Entity { name: name(kind, id), properties: Map::new(), parents }
    }

    #[test]
    fn one_belongs_to_all_above_it_even_if_they_go_round_in_a_circle() {
        let all = [
            entity("user", "ana", &[("team", "red")]),
            entity("team", "red", &[("team", "all")]),
            entity("team", "all", &[("team", "red"), ("house", "h")]),
        ];
        let known = Known::new(&all).expect("a list");
        let groups = |kind, id| known.find(kind, id).expect("known").groups.len();
        assert_eq!((groups("user", "ana"), groups("team", "red")), (3, 2));
        assert!(known.find("user", "red").is_none());
    }

    #[test]
    fn those_of_a_type_come_in_order_after_the_last_one() {
        let all = [entity("b", "2", &[]), entity("b", "1", &[]), entity("a", "3", &[])];
        let known = Known::new(&all).expect("a list");
        let ids = |last| known.after("b", last).map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(
            (ids(None), ids(Some("1")), ids(Some("2"))),
            (vec!["1", "2"], vec!["2"], vec![])
        );
        assert_eq!((known.after("c", None).count(), known.len()), (0, 3));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let long = "x".repeat(257);
        let all = [
            entity("a b", "1", &[]),
            entity("a", "", &[("a", &long)]),
            entity("a", "1", &vec![("a", "2"); 51]),
            entity("a", "1", &[]),
        ];
        let told = Known::new(&all).expect_err("faults");
        let places: Vec<&str> = told.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            places,
            [
                "/entities/0",
                "/entities/1",
                "/entities/1/parents",
                "/entities/2/parents",
                "/entities/3"
            ]
        );
        let many = vec![entity("a", "1", &[]); ENTITIES_MAX + 1];
        assert_eq!(Known::new(&many).expect_err("a fault")[0].pointer, "/entities");
    }
}
