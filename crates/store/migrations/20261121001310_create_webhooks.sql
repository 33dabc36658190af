-- Webhooks to the outside: who wants what, what happened, what became of each delivery.
create table webhook_endpoints (
    tenant_id uuid not null,
    id uuid not null,
    url text not null,
    description text not null,
    status text not null check (status in ('unverified', 'enabled', 'disabled')),
    disabled_reason text check (disabled_reason in ('owner', 'gone', 'failing')),
    -- Null is all; `order.*` is every type that begins with `order.`.
    event_types text[],
    channel_ids uuid[],
    conditions jsonb not null,
    -- The conditions as a path predicate, which is what the outbox asks.
    filter text,
    in_flight smallint not null check (in_flight between 1 and 1000),
    fifo boolean not null,
    settings jsonb not null,
    -- Signing secrets, secret headers, client credentials.
    sealed bytea not null,
    failing_since timestamptz,
    version bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id));
select misy_protect_tenant_table('webhook_endpoints');

-- The three that grow lie in partitions of a day, by the time that a UUIDv7 begins with. A day is dropped
-- whole. What belongs to no day that is there goes to the rest, so that nothing is ever refused.
create table webhook_events (
    tenant_id uuid not null,
    id uuid not null,
    type text not null,
    channel_id uuid,
    -- Text, not jsonb: what is signed is what was written, byte for byte.
    payload text not null,
    primary key (tenant_id, id)) partition by range (id);
create table webhook_events_rest partition of webhook_events default;
select misy_protect_tenant_table('webhook_events');

create table webhook_deliveries (
    tenant_id uuid not null,
    id uuid not null,
    event_id uuid not null,
    endpoint_id uuid not null,
    replay_of uuid,
    attempts smallint not null default 0,
    last_status smallint,
    status text not null default 'pending'
        check (status in ('pending', 'succeeded', 'dead')),
    last_error text,
    next_attempt_at timestamptz,
    ended_at timestamptz,
    primary key (tenant_id, id)) partition by range (id);
create table webhook_deliveries_rest partition of webhook_deliveries default with (fillfactor = 80);
create index webhook_deliveries_endpoint_id_idx on webhook_deliveries (tenant_id, endpoint_id, id);
create index webhook_deliveries_event_id_idx on webhook_deliveries (tenant_id, event_id);
select misy_protect_tenant_table('webhook_deliveries');

create table webhook_attempts (
    tenant_id uuid not null,
    id uuid not null,
    delivery_id uuid not null,
    endpoint_id uuid not null,
    number smallint not null,
    status smallint,
    elapsed_ms integer not null,
    started_at timestamptz not null,
    -- What was asked, without secrets: url and headers.
    request json not null,
    response_headers json,
    -- As much of it as is kept; null if there was no answer.
    response_body text,
    error text,
    -- The address that the connection really had.
    address text,
    primary key (tenant_id, delivery_id, id)) partition by range (id);
create table webhook_attempts_rest partition of webhook_attempts default;
select misy_protect_tenant_table('webhook_attempts');

-- Deliveries that were given up, until they are replayed or forgotten. Not in the partitions: they wait
-- for somebody, and they are few.
create table webhook_dead_letters (
    tenant_id uuid not null,
    id uuid not null,
    event_id uuid not null,
    endpoint_id uuid not null,
    type text not null,
    reason text not null,
    attempts smallint not null,
    died_at timestamptz not null,
    primary key (tenant_id, id));
create index webhook_dead_letters_endpoint_id_idx on webhook_dead_letters (tenant_id, endpoint_id, id);
select misy_protect_tenant_table('webhook_dead_letters');

-- Long work that a client follows by polling.
create table webhook_replays (
    tenant_id uuid not null,
    id uuid not null,
    -- What is replayed: which endpoint, since when, until when, dead letters or all that was missed.
    wish jsonb not null,
    status text not null check (status in ('running', 'succeeded', 'failed')),
    -- Everything up to here is done.
    place uuid not null,
    replayed bigint not null default 0,
    looked_at bigint not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id));
select misy_protect_tenant_table('webhook_replays');

-- Makes the partitions of the days around `at` and drops those of days before `at` less `keep`. Runs as
-- the owner because only the owner of a table may; it touches these three and no other, and only leaves
-- that it named itself.
create function misy_keep_webhook_days(at timestamptz, ahead integer, keep integer) returns integer
    language plpgsql security definer
    set search_path = pg_catalog, public, pg_temp set lock_timeout = '5s' as $$
declare
    tables constant text[] := array['webhook_events', 'webhook_deliveries', 'webhook_attempts'];
    today constant date := (at at time zone 'UTC')::date;
    tbl text;
    leaf text;
    day date;
    changed integer := 0;
    low text;
    high text;
begin
    if ahead not between 0 and 60 or keep not between 1 and 4000 then
        raise exception 'out of range' using errcode = '22023';
    end if;
    foreach tbl in array tables loop
        for step in -1 .. ahead loop
            day := today + step;
            leaf := tbl || '_' || to_char(day, 'YYYYMMDD');
            continue when to_regclass('public.' || leaf) is not null;
            low := lpad(to_hex(extract(epoch from day::timestamp)::bigint * 1000), 12, '0');
            high := lpad(to_hex(extract(epoch from (day + 1)::timestamp)::bigint * 1000), 12, '0');
            low := left(low, 8) || '-' || right(low, 4) || '-0000-0000-000000000000';
            high := left(high, 8) || '-' || right(high, 4) || '-0000-0000-000000000000';
            begin
                execute format('create table public.%I partition of public.%I
                    for values from (%L) to (%L) with (fillfactor = 80)', leaf, tbl, low, high);
                changed := changed + 1;
            exception when check_violation then
                -- The rest holds rows of that day already; they stay where they are.
                raise warning 'rows of % lie in the rest', leaf;
            end;
        end loop;
        for leaf in
            select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = ('public.' || tbl)::regclass
                and c.relname ~ ('^' || tbl || '_[0-9]{8}$')
                and to_date(right(c.relname, 8), 'YYYYMMDD') < today - keep
        loop
            execute format('drop table public.%I', leaf);
            changed := changed + 1;
        end loop;
    end loop;
    return changed;
end $$;
revoke all on function misy_keep_webhook_days(timestamptz, integer, integer) from public;
grant execute on function misy_keep_webhook_days(timestamptz, integer, integer) to misy_platform;
