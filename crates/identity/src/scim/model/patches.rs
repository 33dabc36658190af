//! Room `identity`: patches (RFC 7644 section 3.5.2), also as the directories of Microsoft and Okta
//! write them: operations in any case, booleans as texts, values without a path whose names are
//! paths.

use serde_json::{Map, Value};

use super::Error;
use super::filters::Filter;
use super::paths::{self, Place};
use super::schemas::{Attribute, Kind, Type};
use super::values;

const OPERATIONS_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

/// Where an operation works.
struct Target {
    place: Place,
    filter: Option<Filter>,
}

/// The document after all operations, or the first that cannot be done.
pub(crate) fn apply(of: Type, document: &Value, body: &Value) -> Result<Value, Error> {
    let members = body.as_object().ok_or_else(|| syntax("the body has to be an object"))?;
    let operations = values::get(members, "Operations").and_then(Value::as_array);
    let operations = operations.ok_or_else(|| syntax("`Operations` has to be a list"))?;
    if operations.is_empty() || operations.len() > OPERATIONS_MAX {
        return Err(syntax("`Operations` has to hold 1 to 1000"));
    }
    let mut document = document.clone();
    for operation in operations {
        let operation = operation.as_object().ok_or_else(|| syntax("an operation is none"))?;
        run(of, &mut document, operation)?;
    }
    Ok(document)
}

fn run(of: Type, document: &mut Value, operation: &Map<String, Value>) -> Result<(), Error> {
    let word = values::get(operation, "op").and_then(Value::as_str).unwrap_or_default();
    let verb = match word.to_ascii_lowercase().as_str() {
        "add" => Verb::Add,
        "replace" => Verb::Replace,
        "remove" => Verb::Remove,
        _ => return Err(syntax("`op` has to be `add`, `replace` or `remove`")),
    };
    let value = values::get(operation, "value");
    let path = values::get(operation, "path").filter(|path| !path.is_null());
    let Some(path) = path else { return without_path(of, document, verb, value) };
    let path = path.as_str().ok_or_else(|| Error::Path("it is not a text".to_owned()))?;
    at(of, document, verb, &target(of, path)?, value)
}

/// The value's names are paths; what is unknown among them is passed over, as in a whole document.
fn without_path(
    of: Type,
    document: &mut Value,
    verb: Verb,
    value: Option<&Value>,
) -> Result<(), Error> {
    if verb == Verb::Remove {
        return Err(Error::NoTarget("`remove` needs a path".to_owned()));
    }
    let members = value.and_then(Value::as_object);
    let members = members.ok_or_else(|| syntax("without a path the value has to be an object"))?;
    for (name, value) in members {
        let Ok(target) = target(of, name) else { continue };
        if target.place.attribute.is_some_and(Attribute::is_read_only) {
            continue;
        }
        at(of, document, verb, &target, Some(value))?;
    }
    Ok(())
}

/// Reads `attribute`, `attribute.part`, `attribute[filter]` and `attribute[filter].part`.
fn target(of: Type, path: &str) -> Result<Target, Error> {
    let unknown = || Error::Path("there is no such attribute".to_owned());
    let path = path.trim();
    let Some((name, rest)) = path.split_once('[') else {
        let place = paths::find(of, path).ok_or_else(unknown)?;
        return Ok(Target { place, filter: None });
    };
    let (inner, after) =
        rest.rsplit_once(']').ok_or_else(|| Error::Path("`]` is missing".to_owned()))?;
    let mut place = paths::find(of, name).ok_or_else(unknown)?;
    let many = place.attribute.filter(|one| one.many && one.kind == Kind::Complex);
    let attribute = many.ok_or_else(|| Error::Path("it has no elements".to_owned()))?;
    if !after.is_empty() {
        let part = after.strip_prefix('.').and_then(|part| attribute.part(part));
        place.part = Some(part.ok_or_else(unknown)?);
    }
    Ok(Target { place, filter: Some(Filter::read_inner(attribute, inner)?) })
}

fn at(
    of: Type,
    document: &mut Value,
    verb: Verb,
    target: &Target,
    value: Option<&Value>,
) -> Result<(), Error> {
    let place = &target.place;
    let Some(attribute) = place.attribute else {
        return whole_extension(of, document, verb, place, value);
    };
    if attribute.is_read_only() || place.part.is_some_and(Attribute::is_read_only) {
        return Err(Error::Mutability(format!("`{}` is kept by the server", attribute.name)));
    }
    if verb == Verb::Remove {
        if attribute.required && place.part.is_none() && target.filter.is_none() {
            return Err(Error::Value(format!("`{}` is required", attribute.name)));
        }
        return remove(document, target, attribute, value);
    }
    let value = value.ok_or_else(|| Error::Value("`value` is missing".to_owned()))?;
    let holder = place.holder(document).ok_or_else(|| syntax("the document is none"))?;
    let slot = holder.entry(attribute.name).or_insert(Value::Null);
    match (&target.filter, place.part) {
        (Some(filter), part) => write_selected(slot, attribute, filter, part, value)?,
        (None, Some(part)) => write_part(slot, attribute, part, value)?,
        (None, None) => write(slot, verb, attribute, value)?,
    }
    if slot.is_null() {
        holder.remove(attribute.name);
    }
    Ok(())
}

fn whole_extension(
    of: Type,
    document: &mut Value,
    verb: Verb,
    place: &Place,
    value: Option<&Value>,
) -> Result<(), Error> {
    let holder = place.holder(document).ok_or_else(|| syntax("the document is none"))?;
    if verb == Verb::Remove {
        holder.clear();
        return Ok(());
    }
    let members = value.and_then(Value::as_object);
    for (name, value) in members.ok_or_else(|| syntax("the value has to be an object"))? {
        let Some(attribute) = of.attribute(true, name) else { continue };
        match values::attribute_value(attribute, value)? {
            Some(value) => holder.insert(attribute.name.to_owned(), value),
            None => holder.remove(attribute.name),
        };
    }
    Ok(())
}

/// A whole attribute. `add` joins values to those that are there, `replace` puts them in their
/// place; parts of a single complex value that are not named stay in both.
fn write(slot: &mut Value, verb: Verb, attribute: &Attribute, value: &Value) -> Result<(), Error> {
    let settled = values::attribute_value(attribute, value)?.unwrap_or(Value::Null);
    match (slot, settled) {
        (Value::Array(known), Value::Array(new)) if verb == Verb::Add => join(known, new),
        (_, Value::Null) if verb == Verb::Add && attribute.many => {}
        (Value::Object(known), Value::Object(new)) if !attribute.many => known.extend(new),
        (slot, settled) => *slot = settled,
    }
    Ok(())
}

fn join(known: &mut Vec<Value>, new: Vec<Value>) {
    for one in new {
        if one.get("primary") == Some(&Value::Bool(true)) {
            known.iter_mut().for_each(unmark);
        }
        let same = |other: &Value| match (one.get("value"), other.get("value")) {
            (Some(a), Some(b)) => a == b && one.get("type") == other.get("type"),
            _ => one == *other,
        };
        match known.iter().position(same) {
            Some(at) => known[at] = one,
            None => known.push(one),
        }
    }
}

fn unmark(element: &mut Value) {
    if let Some(members) = element.as_object_mut() {
        members.remove("primary");
    }
}

fn write_part(
    slot: &mut Value,
    attribute: &Attribute,
    part: &Attribute,
    value: &Value,
) -> Result<(), Error> {
    let settled = values::one(part, value)?;
    if slot.is_null() {
        let empty = Value::Object(Map::new());
        *slot = if attribute.many { Value::Array(vec![empty]) } else { empty };
    }
    let elements = match slot {
        Value::Array(elements) => elements.as_mut_slice(),
        single => std::slice::from_mut(single),
    };
    for element in elements.iter_mut().filter_map(Value::as_object_mut) {
        match settled.clone() {
            Some(value) => element.insert(part.name.to_owned(), value),
            None => element.remove(part.name),
        };
    }
    Ok(())
}

/// Elements that a filter selects. If none is there, the one that it describes is made: directories
/// set the work address before there is one.
fn write_selected(
    slot: &mut Value,
    attribute: &Attribute,
    filter: &Filter,
    part: Option<&'static Attribute>,
    value: &Value,
) -> Result<(), Error> {
    if slot.is_null() {
        *slot = Value::Array(Vec::new());
    }
    let Value::Array(elements) = slot else { return Err(syntax("the document is none")) };
    let nothing = || Error::NoTarget(format!("no value of `{}` is selected", attribute.name));
    if !elements.iter().any(|one| filter.matches(one)) {
        let demands = filter.demands().ok_or_else(nothing)?;
        let members = demands.into_iter().map(|(name, value)| (name.to_owned(), value));
        let made = values::one(attribute, &Value::Object(members.collect()))?;
        elements.push(made.ok_or_else(nothing)?);
    }
    for element in elements.iter_mut().filter(|one| filter.matches(one)) {
        let Some(members) = element.as_object_mut() else { continue };
        let Some(part) = part else {
            let settled = values::one(attribute, value)?;
            let settled = settled.as_ref().and_then(Value::as_object).ok_or_else(nothing)?;
            members.extend(settled.clone());
            continue;
        };
        match values::one(part, value)? {
            Some(value) => members.insert(part.name.to_owned(), value),
            None => members.remove(part.name),
        };
    }
    Ok(())
}

fn remove(
    document: &mut Value,
    target: &Target,
    attribute: &Attribute,
    value: Option<&Value>,
) -> Result<(), Error> {
    let Target { place, filter } = target;
    let Some(holder) = place.holder(document) else { return Ok(()) };
    let Some(slot) = holder.get_mut(attribute.name) else { return Ok(()) };
    let named = match value.filter(|value| !value.is_null() && attribute.many) {
        Some(value) => values::attribute_value(attribute, value)?,
        None => None,
    };
    let named = named.as_ref().and_then(Value::as_array);
    let goes = |element: &Value| match (filter, named) {
        (Some(filter), _) => filter.matches(element),
        (None, Some(named)) => named.iter().any(|one| one.get("value") == element.get("value")),
        (None, None) => true,
    };
    let empty = match (slot, place.part) {
        (Value::Array(elements), Some(part)) => {
            let chosen = elements.iter_mut().filter(|one| goes(one));
            chosen.filter_map(Value::as_object_mut).for_each(|one| drop(one.remove(part.name)));
            false
        }
        (Value::Array(elements), None) => {
            elements.retain(|one| !goes(one));
            elements.is_empty()
        }
        (Value::Object(members), Some(part)) => {
            members.remove(part.name);
            members.is_empty()
        }
        _ => true,
    };
    if empty {
        holder.remove(attribute.name);
    }
    Ok(())
}

fn syntax(what: &str) -> Error {
    Error::Syntax(what.to_owned())
}

#[cfg(test)]
mod tests;
