//! Room `jobs`: the rows of sagas and of their steps.

use misy_core::id::TypedId;
use misy_core::{TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row, TenantTx};
use uuid::Uuid;

use super::{Held, Progress, State, StepProgress};

/// One that has ended may begin anew; one that has not is not disturbed.
const BEGIN: &str = "
    with entered as (
        insert into sagas as s
            (tenant_id, name, run, state, place, lease_until, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $7)
        on conflict (tenant_id, name) do update
            set run = excluded.run, state = excluded.state, place = excluded.place,
                fence = s.fence + 1, lease_until = excluded.lease_until,
                created_at = excluded.created_at, updated_at = excluded.updated_at
            where s.state in ('done', 'undone')
        returning s.fence),
    steps as (
        insert into saga_steps (tenant_id, saga, number, name)
        select $1, $2, row_number() over () - 1, name
        from unnest($8::text[]) as step (name)
        where exists (select from entered)
        on conflict (tenant_id, saga, number) do update
            set name = excluded.name, state = 'waiting', attempts = 0, error = null,
                ended_at = null)
    select fence from entered";

const TAKE: &str = "
    update sagas set fence = fence + 1, lease_until = $4, updated_at = $3
    where tenant_id = $1 and name = $2 and state in ('doing', 'undoing') and lease_until <= $3
    returning run, fence, place, state";

/// The steps up to a number are done. Nothing is changed by a holder that was succeeded.
const ADVANCE: &str = "
    with held as (
        update sagas set place = $4, lease_until = $6, updated_at = $5
        where tenant_id = $1 and name = $2 and fence = $3 and state = 'doing'
        returning place)
    update saga_steps set state = 'done', error = null, ended_at = $5
    where tenant_id = $1 and saga = $2 and number >= $7 and number < $4
      and exists (select from held)";

/// The step at the place may have begun, so it is undone too.
const TURN: &str = "
    update sagas set state = 'undoing', lease_until = $5, updated_at = $4,
        place = case when state = 'doing' then least(place + 1, $6::smallint) else place end
    where tenant_id = $1 and name = $2 and fence = $3 and state in ('doing', 'undoing')
    returning place";

const RETREAT: &str = "
    with held as (
        update sagas set place = $4, lease_until = $6, updated_at = $5
        where tenant_id = $1 and name = $2 and fence = $3 and state = 'undoing'
        returning place)
    update saga_steps set state = 'undone', error = null, ended_at = $5
    where tenant_id = $1 and saga = $2 and number = $4 and exists (select from held)";

/// The lease is given back, so that whoever comes next need not wait for its end.
const FAIL: &str = "
    with held as (
        update sagas set lease_until = $5, updated_at = $5
        where tenant_id = $1 and name = $2 and fence = $3 returning place)
    update saga_steps set state = 'failing', attempts = attempts + 1, error = $6
    where tenant_id = $1 and saga = $2 and number = $4 and exists (select from held)
    returning attempts";

const PARK: &str = "
    with held as (
        update sagas set state = 'parked', updated_at = $5
        where tenant_id = $1 and name = $2 and fence = $3 returning place)
    update saga_steps set state = 'stuck', ended_at = $5
    where tenant_id = $1 and saga = $2 and number = $4 and exists (select from held)";

const UNPARK: &str = "
    with again as (
        update sagas set state = 'undoing', lease_until = $3, updated_at = $3
        where tenant_id = $1 and name = $2 and state = 'parked' returning place)
    update saga_steps set state = 'waiting', attempts = 0
    where tenant_id = $1 and saga = $2 and state = 'stuck' and exists (select from again)";

const CLOSE: &str = "
    update sagas set state = $4, lease_until = $5, updated_at = $5
    where tenant_id = $1 and name = $2 and fence = $3 and state in ('doing', 'undoing')";

const FIND: &str = "
    select state, created_at, updated_at from sagas where tenant_id = $1 and name = $2";

const STEPS: &str = "
    select name, state, attempts, error, ended_at from saga_steps
    where tenant_id = $1 and saga = $2 order by number";

const LIST_OPEN: &str = "
    select tenant_id from sagas
    where name = $1 and state in ('doing', 'undoing') and lease_until <= $2
    order by lease_until limit $3";

const COUNT_PARKED: &str = "select count(*) from sagas where state = 'parked'";

/// What a saga begins as.
pub(super) struct Entry<'a> {
    pub(super) tenant: TenantId,
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) place: i16,
    pub(super) steps: &'a [&'static str],
    pub(super) until: Timestamp,
}

pub(super) async fn begin(tx: &mut PlatformTx, new: &Entry<'_>) -> Result<Option<Held>, Error> {
    let (run, now) = (tx.ambient().uuid(), tx.ambient().now());
    let (tenant, state) = (new.tenant.uuid(), new.state.slug());
    let row = tx
        .query_opt(
            BEGIN,
            &[&tenant, &new.name, &run, &state, &new.place, &new.until, &now, &new.steps],
        )
        .await?;
    Ok(row.map(|row| Held {
        tenant: new.tenant,
        name: new.name,
        run,
        fence: row.get("fence"),
        place: new.place,
        state: new.state,
    }))
}

pub(super) async fn take(
    tx: &mut PlatformTx,
    tenant: TenantId,
    name: &'static str,
    until: Timestamp,
) -> Result<Option<Held>, Error> {
    let now = tx.ambient().now();
    let Some(row) = tx.query_opt(TAKE, &[&tenant.uuid(), &name, &now, &until]).await? else {
        return Ok(None);
    };
    let (run, fence, place) = (row.get("run"), row.get("fence"), row.get("place"));
    Ok(Some(Held { tenant, name, run, fence, place, state: state(&row)? }))
}

/// Enters steps as done in the transaction that did them. `false` if somebody has succeeded.
pub(super) async fn advance(
    tx: &mut TenantTx,
    held: &Held,
    to: i16,
    until: Timestamp,
) -> Result<bool, Error> {
    let now = tx.ambient().now();
    let tenant = tx.tenant();
    let count = tx
        .execute(ADVANCE, &[&tenant, &held.name, &held.fence, &to, &now, &until, &held.place])
        .await?;
    Ok(count > 0)
}

/// How many steps are to be undone; `None` if somebody has succeeded.
pub(super) async fn turn(
    tx: &mut PlatformTx,
    held: &Held,
    steps: i16,
    until: Timestamp,
) -> Result<Option<i16>, Error> {
    let now = tx.ambient().now();
    let tenant = held.tenant.uuid();
    let row = tx.query_opt(TURN, &[&tenant, &held.name, &held.fence, &now, &until, &steps]).await?;
    Ok(row.map(|row| row.get("place")))
}

pub(super) async fn retreat(
    tx: &mut PlatformTx,
    held: &Held,
    to: i16,
    until: Timestamp,
) -> Result<bool, Error> {
    let now = tx.ambient().now();
    let tenant = held.tenant.uuid();
    let count = tx.execute(RETREAT, &[&tenant, &held.name, &held.fence, &to, &now, &until]).await?;
    Ok(count > 0)
}

/// Enters a failed try and gives back the lease; says how many there were of the step.
pub(super) async fn fail(
    tx: &mut PlatformTx,
    held: &Held,
    number: i16,
    error: &str,
) -> Result<Option<i32>, Error> {
    let now = tx.ambient().now();
    let tenant = held.tenant.uuid();
    let row =
        tx.query_opt(FAIL, &[&tenant, &held.name, &held.fence, &number, &now, &error]).await?;
    Ok(row.map(|row| row.get("attempts")))
}

pub(super) async fn park(tx: &mut PlatformTx, held: &Held, number: i16) -> Result<(), Error> {
    let now = tx.ambient().now();
    let tenant = held.tenant.uuid();
    tx.execute(PARK, &[&tenant, &held.name, &held.fence, &number, &now]).await.map(drop)
}

pub(super) async fn unpark(
    tx: &mut PlatformTx,
    tenant: TenantId,
    name: &str,
) -> Result<bool, Error> {
    let now = tx.ambient().now();
    Ok(tx.execute(UNPARK, &[&tenant.uuid(), &name, &now]).await? > 0)
}

pub(super) async fn close(tx: &mut PlatformTx, held: &Held, state: State) -> Result<bool, Error> {
    let now = tx.ambient().now();
    let (tenant, state) = (held.tenant.uuid(), state.slug());
    Ok(tx.execute(CLOSE, &[&tenant, &held.name, &held.fence, &state, &now]).await? > 0)
}

/// How far a saga is; `None` if it never began.
pub async fn find(
    tx: &mut PlatformTx,
    tenant: TenantId,
    name: &str,
) -> Result<Option<Progress>, Error> {
    let Some(row) = tx.query_opt(FIND, &[&tenant.uuid(), &name]).await? else { return Ok(None) };
    let steps = tx.query(STEPS, &[&tenant.uuid(), &name]).await?;
    let step = |row: &Row| StepProgress {
        name: row.get("name"),
        state: row.get("state"),
        attempts: row.get("attempts"),
        error: row.get("error"),
        ended_at: row.get("ended_at"),
    };
    Ok(Some(Progress {
        state: state(&row)?,
        steps: steps.iter().map(step).collect(),
        began_at: row.get("created_at"),
        changed_at: row.get("updated_at"),
    }))
}

/// Tenants whose saga of this name nobody works on though it has not ended.
pub async fn list_open(
    tx: &mut PlatformTx,
    name: &str,
    limit: i64,
) -> Result<Vec<TenantId>, Error> {
    let now = tx.ambient().now();
    let rows = tx.query(LIST_OPEN, &[&name, &now, &limit]).await?;
    Ok(rows.iter().map(|row| TenantId::from_uuid(row.get::<_, Uuid>("tenant_id"))).collect())
}

/// Sagas that wait for a person, for the gauge.
pub async fn count_parked(tx: &mut PlatformTx) -> Result<i64, Error> {
    Ok(tx.query_opt(COUNT_PARKED, &[]).await?.map_or(0, |row| row.get(0)))
}

fn state(row: &Row) -> Result<State, Error> {
    State::parse(row.get("state")).ok_or(Error::Corrupt { column: "state" })
}
