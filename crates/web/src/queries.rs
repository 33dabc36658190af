//! Room `web`: query parameters. Each is checked against its description in the reference; every
//! fault is told at once. That a parameter is not described at all is looked at before, for all
//! routes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use axum::extract::FromRequestParts;
use http::request::Parts;
use misy_core::error::Fault;
use misy_core::{Code, Cursor, page};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use crate::Problem;
use crate::bodies::{plain, pointer_of};
use crate::shapes::Shape;

/// The query as a type whose fields are its parameters. 422 with every fault.
#[derive(Debug, Clone)]
pub struct Params<T>(pub T);

impl<S: Sync, T: DeserializeOwned + IntoParams> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = pairs(parts.uri.query().unwrap_or_default())?;
        read::<T>(&pairs).map(Self)
    }
}

/// The place in a list: `?limit=1..200&cursor=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    /// Items wanted.
    pub limit: page::Limit,
    /// Where to go on; `None` is the beginning.
    pub cursor: Option<Cursor>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PagingParams {
    /// Items a page, 50 if not given.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-7][0-9a-z]{25}$")]
    cursor: Option<String>,
}

impl IntoParams for Paging {
    fn into_params(
        place: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
    ) -> Vec<utoipa::openapi::path::Parameter> {
        PagingParams::into_params(place)
    }
}

impl<S: Sync> FromRequestParts<S> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Params(PagingParams { limit, cursor }) =
            Params::from_request_parts(parts, state).await?;
        let limit = match limit {
            None => page::Limit::DEFAULT,
            Some(limit) => page::Limit::new(limit)
                .ok_or_else(|| refuse(vec![fault("limit", "has to be 1 to 200")]))?,
        };
        let foreign = || refuse(vec![fault("cursor", "has to be a `next_cursor` as it was given")]);
        let decode = |text: String| Cursor::decode(&text).ok_or_else(foreign);
        Ok(Self { limit, cursor: cursor.map(decode).transpose()? })
    }
}

/// Parameters are named plainly, not by a pointer.
fn fault(name: &str, detail: impl Into<String>) -> Fault {
    Fault { pointer: name.to_owned(), detail: detail.into() }
}

/// A known parameter with a wrong value is content, not form: 422.
fn refuse(faults: Vec<Fault>) -> Problem {
    Problem::new(Code::Invalid)
        .with_detail("A query parameter has a wrong value.")
        .with_faults(faults)
}

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Splits a query; 400 if it is not percent-encoded UTF-8.
pub(crate) fn pairs(query: &str) -> Result<Pairs<'_>, Problem> {
    let pairs: Pairs<'_> = form_urlencoded::parse(query.as_bytes()).collect();
    let replaced = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    if pairs.iter().any(|(name, value)| replaced(name) || replaced(value)) {
        return Err(Problem::new(Code::MalformedRequest)
            .with_detail("The query has to be percent-encoded UTF-8."));
    }
    Ok(pairs)
}

/// Refuses parameters that the reference does not describe.
pub(crate) fn refuse_unknown(query: &str, known: &[String]) -> Result<(), Problem> {
    for (name, _) in pairs(query)? {
        if known.iter().any(|one| *one == name) {
            continue;
        }
        let listed = match known {
            [] => "This operation takes no query parameters.".to_owned(),
            known => format!("This operation takes `{}`.", known.join("`, `")),
        };
        return Err(Problem::new(Code::UnknownParameter).with_detail(listed));
    }
    Ok(())
}

/// Checks each parameter against its description, then reads all together.
fn read<T: DeserializeOwned + IntoParams>(pairs: &Pairs<'_>) -> Result<T, Problem> {
    let described = T::into_params(|| None);
    let mut given: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in pairs {
        given.entry(name).or_default().push(value);
    }
    let (mut members, mut faults) = (Map::new(), Vec::new());
    for parameter in &described {
        let name = parameter.name.as_str();
        let schema = serde_json::to_value(&parameter.schema).unwrap_or_default();
        let Some(values) = given.get(name) else {
            if parameter.required == utoipa::openapi::Required::True {
                faults.push(fault(name, "is missing"));
            }
            continue;
        };
        match typed(&schema, values) {
            Ok(value) => {
                let found = Shape::new(schema, HashMap::new()).check(&value);
                faults.extend(found.into_iter().map(|one| fault(name, one.detail)));
                members.insert(name.to_owned(), value);
            }
            Err(detail) => faults.push(fault(name, detail)),
        }
    }
    if !faults.is_empty() {
        return Err(refuse(faults));
    }
    serde_path_to_error::deserialize(Value::Object(members)).map_err(|error| {
        let pointer = pointer_of(error.path());
        refuse(vec![fault(pointer.trim_start_matches('/'), plain(error.inner()))])
    })
}

/// A parameter's texts as JSON of the described type; a parameter may be repeated only if it is a
/// list.
fn typed(schema: &Value, values: &[&str]) -> Result<Value, &'static str> {
    let of_type = |wanted: &str| match schema.get("type") {
        Some(Value::Array(several)) => several.iter().any(|one| one == wanted),
        Some(one) => one == wanted,
        None => false,
    };
    if of_type("array") {
        let item = schema.get("items").unwrap_or(&Value::Null);
        return values.iter().map(|value| typed(item, &[value])).collect();
    }
    let [value] = values else { return Err("is given more than once") };
    if of_type("integer") {
        return value.parse::<i64>().map(Value::from).map_err(|_| "has to be an integer");
    }
    if of_type("number") {
        return value.parse::<f64>().map(Value::from).map_err(|_| "has to be a number");
    }
    if of_type("boolean") {
        return value.parse::<bool>().map(Value::from).map_err(|_| "has to be `true` or `false`");
    }
    Ok(Value::from(*value))
}
