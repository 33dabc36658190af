//! Room `identity`: sign-in in one step, or in two where there is a second factor.

use std::time::Duration;

use misy_core::{PlatformCtx, Secret, Timestamp};
use misy_web::Peer;

use super::{address_of, begin};
use crate::accounts::Email;
use crate::accounts::model::{Choice, Credential, Standing, choose};
use crate::accounts::store::{self as accounts_store, Located};
use crate::exchanges::model::Reach;
use crate::second_factors::model::Error as FactorError;
use crate::second_factors::service::{self as factors, Shown};
use crate::second_factors::store::Owner;
use crate::sessions::model::{
    self, Challenge, Error as SessionError, Method, Origin, Pair, challenge_hash,
};
use crate::sessions::store;
use crate::{Deps, Error, exchanges};

/// A try to sign in.
pub(in crate::sessions) struct Login {
    pub(in crate::sessions) email: String,
    pub(in crate::sessions) password: Secret,
    pub(in crate::sessions) tenant: Option<String>,
    pub(in crate::sessions) device: Option<String>,
    pub(in crate::sessions) peer: Peer,
}

/// What a right password leads to.
pub(in crate::sessions) enum SignedIn {
    /// Into a session.
    Session(Pair),
    /// To the question for the second factor.
    Challenge {
        /// Comes back with the code.
        token: Secret,
        /// How long it is waited for.
        expires_in_s: u32,
    },
}

/// Signs in. Every wrong try gets the same answer after the same work: one look-up, one hash.
pub(in crate::sessions) async fn login(
    deps: &Deps,
    ctx: &PlatformCtx,
    login: Login,
) -> Result<SignedIn, Error> {
    let address = login.peer.network().0.to_string();
    deps.by_address.take(&address)?;
    let Ok(email) = login.email.parse::<Email>() else {
        deps.hasher.find_matches(&login.email, &login.password, &[]).await?;
        return Err(SessionError::InvalidLogin.into());
    };
    deps.by_account.take(email.as_str())?;
    let turn = deps.hasher.line_up()?.turn().await?;
    let mut credentials = {
        let mut tx = deps.db.platform_read(ctx).await?;
        accounts_store::list_credentials(&mut tx, &email).await?
    };
    let hashes: Vec<&str> = credentials.iter().map(|one| one.hash.as_str()).collect();
    let (email, password) = (email.as_str(), &login.password);
    let matches = deps.hasher.find_matches_in(turn, email, password, &hashes).await?;
    let proved: Vec<Credential> =
        matches.into_iter().rev().map(|at| credentials.swap_remove(at)).collect();
    let reach = exchanges::model::reach_of(&proved);
    let (standing, slug) = match choose(proved, login.tenant.as_deref()) {
        Choice::Enter(standing, slug) => (standing, slug),
        Choice::Which(slugs) => return Err(SessionError::TenantChoiceNeeded(slugs).into()),
        Choice::Nothing => return Err(SessionError::InvalidLogin.into()),
    };
    deps.by_address.put_back(&address);
    deps.by_account.put_back(email);
    enter(deps, ctx, standing, slug, reach, login).await
}

/// Into a session, or to the second step if the person has a second factor.
async fn enter(
    deps: &Deps,
    ctx: &PlatformCtx,
    standing: Standing,
    slug: Option<String>,
    reach: Reach,
    login: Login,
) -> Result<SignedIn, Error> {
    let owner = factors::owner(&standing);
    let (device, address) = (login.device, address_of(login.peer));
    let mut tx = deps.db.platform(ctx).await?;
    let signed_in = if factors::is_set_up(&mut tx, owner).await? {
        let token = model::challenge_text(deps.ambient.bytes());
        let hash = challenge_hash(&token).ok_or(FactorError::InvalidCode)?;
        let expires_in_s = deps.config.challenge_s;
        let lasts = Duration::from_secs(expires_in_s.into());
        let expires_at = deps.ambient.now().checked_add(lasts).unwrap_or(Timestamp::MAX);
        let Owner { account, realm } = owner;
        let challenge = Challenge { hash, account, realm, device, address, reach, expires_at };
        store::insert_challenge(&mut tx, &challenge).await?;
        SignedIn::Challenge { token, expires_in_s }
    } else {
        let method = Method::Password;
        let origin = Origin { method, device, address, second_factor_at: None };
        let pair = begin(deps, &mut tx, standing, origin).await?;
        exchanges::store::note_reach(&mut tx, pair.session, &reach).await?;
        SignedIn::Session(Pair { slug, ..pair })
    };
    tx.commit().await?;
    Ok(signed_in)
}

/// The second step. A challenge takes few tries and ends with the first right one; that its person
/// may still sign in is looked at again.
pub(crate) async fn answer_challenge(
    deps: &Deps,
    ctx: &PlatformCtx,
    token: &Secret,
    code: &Secret,
    peer: Peer,
) -> Result<Pair, Error> {
    let address = peer.network().0.to_string();
    deps.by_address.take(&address)?;
    let hash = challenge_hash(token).ok_or(FactorError::InvalidCode)?;
    let now = deps.ambient.now();
    // Counted for itself, so that no refusal takes it back.
    let challenge = {
        let mut tx = deps.db.platform(ctx).await?;
        let challenge = store::try_challenge(&mut tx, &hash, now).await?;
        tx.commit().await?;
        challenge.ok_or(FactorError::InvalidCode)?
    };
    let Challenge { account, realm, device, address: from, reach, .. } = challenge;
    let mut tx = deps.db.platform(ctx).await?;
    let found = accounts_store::find_in_realm(&mut tx, account, realm).await?;
    let Located { standing, slug, .. } = found.ok_or(FactorError::InvalidCode)?;
    let shown = factors::show(deps, tx, Owner { account, realm }, code, false).await;
    let (mut tx, shown): (_, Shown) = shown.map_err(|error| match error {
        Error::SecondFactor(FactorError::NotSetUp) => FactorError::InvalidCode.into(),
        error => error,
    })?;
    if !store::delete_challenge(&mut tx, &hash).await? {
        return Err(FactorError::InvalidCode.into());
    }
    factors::note_recovery(deps, &mut tx, &standing, shown).await?;
    let (method, second_factor_at) = (Method::Password, Some(now));
    let origin = Origin { method, device, address: from, second_factor_at };
    let pair = begin(deps, &mut tx, standing, origin).await?;
    exchanges::store::note_reach(&mut tx, pair.session, &reach).await?;
    tx.commit().await?;
    deps.by_address.put_back(&address);
    Ok(Pair { slug, ..pair })
}
