//! Room `tenancy`: taking all of a tenant along, into a folder or over a wire.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt, future, stream};
use misy_core::{Code, Ctx, Permission, PlatformCtx, Public, Role, TenantId};
use misy_store::Audit;
use misy_store::documents::ExportFailure;
use misy_store::tenant_data::{self, Sink};
use serde_json::Value;
use tokio::sync::mpsc;

use super::model::{Lines, Seat};
use crate::tenants::model::{Error, Tenant};
use crate::{Deps, tenants};

/// Why a tenant could not be taken along.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// About the tenant.
    #[error(transparent)]
    Tenant(#[from] Error),
    /// It is being taken along already, or enough others are.
    #[error("enough tenants are taken along at this moment")]
    Busy,
    /// About its rows.
    #[error(transparent)]
    Rows(#[from] tenant_data::ExportError),
    /// About its documents.
    #[error(transparent)]
    Documents(#[from] ExportFailure),
    /// Whoever should take it did not.
    #[error("the data could not be written")]
    Sink(#[from] io::Error),
}

impl From<misy_store::Error> for ExportError {
    fn from(error: misy_store::Error) -> Self {
        Self::Tenant(Error::Store(error))
    }
}

impl Public for ExportError {
    fn code(&self) -> Code {
        match self {
            Self::Tenant(error) => error.code(),
            Self::Busy => Code::RateLimited,
            Self::Rows(_) | Self::Documents(_) | Self::Sink(_) => Code::Internal,
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Tenant(error) => error.detail(),
            Self::Busy => Some(
                "An export of this tenant, or enough of other tenants, is under way.".to_owned(),
            ),
            Self::Rows(_) | Self::Documents(_) | Self::Sink(_) => None,
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Tenant(error) => error.retry_after_s(),
            Self::Busy => Some(30),
            Self::Rows(_) | Self::Documents(_) | Self::Sink(_) => None,
        }
    }
}

/// A tenant that is being taken along. That it was begun stands in the logs.
#[must_use = "nothing is read before it is written somewhere"]
pub struct Export {
    tenant: Tenant,
    inside: Ctx,
    seat: Seat,
}

/// Begins to take a tenant along, as an operator. Both logs say that it was done.
pub async fn begin(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Export, ExportError> {
    ctx.require(Permission::PlatformTenantManage).map_err(Error::from)?;
    let tenant = tenants::service::load(deps, ctx, id).await?;
    let export = Export::of(deps, tenant, ctx.enter(id, Role::Owner.grants()))?;
    export.note(deps).await?;
    let mut tx = deps.db.platform(ctx).await?;
    tx.audit(Audit::new("tenant.exported", "tenant", id));
    tx.commit().await?;
    Ok(export)
}

/// The same as somebody of the tenant itself. Its own log says that it was done.
pub async fn begin_own(deps: &Deps, ctx: &Ctx) -> Result<Export, ExportError> {
    ctx.require(Permission::TenantExport).map_err(Error::from)?;
    let mut tx = deps.db.read(ctx).await?;
    let tenant = tenants::store::find_own(&mut tx).await?.ok_or(Error::NotFound)?;
    drop(tx);
    let export = Export::of(deps, tenant, ctx.clone())?;
    export.note(deps).await?;
    Ok(export)
}

impl Export {
    fn of(deps: &Deps, tenant: Tenant, inside: Ctx) -> Result<Self, ExportError> {
        if !tenant.status.is_whole() {
            return Err(Error::NoSuchStep(tenant.status).into());
        }
        let seat = deps.exports.take(tenant.id, deps.ambient.now()).ok_or(ExportError::Busy)?;
        Ok(Self { tenant, inside, seat })
    }

    async fn note(&self, deps: &Deps) -> Result<(), ExportError> {
        let mut tx = deps.db.tenant(&self.inside).await?;
        tx.audit(Audit::new("tenant.exported", "tenant", self.tenant.id));
        Ok(tx.commit().await?)
    }

    /// Whose it is, as its name at sign-in.
    pub fn slug(&self) -> &str {
        &self.tenant.slug
    }

    /// Gives every row and document to the sink; keys, hashes and sealed values stay. Each table is
    /// as it was when it was its turn.
    pub async fn write(&self, deps: &Deps, sink: &mut dyn Sink) -> Result<(), ExportError> {
        for data in &deps.data {
            data.export(&deps.db, &self.inside, sink).await?;
        }
        Ok(deps.documents.of(&self.inside).export(deps.kinds, sink).await?)
    }

    /// The same as lines, made when they are asked for: no more is in memory than what one
    /// statement reads. Where it fails the stream ends with an error, and without its last line.
    pub fn lines(self, deps: Arc<Deps>) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
        let (chunks, mut fetched) = mpsc::channel(1);
        let work = async move {
            let tenant = self.tenant.id;
            self.feed(&deps, chunks).await.map_err(|error| {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%tenant, error, "an export ended before its end");
                io::Error::other("the export ended before its end")
            })
        };
        // Nobody works while nobody reads, and whoever goes away takes the work along.
        let failure = stream::once(work).filter_map(|done| future::ready(done.err().map(Err)));
        stream::select(stream::poll_fn(move |cx| fetched.poll_recv(cx)).map(Ok), failure)
    }

    async fn feed(self, deps: &Deps, chunks: mpsc::Sender<Vec<u8>>) -> Result<(), ExportError> {
        let lines = Lines::begin(&self.tenant, deps.ambient.now());
        let mut wire = Wire { deps, seat: &self.seat, lines, chunks };
        self.write(deps, &mut wire).await?;
        wire.lines.end(deps.ambient.now());
        let Wire { mut lines, chunks, .. } = wire;
        // Whoever has read the last line may begin the next export.
        drop(self.seat);
        chunks.send(lines.take()).await.map_err(|_| gone().into())
    }
}

/// Lines that are sent together; a longer one goes alone.
const CHUNK_BYTES: usize = 64 << 10;

/// Where lines go that somebody far away reads.
struct Wire<'a> {
    deps: &'a Deps,
    seat: &'a Seat,
    lines: Lines,
    chunks: mpsc::Sender<Vec<u8>>,
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads any more")
}

#[async_trait]
impl Sink for Wire<'_> {
    async fn rows(&mut self, table: &str, rows: Vec<Value>) -> io::Result<()> {
        if self.seat.is_over(self.deps.ambient.now()) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it has taken too long"));
        }
        for row in rows {
            self.lines.add_row(table, &row);
            if self.lines.waiting_bytes() >= CHUNK_BYTES {
                self.chunks.send(self.lines.take()).await.map_err(|_| gone())?;
            }
        }
        Ok(())
    }
}
