//! Room `integration`: noting what became of deliveries, many in one transaction: two round trips,
//! however many they are.

use std::collections::{BTreeSet, HashSet};

use jiff::SignedDuration;
use misy_core::event::{EndpointData, EventType, Told};
use misy_core::id::TypedId;
use misy_core::{Ctx, EndpointId, Timestamp};
use misy_jobs::parcels::{self, Fate};
use misy_store::{Audit, Error, News, TenantTx};
use serde_json::json;
use uuid::Uuid;

use super::postman::{Ended, delivery_id};
use crate::Deps;
use crate::deliveries::model::{Status, Verdict};
use crate::deliveries::store::{self, Dead, Moved, Tried};
use crate::endpoints;
use crate::endpoints::model::DisabledReason;

/// Notes it; gives when the first of those is due that are tried again.
pub(super) async fn settle(
    deps: &Deps,
    ctx: &Ctx,
    ended: &[Ended],
) -> Result<Option<Timestamp>, Error> {
    let mut tx = deps.db.tenant_lightly(ctx).await?;
    let fates: Vec<_> = ended.iter().map(|one| (&one.parcel, one.fate)).collect();
    let ours: HashSet<Uuid> = parcels::settle(&mut tx, &fates).await?.into_iter().collect();
    let held: Vec<&Ended> = ended.iter().filter(|one| ours.contains(&one.parcel.id)).collect();
    store::move_on(&mut tx, held.iter().filter_map(|one| moved(one)).collect());
    let buried: Vec<Dead> = held.iter().filter_map(|one| dead(one)).collect();
    let number = u64::try_from(buried.len()).unwrap_or(0);
    store::bury(&mut tx, buried);
    // What was tried is kept even if somebody else holds the parcel by now.
    store::keep_attempts(&mut tx, ended.iter().filter_map(tried).collect());
    look_after(deps, &mut tx, &held).await?;
    tx.commit().await?;
    if number > 0 {
        metrics::counter!("misy_webhook_dead_letters_total").increment(number);
    }
    let due = ended.iter().filter_map(|one| match one.fate {
        Fate::Again { at } | Fate::Back { at } => Some(at),
        Fate::Done => None,
    });
    Ok(due.min())
}

fn attempts(one: &Ended) -> i16 {
    let tried = one.parcel.attempts - u32::from(one.discarded.is_some()).min(one.parcel.attempts);
    i16::try_from(tried).unwrap_or(i16::MAX)
}

fn reason(one: &Ended) -> Option<String> {
    let sent = one.sent.as_ref().and_then(|sent| sent.error.clone());
    one.discarded.map(str::to_owned).or(sent)
}

fn moved(one: &Ended) -> Option<Moved> {
    let (status, next_attempt_at) = match one.verdict? {
        Verdict::Arrived => (Status::Succeeded, None),
        Verdict::Again { at, .. } => (Status::Pending, Some(at)),
        Verdict::GivenUp | Verdict::Gone => (Status::Dead, None),
    };
    let last_status = one.sent.as_ref().and_then(|sent| sent.status);
    Some(Moved {
        id: delivery_id(&one.parcel),
        status,
        attempts: attempts(one),
        last_status: last_status.and_then(|status| i16::try_from(status).ok()),
        last_error: reason(one),
        next_attempt_at,
    })
}

fn dead(one: &Ended) -> Option<Dead> {
    let due = one.due.as_ref()?;
    matches!(one.verdict?, Verdict::GivenUp | Verdict::Gone).then(|| Dead {
        id: due.id,
        event: due.event,
        endpoint: due.endpoint,
        kind: due.kind.clone(),
        reason: reason(one).unwrap_or_default(),
        attempts: attempts(one),
    })
}

fn tried(one: &Ended) -> Option<Tried> {
    let (due, sent) = (one.due.as_ref()?, one.sent.clone()?);
    let number = i16::try_from(one.parcel.attempts).unwrap_or(i16::MAX);
    Some(Tried { delivery: due.id, endpoint: due.endpoint, attempt: sent.attempt(number) })
}

/// Notes which endpoints fail and which are well again, and switches off those that are gone or
/// have done nothing but fail for days.
async fn look_after(deps: &Deps, tx: &mut TenantTx, held: &[&Ended]) -> Result<(), Error> {
    let now = deps.ambient.now();
    let days = SignedDuration::from_hours(24 * i64::from(deps.config.failing_days));
    let (mut failing, mut well) = (BTreeSet::new(), BTreeSet::new());
    let mut off: BTreeSet<(EndpointId, &'static str)> = BTreeSet::new();
    for one in held {
        let (Some(due), Some(verdict)) = (&one.due, one.verdict) else { continue };
        if one.sent.is_none() {
            continue;
        }
        match verdict {
            Verdict::Arrived if due.failing_since.is_some() => {
                well.insert(due.endpoint.uuid());
            }
            Verdict::Arrived => {}
            Verdict::Gone => {
                off.insert((due.endpoint, DisabledReason::Gone.slug()));
            }
            Verdict::Again { .. } | Verdict::GivenUp => {
                failing.insert(due.endpoint.uuid());
                if due.failing_since.is_some_and(|since| now.duration_since(since) > days) {
                    off.insert((due.endpoint, DisabledReason::Failing.slug()));
                }
            }
        }
    }
    let arrived = held.iter().filter(|one| one.verdict == Some(Verdict::Arrived));
    let arrived: HashSet<Uuid> =
        arrived.filter_map(|one| one.due.as_ref()).map(|due| due.endpoint.uuid()).collect();
    failing.retain(|endpoint| !arrived.contains(endpoint));
    store::mark(tx, failing.into_iter().collect(), well.into_iter().collect());
    for (endpoint, why) in off.into_iter().filter(|(id, _)| !arrived.contains(&id.uuid())) {
        switch_off(deps, tx, endpoint, why).await?;
    }
    Ok(())
}

/// It is told by the audit log, by an event, which other endpoints may want, and by mail to those
/// who run the tenant.
async fn switch_off(
    deps: &Deps,
    tx: &mut TenantTx,
    endpoint: EndpointId,
    reason: &'static str,
) -> Result<(), Error> {
    let why = DisabledReason::parse(reason).unwrap_or(DisabledReason::Failing);
    let Some(off) = endpoints::store::switch_off(tx, endpoint, why).await? else {
        return Ok(());
    };
    metrics::counter!("misy_webhook_endpoints_disabled_total", "reason" => reason).increment(1);
    let detail = json!({ "reason": reason });
    let audit = Audit::new("webhook_endpoint.disabled", "webhook_endpoint", endpoint);
    tx.audit(audit.with(detail));
    let data = EndpointData { endpoint_id: endpoint, reason };
    tx.emit(&Told::new(EventType::EndpointDisabled, None, data));
    if off.settings.mail_when_disabled {
        let (at, reason) = (off.updated_at, reason.to_owned());
        deps.heralds.tell(tx, News::EndpointDisabled { endpoint, reason, at });
    }
    Ok(())
}
