//! Room `identity`: filters (RFC 7644 section 3.4.2.2), read once and asked of each resource.

use std::cmp::Ordering;

use misy_core::Timestamp;
use serde_json::Value;

use super::Error;
use super::paths::{self, Place};
use super::schemas::{Kind, Type};

const BYTES_MAX: usize = 4_096;
const DEPTH_MAX: usize = 16;

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Operator {
    fn read(word: &str) -> Option<Self> {
        let known = [
            ("eq", Self::Equal),
            ("ne", Self::NotEqual),
            ("co", Self::Contains),
            ("sw", Self::StartsWith),
            ("ew", Self::EndsWith),
            ("gt", Self::Greater),
            ("ge", Self::GreaterOrEqual),
            ("lt", Self::Less),
            ("le", Self::LessOrEqual),
        ];
        known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, one)| one)
    }
}

/// A filter, with its names resolved.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    Compare(Place, Operator, Value),
    Present(Place),
    /// One element of a multi-valued attribute does all of it.
    Within(Place, Box<Filter>),
    Not(Box<Filter>),
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

/// What names in a filter belong to: a resource, or an element of one of its attributes.
#[derive(Clone, Copy)]
enum Scope {
    Resource(Type),
    Element(&'static super::schemas::Attribute),
}

impl Scope {
    fn find(self, name: &str) -> Option<Place> {
        match self {
            Self::Resource(of) => paths::find(of, name).filter(|place| place.attribute.is_some()),
            Self::Element(attribute) => {
                let part = attribute.part(name)?;
                Some(Place { extension: false, attribute: Some(part), part: None })
            }
        }
    }
}

impl Filter {
    /// Reads a filter on resources of a type.
    pub(crate) fn read(of: Type, text: &str) -> Result<Self, Error> {
        Reader::new(text, Scope::Resource(of))?.whole()
    }

    /// Reads what stands between the brackets after a multi-valued attribute.
    pub(crate) fn read_inner(
        attribute: &'static super::schemas::Attribute,
        text: &str,
    ) -> Result<Self, Error> {
        Reader::new(text, Scope::Element(attribute))?.whole()
    }

    /// Whether a resource, or an element, is one of those asked for.
    pub(crate) fn matches(&self, resource: &Value) -> bool {
        match self {
            Self::Compare(place, operator, wanted) => compare(place, *operator, wanted, resource),
            Self::Present(place) => place.values(resource).into_iter().any(is_present),
            Self::Within(place, inner) => {
                place.values(resource).into_iter().any(|element| inner.matches(element))
            }
            Self::Not(inner) => !inner.matches(resource),
            Self::And(all) => all.iter().all(|one| one.matches(resource)),
            Self::Or(all) => all.iter().any(|one| one.matches(resource)),
        }
    }

    /// The text that a top-level attribute has to equal, if the filter says so: lets the database
    /// narrow down what is looked through.
    pub(crate) fn demanded(&self, name: &str) -> Option<&str> {
        match self {
            Self::Compare(place, Operator::Equal, Value::String(text)) => {
                let named = place.attribute.is_some_and(|one| one.name == name);
                let whole = place.part.is_none_or(|part| part.name == "value");
                (named && whole && !place.extension).then_some(text)
            }
            Self::And(all) => all.iter().find_map(|one| one.demanded(name)),
            _ => None,
        }
    }

    /// What an element has to hold so that it matches, if that can be said: directories replace
    /// `emails[type eq "work"].value` before there is one.
    pub(crate) fn demands(&self) -> Option<Vec<(&'static str, Value)>> {
        match self {
            Self::Compare(place, Operator::Equal, value) => {
                Some(vec![(place.attribute?.name, value.clone())])
            }
            Self::And(all) => {
                let each: Option<Vec<_>> = all.iter().map(Self::demands).collect();
                Some(each?.concat())
            }
            _ => None,
        }
    }
}

fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    }
}

fn compare(place: &Place, operator: Operator, wanted: &Value, resource: &Value) -> bool {
    let exact = place.compared().is_some_and(|one| one.exact);
    let whole =
        place.part.is_none() && place.attribute.is_some_and(|one| one.kind == Kind::Complex);
    let values = place.values(resource);
    let mut found =
        values.into_iter().filter_map(|one| if whole { one.get("value") } else { Some(one) });
    // `ne` is true of what is not there, and false as soon as one value equals (section 3.4.2.2).
    match (operator, wanted) {
        (Operator::NotEqual, _) => !found.any(|one| holds(one, Operator::Equal, wanted, exact)),
        (Operator::Equal, Value::Null) => !found.any(is_present),
        _ => found.any(|one| holds(one, operator, wanted, exact)),
    }
}

fn holds(value: &Value, operator: Operator, wanted: &Value, exact: bool) -> bool {
    let (value, wanted) = match (value, wanted) {
        (Value::String(value), Value::String(wanted)) => (value, wanted),
        (Value::Bool(value), Value::String(wanted)) => {
            return operator == Operator::Equal && wanted.eq_ignore_ascii_case(&value.to_string());
        }
        (value, wanted) => return operator == Operator::Equal && value == wanted,
    };
    if let (Ok(value), Ok(wanted)) = (value.parse::<Timestamp>(), wanted.parse::<Timestamp>()) {
        return ordered(operator, value.cmp(&wanted));
    }
    let fold = |text: &str| if exact { text.to_owned() } else { text.to_lowercase() };
    let (value, wanted) = (fold(value), fold(wanted));
    match operator {
        Operator::Contains => value.contains(&wanted),
        Operator::StartsWith => value.starts_with(&wanted),
        Operator::EndsWith => value.ends_with(&wanted),
        _ => ordered(operator, value.cmp(&wanted)),
    }
}

fn ordered(operator: Operator, found: Ordering) -> bool {
    match operator {
        Operator::Equal => found.is_eq(),
        Operator::NotEqual => found.is_ne(),
        Operator::Greater => found.is_gt(),
        Operator::GreaterOrEqual => found.is_ge(),
        Operator::Less => found.is_lt(),
        Operator::LessOrEqual => found.is_le(),
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => false,
    }
}

/// Reads from left to right; `and` binds stronger than `or`, `not` needs its parentheses.
struct Reader<'a> {
    rest: &'a str,
    scope: Scope,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, scope: Scope) -> Result<Self, Error> {
        if text.len() > BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        Ok(Self { rest: text, scope, depth: 0 })
    }

    fn whole(mut self) -> Result<Filter, Error> {
        let filter = self.any_of()?;
        if self.peek().is_empty() { Ok(filter) } else { Err(wrong("something follows its end")) }
    }

    fn any_of(&mut self) -> Result<Filter, Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(wrong("it is nested too deeply"));
        }
        let mut all = vec![self.all_of()?];
        while self.takes("or") {
            all.push(self.all_of()?);
        }
        self.depth -= 1;
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::Or(all) })
    }

    fn all_of(&mut self) -> Result<Filter, Error> {
        let mut all = vec![self.one()?];
        while self.takes("and") {
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::And(all) })
    }

    fn one(&mut self) -> Result<Filter, Error> {
        if self.takes("not") {
            if !self.takes("(") {
                return Err(wrong("`not` needs parentheses"));
            }
            return self.closed().map(|inner| Filter::Not(Box::new(inner)));
        }
        if self.takes("(") {
            return self.closed();
        }
        let name = self.word();
        let unknown = || wrong(&format!("there is no attribute `{}`", shortened(name)));
        let place = self.scope.find(name).ok_or_else(unknown)?;
        if self.takes("[") {
            return self.inner(place);
        }
        let word = self.word();
        if word.eq_ignore_ascii_case("pr") {
            return Ok(Filter::Present(place));
        }
        let operator = Operator::read(word).ok_or_else(|| wrong("an operator is missing"))?;
        let value = self.value()?;
        let boolean = place.compared().is_some_and(|one| one.kind == Kind::Boolean);
        if boolean && !matches!(operator, Operator::Equal | Operator::NotEqual) {
            return Err(wrong("a boolean is equal or it is not"));
        }
        Ok(Filter::Compare(place, operator, value))
    }

    fn closed(&mut self) -> Result<Filter, Error> {
        let inner = self.any_of()?;
        if self.takes(")") { Ok(inner) } else { Err(wrong("`)` is missing")) }
    }

    fn inner(&mut self, place: Place) -> Result<Filter, Error> {
        let complex = place.attribute.filter(|one| one.kind == Kind::Complex && one.many);
        let attribute = complex.ok_or_else(|| wrong("`[` follows what has no elements"))?;
        let outer = std::mem::replace(&mut self.scope, Scope::Element(attribute));
        let inner = self.any_of()?;
        self.scope = outer;
        if !self.takes("]") {
            return Err(wrong("`]` is missing"));
        }
        Ok(Filter::Within(place, Box::new(inner)))
    }

    fn peek(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    /// Takes a word or a sign, if it is next.
    fn takes(&mut self, wanted: &str) -> bool {
        let rest = self.peek();
        let sign = !wanted.as_bytes()[0].is_ascii_alphabetic();
        let next = if sign { rest.get(..1).unwrap_or_default() } else { word_of(rest) };
        let taken = next.eq_ignore_ascii_case(wanted);
        if taken {
            self.rest = &rest[next.len()..];
        }
        taken
    }

    fn word(&mut self) -> &'a str {
        let word = word_of(self.peek());
        self.rest = &self.rest[word.len()..];
        word
    }

    /// A JSON string, number, boolean or `null`.
    fn value(&mut self) -> Result<Value, Error> {
        let rest = self.peek();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let value = match values.next() {
            Some(Ok(value)) if !value.is_object() && !value.is_array() => value,
            // Booleans are also written `True`.
            _ => {
                let word = self.word().to_ascii_lowercase();
                return word.parse().map(Value::Bool).map_err(|_| wrong("a value is missing"));
            }
        };
        self.rest = &rest[values.byte_offset()..];
        Ok(value)
    }
}

fn word_of(text: &str) -> &str {
    let end = text.find(|one: char| one.is_whitespace() || "()[]\"".contains(one));
    &text[..end.unwrap_or(text.len())]
}

fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

fn wrong(what: &str) -> Error {
    Error::Filter(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn ana() -> Value {
        json!({
            "id": "usr_1", "userName": "Ana@Acme.example", "externalId": "X1", "active": true,
            "name": {"familyName": "Roy"},
            "emails": [
                {"value": "ana@acme.example", "type": "work", "primary": true},
                {"value": "ana@home.example", "type": "home"},
            ],
            "meta": {"lastModified": "2026-01-02T00:00:00Z"},
            (super::super::schemas::ENTERPRISE): {"department": "Support"},
        })
    }

    #[test]
    fn what_a_directory_asks_is_answered_as_the_rfc_says() {
        for (text, expected) in [
            (r#"userName eq "ana@acme.EXAMPLE""#, true),
            (r#"USERNAME Eq "bo""#, false),
            (r#"externalId eq "x1""#, false),
            (r#"name.familyName co "O""#, true),
            (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "ana""#, true),
            (r#"emails co "home.example""#, true),
            (r#"emails.value ew "nowhere""#, false),
            (r#"emails[type eq "work" and value co "home"]"#, false),
            (r#"emails[type eq "work" and value co "acme"]"#, true),
            ("title pr", false),
            ("not (title pr) and active eq true", true),
            ("active eq \"True\"", true),
            ("active eq False", false),
            (r#"userName eq "x" or userName eq "y" and active eq true"#, false),
            (r#"(userName eq "x" or userName sw "ana") and active eq true"#, true),
            (r#"meta.lastModified gt "2026-01-01T00:00:00Z""#, true),
            (r#"meta.lastModified lt "2026-01-01T23:00:00-05:00""#, true),
            (r#"emails ne "ana@home.example""#, false),
            (r#"title ne "x""#, true),
            ("title eq null", true),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \
                 \"support\"",
                true,
            ),
        ] {
            let filter = Filter::read(Type::User, text).expect(text);
            assert_eq!(filter.matches(&ana()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let deep = format!("{}title pr{}", "(".repeat(40), ")".repeat(40));
        let long = format!("title eq \"{}\"", "a".repeat(5_000));
        for text in [
            "",
            "userName",
            "userName eq",
            "userName is \"x\"",
            "shoeSize eq 4",
            "title pr title pr",
            "not title pr",
            "(title pr",
            "emails[type eq \"work\"",
            "title[value eq 1]",
            "active gt true",
            "emails[size eq 1]",
            "userName eq {}",
            "\"",
            &deep,
            &long,
        ] {
            let refused = Filter::read(Type::User, text);
            assert!(matches!(refused, Err(Error::Filter(_))), "{text}: {refused:?}");
        }
    }

    #[test]
    fn a_demanded_value_is_found_only_where_it_must_hold() {
        let demanded = |text| {
            let filter = Filter::read(Type::User, text).expect("a filter");
            filter.demanded("userName").map(str::to_owned)
        };
        assert_eq!(demanded(r#"userName eq "a" and title pr"#).as_deref(), Some("a"));
        assert_eq!(demanded(r#"userName eq "a" or title pr"#), None);
        assert_eq!(demanded(r#"not (userName eq "a")"#), None);
        assert_eq!(demanded(r#"userName sw "a""#), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,80}") {
            let _ = Filter::read(Type::User, &text);
            let _ = Filter::read(Type::Group, &format!("members[{text}"));
        }
    }
}
