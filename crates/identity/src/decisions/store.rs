//! Room `identity`: rows of decisions.

use misy_core::DecisionId;
use misy_core::id::TypedId;
use misy_store::{Error, Row, TenantTx, ToSql};
use uuid::Uuid;

use super::model::Decision;

const INSERT: &str = "
    insert into decisions (tenant_id, id, principal, action, resource, allowed, policies,
        policy_version, reason, request_id, created_at)
    select $1, id, principal, action, resource, allowed,
           coalesce(string_to_array(nullif(policies, ''), ' '), '{}'), policy_version, reason,
           request_id, created_at
    from unnest(
        $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::text[], $8::bigint[],
        $9::text[], $10::text[], $11::timestamptz[])
        as new (id, principal, action, resource, allowed, policies, policy_version, reason,
            request_id, created_at)
    on conflict do nothing";

/// Adds decisions, in one statement; those that are there already, by another writer or by a commit
/// whose answer was lost, stay as they are.
pub(super) async fn insert(tx: &mut TenantTx, all: &[Decision]) -> Result<(), Error> {
    let tenant = tx.tenant();
    let texts = |pick: fn(&Decision) -> &str| all.iter().map(pick).collect::<Vec<&str>>();
    let ids: Vec<Uuid> = all.iter().map(|one| one.id.uuid()).collect();
    let allowed: Vec<bool> = all.iter().map(|one| one.allowed).collect();
    let policies: Vec<String> = all.iter().map(|one| one.policies.join(" ")).collect();
    let versions: Vec<i64> = all.iter().map(|one| one.policy_version).collect();
    let times: Vec<_> = all.iter().map(|one| one.created_at).collect();
    let (principals, actions) = (texts(|one| &one.principal), texts(|one| &one.action));
    let (resources, reasons) = (texts(|one| &one.resource), texts(|one| &one.reason));
    let requests = texts(|one| &one.request_id);
    let params: [&(dyn ToSql + Sync); 11] = [
        &tenant,
        &ids,
        &principals,
        &actions,
        &resources,
        &allowed,
        &policies,
        &versions,
        &reasons,
        &requests,
        &times,
    ];
    tx.execute(INSERT, &params).await.map(drop)
}

const SWEEP: &str = "delete from decisions where tenant_id = $1 and id < $2";

/// Forgets decisions that are older.
pub(super) async fn sweep(tx: &mut TenantTx, before: Uuid) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(SWEEP, &[&tenant, &before]).await.map(drop)
}

const LIST: &str = "
    select * from decisions
    where tenant_id = $1 and id < $2 and ($3::bool is null or allowed = $3)
      and ($4::text is null or principal = $4) and ($5::text is null or action = $5)
    order by id desc limit $6";

/// Which decisions are wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) allowed: Option<bool>,
    pub(super) principal: Option<String>,
    pub(super) action: Option<String>,
}

/// Decisions before one, newest first.
pub(super) async fn list(
    tx: &mut TenantTx,
    wanted: &Wanted,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Decision>, Error> {
    let tenant = tx.tenant();
    let Wanted { allowed, principal, action } = wanted;
    let rows = tx
        .query(LIST, &[&tenant, &before.unwrap_or(Uuid::max()), allowed, principal, action, &limit])
        .await?;
    Ok(rows.iter().map(read).collect())
}

fn read(row: &Row) -> Decision {
    Decision {
        id: DecisionId::from_uuid(row.get("id")),
        principal: row.get("principal"),
        action: row.get("action"),
        resource: row.get("resource"),
        allowed: row.get("allowed"),
        policies: row.get("policies"),
        policy_version: row.get("policy_version"),
        reason: row.get("reason"),
        request_id: row.get("request_id"),
        created_at: row.get("created_at"),
    }
}
