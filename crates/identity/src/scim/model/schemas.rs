//! Room `identity`: the attributes of people and groups (RFC 7643 section 4), from which the
//! published schemas are made and by which everything that comes in is read.

use serde_json::{Value, json};

/// The schema of people.
pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The schema of groups.
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// What companies add to people.
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// What an attribute holds (RFC 7643 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Boolean,
    Reference,
    Complex,
}

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) many: bool,
    pub(crate) required: bool,
    pub(crate) exact: bool,
    pub(crate) unique: bool,
    pub(crate) mutability: &'static str,
    pub(crate) canonical: &'static [&'static str],
    pub(crate) parts: &'static [Attribute],
    pub(crate) about: &'static str,
}

const fn text(name: &'static str, about: &'static str) -> Attribute {
    Attribute {
        name,
        kind: Kind::Text,
        many: false,
        required: false,
        exact: false,
        unique: false,
        mutability: "readWrite",
        canonical: &[],
        parts: &[],
        about,
    }
}

impl Attribute {
    const fn boolean(self) -> Self {
        Self { kind: Kind::Boolean, ..self }
    }
    const fn reference(self) -> Self {
        Self { kind: Kind::Reference, exact: true, ..self }
    }
    const fn of(self, parts: &'static [Attribute]) -> Self {
        Self { kind: Kind::Complex, parts, ..self }
    }
    const fn many(self) -> Self {
        Self { many: true, ..self }
    }
    const fn required(self) -> Self {
        Self { required: true, ..self }
    }
    const fn unique(self) -> Self {
        Self { unique: true, ..self }
    }
    const fn immutable(self) -> Self {
        Self { mutability: "immutable", ..self }
    }
    const fn read_only(self) -> Self {
        Self { mutability: "readOnly", ..self }
    }
    const fn canonical(self, canonical: &'static [&'static str]) -> Self {
        Self { canonical, ..self }
    }
    const fn exact(self) -> Self {
        Self { exact: true, ..self }
    }

    /// Whether a caller may not set it.
    pub(crate) fn is_read_only(&self) -> bool {
        self.mutability == "readOnly"
    }

    /// A sub-attribute by name; names are compared without case (RFC 7643 section 2.1).
    pub(crate) fn part(&self, name: &str) -> Option<&'static Attribute> {
        self.parts.iter().find(|part| part.name.eq_ignore_ascii_case(name))
    }

    /// As `/Schemas` publishes it (RFC 7643 section 7).
    fn published(&self) -> Value {
        let kind = match self.kind {
            Kind::Text => "string",
            Kind::Boolean => "boolean",
            Kind::Reference => "reference",
            Kind::Complex => "complex",
        };
        let mut shown = json!({
            "name": self.name, "type": kind, "multiValued": self.many,
            "description": self.about, "required": self.required,
            "mutability": self.mutability, "returned": "default",
        });
        if self.kind == Kind::Text || self.kind == Kind::Reference {
            shown["caseExact"] = json!(self.exact);
            shown["uniqueness"] = json!(if self.unique { "server" } else { "none" });
        }
        if !self.canonical.is_empty() {
            shown["canonicalValues"] = json!(self.canonical);
        }
        if self.kind == Kind::Reference {
            let group = self.about.contains("group");
            shown["referenceTypes"] = json!([if group { "Group" } else { "User" }]);
        }
        if self.kind == Kind::Complex {
            let parts = self.parts.iter().map(Attribute::published);
            shown["subAttributes"] = parts.collect();
        }
        shown
    }
}

const TYPES: &[&str] = &["work", "home", "other"];

const NAME: &[Attribute] = &[
    text("formatted", "The whole name as shown."),
    text("familyName", "The family name."),
    text("givenName", "The given name."),
    text("middleName", "The middle names."),
    text("honorificPrefix", "A title before the name."),
    text("honorificSuffix", "A title after the name."),
];

const EMAIL: &[Attribute] = &[
    text("value", "The address.").required(),
    text("display", "How it is shown."),
    text("type", "What it is for.").canonical(TYPES),
    text("primary", "Whether it is the address they sign in with.").boolean(),
];

const PHONE: &[Attribute] = &[
    text("value", "The number."),
    text("display", "How it is shown."),
    text("type", "What it is for.").canonical(&["work", "home", "mobile", "fax", "other"]),
    text("primary", "Whether it is the preferred one.").boolean(),
];

const OF_GROUPS: &[Attribute] = &[
    text("value", "The id of the group.").exact().read_only(),
    text("$ref", "Where the group is.").reference().read_only(),
    text("display", "The name of the group.").read_only(),
];

const MEMBER: &[Attribute] = &[
    text("value", "The id of the person.").exact().immutable(),
    text("$ref", "Where the person is.").reference().immutable(),
    text("type", "People only; groups hold no groups.").immutable().canonical(&["User"]),
];

/// The attributes of a person.
pub(crate) const OF_USER: &[Attribute] = &[
    text("userName", "What the directory calls the person; unique in the tenant.")
        .required()
        .unique(),
    text("name", "The parts of the name.").of(NAME),
    text("displayName", "The name as shown."),
    text("nickName", "The casual name."),
    text("title", "The title, like `Support engineer`."),
    text("userType", "The relation, like `Contractor`."),
    text("preferredLanguage", "The language, as HTTP writes it."),
    text("locale", "The place for dates and numbers."),
    text("timezone", "The time zone of the IANA database."),
    text("active", "Whether they may sign in.").boolean().required(),
    text(
        "emails",
        "Addresses; the primary one is signed in with. If absent, `userName` has to be \
        one.",
    )
    .of(EMAIL)
    .many()
    .required(),
    text("phoneNumbers", "Telephone numbers.").of(PHONE).many(),
    text("groups", "The groups they are in; changed at the group.")
        .of(OF_GROUPS)
        .many()
        .read_only(),
];

/// What companies add to a person.
pub(crate) const OF_ENTERPRISE: &[Attribute] = &[
    text("employeeNumber", "The number of the employee."),
    text("costCenter", "The cost center."),
    text("organization", "The organization."),
    text("division", "The division."),
    text("department", "The department."),
];

/// The attributes of a group.
pub(crate) const OF_GROUP: &[Attribute] = &[
    text("displayName", "The name; unique in the tenant. Roles are mapped to it.")
        .required()
        .unique(),
    text("members", "The people in it.").of(MEMBER).many(),
];

/// What every resource has (RFC 7643 section 3.1); in no published schema.
const COMMON: &[Attribute] = &[
    text("id", "").exact().read_only(),
    text("externalId", "").exact(),
    text("schemas", "").exact().many().read_only(),
    text("meta", "")
        .of(&[
            text("resourceType", "").read_only(),
            text("created", "").read_only(),
            text("lastModified", "").read_only(),
            text("location", "").read_only(),
            text("version", "").read_only(),
        ])
        .read_only(),
];

/// The two types of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    User,
    Group,
}

impl Type {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::User, Self::Group];

    /// The name, as `meta.resourceType` says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }

    /// Where they are, below the base address.
    pub(crate) fn endpoint(self) -> &'static str {
        match self {
            Self::User => "/Users",
            Self::Group => "/Groups",
        }
    }

    /// The core schema.
    pub(crate) fn schema(self) -> &'static str {
        match self {
            Self::User => USER,
            Self::Group => GROUP,
        }
    }

    /// The attributes of the core schema or of the extension.
    pub(crate) fn attributes(self, extension: bool) -> &'static [Attribute] {
        match (self, extension) {
            (Self::User, false) => OF_USER,
            (Self::User, true) => OF_ENTERPRISE,
            (Self::Group, false) => OF_GROUP,
            (Self::Group, true) => &[],
        }
    }

    /// An attribute by name, those of every resource included.
    pub(crate) fn attribute(self, extension: bool, name: &str) -> Option<&'static Attribute> {
        let common = if extension { &[] } else { COMMON };
        let mut all = self.attributes(extension).iter().chain(common);
        all.find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }
}

/// The published schemas.
pub(crate) fn schemas(base: &str) -> Vec<Value> {
    let all = [
        (USER, "User", "People of the tenant.", OF_USER),
        (ENTERPRISE, "EnterpriseUser", "What companies add to people.", OF_ENTERPRISE),
        (GROUP, "Group", "Groups of people.", OF_GROUP),
    ];
    let shown = all.into_iter().map(|(id, name, about, attributes)| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": id, "name": name, "description": about,
            "attributes": attributes.iter().map(Attribute::published).collect::<Vec<_>>(),
            "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{id}")},
        })
    });
    shown.collect()
}

/// The published types of resources (RFC 7643 section 6).
pub(crate) fn resource_types(base: &str) -> Vec<Value> {
    let shown = Type::ALL.into_iter().map(|of| {
        let name = of.name();
        let extensions = match of {
            Type::User => json!([{"schema": ENTERPRISE, "required": false}]),
            Type::Group => json!([]),
        };
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name, "name": name, "endpoint": of.endpoint(), "schema": of.schema(),
            "description": format!("{name}s of the tenant."),
            "schemaExtensions": extensions,
            "meta": {
                "resourceType": "ResourceType",
                "location": format!("{base}/ResourceTypes/{name}"),
            },
        })
    });
    shown.collect()
}

/// What this program does of SCIM (RFC 7643 section 5).
pub(crate) fn provider_config(base: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": super::queries::COUNT_MAX},
        "changePassword": {"supported": false},
        "sort": {"supported": true},
        "etag": {"supported": true},
        "authenticationSchemes": [{
            "type": "oauthbearertoken", "name": "API key", "primary": true,
            "description": "An API key of the tenant with the permission `scim.manage`, as \
                `Authorization: Bearer`.",
            "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/ServiceProviderConfig"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(attributes: &[Attribute], visit: &mut impl FnMut(&Attribute)) {
        for attribute in attributes {
            visit(attribute);
            walk(attribute.parts, visit);
        }
    }

    #[test]
    fn every_attribute_is_published_with_what_readers_need() {
        let schemas = schemas("https://api.example/scim/v2");
        assert_eq!(schemas.len(), 3);
        for schema in &schemas {
            let id = schema["id"].as_str().expect("an id");
            let place = schema["meta"]["location"].as_str().expect("a place");
            assert_eq!(place, format!("https://api.example/scim/v2/Schemas/{id}"));
            for attribute in schema["attributes"].as_array().expect("a list") {
                assert!(attribute["name"].is_string() && attribute["mutability"].is_string());
                let complex = attribute["type"] == "complex";
                assert_eq!(complex, attribute["subAttributes"].is_array(), "{attribute}");
            }
        }
    }

    #[test]
    fn each_type_of_resource_names_a_schema_that_is_published() {
        let known = schemas("b");
        let is_known = |id: &Value| known.iter().any(|schema| schema["id"] == *id);
        for of in resource_types("b") {
            assert!(is_known(&of["schema"]), "{of}");
            let extensions = of["schemaExtensions"].as_array().expect("a list");
            assert!(extensions.iter().all(|one| is_known(&one["schema"])), "{of}");
        }
    }

    #[test]
    fn attributes_are_told_apart_by_name_and_say_what_they_are() {
        for attributes in [OF_USER, OF_ENTERPRISE, OF_GROUP] {
            let mut names: Vec<_> = attributes.iter().map(|one| one.name).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
            walk(attributes, &mut |one| {
                assert!(one.about.ends_with('.'), "{} says nothing", one.name);
                assert_eq!(one.kind == Kind::Complex, !one.parts.is_empty(), "{}", one.name);
            });
        }
    }

    #[test]
    fn what_is_not_done_is_not_promised() {
        let config = provider_config("b");
        for (name, expected) in [
            ("patch", true),
            ("filter", true),
            ("sort", true),
            ("etag", true),
            ("bulk", false),
            ("changePassword", false),
        ] {
            assert_eq!(config[name]["supported"], expected, "{name}");
        }
    }

    #[test]
    fn attributes_are_found_in_any_case_and_not_across_types() {
        assert!(Type::User.attribute(false, "USERNAME").is_some());
        assert!(Type::User.attribute(true, "Department").is_some());
        assert!(Type::User.attribute(false, "department").is_none());
        assert!(Type::Group.attribute(false, "userName").is_none());
        for of in Type::ALL {
            assert!(of.attribute(false, "externalId").is_some_and(|one| !one.is_read_only()));
            assert!(of.attribute(false, "id").is_some_and(Attribute::is_read_only));
            assert_eq!(of.endpoint(), format!("/{}s", of.name()));
        }
    }
}
