//! Room `identity`: how a list is asked for and answered (RFC 7644 section 3.4.2), and which
//! attributes an answer holds (section 3.9).

use serde_json::{Map, Value, json};

use super::Error;
use super::filters::Filter;
use super::paths::{self, Place};
use super::schemas::{ENTERPRISE, Type};

/// Resources a page at most.
pub(crate) const COUNT_MAX: usize = 200;
const COUNT: usize = 100;

/// What a list is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) filter: Option<Filter>,
    /// Resources before the first; `startIndex` counts from 1.
    pub(crate) skip: usize,
    pub(crate) count: usize,
    pub(crate) sort: Option<(Place, bool)>,
}

/// Parameters of a query by name, or the members of a search request.
pub(crate) type Parameters = Map<String, Value>;

fn text<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    super::values::get(parameters, name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Negative numbers mean the least that is possible (RFC 7644 table 6).
fn number(parameters: &Parameters, name: &str) -> Result<Option<usize>, Error> {
    let Some(value) = super::values::get(parameters, name) else { return Ok(None) };
    let read = match value {
        Value::String(text) => text.parse::<i64>().ok(),
        other => other.as_i64(),
    };
    let read = read.ok_or_else(|| Error::Value(format!("`{name}` has to be a number")))?;
    Ok(Some(usize::try_from(read).unwrap_or(0)))
}

impl Query {
    /// Reads the parameters.
    pub(crate) fn read(of: Type, parameters: &Parameters) -> Result<Self, Error> {
        let filter = text(parameters, "filter").map(|text| Filter::read(of, text)).transpose()?;
        let by = text(parameters, "sortBy").map(|name| {
            let place = paths::find(of, name).filter(|place| place.attribute.is_some());
            place.ok_or_else(|| Error::Path("`sortBy` names no attribute".to_owned()))
        });
        let descending = text(parameters, "sortOrder")
            .is_some_and(|order| order.eq_ignore_ascii_case("descending"));
        Ok(Self {
            filter,
            skip: number(parameters, "startIndex")?.unwrap_or(1).saturating_sub(1),
            count: number(parameters, "count")?.unwrap_or(COUNT).min(COUNT_MAX),
            sort: by.transpose()?.map(|place| (place, descending)),
        })
    }

    /// Whether the database can count and page by itself.
    pub(crate) fn is_plain(&self) -> bool {
        self.filter.is_none() && self.sort.is_none()
    }

    /// Of everything, the page that is asked for, and how much there is.
    pub(crate) fn choose(&self, mut all: Vec<Value>) -> (Vec<Value>, usize) {
        if let Some(filter) = &self.filter {
            all.retain(|one| filter.matches(one));
        }
        if let Some((place, descending)) = &self.sort {
            all.sort_by_cached_key(|one| sort_key(place, one));
            if *descending {
                all.reverse();
            }
        }
        let total = all.len();
        (all.into_iter().skip(self.skip).take(self.count).collect(), total)
    }

    /// The answer to a list.
    pub(crate) fn listed(&self, page: Vec<Value>, total: usize) -> Value {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": total, "startIndex": self.skip + 1, "itemsPerPage": page.len(),
            "Resources": page,
        })
    }
}

/// Without case; what has no value comes last (RFC 7644 section 3.4.2.3).
fn sort_key(place: &Place, resource: &Value) -> (bool, String) {
    let values = place.values(resource);
    let marked = values.iter().find(|one| one.get("primary") == Some(&Value::Bool(true)));
    let value = marked.or_else(|| values.first()).copied();
    let value = value.map(|one| one.get("value").unwrap_or(one));
    let text = match value {
        Some(Value::String(text)) => Some(text.to_lowercase()),
        Some(other) => Some(other.to_string()),
        None => None,
    };
    (text.is_none(), text.unwrap_or_default())
}

/// Which attributes an answer holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    only: Option<Vec<Place>>,
    hidden: Vec<Place>,
}

impl Shown {
    /// Reads `attributes` and `excludedAttributes`; names that are unknown select nothing.
    pub(crate) fn read(of: Type, parameters: &Parameters) -> Result<Self, Error> {
        let names = |name: &str| -> Option<Vec<String>> {
            match super::values::get(parameters, name)? {
                Value::String(text) if text.is_empty() => None,
                Value::String(text) => Some(text.split(',').map(|one| one.trim().into()).collect()),
                Value::Array(all) => {
                    Some(all.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                }
                _ => None,
            }
        };
        let places = |names: Vec<String>| -> Vec<Place> {
            names.iter().filter_map(|name| paths::find(of, name)).collect()
        };
        let (only, hidden) = (names("attributes"), names("excludedAttributes"));
        if only.is_some() && hidden.is_some() {
            let text = "`attributes` and `excludedAttributes` exclude each other";
            return Err(Error::Value(text.to_owned()));
        }
        Ok(Self { only: only.map(places), hidden: hidden.map(places).unwrap_or_default() })
    }

    /// Whether anything of this attribute is shown.
    pub(crate) fn shows(&self, name: &str) -> bool {
        let is = |place: &Place| place.attribute.is_some_and(|one| one.name == name);
        match &self.only {
            Some(only) => only.iter().any(is),
            None => !self.hidden.iter().any(|place| is(place) && place.part.is_none()),
        }
    }

    /// The resource as it is to be shown. `schemas` and `id` are always there.
    pub(crate) fn apply(&self, resource: Value) -> Value {
        let Some(only) = &self.only else { return self.hide(resource) };
        let mut shown = json!({"schemas": resource["schemas"], "id": resource["id"]});
        for place in only {
            let Some(attribute) = place.attribute else {
                shown[ENTERPRISE] = resource[ENTERPRISE].clone();
                continue;
            };
            let base = if place.extension { &resource[ENTERPRISE] } else { &resource };
            let Some(value) = base.get(attribute.name) else { continue };
            let value = place.part.map_or_else(|| value.clone(), |part| narrowed(value, part.name));
            let Some(holder) = place.holder(&mut shown) else { continue };
            let slot = holder.entry(attribute.name).or_insert(Value::Null);
            merge(slot, value);
        }
        shown
    }

    fn hide(&self, mut resource: Value) -> Value {
        for place in &self.hidden {
            let Some(attribute) = place.attribute else {
                resource.as_object_mut().map(|members| members.remove(ENTERPRISE));
                continue;
            };
            let absent = place.extension && resource.get(ENTERPRISE).is_none();
            if absent || matches!(attribute.name, "id" | "schemas") {
                continue;
            }
            let Some(holder) = place.holder(&mut resource) else { continue };
            match place.part {
                None => drop(holder.remove(attribute.name)),
                Some(part) => holder.get_mut(attribute.name).into_iter().for_each(|value| {
                    elements(value).for_each(|one| {
                        one.as_object_mut().map(|members| members.remove(part.name));
                    });
                }),
            }
        }
        resource
    }
}

fn elements(value: &mut Value) -> std::slice::IterMut<'_, Value> {
    match value {
        Value::Array(all) => all.iter_mut(),
        one => std::slice::from_mut(one).iter_mut(),
    }
}

fn narrowed(value: &Value, part: &str) -> Value {
    let one = |value: &Value| match value.get(part) {
        Some(inner) => json!({part: inner}),
        None => json!({}),
    };
    match value {
        Value::Array(all) => all.iter().map(one).collect(),
        value => one(value),
    }
}

/// Two selections of the same attribute show the parts of both.
fn merge(slot: &mut Value, new: Value) {
    match (slot, new) {
        (Value::Array(known), Value::Array(new)) if known.len() == new.len() => {
            known.iter_mut().zip(new).for_each(|(known, new)| merge(known, new));
        }
        (Value::Object(known), Value::Object(new)) => known.extend(new),
        (slot, new) => *slot = new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(value: Value) -> Parameters {
        value.as_object().cloned().expect("an object")
    }

    fn people() -> Vec<Value> {
        let one = |id: u32, name: &str| json!({"id": format!("u{id}"), "userName": name});
        vec![one(1, "Cid"), one(2, "ana"), one(3, "Bo"), json!({"id": "u4"})]
    }

    fn ids(page: &[Value]) -> Vec<&str> {
        page.iter().filter_map(|one| one["id"].as_str()).collect()
    }

    #[test]
    fn a_page_is_cut_from_what_is_asked_for() {
        let chosen = |asked: Value| {
            let query = Query::read(Type::User, &parameters(asked)).expect("readable");
            let (page, total) = query.choose(people());
            (ids(&page).join(" "), total)
        };
        assert_eq!(chosen(json!({})), ("u1 u2 u3 u4".to_owned(), 4));
        let second = json!({"startIndex": "2", "count": 2});
        assert_eq!(chosen(second), ("u2 u3".to_owned(), 4));
        let sorted = json!({"sortBy": "userName", "sortOrder": "ascending"});
        assert_eq!(chosen(sorted), ("u2 u3 u1 u4".to_owned(), 4));
        let down = json!({"sortBy": "userName", "sortOrder": "descending", "count": "2"});
        assert_eq!(chosen(down), ("u4 u1".to_owned(), 4));
        let none = json!({"startIndex": "-3", "count": "-1", "filter": "userName pr"});
        assert_eq!(chosen(none), (String::new(), 3));
        for wrong in
            [json!({"count": "many"}), json!({"sortBy": "shoeSize"}), json!({"filter": "x"})]
        {
            assert!(Query::read(Type::User, &parameters(wrong)).is_err());
        }
    }

    #[test]
    fn an_answer_holds_what_was_asked_for_and_always_its_id() {
        let ana = json!({
            "schemas": ["s"], "id": "u1", "userName": "ana", "title": "Agent",
            "name": {"givenName": "Ana", "familyName": "Roy"},
            "emails": [{"value": "a@b.c", "type": "work"}],
            (ENTERPRISE): {"department": "Support"},
        });
        let shown = |asked: Value| {
            Shown::read(Type::User, &parameters(asked)).expect("readable").apply(ana.clone())
        };
        let only = json!({"attributes": "userName, emails.value,name.givenName,nothing"});
        let expected = json!({
            "schemas": ["s"], "id": "u1", "userName": "ana",
            "emails": [{"value": "a@b.c"}], "name": {"givenName": "Ana"},
        });
        assert_eq!(shown(only), expected);
        let both = json!({"attributes": ["name.givenName", "name.familyName"]});
        assert_eq!(shown(both)["name"], ana["name"]);
        let less = json!({"excludedAttributes": format!("id,title,emails.type,{ENTERPRISE}")});
        let expected = json!({
            "schemas": ["s"], "id": "u1", "userName": "ana",
            "name": {"givenName": "Ana", "familyName": "Roy"}, "emails": [{"value": "a@b.c"}],
        });
        assert_eq!(shown(less), expected);
        let two = parameters(json!({"attributes": "id", "excludedAttributes": "title"}));
        assert!(Shown::read(Type::User, &two).is_err());
    }
}
