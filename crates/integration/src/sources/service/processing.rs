//! Room `integration`: telling what was received.

use misy_core::event::{EventType, ReceivedData, Told, envelope};
use misy_core::{Ctx, EventId, ReceiptId, Timestamp};
use misy_store::NewEvent;

use super::later_s;
use crate::Deps;
use crate::events::service::is_full;
use crate::sources::model::{Error, Stage, map};
use crate::sources::store;

/// Seconds for which it waits when the tenant's deliveries are too many.
const WAIT_S: u32 = 10;

/// Tells what was received, in one transaction with the note that it was told: again is never
/// twice. Gives until when to wait, if too much is waiting already.
pub(crate) async fn process(
    deps: &Deps,
    ctx: &Ctx,
    id: ReceiptId,
) -> Result<Option<Timestamp>, Error> {
    let now = deps.ambient.now();
    if is_full(deps, ctx).await.unwrap_or(false) {
        return Ok(Some(later_s(now, WAIT_S)));
    }
    let mut tx = deps.db.tenant(ctx).await?;
    let Some(receipt) = store::lock_receipt(&mut tx, id).await? else { return Ok(None) };
    let Some(stored) = store::find(&mut tx, receipt.source).await? else {
        let gone = (Some("source_removed"), None);
        store::settle(&mut tx, id, Stage::Invalid, gone, None).await?;
        tx.commit().await?;
        return Ok(None);
    };
    let told = match map(&stored.source.settings, &receipt) {
        Ok(told) => told,
        Err((reason, faults)) => {
            let faults = serde_json::to_value(faults).ok();
            store::settle(&mut tx, id, Stage::Invalid, (Some(reason), faults), None).await?;
            tx.commit().await?;
            count("invalid");
            return Ok(None);
        }
    };
    let event: EventId = deps.ambient.id();
    let at = receipt.received_at;
    let (kind, payload) = if let Some(kind) = told.kind {
        let payload = envelope(&kind, at, &told.content);
        (kind, payload)
    } else {
        let kind = EventType::SourceReceived;
        let data = ReceivedData {
            source_id: receipt.source,
            receipt_id: id,
            external_id: receipt.external_id,
            external_type: told.external_type,
            content: told.content,
        };
        (kind.slug().to_owned(), envelope(kind.slug(), at, &Told::new(kind, None, data)))
    };
    tx.push_event(NewEvent { id: event, kind, channel: None, payload, kept: true });
    store::settle(&mut tx, id, Stage::Forwarded, (None, None), Some(event)).await?;
    tx.commit().await?;
    count("forwarded");
    Ok(None)
}

fn count(outcome: &'static str) {
    metrics::counter!("misy_source_receipts_processed_total", "outcome" => outcome).increment(1);
}
