//! Room `identity`: recovery by a link that only the mailbox's owner reads.

use misy_core::{PlatformCtx, Secret};
use misy_store::Audit;
use misy_web::Peer;
use serde_json::json;

use crate::accounts::model::{Choice, Email, choose};
use crate::accounts::store::{self as accounts_store, Bumped, PLATFORM};
use crate::letters::model::{Error as LinkError, Kind};
use crate::sessions::model::{EndReason, Error as SessionError};
use crate::{Deps, Error, letters, passwords, revocations, sessions};
use misy_core::id::TypedId;

/// Sends a link to the address, if somebody has it. Nothing that the caller can see or measure
/// depends on whether anybody does: the same statements run, and the mail is another one's work.
pub(super) async fn begin(
    deps: &Deps,
    ctx: &PlatformCtx,
    email: &str,
    tenant: Option<&str>,
    peer: Peer,
) -> Result<(), Error> {
    deps.by_address.take(&peer.network().0.to_string())?;
    // What is no address is nobody's, and is looked up like one.
    let email = email.parse::<Email>().map_or_else(|_| String::new(), |it| it.as_str().to_owned());
    deps.by_account.take(&format!("recovery {email}"))?;
    let mut tx = deps.db.platform(ctx).await?;
    letters::service::write_to(deps, &mut tx, Kind::Recovery, &email, tenant).await?;
    tx.commit().await?;
    Ok(())
}

/// Sets another password in one realm of the account and ends every session there. Nobody is
/// signed in by this: a second factor, if there is one, is still asked for.
pub(super) async fn complete(
    deps: &Deps,
    ctx: &PlatformCtx,
    link: &Secret,
    password: &Secret,
    tenant: Option<&str>,
    peer: Peer,
) -> Result<(), Error> {
    let address = peer.network().0.to_string();
    deps.by_address.take(&address)?;
    let found = letters::service::open(deps, Kind::Recovery, link).await?;
    deps.by_address.put_back(&address);
    let email = found.email.as_ref().ok_or(LinkError)?.0.clone();
    let parsed: Email = email.parse().map_err(|_| LinkError)?;
    let credentials = {
        let mut tx = deps.db.platform_read(ctx).await?;
        accounts_store::list_credentials(&mut tx, &parsed).await?
    };
    let standing = match choose(credentials, tenant.or(found.slug.as_deref())) {
        Choice::Enter(standing, _) => standing,
        Choice::Which(slugs) => return Err(SessionError::TenantChoiceNeeded(slugs).into()),
        Choice::Nothing => return Err(LinkError.into()),
    };
    passwords::model::check(password, &[&email], "/password")?;
    let hash = deps.hasher.hash(&email, password).await?;
    let (account, person, now) = (standing.account, standing.person, deps.ambient.now());
    let realm = person.tenant().map_or(PLATFORM, TypedId::uuid);
    let mut tx = deps.db.platform(ctx).await?;
    if !letters::store::spend(&mut tx, &found.letter, now).await? {
        return Err(LinkError.into());
    }
    letters::store::spend_recoveries(&mut tx, account, now).await?;
    let proved = Some(now);
    let bumped = accounts_store::change_password(&mut tx, account, realm, &hash, now, proved);
    let Bumped { uv, .. } = bumped.await?.ok_or(LinkError)?;
    let id = person.uuid();
    let ended = sessions::store::end(&mut tx, None, Some(id), EndReason::Recovery, now).await?;
    revocations::store::raise_person(&mut tx, person.tenant(), id, uv).await?;
    letters::service::write(deps, &mut tx, Kind::PasswordChanged, &standing).await?;
    let detail = json!({"sessions_ended": ended.len()});
    tx.audit(Audit::new("password.recovered", "account", account).with(detail));
    tx.commit().await?;
    deps.revocations.note(&[(id, uv)]);
    Ok(())
}
