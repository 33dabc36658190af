//! Room `identity`: a person as a directory sees them, and what a document says of one.

use misy_core::{Personal, Role, ScimGroupId, Timestamp, UserId};
use serde_json::{Value, json};

use super::Error;
use super::schemas::{ENTERPRISE, USER};
use crate::accounts::Email;
use crate::users::model::{Status, User};

/// A person with what a directory keeps about them.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) user: User,
    /// The document as it was settled; `None` for somebody whom no directory has written yet.
    pub(crate) document: Option<Personal<Value>>,
    pub(crate) groups: Vec<(ScimGroupId, String)>,
}

/// What a document says of a person.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) user_name: Personal<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) email: Email,
    /// The name as shown in this program.
    pub(crate) name: Personal<String>,
    pub(crate) active: bool,
    /// Everything that was set, to be shown again.
    pub(crate) document: Personal<Value>,
}

/// The form in which names are compared: `userName` and names of groups do not tell cases apart.
pub(crate) fn key_of(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Reads a settled document. Somebody who signs in has an address: the primary one of `emails`,
/// else the first, else `userName`.
pub(crate) fn read(mut document: Value) -> Result<Wanted, Error> {
    let active = document.get("active").and_then(Value::as_bool).unwrap_or(true);
    document["active"] = json!(active);
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let user_name = text("userName").filter(|name| !name.trim().is_empty());
    let user_name = user_name.ok_or_else(|| missing("userName"))?.to_owned();
    let address = primary(&document).unwrap_or(&user_name);
    let email: Email = address.parse().map_err(|_| {
        let text = "`emails` needs an e-mail address, unless `userName` is one";
        Error::Value(text.to_owned())
    })?;
    let name = shown_name(&document).unwrap_or_else(|| user_name.clone());
    Ok(Wanted {
        external_id: text("externalId").map(str::to_owned),
        email,
        name: Personal(name.chars().take(200).collect()),
        active,
        user_name: Personal(user_name),
        document: Personal(document),
    })
}

fn missing(name: &str) -> Error {
    Error::Value(format!("`{name}` is required"))
}

fn primary(document: &Value) -> Option<&str> {
    let emails = document.get("emails")?.as_array()?;
    let marked = emails.iter().find(|one| one.get("primary") == Some(&Value::Bool(true)));
    marked.or_else(|| emails.first())?.get("value")?.as_str()
}

fn shown_name(document: &Value) -> Option<String> {
    let text = |value: Option<&Value>| {
        value
            .and_then(Value::as_str)
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let name = document.get("name");
    let part = |part: &str| text(name.and_then(|name| name.get(part)));
    let parts: Vec<String> = ["givenName", "familyName"].into_iter().filter_map(part).collect();
    let joined = (!parts.is_empty()).then(|| parts.join(" "));
    text(document.get("displayName")).or_else(|| part("formatted")).or(joined)
}

impl Entry {
    /// What may be set, as it is now: what a patch works on.
    pub(crate) fn document(&self) -> Value {
        let mut document = match &self.document {
            Some(document) => document.0.clone(),
            None => json!({
                "userName": self.user.email.0,
                "displayName": self.user.name.0,
                "emails": [{"value": self.user.email.0, "type": "work", "primary": true}],
            }),
        };
        document["active"] = json!(self.user.status != Status::Disabled);
        if shown_name(&document).is_some_and(|name| name != self.user.name.0) {
            document["displayName"] = json!(self.user.name.0);
        }
        document
    }

    /// The resource as it is answered.
    pub(crate) fn resource(&self, base: &str) -> Value {
        let mut resource = self.document();
        if resource.get("emails").is_none() {
            resource["emails"] = json!([{"value": self.user.email.0, "primary": true}]);
        }
        if !self.groups.is_empty() {
            let groups = self.groups.iter().map(|(id, name)| {
                json!({"value": id, "$ref": format!("{base}/Groups/{id}"), "display": name})
            });
            resource["groups"] = groups.collect();
        }
        let schemas = match resource.get(ENTERPRISE) {
            Some(_) => json!([USER, ENTERPRISE]),
            None => json!([USER]),
        };
        let User { id, created_at, updated_at, version, .. } = self.user;
        let head = json!({
            "schemas": schemas,
            "id": id,
            "meta": meta("User", created_at, updated_at, &format!("{base}/Users/{id}"), version),
        });
        joined(head, resource)
    }
}

/// What every resource says of itself.
pub(crate) fn meta(
    kind: &str,
    created: Timestamp,
    modified: Timestamp,
    location: &str,
    version: i64,
) -> Value {
    json!({
        "resourceType": kind, "created": created, "lastModified": modified,
        "location": location, "version": tag_of(version),
    })
}

/// The entity tag of a version.
pub(crate) fn tag_of(version: i64) -> String {
    format!("\"v{version}\"")
}

/// Two objects as one.
pub(crate) fn joined(head: Value, rest: Value) -> Value {
    let (Value::Object(mut head), Value::Object(rest)) = (head, rest) else { return Value::Null };
    head.extend(rest);
    Value::Object(head)
}

/// The role that groups give: the highest that one of them is mapped to. `None` leaves the role as
/// it is; whose role came from a group and comes from none any more gets the lowest.
pub(crate) fn role_by_groups(now: Role, by_group: bool, mapped: &[Role]) -> Option<Role> {
    if now == Role::Owner {
        return None;
    }
    let highest = mapped.iter().copied().filter(|role| *role < Role::Owner).max();
    match (highest, by_group) {
        (Some(role), _) => Some(role),
        (None, true) => Some(Role::Viewer),
        (None, false) => None,
    }
}

/// Ids of people in a group's document; an error for what is none of them.
pub(crate) fn member_ids(document: &Value) -> Result<Vec<UserId>, Error> {
    let members = document.get("members").and_then(Value::as_array);
    let mut ids = Vec::new();
    for member in members.into_iter().flatten() {
        let value = member.get("value").and_then(Value::as_str);
        let value = value.or_else(|| member.get("$ref")?.as_str()?.rsplit('/').next());
        let id = value.and_then(|value| value.parse().ok());
        ids.push(id.ok_or_else(|| Error::Value("`members` names somebody unknown".to_owned()))?);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_signs_in_with_the_primary_address() {
        let of = |document: Value| read(document).map(|wanted| wanted.email.as_str().to_owned());
        let emails = json!([{"value": "a@b.example"}, {"value": "C@d.example", "primary": true}]);
        let both = json!({"userName": "ana", "emails": emails});
        assert_eq!(of(both).as_deref(), Ok("c@d.example"));
        let first = json!({"userName": "ana", "emails": [{"value": "a@b.example"}]});
        assert_eq!(of(first).as_deref(), Ok("a@b.example"));
        assert_eq!(of(json!({"userName": "Ana@b.example"})).as_deref(), Ok("ana@b.example"));
        for without in [json!({"userName": "ana"}), json!({"userName": " "}), json!({})] {
            assert!(matches!(read(without), Err(Error::Value(_))));
        }
    }

    #[test]
    fn the_name_shown_is_the_first_that_there_is() {
        let of = |extra: Value| {
            let document = joined(json!({"userName": "a@b.example"}), extra);
            read(document).expect("readable").name.0
        };
        let name = json!({"givenName": "Ana", "familyName": "Roy"});
        assert_eq!(of(json!({"displayName": "Ana R.", "name": name})), "Ana R.");
        assert_eq!(of(json!({"name": name})), "Ana Roy");
        assert_eq!(of(json!({"name": {"formatted": "Dr. Roy", "givenName": "Ana"}})), "Dr. Roy");
        assert_eq!(of(json!({})), "a@b.example");
    }

    #[test]
    fn groups_give_the_highest_role_and_never_an_owners() {
        let role = role_by_groups;
        assert_eq!(role(Role::Viewer, false, &[Role::Agent, Role::Admin]), Some(Role::Admin));
        assert_eq!(role(Role::Agent, false, &[Role::Owner]), None);
        assert_eq!(role(Role::Owner, true, &[Role::Agent]), None);
        assert_eq!(role(Role::Admin, false, &[]), None, "a role given by hand stays");
        assert_eq!(role(Role::Admin, true, &[]), Some(Role::Viewer));
    }
}
