//! Room `conversation`: what visitors of a page may do: begin, say, hear, see.

use std::sync::Arc;

use misy_channel::front::{Said, VISITOR};
use misy_channel::{Channel, Content};
use misy_core::{Claim, Cursor, Grants, Limit, MessageId, PlatformCtx, Secret};
use misy_store::TenantTx;
use misy_web::CallingPage;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::model::{Error, LIFE, Session, Token, Visitor};
use crate::channels::Opened;
use crate::channels::model::Status;
use crate::hooks::model::Route;
use crate::messages::Message;
use crate::{Deps, hooks, inbox, messages};

/// Requests of one process that wait for something to be said.
const SEATS: usize = 2_000;

/// Seats of those who wait; whoever finds none is answered at once.
#[derive(Debug, Clone)]
pub struct Seats(Arc<Semaphore>);

impl Default for Seats {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SEATS)))
    }
}

impl Seats {
    pub(crate) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// Who calls, before anything of it is believed.
pub(crate) struct Caller {
    /// What they say of their tenant.
    pub(crate) claim: Claim,
    /// The page they are on.
    pub(crate) page: CallingPage,
    /// The token they hold.
    pub(crate) token: Option<Secret>,
}

/// An account that this program serves itself.
struct Site {
    channel: Arc<dyn Channel>,
    route: Route,
    opened: Arc<Opened>,
}

/// The site, if the page that calls is one of its tenant's.
async fn enter(
    deps: &Deps,
    ctx: &PlatformCtx,
    site_id: &str,
    caller: &Caller,
) -> Result<Site, Error> {
    let site = find(deps, ctx, site_id).await?.ok_or(Error::NotFound)?;
    if !caller.page.is_allowed(deps.tenants.as_ref(), site.route.tenant).await? {
        return Err(Error::Origin);
    }
    caller.claim.check(site.route.tenant)?;
    Ok(site)
}

async fn find(deps: &Deps, ctx: &PlatformCtx, site_id: &str) -> Result<Option<Site>, Error> {
    for channel in deps.channels.iter().filter(|one| one.front().is_some()) {
        let found = hooks::service::find_account(deps, ctx, channel.kind(), site_id).await?;
        if let Some((route, opened)) = found.filter(|(_, one)| one.status == Status::Active) {
            return Ok(Some(Site { channel: Arc::clone(channel), route, opened }));
        }
    }
    Ok(None)
}

/// Begins a session, or goes on with the one whose token the caller holds.
pub(crate) async fn begin(
    deps: &Deps,
    ctx: &PlatformCtx,
    site_id: &str,
    caller: &Caller,
) -> Result<Session, Error> {
    let site = enter(deps, ctx, site_id, caller).await?;
    let mut tx = deps.db.read(&ctx.enter(site.route.tenant, Grants::NONE)).await?;
    let earlier = match &caller.token {
        Some(token) => Some(verify(deps, &mut tx, site.route, token).await?),
        None => None,
    };
    let current = deps.vault.current(&mut tx).await?;
    let visitor = earlier.unwrap_or_else(|| Uuid::from_bytes(deps.ambient.bytes()));
    let expires_at = deps.ambient.now() + LIFE;
    let account = &site.opened.account;
    Ok(Session {
        token: Token::make(&current.key, current.version, site.route, visitor, expires_at),
        expires_at,
        continued: earlier.is_some(),
        title: account.setting("title").map(str::to_owned),
        greeting: account.setting("greeting").map(str::to_owned),
    })
}

/// Who holds the token, if it was made here, for this account, and not too long ago.
async fn verify(
    deps: &Deps,
    tx: &mut TenantTx,
    route: Route,
    token: &Secret,
) -> Result<Uuid, Error> {
    let token = Token::read(token.expose()).ok_or(Error::Token)?;
    let key = deps.vault.of_version(tx, token.version).await?.ok_or(Error::Token)?;
    if !token.is_good(&key.key, route, deps.ambient.now()) {
        return Err(Error::Token);
    }
    Ok(token.visitor)
}

/// The visitor whose token the caller holds.
pub(crate) async fn recognise(
    deps: &Deps,
    ctx: &PlatformCtx,
    site_id: &str,
    caller: &Caller,
) -> Result<Visitor, Error> {
    let site = enter(deps, ctx, site_id, caller).await?;
    let ctx = ctx.enter(site.route.tenant, Grants::NONE);
    let token = caller.token.as_ref().ok_or(Error::Token)?;
    let id = verify(deps, &mut deps.db.read(&ctx).await?, site.route, token).await?;
    let (kind, route) = (site.channel.kind(), site.route);
    Ok(Visitor { id, ctx, kind, route, site: site.opened.account.external_id.clone() })
}

/// Keeps what a visitor said, as what every customer says is kept: it is on the disk when this
/// returns, and a worker takes it in. The same id again changes nothing.
pub(crate) async fn say(
    deps: &Deps,
    ctx: &PlatformCtx,
    visitor: &Visitor,
    client_id: &str,
    content: &Content,
) -> Result<(), Error> {
    let channel = deps.channels.find(visitor.kind);
    let front = channel.and_then(|channel| channel.front()).ok_or(Error::NotFound)?;
    let payload = front.write(Said {
        account: &visitor.site,
        visitor: &visitor.name(),
        external_id: &visitor.external_id(client_id),
        at: deps.ambient.now(),
        content,
    });
    inbox::service::keep(deps, ctx, visitor.route, payload.into()).await?;
    metrics::counter!("misy_hooks_total", "kind" => visitor.kind, "outcome" => "stored")
        .increment(1);
    Ok(())
}

/// What was said since then, by either side; from the beginning of what a page shows, if nothing is
/// said of when. What the page had not fetched before is delivered by this.
pub(crate) async fn hear(
    deps: &Deps,
    visitor: &Visitor,
    since: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Message>, Error> {
    let mut tx = deps.db.read(&visitor.ctx).await?;
    let (channel, name) = (visitor.route.channel, visitor.name());
    let whose = (VISITOR, name.as_str());
    let mut heard =
        messages::service::list_of_identity(&mut tx, whose, channel, since, limit).await?;
    drop(tx);
    // Somebody else's words, which a contact brings along that was merged with another.
    let is_ours = |message: &Message| {
        let id = message.external_id.as_deref();
        message.author.kind != messages::AuthorKind::Contact
            || id.is_some_and(|id| visitor.client_id(id).is_some())
    };
    heard.retain(is_ours);
    messages::service::note_fetched(deps, &visitor.ctx, channel, &heard).await?;
    Ok(heard)
}

/// Notes that the visitor has seen everything up to a message of their own conversation.
pub(crate) async fn see(deps: &Deps, visitor: &Visitor, up_to: MessageId) -> Result<(), Error> {
    let name = visitor.name();
    let whose = (VISITOR, name.as_str());
    let channel = visitor.route.channel;
    let theirs = messages::service::note_seen(deps, &visitor.ctx, whose, channel, up_to).await?;
    if theirs { Ok(()) } else { Err(Error::NotFound) }
}

/// What a page of the tenant's may be embedded in; nothing, if there is no such site.
pub(crate) async fn embedders(deps: &Deps, site_id: &str) -> Result<Vec<String>, Error> {
    match deps.tenants.find_site(site_id).await? {
        Some(tenant) => Ok(deps.tenants.list_origins(tenant).await?),
        None => Ok(Vec::new()),
    }
}
