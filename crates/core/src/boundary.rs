//! Room `core`: what a message says of its tenant, and the three ways in which that is refused.
//!
//! Services of one installation tell each other the tenant in W3C Baggage
//! (<https://www.w3.org/TR/baggage/>); a client may name it in `X-Misy-Tenant`. Neither is ever
//! believed: the tenant comes from the credential, the route of a hook or the row of a job, and a
//! message that names another one is refused.

use crate::error::{Code, Public};
use crate::{Ctx, TenantId};

/// The member of `baggage` that names the tenant.
const MEMBER: &str = "misy.tenant";

/// Bytes of `baggage` that are looked at; the recommendation asks for as many.
const READ_BYTES: usize = 8_192;

/// The header in which a client may say which tenant it means.
pub const TENANT_HEADER: &str = "x-misy-tenant";

/// The header that carries the tenant between services of ours.
pub const BAGGAGE_HEADER: &str = "baggage";

/// Why a message does not get past a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// It works inside a tenant and comes from none.
    #[error("it belongs to no tenant")]
    Missing,
    /// It comes from one tenant and names another, or names one that cannot be read.
    #[error("it names another tenant than the one it comes from")]
    Ambiguous,
    /// Its tenant was suspended, or is not there yet or no longer.
    #[error("its tenant is not active")]
    NotActive,
}

impl Public for Misplaced {
    fn code(&self) -> Code {
        match self {
            Self::Missing => Code::TenantMissing,
            Self::Ambiguous => Code::TenantAmbiguous,
            Self::NotActive => Code::TenantInactive,
        }
    }
}

/// What a message says of its tenant by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Claim {
    /// Nothing, which is usual.
    #[default]
    Silent,
    /// This one.
    Of(TenantId),
    /// Several, or what is no tenant's id.
    Unclear,
}

impl Claim {
    /// Reads all `baggage` headers and all `X-Misy-Tenant` headers of a message.
    pub fn read<'a>(
        baggage: impl IntoIterator<Item = &'a str>,
        named: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let members = baggage.into_iter().flat_map(members);
        members.chain(named.into_iter().map(str::trim)).fold(Self::Silent, Self::and)
    }

    fn and(self, text: &str) -> Self {
        let Ok(tenant) = text.parse::<TenantId>() else { return Self::Unclear };
        match self {
            Self::Silent => Self::Of(tenant),
            Self::Of(earlier) if earlier == tenant => self,
            Self::Of(_) | Self::Unclear => Self::Unclear,
        }
    }

    /// Refuses unless it is silent or names the tenant that the message comes from.
    pub fn check(self, tenant: TenantId) -> Result<(), Misplaced> {
        match self {
            Self::Silent => Ok(()),
            Self::Of(claimed) if claimed == tenant => Ok(()),
            Self::Of(_) | Self::Unclear => Err(Misplaced::Ambiguous),
        }
    }

    /// Refuses a message that comes from no tenant and names one all the same.
    pub fn check_none(self) -> Result<(), Misplaced> {
        if self == Self::Silent { Ok(()) } else { Err(Misplaced::Ambiguous) }
    }
}

/// The values of our member; its properties, and the members of others, are passed over.
fn members(header: &str) -> impl Iterator<Item = &str> {
    let end = (0..=header.len().min(READ_BYTES)).rev().find(|end| header.is_char_boundary(*end));
    header[..end.unwrap_or(0)].split(',').filter_map(|member| {
        let (key, value) = member.split_once('=')?;
        let value = value.split(';').next().unwrap_or_default();
        (key.trim() == MEMBER).then(|| value.trim())
    })
}

/// The `baggage` header of a call to a service of ours.
pub fn baggage(ctx: &Ctx) -> String {
    format!("{MEMBER}={}", ctx.tenant())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TypedId;
    use uuid::Uuid;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_message_without_a_word_about_its_tenant_is_silent() {
        assert_eq!(Claim::read([], []), Claim::Silent);
        let others = "user=1,misy.tenants=x , tenant=ten_1;misy.tenant=2,misy.tenant";
        assert_eq!(Claim::read([others], []), Claim::Silent);
    }

    #[test]
    fn one_tenant_may_be_named_in_many_ways_and_places() {
        let one = tenant(1).to_string();
        let baggage = format!("a=b, misy.tenant = {one} ;p=1;q , c=d");
        let claim = Claim::read([baggage.as_str(), "x=y"], [one.as_str()]);
        assert_eq!(claim, Claim::Of(tenant(1)));
        assert_eq!(claim.check(tenant(1)), Ok(()));
        assert_eq!(claim.check(tenant(2)), Err(Misplaced::Ambiguous));
        assert_eq!(claim.check_none(), Err(Misplaced::Ambiguous));
    }

    #[test]
    fn two_tenants_or_what_is_none_fit_nobody() {
        let (one, two) = (tenant(1).to_string(), tenant(2).to_string());
        let baggage = format!("misy.tenant={one}");
        let twice = format!("misy.tenant={one},misy.tenant={two}");
        let unclear = [
            Claim::read([baggage.as_str()], [two.as_str()]),
            Claim::read([twice.as_str()], []),
            Claim::read([], [one.as_str(), two.as_str()]),
            Claim::read([], [""]),
            Claim::read(["misy.tenant="], []),
            Claim::read(["misy.tenant=%74en_1"], [one.as_str()]),
        ];
        for claim in unclear {
            assert_eq!(claim, Claim::Unclear);
            assert_eq!(claim.check(tenant(1)), Err(Misplaced::Ambiguous));
            assert_eq!(claim.check_none(), Err(Misplaced::Ambiguous));
        }
    }

    #[test]
    fn each_refusal_has_a_code_of_its_own() {
        let codes = [Misplaced::Missing, Misplaced::Ambiguous, Misplaced::NotActive]
            .map(|refusal| refusal.code().slug());
        let expected = ["context.missing_tenant", "context.ambiguous_tenant", "tenant.inactive"];
        assert_eq!(codes, expected);
    }

    #[test]
    fn a_long_header_is_not_read_to_its_end_and_breaks_nothing() {
        let one = tenant(1).to_string();
        let long = format!("{},misy.tenant={one}", "é".repeat(READ_BYTES));
        assert_eq!(Claim::read([long.as_str()], []), Claim::Silent);
    }
}
