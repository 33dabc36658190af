//! Room `identity`: what may be done to the people of a tenant.

use misy_core::error::Fault;
use misy_core::{Code, Grants, Personal, Public, Role, Secret, Timestamp, UserId};
use uuid::Uuid;

use crate::accounts::Email;
use crate::roles::model::{Assigned, Beyond, RoleBook, within};

/// Whether somebody can sign in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = UserStatus)]
pub(crate) enum Status {
    /// Has no password yet.
    Invited,
    /// Can sign in.
    Active,
    /// May not sign in.
    Disabled,
}

impl Status {
    const ALL: [Self; 3] = [Self::Invited, Self::Active, Self::Disabled];

    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.slug() == slug)
    }
}

/// A person of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) account: Uuid,
    pub(crate) email: Personal<String>,
    pub(crate) name: Personal<String>,
    pub(crate) role: Role,
    /// The slug of the tenant's own role that they have beside it.
    pub(crate) own_role: Option<String>,
    pub(crate) status: Status,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl User {
    /// The slug of the role that they have, as it is shown.
    pub(crate) fn role_slug(&self) -> &str {
        self.own_role.as_deref().unwrap_or(self.role.slug())
    }

    /// The role that they have.
    pub(crate) fn assigned(&self) -> Assigned {
        Assigned { base: self.role, own: self.own_role.clone() }
    }

    /// Everything they may do.
    pub(crate) fn grants(&self, book: &RoleBook) -> Grants {
        self.assigned().grants(book)
    }
}

/// A person to be added, as asked for.
#[derive(Debug)]
pub(crate) struct NewUser {
    pub(crate) email: Personal<String>,
    pub(crate) name: Personal<String>,
    /// The slug of a role.
    pub(crate) role: String,
    /// Without one they are invited to choose one.
    pub(crate) password: Option<Secret>,
}

impl NewUser {
    /// The address in its one form.
    pub(crate) fn address(&self) -> Result<Email, Error> {
        let wrong = || vec![fault("/email", "has to be an e-mail address")];
        self.email.0.parse().map_err(|_| Error::Invalid(wrong()))
    }
}

/// What is to change of a person; what is absent stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) name: Option<Personal<String>>,
    pub(crate) role: Option<Assigned>,
    pub(crate) status: Option<Status>,
}

/// What fails around users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such user in this tenant.
    #[error("no such user")]
    NotFound,
    /// Somebody of the tenant has the address.
    #[error("the address is taken")]
    EmailTaken,
    /// The tenant would have no owner who can sign in.
    #[error("the last owner cannot go")]
    LastOwner,
    /// Fields are wrong.
    #[error("the user's data is not valid")]
    Invalid(Vec<Fault>),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::EmailTaken | Self::LastOwner => Code::Conflict,
            Self::Invalid(_) => Code::Invalid,
        }
    }
    fn detail(&self) -> Option<String> {
        let text = match self {
            Self::NotFound | Self::Invalid(_) => return None,
            Self::EmailTaken => "Somebody with this e-mail address is in the tenant already.",
            Self::LastOwner => "The tenant needs an active owner: make somebody else one first.",
        };
        Some(text.to_owned())
    }
    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
            _ => Vec::new(),
        }
    }
}

/// A decided change of a person.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) after: User,
    /// Role or status changed, so tokens with the old ones must die.
    pub(crate) access_changed: bool,
    /// The tenant's own role changed, which tokens do not say.
    pub(crate) own_changed: bool,
    /// Sessions must die too, also if the person is enabled again.
    pub(crate) shut_out: bool,
    /// There must be another active owner.
    pub(crate) owner_leaves: bool,
}

/// Decides a change by an actor with these grants. The book has to know the tenant's own roles that
/// occur.
pub(crate) fn decide(
    before: &User,
    change: Change,
    actor: Grants,
    book: &RoleBook,
) -> Result<Decided, Refusal> {
    within(actor, before.grants(book))?;
    if let Some(role) = &change.role {
        within(actor, role.grants(book))?;
    }
    let mut after = before.clone();
    after.name = change.name.unwrap_or(after.name);
    let role = change.role.unwrap_or_else(|| before.assigned());
    (after.role, after.own_role) = (role.base, role.own);
    after.status = change.status.unwrap_or(after.status);
    let invited = |user: &User| user.status == Status::Invited;
    if invited(&after) != invited(before) {
        let detail = "is `invited` from the invitation until a password is set, never otherwise";
        return Err(Error::Invalid(vec![fault("/status", detail)]).into());
    }
    Ok(Decided {
        access_changed: (after.role, after.status) != (before.role, before.status),
        own_changed: after.own_role != before.own_role,
        shut_out: after.status == Status::Disabled && before.status != Status::Disabled,
        owner_leaves: holds_the_house(before) && !holds_the_house(&after),
        after,
    })
}

/// Whether this is an owner who can sign in.
pub(crate) fn holds_the_house(user: &User) -> bool {
    user.role == Role::Owner && user.status == Status::Active
}

pub(crate) fn fault(pointer: &str, detail: &str) -> Fault {
    Fault { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

/// Why a change is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is about somebody, or to a role, with more rights than the actor's.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// It makes no sense.
    #[error(transparent)]
    Rule(#[from] Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_core::id::TypedId;
    use proptest::prelude::*;

    fn user(role: Role, status: Status) -> User {
        User {
            id: UserId::from_uuid(Uuid::from_u128(1)),
            account: Uuid::nil(),
            email: Personal("ana@acme.example".to_owned()),
            name: Personal("Ana".to_owned()),
            role,
            own_role: None,
            status,
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn to_role(role: Role) -> Change {
        Change { role: Some(Assigned { base: role, own: None }), ..Change::default() }
    }

    fn decide(before: &User, change: Change, actor: Grants) -> Result<Decided, Refusal> {
        super::decide(before, change, actor, &RoleBook::default())
    }

    fn to_status(status: Status) -> Change {
        Change { status: Some(status), ..Change::default() }
    }

    #[test]
    fn an_admin_can_neither_make_nor_touch_an_owner() {
        let admin = Role::Admin.grants();
        let agent = user(Role::Agent, Status::Active);
        assert_eq!(decide(&agent, to_role(Role::Owner), admin), Err(Refusal::Beyond(Beyond)));
        let owner = user(Role::Owner, Status::Active);
        for change in [to_role(Role::Agent), to_status(Status::Disabled), Change::default()] {
            assert_eq!(decide(&owner, change, admin), Err(Refusal::Beyond(Beyond)));
        }
        assert!(decide(&agent, to_role(Role::Admin), admin).is_ok());
    }

    #[test]
    fn a_new_name_kills_no_token() {
        let change = Change { name: Some(Personal("Bo".to_owned())), ..Change::default() };
        let decided = decide(&user(Role::Owner, Status::Active), change, Role::Owner.grants());
        let decided = decided.expect("allowed");
        assert!(!decided.access_changed && !decided.shut_out && !decided.owner_leaves);
    }

    #[test]
    fn nobody_becomes_or_stops_being_invited_by_a_change() {
        let owner = Role::Owner.grants();
        for (from, to) in [(Status::Active, Status::Invited), (Status::Invited, Status::Active)] {
            let refused = decide(&user(Role::Agent, from), to_status(to), owner);
            assert!(matches!(refused, Err(Refusal::Rule(Error::Invalid(_)))), "{from:?}");
        }
    }

    proptest! {
        #[test]
        fn an_owner_leaves_exactly_when_one_fewer_can_sign_in(
            from_role in 0usize..5, to in 0usize..5, disable: bool, was_active: bool,
        ) {
            let roles = Role::OF_TENANT;
            let status = if was_active { Status::Active } else { Status::Disabled };
            let before = user(roles[from_role], status);
            let wanted = if disable { Status::Disabled } else { Status::Active };
            let change = Change { status: Some(wanted), ..to_role(roles[to]) };
            let decided = decide(&before, change, Role::Owner.grants()).expect("an owner may");
            let count = |user: &User| i32::from(holds_the_house(user));
            prop_assert_eq!(decided.owner_leaves, count(&before) > count(&decided.after));
            prop_assert_eq!(decided.shut_out, was_active && disable);
        }
    }
}
