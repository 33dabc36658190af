//! Room `identity`: questions and answers of the `OpenID` `AuthZEN` Authorization API 1.0.
//!
//! A type `record` is `App::record` of what the tenant declares, an action `read` is
//! `App::Action::"read"`; properties are attributes, those of an action are `context.action`.

use std::str::FromStr;

use misy_policy::things::{TypeName, uid};
use misy_policy::vocabulary::THEIRS;
use misy_policy::{Question, Thing, Value, Vocabulary};
use serde_json::{Map, Value as Json};

use crate::entities::model::Known;

/// Evaluations of one request at most.
pub(crate) const BATCH_MAX: usize = 500;

/// Why a question is not understood.
pub(crate) type Reason = String;

/// The three and the circumstances, as far as a request or one of its evaluations names them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    subject: Option<Json>,
    action: Option<Json>,
    resource: Option<Json>,
    context: Option<Json>,
}

/// In which order a batch is decided, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Semantic {
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

impl Semantic {
    /// Whether nothing after this decision is decided.
    pub(crate) fn ends_with(self, allowed: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !allowed,
            Self::PermitOnFirstPermit => allowed,
        }
    }
}

/// One question, or several with what they share.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) shared: Asked,
    /// Empty is one question, the shared one.
    pub(crate) each: Vec<Asked>,
    pub(crate) semantic: Semantic,
}

pub(crate) fn object<'a>(json: &'a Json, what: &str) -> Result<&'a Map<String, Json>, Reason> {
    json.as_object().ok_or_else(|| format!("`{what}` has to be an object"))
}

/// The parts of a request or of one of its evaluations.
pub(crate) fn read_asked(json: &Json) -> Result<Asked, Reason> {
    let members = object(json, "the request")?;
    let member = |name: &str| members.get(name).filter(|value| !value.is_null()).cloned();
    let [subject, action, resource, context] = ["subject", "action", "resource", "context"];
    Ok(Asked {
        subject: member(subject),
        action: member(action),
        resource: member(resource),
        context: member(context),
    })
}

/// Reads a body. Members that are not known are passed over, as the specification demands.
pub(crate) fn read(body: &[u8], several: bool) -> Result<Batch, Reason> {
    let json: Json =
        serde_json::from_slice(body).map_err(|_| "the body has to be JSON".to_owned())?;
    let shared = read_asked(&json)?;
    let semantic = match json["options"]["evaluations_semantic"].as_str() {
        None | Some("execute_all") => Semantic::ExecuteAll,
        Some("deny_on_first_deny") => Semantic::DenyOnFirstDeny,
        Some("permit_on_first_permit") => Semantic::PermitOnFirstPermit,
        Some(_) => return Err("`options.evaluations_semantic` is not known".to_owned()),
    };
    let mut each = Vec::new();
    match json.get("evaluations").filter(|value| several && !value.is_null()) {
        Some(Json::Array(items)) if items.len() <= BATCH_MAX => {
            for item in items {
                each.push(read_asked(item)?);
            }
        }
        Some(Json::Array(_)) => return Err(format!("more than {BATCH_MAX} evaluations")),
        Some(_) => return Err("`evaluations` has to be a list".to_owned()),
        None => {}
    }
    Ok(Batch { shared, each, semantic })
}

/// Reads the body of a search for actions; an action that it names is passed over.
pub(crate) fn read_action_search(body: &[u8]) -> Result<Asked, Reason> {
    let asked = read(body, false)?.shared;
    Ok(asked.about(""))
}

impl Asked {
    /// The same about another action.
    pub(crate) fn about(&self, action: &str) -> Self {
        Self { action: Some(serde_json::json!({ "name": action })), ..self.clone() }
    }

    /// With what it does not say itself taken whole from what is shared.
    pub(crate) fn or(self, shared: &Self) -> Self {
        Self {
            subject: self.subject.or_else(|| shared.subject.clone()),
            action: self.action.or_else(|| shared.action.clone()),
            resource: self.resource.or_else(|| shared.resource.clone()),
            context: self.context.or_else(|| shared.context.clone()),
        }
    }

    /// The question; a reason if a required member is missing or of another type.
    pub(crate) fn question(&self, words: &Vocabulary, known: &Known) -> Result<Question, Reason> {
        let subject = thing(self.subject.as_ref(), "subject", known)?;
        let resource = thing(self.resource.as_ref(), "resource", known)?;
        let action = self.action.as_ref().ok_or("`action` is missing")?;
        let action = object(action, "action")?;
        let name = text(action, "name", "action")?;
        let mut context = match &self.context {
            Some(context) => {
                object(context, "context")?;
                Value::members(context)
            }
            None => Vec::new(),
        };
        let properties = properties(action, "action")?;
        context.push(("action".to_owned(), Value::Record(properties)));
        let kind = kind("Action")?;
        Ok(Question {
            principal: subject,
            action: words.find_action(uid(&kind, name)),
            resource,
            context,
        })
    }

    /// Type and id, as they are written down.
    pub(crate) fn told(&self) -> (String, String, String) {
        let of = |json: &Option<Json>| {
            let part = |name: &str| json.as_ref().and_then(|json| json[name].as_str());
            format!("{}:{}", part("type").unwrap_or("?"), part("id").unwrap_or("?"))
        };
        let action = self.action.as_ref().and_then(|json| json["name"].as_str()).unwrap_or("?");
        (of(&self.subject), action.to_owned(), of(&self.resource))
    }
}

pub(crate) fn text<'a>(
    members: &'a Map<String, Json>,
    name: &str,
    of: &str,
) -> Result<&'a str, Reason> {
    match members.get(name) {
        Some(Json::String(text)) => Ok(text),
        Some(_) => Err(format!("`{of}.{name}` has to be a text")),
        None => Err(format!("`{of}.{name}` is missing")),
    }
}

fn properties(members: &Map<String, Json>, of: &str) -> Result<Vec<(String, Value)>, Reason> {
    match members.get("properties") {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Object(_)) => Ok(Value::members(&members["properties"])),
        Some(_) => Err(format!("`{of}.properties` has to be an object")),
    }
}

/// Always one of the tenant's own: no name leads to what is ours.
pub(crate) fn kind(name: &str) -> Result<TypeName, Reason> {
    let whole = format!("{THEIRS}::{name}");
    TypeName::from_str(&whole).map_err(|_| format!("`{name}` cannot be a type"))
}

/// One with what is known of it; what the request says of it comes later and holds.
fn thing(json: Option<&Json>, of: &str, known: &Known) -> Result<Thing, Reason> {
    let members = object(json.ok_or_else(|| format!("`{of}` is missing"))?, of)?;
    let (name, id) = (text(members, "type", of)?, text(members, "id", of)?);
    let kind = kind(name)?;
    let mut one = known.find(name, id).cloned().unwrap_or_else(|| Thing::new(uid(&kind, id)));
    one.facts.extend(properties(members, of)?);
    Ok(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(body: &str) -> Result<Question, Reason> {
        let batch = read(body.as_bytes(), false)?;
        batch.shared.question(Vocabulary::plain(), &Known::default())
    }

    #[test]
    fn a_whole_question_is_about_things_of_the_tenants_own() {
        let body = r#"{"subject": {"type": "user", "id": "alice", "properties": {"level": 2}},
            "action": {"name": "read", "properties": {"soft": true}},
            "resource": {"type": "MisyBot::Tenant", "id": "x"}, "future": {"a": 1}}"#;
        assert!(question(body).is_ok_and(|asked| {
            asked.resource.uid.to_string() == "App::MisyBot::Tenant::\"x\""
                && asked.principal.uid.to_string() == "App::user::\"alice\""
                && asked.context.len() == 1
        }));
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_named() {
        for (body, reason) in [
            ("", "the body has to be JSON"),
            ("[]", "`the request` has to be an object"),
            ("{}", "`subject` is missing"),
            (r#"{"subject": "alice"}"#, "`subject` has to be an object"),
            (r#"{"subject": {"id": "a"}}"#, "`subject.type` is missing"),
            (r#"{"subject": {"type": "u", "id": 1}}"#, "`subject.id` has to be a text"),
            (r#"{"subject": {"type": "a b", "id": "1"}}"#, "`a b` cannot be a type"),
        ] {
            assert_eq!(question(body).err().as_deref(), Some(reason), "{body}");
        }
    }
}
