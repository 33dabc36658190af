//! Room `identity`: a group as a directory sees it, and which role it stands for.

use misy_core::error::Fault;
use misy_core::{Role, ScimGroupId, Timestamp, UserId};
use serde_json::{Value, json};

use super::Error;
use super::people::{joined, key_of, member_ids, meta};
use super::schemas::GROUP;
use crate::roles::model::{Beyond, within};

/// A group of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) id: ScimGroupId,
    pub(crate) name: String,
    pub(crate) external_id: Option<String>,
    pub(crate) members: Vec<UserId>,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// What a document says of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedGroup {
    pub(crate) name: String,
    pub(crate) external_id: Option<String>,
    pub(crate) members: Vec<UserId>,
}

/// Reads a settled document.
pub(crate) fn read(document: &Value) -> Result<WantedGroup, Error> {
    let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    let name = text("displayName").filter(|name| !name.trim().is_empty());
    Ok(WantedGroup {
        name: name.ok_or_else(|| Error::Value("`displayName` is required".to_owned()))?,
        external_id: text("externalId"),
        members: member_ids(document)?,
    })
}

impl Group {
    /// What may be set, as it is now.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!({"displayName": self.name});
        if let Some(external) = &self.external_id {
            document["externalId"] = json!(external);
        }
        let members = self.members.iter().map(|id| json!({"value": id, "type": "User"}));
        if !self.members.is_empty() {
            document["members"] = members.collect();
        }
        document
    }

    /// The resource as it is answered.
    pub(crate) fn resource(&self, base: &str) -> Value {
        // Without names: a directory that compares what it sent with what it gets sees no change.
        let members = self
            .members
            .iter()
            .map(|id| json!({"value": id, "$ref": format!("{base}/Users/{id}"), "type": "User"}));
        let mut document = self.document();
        if !self.members.is_empty() {
            document["members"] = members.collect();
        }
        let place = format!("{base}/Groups/{}", self.id);
        let meta = meta("Group", self.created_at, self.updated_at, &place, self.version);
        joined(json!({"schemas": [GROUP], "id": self.id, "meta": meta}), document)
    }
}

/// Members of this name get this role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) group: String,
    pub(crate) role: Role,
}

/// Refuses mappings to an owner, twice of one name, or to more than the actor has.
pub(crate) fn check_mappings(
    mappings: &[Mapping],
    actor: misy_core::Grants,
) -> Result<(), MappingRefusal> {
    let mut faults = Vec::new();
    let mut known = std::collections::HashSet::new();
    for (at, mapping) in mappings.iter().enumerate() {
        let fault = |name: &str, detail: &str| Fault {
            pointer: format!("/mappings/{at}/{name}"),
            detail: detail.to_owned(),
        };
        if !Role::OF_TENANT.contains(&mapping.role) || mapping.role == Role::Owner {
            faults.push(fault("role", "has to be a role of tenants below `owner`"));
        }
        if mapping.group.trim().is_empty() {
            faults.push(fault("group", "has to name a group"));
        }
        if !known.insert(key_of(&mapping.group)) {
            faults.push(fault("group", "is there twice"));
        }
    }
    if !faults.is_empty() {
        return Err(MappingRefusal::Rule(crate::users::Error::Invalid(faults)));
    }
    for mapping in mappings {
        within(actor, mapping.role.grants())?;
    }
    Ok(())
}

/// Why mappings are not kept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MappingRefusal {
    /// They would give more than the actor has.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// They make no sense.
    #[error(transparent)]
    Rule(#[from] crate::users::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(group: &str, role: Role) -> Mapping {
        Mapping { group: group.to_owned(), role }
    }

    #[test]
    fn no_group_makes_owners_or_more_than_its_mapper_is() {
        let check = |list: &[Mapping], role: Role| check_mappings(list, role.grants());
        assert!(check(&[mapping("Support", Role::Agent)], Role::Admin).is_ok());
        for list in [
            vec![mapping("Bosses", Role::Owner)],
            vec![mapping("Bosses", Role::Operator)],
            vec![mapping(" ", Role::Agent)],
            vec![mapping("Support", Role::Agent), mapping("SUPPORT ", Role::Viewer)],
        ] {
            assert!(matches!(check(&list, Role::Owner), Err(MappingRefusal::Rule(_))), "{list:?}");
        }
        let beyond = check(&[mapping("Admins", Role::Admin)], Role::Supervisor);
        assert_eq!(beyond, Err(MappingRefusal::Beyond(Beyond)));
    }
}
