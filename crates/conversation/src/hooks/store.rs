//! Room `conversation`: looking accounts up before a tenant is known, by the platform's role.

use misy_core::id::TypedId;
use misy_core::{ChannelId, TenantId};
use misy_store::{Error, PlatformTx, Row};

use super::model::Route;

const FIND_BY_EXTERNAL_IDS: &str = "
    select external_id, tenant_id, channel_id from channel_routes
    where kind = $1 and external_id = any($2)";

const FIND_BY_CHANNEL: &str = "
    select kind, tenant_id, channel_id from channel_routes where channel_id = $1 limit 1";

const FIND_BY_HANDSHAKE: &str = "
    select tenant_id, channel_id from channel_routes
    where kind = $1 and handshake_digest = $2 limit 1";

/// The routes of those external ids that are connected.
pub(crate) async fn list_by_external_id(
    tx: &mut PlatformTx,
    kind: &str,
    external_ids: &[&str],
) -> Result<Vec<(String, Route)>, Error> {
    let rows = tx.query(FIND_BY_EXTERNAL_IDS, &[&kind, &external_ids]).await?;
    Ok(rows.iter().map(|row| (row.get("external_id"), route(row))).collect())
}

/// The kind and route of an account of ours.
pub(crate) async fn find_by_channel(
    tx: &mut PlatformTx,
    channel: ChannelId,
) -> Result<Option<(String, Route)>, Error> {
    let row = tx.query_opt(FIND_BY_CHANNEL, &[&channel.uuid()]).await?;
    Ok(row.map(|row| (row.get("kind"), route(&row))))
}

/// An account with this handshake token.
pub(crate) async fn find_by_handshake(
    tx: &mut PlatformTx,
    kind: &str,
    digest: &[u8],
) -> Result<Option<Route>, Error> {
    let row = tx.query_opt(FIND_BY_HANDSHAKE, &[&kind, &digest]).await?;
    Ok(row.as_ref().map(route))
}

fn route(row: &Row) -> Route {
    Route {
        tenant: TenantId::from_uuid(row.get("tenant_id")),
        channel: ChannelId::from_uuid(row.get("channel_id")),
    }
}
