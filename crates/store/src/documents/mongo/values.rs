//! Room `store`: JSON as BSON and back, without loss for whatever [`super::super::body`] let in.

use std::str::FromStr;

use bson::{Bson, Decimal128, Document};
use serde_json::{Map, Number, Value};

/// A body as the server keeps it. An integer beyond 63 bits becomes a decimal.
pub(in crate::documents) fn to_bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(truth) => Bson::Boolean(*truth),
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(items) => Bson::Array(items.iter().map(to_bson).collect()),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), to_bson(value)));
            Bson::Document(fields.collect())
        }
        Value::Number(number) => number_to_bson(number),
    }
}

fn number_to_bson(number: &Number) -> Bson {
    if let Some(integer) = number.as_i64() {
        return Bson::Int64(integer);
    }
    let decimal = || Decimal128::from_str(&number.to_string()).ok();
    match decimal().filter(|_| number.is_u64()) {
        Some(decimal) => Bson::Decimal128(decimal),
        None => number.as_f64().map_or(Bson::Null, Bson::Double),
    }
}

/// A body as it was given to us. Types that JSON does not have, which only a foreign hand writes,
/// come out as extended JSON.
pub(in crate::documents) fn from_bson(value: Bson) -> Value {
    match value {
        Bson::Null => Value::Null,
        Bson::Boolean(truth) => Value::Bool(truth),
        Bson::String(text) => Value::String(text),
        Bson::Array(items) => Value::Array(items.into_iter().map(from_bson).collect()),
        Bson::Document(fields) => Value::Object(object(fields)),
        Bson::Int32(integer) => Value::from(integer),
        Bson::Int64(integer) => Value::from(integer),
        Bson::Double(float) => Number::from_f64(float).map_or(Value::Null, Value::Number),
        Bson::Decimal128(decimal) => match decimal.to_string().parse::<u64>() {
            Ok(integer) => Value::from(integer),
            Err(_) => Bson::Decimal128(decimal).into_relaxed_extjson(),
        },
        other => other.into_relaxed_extjson(),
    }
}

fn object(fields: Document) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name, from_bson(value))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e12..1e12_f64).prop_map(Value::from),
            "[^\0]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let fields = prop::collection::btree_map("[a-z$.]{0,4}", inner.clone(), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_comes_back(value in json()) {
            prop_assert_eq!(from_bson(to_bson(&value)), value);
        }
    }
}
