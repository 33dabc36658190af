-- Webhooks of other services: whom a tenant hears from, and what was received.
create table webhook_sources (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    status text not null check (status in ('enabled', 'disabled')),
    -- Preset or scheme, window, schema, mapping, rate.
    settings jsonb not null,
    -- Secrets with their ends, verify token.
    sealed bytea not null,
    version bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id));
select misy_protect_tenant_table('webhook_sources');

-- Whose a source is, before its tenant is known.
create table source_routes (
    id uuid primary key,
    tenant_id uuid not null);
create index source_routes_tenant_id_idx on source_routes (tenant_id);
select misy_protect_directory('source_routes', 'tenant_id');

-- How often a source's senders were refused. Beside the source, so that a flood of forged requests does
-- not touch what its owner changes.
create table source_refusals (
    tenant_id uuid not null,
    source_id uuid not null,
    refusals bigint not null,
    repetitions bigint not null,
    last_refused_at timestamptz,
    -- Refusals since then, for the alarm.
    counted_from timestamptz not null,
    counted bigint not null,
    alarmed_at timestamptz,
    primary key (tenant_id, source_id),
    foreign key (tenant_id, source_id) references webhook_sources (tenant_id, id) on delete cascade)
    with (fillfactor = 70);
select misy_protect_tenant_table('source_refusals');

-- In days that are dropped whole, like deliveries.
create table source_receipts (
    tenant_id uuid not null,
    id uuid not null,
    source_id uuid not null,
    status text not null
        check (status in ('stored', 'forwarded', 'invalid', 'refused', 'duplicate')),
    -- Why it was refused, or is not valid.
    reason text,
    -- What is wrong with the body, by the source's schema.
    faults json,
    external_id text,
    query text,
    headers json not null,
    -- As it came; null for what was refused.
    body bytea,
    body_bytes integer not null,
    event_id uuid,
    received_at timestamptz not null,
    processed_at timestamptz,
    primary key (tenant_id, id)) partition by range (id);
create table source_receipts_rest partition of source_receipts default with (fillfactor = 80);
create index source_receipts_source_id_idx on source_receipts (tenant_id, source_id, id);
select misy_protect_tenant_table('source_receipts');

-- By what a repetition is known.
create table source_marks (
    tenant_id uuid not null,
    source_id uuid not null,
    mark bytea not null,
    id uuid not null,
    primary key (tenant_id, source_id, mark, id)) partition by range (id);
create table source_marks_rest partition of source_marks default;
select misy_protect_tenant_table('source_marks');

-- The days of these two are kept with those of the other webhooks, by the same reviewed function.
do $$
declare
    was constant text :=
        pg_get_functiondef('misy_keep_webhook_days(timestamptz, integer, integer)'::regprocedure);
    more constant text :=
        replace(was, '''webhook_attempts'']', '''webhook_attempts'', ''source_receipts'', ''source_marks'']');
begin
    if more = was then
        raise exception 'misy_keep_webhook_days has another body';
    end if;
    execute more;
end $$;
