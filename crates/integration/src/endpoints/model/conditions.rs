//! Room `integration`: small conditions on an event's payload. The outbox asks them inside the
//! database, as one path predicate; a simulation asks them here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is asked of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// It is this text, number, truth value or `null`.
    Equals,
    /// It is not, or is not there.
    NotEquals,
    /// It is one of a list.
    OneOf,
    /// It is a greater number.
    Greater,
    /// It is a lesser number.
    Less,
    /// It is a text that begins so.
    BeginsWith,
    /// It is there.
    Exists,
    /// It is not there.
    Absent,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookCondition)]
pub struct Condition {
    /// JSON pointer (RFC 6901) into the payload, for example `/data/status`.
    #[schema(pattern = "^(/[^/]*)+$", max_length = 200)]
    pub field: String,
    /// What is asked.
    pub operator: Operator,
    /// With what it is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// All conditions as one SQL/JSON path predicate; `None` if there are none. Texts are JSON strings,
/// which is how a path writes them too, so no text can become anything else.
pub fn predicate(conditions: &[Condition]) -> Option<String> {
    let parts: Vec<String> = conditions.iter().map(Condition::predicate).collect();
    (!parts.is_empty()).then(|| format!("lax {}", parts.join(" && ")))
}

impl Condition {
    fn tokens(&self) -> impl Iterator<Item = String> + '_ {
        self.field.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"))
    }

    fn path(&self) -> String {
        self.tokens().fold("$".to_owned(), |path, token| match token.parse::<u32>() {
            Ok(at) => format!("{path}[{at}]"),
            Err(_) => format!("{path}.{}", Value::String(token)),
        })
    }

    fn predicate(&self) -> String {
        let path = self.path();
        let value = self.value.clone().unwrap_or_default();
        let equals = |value: &Value| format!("({path} == {value})");
        match self.operator {
            Operator::Equals => equals(&value),
            Operator::NotEquals => {
                // A text is neither equal nor unequal to a number there, but unknown.
                let equals = equals(&value);
                format!("(!{equals} || {equals} is unknown)")
            }
            Operator::OneOf => {
                let all: Vec<String> = value.as_array().into_iter().flatten().map(equals).collect();
                format!("({})", all.join(" || "))
            }
            Operator::Greater => format!("({path} > {value})"),
            Operator::Less => format!("({path} < {value})"),
            Operator::BeginsWith => format!("({path} starts with {value})"),
            Operator::Exists => format!("exists({path})"),
            Operator::Absent => format!("(!exists({path}))"),
        }
    }

    /// What the path finds, in the lax way of SQL/JSON: arrays are looked into.
    fn select<'a>(&self, payload: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![payload];
        for token in self.tokens() {
            let at = token.parse::<usize>().ok();
            found = found
                .into_iter()
                .flat_map(|value| match (at, value) {
                    (Some(at), Value::Array(all)) => all.get(at).into_iter().collect(),
                    (Some(at), other) => (at == 0).then_some(other).into_iter().collect(),
                    (None, Value::Array(all)) => {
                        all.iter().filter_map(|one| one.get(&token)).collect::<Vec<_>>()
                    }
                    (None, other) => other.get(&token).into_iter().collect(),
                })
                .collect();
        }
        found
    }

    /// Whether it holds of a payload.
    pub fn holds(&self, payload: &Value) -> bool {
        let found = self.select(payload);
        let wanted = self.value.as_ref().unwrap_or(&Value::Null);
        let any = |test: &dyn Fn(&Value) -> bool| {
            found.iter().any(|value| match value {
                Value::Array(all) => all.iter().any(test),
                other => test(other),
            })
        };
        let number = |test: fn(f64, f64) -> bool| {
            any(&|value| value.as_f64().zip(wanted.as_f64()).is_some_and(|(a, b)| test(a, b)))
        };
        match self.operator {
            Operator::Equals => any(&|value| same(value, wanted)),
            Operator::NotEquals => !any(&|value| same(value, wanted)),
            Operator::OneOf => any(&|value| {
                wanted.as_array().is_some_and(|all| all.iter().any(|one| same(value, one)))
            }),
            Operator::Greater => number(|found, wanted| found > wanted),
            Operator::Less => number(|found, wanted| found < wanted),
            Operator::BeginsWith => any(&|value| {
                let pair = value.as_str().zip(wanted.as_str());
                pair.is_some_and(|(found, wanted)| found.starts_with(wanted))
            }),
            Operator::Exists => !found.is_empty(),
            Operator::Absent => found.is_empty(),
        }
    }

    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let scalar = |value: &Value| !value.is_object() && !value.is_array();
        let fits = match (self.operator, &self.value) {
            (Operator::Exists | Operator::Absent, value) => value.is_none(),
            (Operator::Equals | Operator::NotEquals, Some(value)) => scalar(value),
            (Operator::OneOf, Some(Value::Array(all))) => {
                (1..=50).contains(&all.len()) && all.iter().all(scalar)
            }
            (Operator::Greater | Operator::Less, Some(value)) => value.is_number(),
            (Operator::BeginsWith, Some(value)) => value.is_string(),
            _ => false,
        };
        let text = self.value.as_ref().map(Value::to_string).unwrap_or_default();
        match () {
            () if !self.field.starts_with('/') || self.field.contains('\0') => {
                Some("`field` has to be a JSON pointer, like /data/status")
            }
            () if text.contains("\\u0000") => Some("the value holds U+0000"),
            () if fits => None,
            () => Some("the value does not fit the operator"),
        }
    }
}

/// Numbers are equal by value, whatever they are written as.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found.as_f64(), wanted.as_f64()) {
        (Some(found), Some(wanted)) => found.total_cmp(&wanted).is_eq(),
        _ => found == wanted,
    }
}
