//! Room `identity`: what an operator may do inside a tenant, and the token that says so. It is a
//! type of its own: what is made for sessions does not take it, and it cannot be refreshed.

use misy_core::id::TypedId;
use misy_core::{
    Code, Grants, ImpersonationId, OperatorId, Permission, Public, Role, TenantId, Timestamp,
    UserId,
};
use serde::{Deserialize, Serialize};

use crate::tokens::model::is_of_type;
use crate::tokens::{Error as TokenError, Issuer};

/// The longest visit, in seconds.
pub(crate) const LONGEST_S: u32 = 3_600;
/// A visit for which nothing is said.
pub(crate) const USUAL_S: u32 = 900;
/// Why somebody comes takes some words.
pub(crate) const REASON_CHARS: std::ops::RangeInclusive<usize> = 10..=500;

/// A visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) id: ImpersonationId,
    pub(crate) operator: OperatorId,
    /// As whom; `None` for nobody in particular.
    pub(crate) user: Option<UserId>,
    pub(crate) role: Role,
    pub(crate) read_only: bool,
    pub(crate) reason: String,
    pub(crate) started_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    /// The actor who ended it.
    pub(crate) ended_by: Option<String>,
}

impl Visit {
    /// Whether it can still be ended.
    pub(crate) fn is_under_way(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}

/// What makes something that outlives a visit: people, roles, keys, ways to sign in, a file of all
/// data. Whoever visits may do none of it, or the visit would have no end.
const LASTING: [Permission; 7] = [
    Permission::UserManage,
    Permission::OwnerManage,
    Permission::RoleManage,
    Permission::ApiKeyManage,
    Permission::SsoManage,
    Permission::ImpersonationEnd,
    Permission::TenantExport,
];

/// What a visitor may do.
pub(crate) fn grants(role: Role, read_only: bool) -> Grants {
    let all = role.grants();
    let left: Grants = all.iter().filter(|one| !LASTING.contains(one)).collect();
    if read_only { left.reading() } else { left }
}

const TYP: &str = "imp+jwt";

/// Whether a credential is the token of a visit, before anything of it is believed.
pub(crate) fn looks_like_visit(bearer: &str) -> bool {
    is_of_type(bearer, TYP)
}

/// Who really acts (RFC 8693 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Act {
    sub: OperatorId,
}

/// The claims of a visit's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wire {
    iss: String,
    aud: String,
    sub: String,
    pub(crate) tid: TenantId,
    act: Act,
    /// The visit.
    pub(crate) imp: ImpersonationId,
    pub(crate) role: Role,
    /// `read`, if nothing may be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The operator's version.
    pub(crate) uv: i64,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Wire {
    /// The claims of a visit.
    pub(crate) fn new(issuer: &Issuer, tenant: TenantId, visit: &Visit, uv: i64) -> Self {
        let sub = visit.user.map_or_else(|| visit.operator.to_string(), |user| user.to_string());
        let iat = visit.started_at.as_second();
        Self {
            iss: issuer.issuer.clone(),
            aud: issuer.audience.clone(),
            sub,
            tid: tenant,
            act: Act { sub: visit.operator },
            imp: visit.id,
            role: visit.role,
            scope: visit.read_only.then(|| "read".to_owned()),
            uv,
            jti: misy_core::id::encode(visit.id.uuid()),
            iat,
            nbf: iat,
            exp: visit.expires_at.as_second(),
        }
    }

    /// Refuses claims for elsewhere or another time.
    pub(crate) fn check(&self, issuer: &Issuer, now: Timestamp) -> Result<(), TokenError> {
        if self.iss != issuer.issuer || self.aud != issuer.audience {
            return Err(TokenError::Elsewhere);
        }
        if !Role::OF_TENANT.contains(&self.role) {
            return Err(TokenError::Malformed);
        }
        if !crate::tokens::model::is_due(now, self.exp, self.nbf, self.iat) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }

    /// Who acts, and as whom.
    pub(crate) fn actors(&self) -> Result<(OperatorId, Option<UserId>), TokenError> {
        let operator = self.act.sub;
        if self.sub == operator.to_string() {
            return Ok((operator, None));
        }
        let user = self.sub.parse().map_err(|_| TokenError::Malformed)?;
        Ok((operator, Some(user)))
    }

    /// What the visitor may do.
    pub(crate) fn grants(&self) -> Grants {
        grants(self.role, self.scope.is_some())
    }
}

/// The `typ` of a visit's token.
pub(crate) const fn typ() -> &'static str {
    TYP
}

/// What fails around visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such visit to this tenant.
    #[error("no such visit")]
    NotFound,
    /// It is over.
    #[error("the visit is over")]
    Over,
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Over => Code::Conflict,
        }
    }
    fn detail(&self) -> Option<String> {
        (*self == Self::Over).then(|| "It was ended before, or has expired.".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_makes_nothing_that_outlives_the_visit() {
        for role in Role::OF_TENANT {
            let may = grants(role, false);
            assert!(role.grants().covers(may));
            for one in LASTING {
                assert!(!may.has(one), "{role:?} {one}");
            }
        }
        assert!(grants(Role::Admin, false).has(Permission::MessageSend));
    }

    #[test]
    fn one_who_only_looks_changes_nothing() {
        let may = grants(Role::Owner, true);
        assert!(may.has(Permission::MessageRead) && may.has(Permission::AuditRead));
        assert!(may.iter().all(|one| one.slug().rsplit('.').next() == Some("read")));
    }
}
