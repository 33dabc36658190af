//! Room `identity`: brings what a directory sends into the form of the schema: names in their case,
//! values of their types, nothing that is not known, nothing that may not be set.

use serde_json::{Map, Value};

use super::Error;
use super::schemas::{Attribute, ENTERPRISE, Kind, Type};

const TEXT_CHARS_MAX: usize = 2_048;
/// Elements of a multi-valued attribute; members of a group are counted elsewhere.
const ELEMENTS_MAX: usize = 10_000;

/// A document with what may be set, as the schema has it. What is unknown is dropped, which is what
/// directories expect: they send all that they have.
pub(crate) fn settle(of: Type, sent: &Value) -> Result<Value, Error> {
    let Value::Object(sent) = sent else {
        return Err(Error::Syntax("the body has to be a JSON object".to_owned()));
    };
    let mut settled = members(of, false, sent)?;
    if let Some(Value::Object(inner)) = get(sent, ENTERPRISE)
        && of == Type::User
    {
        let inner = members(of, true, inner)?;
        if !inner.is_empty() {
            settled.insert(ENTERPRISE.to_owned(), Value::Object(inner));
        }
    }
    Ok(Value::Object(settled))
}

/// A member by name, whatever its case.
pub(crate) fn get<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn members(
    of: Type,
    extension: bool,
    sent: &Map<String, Value>,
) -> Result<Map<String, Value>, Error> {
    let mut settled = Map::new();
    for (name, value) in sent {
        let known = of.attribute(extension, name).filter(|one| !one.is_read_only());
        let Some(attribute) = known else { continue };
        if let Some(value) = attribute_value(attribute, value)? {
            settled.insert(attribute.name.to_owned(), value);
        }
    }
    Ok(settled)
}

/// A value of an attribute; `None` if it says that there is none.
pub(crate) fn attribute_value(attribute: &Attribute, sent: &Value) -> Result<Option<Value>, Error> {
    if sent.is_null() {
        return Ok(None);
    }
    if !attribute.many {
        return one(attribute, sent);
    }
    let elements = match sent {
        Value::Array(elements) => elements.as_slice(),
        single => std::slice::from_ref(single),
    };
    if elements.len() > ELEMENTS_MAX {
        return Err(Error::Value(format!("`{}` has too many values", attribute.name)));
    }
    let mut settled = Vec::with_capacity(elements.len());
    for element in elements {
        settled.extend(one(attribute, element)?);
    }
    let primary = |one: &&Value| one.get("primary") == Some(&Value::Bool(true));
    if settled.iter().filter(primary).count() > 1 {
        let text = format!("`{}` has more than one primary value", attribute.name);
        return Err(Error::Value(text));
    }
    Ok((!settled.is_empty()).then_some(Value::Array(settled)))
}

/// One value; `None` for an object without anything known in it.
pub(crate) fn one(attribute: &Attribute, sent: &Value) -> Result<Option<Value>, Error> {
    let wrong = |wanted: &str| Error::Value(format!("`{}` has to be {wanted}", attribute.name));
    match (attribute.kind, sent) {
        (_, Value::Null) => Ok(None),
        (Kind::Text | Kind::Reference, Value::String(text)) => {
            if text.chars().count() > TEXT_CHARS_MAX || text.contains('\0') {
                return Err(wrong("shorter, and plain text"));
            }
            Ok(Some(sent.clone()))
        }
        (Kind::Text, Value::Number(number)) => Ok(Some(Value::String(number.to_string()))),
        (Kind::Boolean, Value::Bool(_)) => Ok(Some(sent.clone())),
        (Kind::Boolean, Value::String(text)) => {
            let read = text.to_ascii_lowercase().parse();
            read.map(|flag| Some(Value::Bool(flag))).map_err(|_| wrong("`true` or `false`"))
        }
        (Kind::Complex, Value::Object(members)) => parts(attribute, members),
        // `members: ["usr_..."]` and `emails: ["a@b.c"]` are seen in the field.
        (Kind::Complex, Value::String(_)) if attribute.part("value").is_some() => {
            let members = [("value".to_owned(), sent.clone())].into_iter().collect();
            parts(attribute, &members)
        }
        (Kind::Complex, _) => Err(wrong("an object")),
        (Kind::Boolean, _) => Err(wrong("`true` or `false`")),
        (Kind::Text | Kind::Reference, _) => Err(wrong("a text")),
    }
}

fn parts(attribute: &Attribute, sent: &Map<String, Value>) -> Result<Option<Value>, Error> {
    let mut settled = Map::new();
    for (name, value) in sent {
        let known = attribute.part(name).filter(|part| !part.is_read_only());
        let Some(part) = known else { continue };
        if let Some(value) = one(part, value)? {
            settled.insert(part.name.to_owned(), value);
        }
    }
    Ok((!settled.is_empty()).then_some(Value::Object(settled)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_get_their_case_and_values_their_types() {
        let sent = json!({
            "USERNAME": "ana", "Active": "False", "id": "usr_9", "shoeSize": 4, "title": null,
            "emails": {"Value": "a@b.example", "PRIMARY": "true", "since": 1},
            "groups": [{"value": "grp_1"}], "name": {}, "phoneNumbers": [],
            "URN:ietf:params:scim:schemas:extension:enterprise:2.0:user": {"Department": "S"},
        });
        let expected = json!({
            "userName": "ana", "active": false,
            "emails": [{"value": "a@b.example", "primary": true}],
            (ENTERPRISE): {"department": "S"},
        });
        assert_eq!(settle(Type::User, &sent), Ok(expected));
    }

    #[test]
    fn a_value_of_another_type_is_refused_and_not_repeated() {
        for sent in [
            json!({"userName": ["secret-text"]}),
            json!({"active": "secret-text"}),
            json!({"name": "secret-text"}),
            json!({"title": {"value": "secret-text"}}),
            json!({"emails": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}),
            json!({"title": "a".repeat(3_000)}),
        ] {
            let refused = settle(Type::User, &sent).expect_err("it cannot be read");
            assert!(matches!(refused, Error::Value(_)), "{refused}");
            assert!(!refused.to_string().contains("secret-text"));
        }
        assert!(matches!(settle(Type::User, &json!([])), Err(Error::Syntax(_))));
    }
}
