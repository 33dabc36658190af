//! Room `identity`: checks the credential of every request, normally without the database.

use std::sync::Arc;

use async_trait::async_trait;
use misy_core::id::TypedId;
use misy_core::{Actor, Ctx, Grants, Permission, Proof, Role, Secret};
use misy_web::{AuthError, Authenticator, Peer, Principal};

use crate::tokens::model::{looks_like_token, peek_kid};
use crate::tokens::{self, Claims, Subject};
use crate::{Deps, Error, api_keys, impersonations, sessions};

/// Access tokens and API keys as `Authorization: Bearer`.
pub struct Bearers(pub Arc<Deps>);

#[async_trait]
impl Authenticator for Bearers {
    async fn authenticate(&self, bearer: &Secret, _peer: Peer) -> Result<Principal, AuthError> {
        let deps = &*self.0;
        let found = if looks_like_token(bearer.expose()) {
            by_token(deps, bearer).await
        } else if api_keys::model::looks_like_key(bearer.expose()) {
            by_key(deps, bearer).await
        } else {
            return Err(AuthError::Invalid);
        };
        found.map_err(|error| match error {
            Error::Token(tokens::Error::Expired) => AuthError::Expired,
            Error::Store(error) => AuthError::Store(error),
            _ => AuthError::Invalid,
        })
    }

    fn lacked(&self, ctx: &Ctx, permission: Permission) {
        self.0.policies.note_lacked(ctx, permission);
    }
}

pub(crate) async fn by_token(deps: &Deps, bearer: &Secret) -> Result<Principal, Error> {
    if impersonations::model::looks_like_visit(bearer.expose()) {
        return impersonations::service::admit(deps, bearer).await;
    }
    let claims = verify(deps, bearer).await?;
    let person = claims.subject.uuid();
    let versions = [(claims.session.uuid(), claims.sv), (person, claims.uv)];
    if !deps.revocations.allow(versions).await? {
        return Err(tokens::Error::Revoked.into());
    }
    deps.sightings.saw_token(claims.id);
    // Without the second factor that the role needs, one is known and may do nothing.
    let granted = |grants: Grants| if claims.limited { Grants::NONE } else { grants };
    Ok(match claims.subject {
        Subject::User { tenant, user, role } => {
            let own = deps.notices.grants(tenant, user).await?;
            let grants = granted(role.grants().union(own));
            let (actor, proof) = (Actor::User(user), claims.proof);
            let grants = deps.policies.narrow(tenant, actor, grants, proof).await?;
            Principal::Tenant { tenant, actor, grants, proof }
        }
        Subject::Operator(operator) => Principal::Operator {
            actor: Actor::Operator(operator),
            grants: granted(Role::Operator.grants()),
        },
        Subject::Staff { operator, role } => {
            let grants = granted(role.grants());
            Principal::Operator { actor: Actor::Operator(operator), grants }
        }
    })
}

/// What a token says, if it is one of ours and has not expired; whether it was revoked is not
/// asked.
pub(crate) async fn verify(deps: &Deps, bearer: &Secret) -> Result<Claims, Error> {
    let (token, now) = (bearer.expose(), deps.ambient.now());
    let find_key = |kid: &str| deps.keys.find(kid);
    if let Some(known) = deps.known_tokens.find(token) {
        return Ok(known.believe(now, find_key)?);
    }
    let kid = peek_kid(token).ok_or(tokens::Error::Malformed)?;
    deps.keys.look_for(&kid).await?;
    let claims = tokens::model::verify(token, &sessions::service::issuer(deps), now, find_key)?;
    if let Some(key) = find_key(&kid) {
        deps.known_tokens.note(token, &kid, key, &claims);
    }
    Ok(claims)
}

async fn by_key(deps: &Deps, bearer: &Secret) -> Result<Principal, Error> {
    let route = api_keys::service::find_route(deps, bearer).await?;
    let route = route.ok_or(tokens::Error::UnknownKey)?;
    if !route.is_due(deps.ambient.now()) {
        return Err(tokens::Error::Expired.into());
    }
    deps.sightings.saw_key(route.key.uuid(), deps.ambient.now());
    let (tenant, actor) = (route.tenant, Actor::ApiKey(route.key));
    let proof = Proof::default();
    let grants = deps.policies.narrow(tenant, actor, route.grants, proof).await?;
    Ok(Principal::Tenant { tenant, actor, grants, proof })
}
