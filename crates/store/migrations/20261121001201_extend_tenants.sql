-- Why and until when a tenant stands where it stands, where it lies, and how it looks to its customers.
alter table tenants
    add column status_note text,
    -- Where it stood before it was closed, which is where it returns to.
    add column status_before text,
    add column purge_at timestamptz,
    add column shard text not null default 'main',
    add column residency text,
    add column brand jsonb not null default '{}',
    add column contacts jsonb not null default '[]';
grant update (brand, contacts) on tenants to misy_tenant;
create index tenants_purge_at_idx on tenants (purge_at) where status in ('closing', 'purging');

-- What a plan gives a new tenant to begin with, by the name of the part that makes it.
alter table plans add column starter jsonb not null default '{}';

-- What was decided about a tenant is read with it.
create index platform_audit_records_tenant_idx on platform_audit_records (resource_id, id)
    where resource = 'tenant';

-- Secrets that the program makes for a tenant, sealed with the tenant's key.
create table tenant_secrets (
    tenant_id uuid not null,
    name text not null check (name ~ '^[a-z_]{1,40}$'),
    sealed bytea not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, name));
select misy_protect_tenant_table('tenant_secrets');

-- What is left of a tenant: that it was there, and what was destroyed when.
create table tombstones (
    tenant_id uuid primary key,
    slug text not null,
    made_at timestamptz not null,
    -- Null while its data is being removed.
    purged_at timestamptz,
    report jsonb not null);
grant select, insert, update on tombstones to misy_platform;
