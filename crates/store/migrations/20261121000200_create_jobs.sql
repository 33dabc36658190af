-- The queue. Control data: ids and names, no content. A tenant may only add; only the platform's role
-- claims, changes and removes. Every change of a row that exists happens under the queue's advisory
-- lock, so whoever holds it sees all states as they are.
--
-- ready     may be claimed
-- blocked   waits behind another job of its lane
-- deferred  not before run_at: a schedule, a retry, parked
-- running   held by a lease until lease_until
create table jobs (
    id uuid primary key,
    tenant_id uuid,
    -- The platform's own jobs count as those of one more tenant, the nil one.
    owner uuid not null generated always as
        (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000')) stored,
    lease uuid,
    lease_until timestamptz,
    run_at timestamptz,
    attempts integer not null default 0,
    state text not null check (state in ('ready', 'blocked', 'deferred', 'running')),
    name text not null check (octet_length(name) between 1 and 100),
    lane text check (octet_length(lane) between 1 and 200),
    payload json not null check (octet_length(payload::text) <= 2048),
    envelope json not null check (octet_length(envelope::text) <= 4096),
    last_error text,
    constraint jobs_running_has_lease check ((state = 'running') = (lease is not null)),
    constraint jobs_deferred_has_time check (state <> 'deferred' or run_at is not null))
    -- Rows live for milliseconds to hours and each dies once or twice: vacuum by number, not by share.
    with (fillfactor = 80,
          autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
          autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
          autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
          autovacuum_vacuum_cost_delay = 0, toast_tuple_target = 8160);
create index jobs_ready_idx on jobs (owner, id) where state = 'ready';
create index jobs_due_idx on jobs (run_at) where state = 'deferred';
create index jobs_lease_until_idx on jobs (lease_until) where state = 'running';
create index jobs_lane_idx on jobs (owner, lane, id) where lane is not null;
-- The wall behind the rule: no two jobs of a lane run at once.
create unique index jobs_running_lane_idx on jobs (owner, lane)
    where state = 'running' and lane is not null;
alter table jobs enable row level security;
alter table jobs force row level security;
create policy tenant_adds on jobs for insert to misy_tenant
    with check (tenant_id = (select current_setting('misy.tenant')::uuid));
create policy platform_keeps on jobs for all to misy_platform using (true) with check (true);
grant insert (id, tenant_id, state, name, lane, payload, envelope, run_at) on jobs to misy_tenant;
grant select, insert, update, delete on jobs to misy_platform;

-- Jobs that gave up. Kept until replayed or removed; the error holds no content.
create table dead_letters (
    id uuid primary key,
    tenant_id uuid,
    owner uuid not null generated always as
        (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000')) stored,
    name text not null,
    lane text,
    payload json not null,
    envelope json not null,
    attempts integer not null,
    error text not null,
    died_at timestamptz not null);
create index dead_letters_owner_id_idx on dead_letters (owner, id);
alter table dead_letters enable row level security;
alter table dead_letters force row level security;
create policy tenant_reads on dead_letters for select to misy_tenant
    using (tenant_id = (select current_setting('misy.tenant')::uuid));
create policy platform_keeps on dead_letters for all to misy_platform using (true) with check (true);
grant select on dead_letters to misy_tenant;
grant select, insert, update, delete on dead_letters to misy_platform;

-- The last period for which each schedule was enqueued, by whichever process came first.
create table schedules (
    name text primary key,
    period bigint not null) with (fillfactor = 50);
grant select, insert, update, delete on schedules to misy_platform;
