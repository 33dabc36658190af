-- What is under way to the outside, many at once: the second queue, for deliveries that are claimed and
-- settled by the hundred. Control data: ids and numbers. A tenant adds and settles its own rows; the
-- platform's role claims across tenants, under an advisory lock, so that each claim sees all others.
--
-- ready   may be claimed
-- later   not before due_at: a retry, a limit
-- out     held by a lease until lease_until
create table parcels (
    tenant_id uuid not null,
    id uuid not null,
    -- To whom. Parcels to one address share a cap and, if they are serial, an order.
    address uuid not null,
    cap smallint not null check (cap between 1 and 1000),
    attempts smallint not null default 0,
    serial boolean not null,
    -- Tried before: waits apart from what goes out for the first time.
    again boolean not null default false,
    state text not null default 'ready' check (state in ('ready', 'later', 'out')),
    due_at timestamptz,
    lease uuid,
    lease_until timestamptz,
    primary key (tenant_id, id),
    constraint parcels_out_has_lease check ((state = 'out') = (lease is not null)),
    constraint parcels_later_has_time check (state <> 'later' or due_at is not null))
    with (fillfactor = 80,
          autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
          autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
          autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
          autovacuum_vacuum_cost_delay = 0);
create index parcels_ready_idx on parcels (tenant_id, address, again, id) where state = 'ready';
create index parcels_due_idx on parcels (due_at) where state = 'later';
create index parcels_out_idx on parcels (tenant_id, address, again) where state = 'out';
create index parcels_serial_idx on parcels (tenant_id, address, id) where serial;
select misy_protect_directory('parcels', 'tenant_id');
