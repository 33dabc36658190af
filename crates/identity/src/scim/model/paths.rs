//! Room `identity`: names of attributes as requests write them (RFC 7644 section 3.10): with or
//! without their schema, in any case, with a sub-attribute after a dot.

use serde_json::{Map, Value};

use super::schemas::{Attribute, ENTERPRISE, Kind, Type, USER};

/// Where a value is in a resource, in the names of the schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// In the extension of companies.
    pub(crate) extension: bool,
    /// The attribute; `None` is the whole extension.
    pub(crate) attribute: Option<&'static Attribute>,
    /// The sub-attribute.
    pub(crate) part: Option<&'static Attribute>,
}

/// Finds the place; `None` if a resource of this type has no such attribute.
pub(crate) fn find(of: Type, text: &str) -> Option<Place> {
    let strip = |schema: &str| {
        let (head, rest) = text.split_at_checked(schema.len())?;
        let rest = rest.strip_prefix(':').or_else(|| rest.is_empty().then_some(rest))?;
        head.eq_ignore_ascii_case(schema).then_some(rest)
    };
    if of == Type::User
        && let Some(rest) = strip(ENTERPRISE)
    {
        if rest.is_empty() {
            return Some(Place { extension: true, attribute: None, part: None });
        }
        return plain(of, true, rest);
    }
    let core = if of == Type::User { USER } else { of.schema() };
    plain(of, false, strip(core).unwrap_or(text))
}

fn plain(of: Type, extension: bool, text: &str) -> Option<Place> {
    let (name, part) = text.split_once('.').map_or((text, None), |(a, b)| (a, Some(b)));
    let attribute = of.attribute(extension, name)?;
    let part = match part {
        Some(part) => Some(attribute.part(part)?),
        None => None,
    };
    Some(Place { extension, attribute: Some(attribute), part })
}

impl Place {
    /// The values there. A multi-valued attribute gives each of its elements; a complex one that is
    /// compared without naming a part is compared by its `value`.
    pub(crate) fn values<'a>(&self, resource: &'a Value) -> Vec<&'a Value> {
        let base = if self.extension { resource.get(ENTERPRISE) } else { Some(resource) };
        let Some(base) = base else { return Vec::new() };
        let Some(attribute) = self.attribute else { return vec![base] };
        let Some(found) = base.get(attribute.name) else { return Vec::new() };
        let elements: Vec<&Value> = match found {
            Value::Array(elements) => elements.iter().collect(),
            one => vec![one],
        };
        match self.part {
            Some(part) => elements.into_iter().filter_map(|one| one.get(part.name)).collect(),
            None => elements,
        }
    }

    /// The members of the object that holds the attribute, made if it is not there.
    pub(crate) fn holder<'a>(&self, resource: &'a mut Value) -> Option<&'a mut Map<String, Value>> {
        let members = resource.as_object_mut()?;
        if !self.extension {
            return Some(members);
        }
        let inner = members.entry(ENTERPRISE).or_insert_with(|| Value::Object(Map::new()));
        inner.as_object_mut()
    }

    /// What is compared there.
    pub(crate) fn compared(&self) -> Option<&'static Attribute> {
        let attribute = self.attribute?;
        match (self.part, attribute.kind) {
            (Some(part), _) => Some(part),
            (None, Kind::Complex) => attribute.part("value"),
            (None, _) => Some(attribute),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_lead_to_one_place_however_they_are_written() {
        let named = |text: &str| {
            let place = find(Type::User, text)?;
            let name = place.attribute.map_or("", |one| one.name);
            Some((place.extension, name, place.part.map(|part| part.name)))
        };
        for text in ["userName", "USERNAME", &format!("{USER}:userName")] {
            assert_eq!(named(text), Some((false, "userName", None)), "{text}");
        }
        let part = Some((false, "name", Some("givenName")));
        assert_eq!(named("name.givenname"), part);
        assert_eq!(named(&format!("{}:name.GivenName", USER.to_uppercase())), part);
        assert_eq!(named(ENTERPRISE), Some((true, "", None)));
        assert_eq!(named(&format!("{ENTERPRISE}:division")), Some((true, "division", None)));
        for text in
            ["", "shoeSize", "name.shoeSize", "userName.value", "department", USER, "urn:x:y"]
        {
            assert_eq!(named(text), None, "{text}");
        }
        assert!(find(Type::Group, ENTERPRISE).is_none());
    }

    #[test]
    fn values_are_those_of_every_element() {
        let emails = json!([{"value": "a"}, {"value": "b", "type": "work"}, {"type": "home"}]);
        let ana = json!({"emails": emails, "title": "T"});
        let values = |text: &str| {
            let place = find(Type::User, text).expect("a place");
            place.values(&ana).len()
        };
        assert_eq!((values("emails"), values("emails.value"), values("emails.type")), (3, 2, 2));
        assert_eq!((values("title"), values("nickName")), (1, 0));
        assert_eq!(values(&format!("{ENTERPRISE}:division")), 0);
    }
}
