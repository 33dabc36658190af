-- How much of a limit was used in a period. A tenant's use is spread over several rows, each with a part
-- of what is allowed, so that sends at the same time do not wait for one row; together they never
-- allow more than the limit.
create table quota_slots (
    tenant_id uuid not null,
    name text not null check (name ~ '^[a-z_]{1,64}$'),
    -- The month, as 2026-11.
    period text not null,
    slot smallint not null,
    used bigint not null default 0 check (used >= 0),
    allotted bigint not null,
    primary key (tenant_id, name, period, slot),
    check (used <= allotted))
    with (fillfactor = 50);
select misy_protect_tenant_table('quota_slots');
