//! Room `identity`: writing letters, sending them, believing their links.

use std::time::Duration;

use misy_core::{Ctx, Secret, TenantId, Timestamp, UserId};
use misy_jobs::{Job, PlatformJob};
use misy_store::{Herald, News, PlatformTx, TenantTx};
use uuid::Uuid;

use super::jobs::{Send, SendAcross, Tell};
use super::model::{self, Error as LinkError, Found, Kind, Letter, Link};
use super::store;
use crate::accounts::model::{Person, Standing};
use crate::{Deps, Error, users};

fn blank(deps: &Deps, kind: Kind) -> Letter {
    let now = deps.ambient.now();
    Letter {
        id: deps.ambient.uuid(),
        kind,
        tenant: None,
        account: None,
        user: None,
        nonce: deps.ambient.bytes::<16>().to_vec(),
        created_at: now,
        expires_at: until(deps, kind, now),
        detail: None,
    }
}

/// When a link of now stops working.
pub(crate) fn until(deps: &Deps, kind: Kind, now: Timestamp) -> Timestamp {
    let lasts = Duration::from_secs(kind.lasts_s(&deps.config.links).into());
    now.checked_add(lasts).unwrap_or(Timestamp::MAX)
}

/// Invites a person who was just added; the mail leaves once that is committed.
pub(crate) async fn invite(
    deps: &Deps,
    tx: &mut TenantTx,
    account: Uuid,
    user: UserId,
) -> Result<Letter, Error> {
    let tenant = Some(tx.ctx().tenant());
    let blank = blank(deps, Kind::Invitation);
    let letter = Letter { tenant, account: Some(account), user: Some(user), ..blank };
    store::insert_inside(tx, &letter).await?;
    Send { letter: letter.id }.enqueue(tx);
    Ok(letter)
}

/// Sends an invitation again, from inside its tenant.
pub(crate) fn send_again(tx: &mut TenantTx, letter: Uuid) {
    Send { letter }.enqueue(tx);
}

/// Writes to an address that somebody typed, in the same steps whether or not anybody has it.
pub(crate) async fn write_to(
    deps: &Deps,
    tx: &mut PlatformTx,
    kind: Kind,
    email: &str,
    tenant: Option<&str>,
) -> Result<(), Error> {
    let letter = blank(deps, kind);
    store::insert_to(tx, email, tenant, &letter).await?;
    SendAcross { letter: letter.id }.enqueue(tx);
    Ok(())
}

/// Writes to somebody who is known.
pub(crate) async fn write(
    deps: &Deps,
    tx: &mut PlatformTx,
    kind: Kind,
    standing: &Standing,
) -> Result<(), Error> {
    let tenant: Option<TenantId> = standing.person.tenant();
    let user = match standing.person {
        Person::User { user, .. } => Some(user),
        Person::Operator(_) | Person::Staff { .. } => None,
    };
    let letter = Letter { tenant, account: Some(standing.account), user, ..blank(deps, kind) };
    store::insert(tx, &letter).await?;
    SendAcross { letter: letter.id }.enqueue(tx);
    Ok(())
}

/// Writes news to everybody who runs the tenant, once each, however often it is tried.
pub(super) async fn tell(deps: &Deps, ctx: &Ctx, news: &News) -> Result<(), Error> {
    let mut tx = deps.db.tenant(ctx).await?;
    let stewards = users::store::list_stewards(&mut tx).await?;
    let receivers: Vec<_> = stewards
        .into_iter()
        .map(|(user, account)| (model::news::id_of(news, user), account, user))
        .collect();
    let detail = serde_json::to_value(news).ok();
    let note = Letter { detail, ..blank(deps, Kind::of(news)) };
    for letter in store::insert_notes(&mut tx, &note, &receivers).await? {
        Send { letter }.enqueue(&mut tx);
    }
    Ok(tx.commit().await?)
}

/// Has those who run a tenant told by mail.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stewards;

impl Herald for Stewards {
    fn tell(&self, tx: &mut TenantTx, news: News) {
        Tell { news }.enqueue(tx);
    }
}

/// Sends a letter. One that was withdrawn, used or is late is not sent, and neither is one to an
/// address that nobody has. The link is made here and kept nowhere.
pub(super) async fn send(deps: &Deps, id: Uuid) -> Result<(), Error> {
    let now = deps.ambient.now();
    let found = {
        let mut tx = deps.db.platform_read(&deps.system).await?;
        store::find(&mut tx, id).await?
    };
    let Some(found) = found.filter(|found| found.is_open(now)) else { return Ok(()) };
    let (links, public_url) = (&deps.config.links, &deps.config.issuer);
    let Some(mail) = model::compose(&found, &deps.link_key, links, public_url, now) else {
        return Ok(());
    };
    deps.mailer.send(&mail).await?;
    let mut tx = deps.db.platform(&deps.system).await?;
    store::note_sent(&mut tx, id, now).await?;
    tx.commit().await?;
    Ok(())
}

/// The letter of a link, if the link works and is of this kind. It is not used up by this.
pub(crate) async fn open(deps: &Deps, kind: Kind, link: &Secret) -> Result<Found, Error> {
    let link = Link::read(link).ok_or(LinkError)?;
    let mut tx = deps.db.platform_read(&deps.system).await?;
    let found = store::find(&mut tx, link.letter).await?.ok_or(LinkError)?;
    let good = found.letter.kind == kind
        && link.is_of(&deps.link_key, &found.letter)
        && found.is_open(deps.ambient.now());
    if good { Ok(found) } else { Err(LinkError.into()) }
}
