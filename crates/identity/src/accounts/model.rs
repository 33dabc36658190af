//! Room `identity`: addresses, and what a password can open.

use std::fmt;
use std::str::FromStr;

use misy_core::id::TypedId;
use misy_core::{OperatorId, Role, TenantId, UserId};
use uuid::Uuid;

/// An e-mail address in the one form it is stored and compared in: lower case, no space around it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A text that is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address")]
pub struct NotAnEmail;

/// Longest address that can be delivered to (RFC 5321 section 4.5.3.1).
const EMAIL_BYTES_MAX: usize = 254;

impl FromStr for Email {
    type Err = NotAnEmail;

    /// Demands what every deliverable address has and no more: whether it exists only mail can
    /// tell.
    fn from_str(text: &str) -> Result<Self, NotAnEmail> {
        let text = text.trim().to_lowercase();
        let (local, domain) = text.rsplit_once('@').ok_or(NotAnEmail)?;
        let plain =
            |one: char| !one.is_whitespace() && !one.is_control() && !"<>\",;".contains(one);
        let label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|one| one.is_alphanumeric() || one == '-')
        };
        let good = text.len() <= EMAIL_BYTES_MAX
            && (1..=64).contains(&local.len())
            && !local.contains('@')
            && local.chars().all(plain)
            && domain.split('.').all(label);
        if good { Ok(Self(text)) } else { Err(NotAnEmail) }
    }
}

/// Who somebody is after a password proved right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Person {
    /// A person of a tenant, with the role they have there.
    User { tenant: TenantId, user: UserId, role: Role },
    /// A person who runs the platform.
    Operator(OperatorId),
    /// A person who looks after the platform without running it: support, an auditor.
    Staff { operator: OperatorId, role: Role },
}

impl Person {
    /// The tenant, if it is a person of one.
    pub(crate) fn tenant(self) -> Option<TenantId> {
        match self {
            Self::User { tenant, .. } => Some(tenant),
            Self::Operator(_) | Self::Staff { .. } => None,
        }
    }

    /// The person's id: a user's or an operator's.
    pub(crate) fn uuid(self) -> Uuid {
        match self {
            Self::User { user, .. } => user.uuid(),
            Self::Operator(operator) | Self::Staff { operator, .. } => operator.uuid(),
        }
    }
}

/// A person with the versions that tokens and sessions carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The account they signed in with.
    pub(crate) account: Uuid,
    /// Who they are.
    pub(crate) person: Person,
    /// Carried by access tokens; role, status and password changes raise it.
    pub(crate) uv: i64,
    /// Carried by sessions; being disabled raises it.
    pub(crate) era: i64,
}

/// A password of an account and what it opens, if it opens anything now.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    /// The password's hash, as a PHC string.
    pub(crate) hash: String,
    /// The name of its tenant at sign-in; `None` for the platform.
    pub(crate) slug: Option<String>,
    /// Who enters with it; `None` while that person may not sign in.
    pub(crate) opens: Option<Standing>,
}

/// A tenant that a person belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Belonging {
    pub(crate) tenant: TenantId,
    /// Its name at sign-in.
    pub(crate) slug: Option<String>,
    /// The slug of their role there.
    pub(crate) role: String,
}

/// What a sign-in comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// One enters here; the slug is of the tenant, if it is one.
    Enter(Standing, Option<String>),
    /// One has to say into which of these tenants.
    Which(Vec<String>),
    /// Nothing is open, which is answered like a wrong password.
    Nothing,
}

/// Chooses among the credentials whose password proved right. Without a wish an operator enters the
/// platform, and a person of several tenants with one password has to say which.
pub(crate) fn choose(proved: Vec<Credential>, wish: Option<&str>) -> Choice {
    let wished = |one: &Credential| wish.is_none_or(|slug| one.slug.as_deref() == Some(slug));
    let mut open: Vec<(Standing, Option<String>)> =
        proved.into_iter().filter(wished).filter_map(|one| Some((one.opens?, one.slug))).collect();
    let platform = open.iter().position(|(standing, _)| standing.person.tenant().is_none());
    match (platform, open.len()) {
        (Some(at), _) => {
            let (standing, slug) = open.swap_remove(at);
            Choice::Enter(standing, slug)
        }
        (None, 0) => Choice::Nothing,
        (None, 1) => {
            let (standing, slug) = open.swap_remove(0);
            Choice::Enter(standing, slug)
        }
        (None, _) => {
            let mut slugs: Vec<String> = open.into_iter().filter_map(|(_, slug)| slug).collect();
            slugs.sort();
            Choice::Which(slugs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of_tenant(n: u128) -> Credential {
        let person = Person::User {
            tenant: TenantId::from_uuid(Uuid::from_u128(n)),
            user: UserId::from_uuid(Uuid::from_u128(n)),
            role: Role::Agent,
        };
        let opens = Standing { account: Uuid::nil(), person, uv: 1, era: 1 };
        Credential { hash: String::new(), slug: Some(format!("t{n}")), opens: Some(opens) }
    }

    fn of_platform() -> Credential {
        let person = Person::Operator(OperatorId::from_uuid(Uuid::from_u128(9)));
        let opens = Standing { account: Uuid::nil(), person, uv: 1, era: 1 };
        Credential { hash: String::new(), slug: None, opens: Some(opens) }
    }

    fn entered(choice: Choice) -> Option<String> {
        match choice {
            Choice::Enter(_, slug) => slug,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_tenant_is_entered_and_several_have_to_be_named() {
        assert_eq!(entered(choose(vec![of_tenant(1)], None)).as_deref(), Some("t1"));
        let both = || vec![of_tenant(2), of_tenant(1)];
        assert_eq!(choose(both(), None), Choice::Which(vec!["t1".to_owned(), "t2".to_owned()]));
        assert_eq!(entered(choose(both(), Some("t2"))).as_deref(), Some("t2"));
        assert_eq!(choose(both(), Some("t3")), Choice::Nothing);
        assert_eq!(choose(Vec::new(), None), Choice::Nothing);
    }

    #[test]
    fn an_operator_enters_the_platform_unless_a_tenant_is_named() {
        let both = || vec![of_tenant(1), of_platform()];
        assert_eq!(entered(choose(both(), None)), None);
        assert_eq!(entered(choose(both(), Some("t1"))).as_deref(), Some("t1"));
    }

    #[test]
    fn a_disabled_person_enters_nothing() {
        let disabled = Credential { opens: None, ..of_tenant(1) };
        assert_eq!(choose(vec![disabled], Some("t1")), Choice::Nothing);
    }

    #[test]
    fn addresses_are_compared_in_one_form() {
        let email: Email = " Ana.Roy@Acme.Example ".parse().expect("an address");
        assert_eq!(email.as_str(), "ana.roy@acme.example");
        assert!("operator@localhost".parse::<Email>().is_ok());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@b.example", "a".repeat(65));
        for text in
            ["", "a", "@b.c", "a@", "a@b..c", "a b@c.d", "a@-b.c", "a@@b.c", "<a@b.c>", &long]
        {
            assert_eq!(text.parse::<Email>(), Err(NotAnEmail), "{text}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(
            text in "[a-zA-Z0-9.+]{1,20}@[a-zA-Z0-9]{1,20}.[a-z]{2}",
        ) {
            if let Ok(once) = text.parse::<Email>() {
                prop_assert_eq!(once.as_str().parse::<Email>(), Ok(once.clone()));
            }
        }
    }
}
