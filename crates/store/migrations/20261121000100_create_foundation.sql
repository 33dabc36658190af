-- The one policy shape: every table of tenants passes through this, and through nothing else.
create function misy_protect_tenant_table(tbl regclass) returns void language plpgsql as $$
begin
    execute format('alter table %s enable row level security', tbl);
    execute format('alter table %s force row level security', tbl);
    execute format(
        'create policy tenant_isolation on %s for all to misy_tenant
             using (tenant_id = (select current_setting(''misy.tenant'')::uuid))
             with check (tenant_id = (select current_setting(''misy.tenant'')::uuid))', tbl);
    execute format('grant select, insert, update, delete on %s to misy_tenant', tbl);
end $$;
revoke all on function misy_protect_tenant_table(regclass) from public;
comment on function misy_protect_tenant_table(regclass) is
    'Row-level security in the one shape that every tenant table has; call it right after create table.';

-- Leaves of each tenant''s audit log. Only ever added to.
create table audit_records (
    tenant_id uuid not null,
    id uuid not null,
    actor text not null,
    action text not null,
    resource text not null,
    resource_id text not null,
    detail jsonb not null,
    request_id text not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id));
select misy_protect_tenant_table('audit_records');
revoke update, delete on audit_records from misy_tenant;

-- What operators did; tenant_id names the tenant it was done to, if any.
create table platform_audit_records (
    id uuid primary key,
    tenant_id uuid,
    actor text not null,
    action text not null,
    resource text not null,
    resource_id text not null,
    detail jsonb not null,
    request_id text not null,
    created_at timestamptz not null default now());
grant select, insert on platform_audit_records to misy_platform;

create table idempotency_keys (
    tenant_id uuid not null,
    actor text not null,
    key text not null,
    fingerprint bytea not null,
    status smallint,
    headers jsonb,
    body bytea,
    created_at timestamptz not null default now(),
    primary key (tenant_id, actor, key));
create index idempotency_keys_created_at_idx on idempotency_keys (tenant_id, created_at);
select misy_protect_tenant_table('idempotency_keys');

create table platform_idempotency_keys (
    actor text not null,
    key text not null,
    fingerprint bytea not null,
    status smallint,
    headers jsonb,
    body bytea,
    created_at timestamptz not null default now(),
    primary key (actor, key));
create index platform_idempotency_keys_created_at_idx on platform_idempotency_keys (created_at);
grant select, insert, update, delete on platform_idempotency_keys to misy_platform;
