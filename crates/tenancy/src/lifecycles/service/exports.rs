//! Room `tenancy`: taking all of a tenant along.

use misy_core::{Permission, PlatformCtx, Role, TenantId};
use misy_store::Audit;
use misy_store::documents::ExportFailure;
use misy_store::tenant_data::{self, Sink};

use crate::tenants::model::Error;
use crate::{Deps, tenants};

/// Why a tenant could not be taken along.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// About the tenant.
    #[error(transparent)]
    Tenant(#[from] Error),
    /// About its rows.
    #[error(transparent)]
    Rows(#[from] tenant_data::ExportError),
    /// About its documents.
    #[error(transparent)]
    Documents(#[from] ExportFailure),
}

impl From<misy_store::Error> for ExportError {
    fn from(error: misy_store::Error) -> Self {
        Self::Tenant(Error::Store(error))
    }
}

/// Gives every row and document of a tenant to the sink; keys, hashes and sealed values stay. Both
/// logs say that it was done.
pub async fn export(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    sink: &mut dyn Sink,
) -> Result<(), ExportError> {
    ctx.require(Permission::PlatformTenantManage).map_err(Error::from)?;
    let tenant = tenants::service::load(deps, ctx, id).await?;
    if tenant.status.is_gone() {
        return Err(Error::NoSuchStep(tenant.status).into());
    }
    let inside = ctx.enter(id, Role::Owner.grants());
    let mut tx = deps.db.tenant(&inside).await?;
    tx.audit(Audit::new("tenant.exported", "tenant", id));
    tx.commit().await?;
    let mut tx = deps.db.platform(ctx).await?;
    tx.audit(Audit::new("tenant.exported", "tenant", id));
    tx.commit().await?;
    for data in &deps.data {
        data.export(&deps.db, &inside, sink).await?;
    }
    deps.documents.of(&inside).export(deps.kinds, sink).await?;
    Ok(())
}
