//! Room `policy`: the words that policies may use: everybody and everything of MisyBot that is
//! guarded, every permission as an action, and what a tenant declares for applications of its own.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{
    Entities, Entity, EntityTypeName, EntityUid, Schema, SchemaFragment, Validator,
};
use misy_core::{Permission, Role};

use crate::things::{Value, uid};

/// The namespace of what is ours.
pub const OURS: &str = "MisyBot";
/// The namespace of what a tenant declares for its own applications.
pub const THEIRS: &str = "App";

/// How long ago a second factor may have been shown for a sensitive action, in seconds.
pub const MFA_AGE_MAX_S: i64 = 900;

/// The permissions that change who may do what; platform policies ask more for them.
pub const SENSITIVE: [Permission; 7] = [
    Permission::TenantUpdate,
    Permission::UserManage,
    Permission::OwnerManage,
    Permission::RoleManage,
    Permission::ApiKeyManage,
    Permission::ChannelManage,
    Permission::PolicyManage,
];

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {$(
        $(#[$doc])*
        pub static $name: LazyLock<EntityTypeName> = LazyLock::new(|| {
            EntityTypeName::from_str(concat!("MisyBot::", $text)).expect("a name is well-formed")
        });
    )*};
}

kinds! {
    /// A person of the tenant, who acts or is acted on.
    USER = "User";
    /// A program of the tenant, which acts or is acted on.
    API_KEY = "ApiKey";
    /// A role; people and programs belong to theirs and to those it inherits from, up to and with
    /// the built-in one.
    ROLE = "Role";
    /// The tenant itself: what is done with nothing smaller.
    TENANT = "Tenant";
    /// A conversation with its messages.
    CONVERSATION = "Conversation";
    /// What can be done.
    ACTION = "Action";
}

/// What is in every question about ours.
const CONTEXT: &str = "{ granted: Bool, tenant_active: Bool, impersonated: Bool, \
     mfa_required: Bool, mfa_age_s?: Long }";

const ENTITIES: &str = "
  entity Role;
  entity User in [Role] { tenant: String, role?: String };
  entity ApiKey in [Role] { tenant: String };
  entity Tenant { tenant: String };
  entity Conversation {
    tenant: String, status: String, channel: String, contact: String, assignee?: User
  };
  action any;
  action sensitive in [any];
";

/// What an action can be done with, beside the tenant as a whole.
fn resource_of(permission: Permission) -> &'static str {
    match permission {
        Permission::ConversationRead
        | Permission::ConversationUpdate
        | Permission::MessageRead
        | Permission::MessageSend => "Conversation, Tenant",
        Permission::UserRead | Permission::UserManage | Permission::OwnerManage => "User, Tenant",
        Permission::ApiKeyRead | Permission::ApiKeyManage => "ApiKey, Tenant",
        _ => "Tenant",
    }
}

/// Every permission that people and programs of tenants can have.
pub fn permissions() -> impl Iterator<Item = Permission> {
    let granted = Role::Owner.grants();
    Permission::ALL.iter().copied().filter(move |one| granted.has(*one))
}

/// Our part of the vocabulary, as a Cedar schema.
pub fn schema_text() -> String {
    let mut text = format!("namespace {OURS} {{{ENTITIES}");
    for permission in permissions() {
        let group = if SENSITIVE.contains(&permission) { "sensitive" } else { "any" };
        let (slug, resources) = (permission.slug(), resource_of(permission));
        let _ = writeln!(
            text,
            "  action \"{slug}\" in [{group}] appliesTo {{ principal: [User, ApiKey], \
             resource: [{resources}], context: {CONTEXT} }};"
        );
    }
    text.push_str("}\n");
    text
}

/// The type of the actions that tenants declare.
static THEIR_ACTION: LazyLock<EntityTypeName> = LazyLock::new(|| {
    EntityTypeName::from_str(&format!("{THEIRS}::Action")).expect("a name is well-formed")
});

/// Why what a tenant declares cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyError {
    /// It is no schema, or refers to what is not there.
    #[error("{0}")]
    Schema(String),
    /// It declares something outside of its namespace.
    #[error("everything has to be in `namespace {THEIRS} {{ ... }}`")]
    Namespace,
}

/// The words of a tenant's policies: ours and, if it declares some, its own.
pub struct Vocabulary {
    validator: Validator,
    /// Every action with its groups.
    pub(crate) actions: Entities,
}

static PLAIN: LazyLock<Vocabulary> =
    LazyLock::new(|| Vocabulary::new(None).expect("our own schema is well-formed"));

impl Vocabulary {
    /// Ours alone.
    pub fn plain() -> &'static Self {
        &PLAIN
    }

    /// Ours with what a tenant declares, a Cedar schema in the namespace `App`.
    pub fn new(theirs: Option<&str>) -> Result<Self, VocabularyError> {
        let fragment = |text: &str| match SchemaFragment::from_cedarschema_str(text) {
            Ok((fragment, _)) => Ok(fragment),
            Err(error) => Err(VocabularyError::Schema(crate::check::chain(&error))),
        };
        let mut fragments = vec![fragment(&schema_text())?];
        if let Some(text) = theirs {
            let declared = fragment(text)?;
            let names: HashSet<String> = declared
                .namespaces()
                .map(|name| name.map(|name| name.to_string()).unwrap_or_default())
                .collect();
            if names.iter().any(|name| name != THEIRS) {
                return Err(VocabularyError::Namespace);
            }
            fragments.push(declared);
        }
        let schema = Schema::from_schema_fragments(fragments)
            .map_err(|error| VocabularyError::Schema(crate::check::chain(&error)))?;
        let actions = schema
            .action_entities()
            .map_err(|error| VocabularyError::Schema(crate::check::chain(&error)))?;
        Ok(Self { validator: Validator::new(schema), actions })
    }

    /// The names of the actions that the tenant declares, without those that only group others, in
    /// the order of the alphabet.
    pub fn declared_actions(&self) -> Vec<String> {
        let all: Vec<EntityUid> = self.actions.iter().map(Entity::uid).collect();
        let theirs = all.iter().filter(|one| one.type_name() == &*THEIR_ACTION);
        let groups = |one: &EntityUid| {
            all.iter().any(|other| other != one && self.actions.is_ancestor_of(one, other))
        };
        let single = theirs.filter(|one| !groups(one));
        let mut names: Vec<String> = single.map(|one| one.id().unescaped().to_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn validator(&self) -> &Validator {
        &self.validator
    }

    /// The entity of a permission's action.
    pub fn action(&self, permission: Permission) -> Entity {
        self.find_action(uid(&ACTION, permission.slug()))
    }

    /// The entity of an action, without groups if it is not declared.
    pub fn find_action(&self, action: EntityUid) -> Entity {
        self.actions.get(&action).cloned().unwrap_or_else(|| Entity::with_uid(action))
    }
}

/// The circumstances of a question about ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Whether the role of who asks grants it.
    pub granted: bool,
    /// Whether the tenant may act.
    pub tenant_active: bool,
    /// Whether an operator acts in somebody's place.
    pub impersonated: bool,
    /// Whether a second factor is demanded of who asks.
    pub mfa_required: bool,
    /// How long ago they showed it, in seconds.
    pub mfa_age_s: Option<i64>,
}

impl Situation {
    /// An ordinary request of an active tenant.
    pub const fn plain(granted: bool) -> Self {
        Self {
            granted,
            tenant_active: true,
            impersonated: false,
            mfa_required: false,
            mfa_age_s: None,
        }
    }

    /// As policies see it.
    pub fn context(self) -> Vec<(String, Value)> {
        let flags = [
            ("granted", self.granted),
            ("tenant_active", self.tenant_active),
            ("impersonated", self.impersonated),
            ("mfa_required", self.mfa_required),
        ];
        let age = self.mfa_age_s.map(|age| ("mfa_age_s".to_owned(), Value::Number(age)));
        let flags = flags.into_iter().map(|(name, flag)| (name.to_owned(), Value::Flag(flag)));
        flags.chain(age).collect()
    }
}
