-- Plans are data: what a tenant may use. A limit that is absent is none.
create table plans (
    id text primary key,
    name text not null,
    limits jsonb not null,
    created_at timestamptz not null default now());
grant select, insert, update on plans to misy_platform;
insert into plans (id, name, limits) values
    ('trial', 'Trial', '{"messages_per_month": 1000, "channels": 2, "users": 3, "contacts": 1000}'),
    ('standard', 'Standard', '{"messages_per_month": 100000, "channels": 10, "users": 25, "contacts": 100000}'),
    ('unlimited', 'Unlimited', '{}');

-- The tenants themselves. Control data; a tenant sees its own row, and changes of it only what is its
-- own to decide.
create table tenants (
    id uuid primary key,
    slug text not null,
    site_id text not null unique,
    name text not null,
    status text not null check (status in
        ('requested', 'provisioning', 'active', 'suspended', 'closing', 'purging', 'purged', 'failed')),
    status_reason text,
    plan text not null references plans (id),
    locale text not null,
    time_zone text not null,
    business jsonb not null default '{}',
    allowed_origins text[] not null default '{}',
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now());
-- A tenant that could not be made, or is gone, keeps its row and gives back its slug.
create unique index tenants_slug_idx on tenants (slug) where status not in ('failed', 'purged');
alter table tenants enable row level security;
alter table tenants force row level security;
create policy tenant_sees_itself on tenants for all to misy_tenant
    using (id = (select current_setting('misy.tenant')::uuid))
    with check (id = (select current_setting('misy.tenant')::uuid));
create policy platform on tenants for all to misy_platform using (true) with check (true);
grant select, insert, update on tenants to misy_platform;
grant select on tenants to misy_tenant;
grant update (name, business, allowed_origins, locale, time_zone, version, updated_at)
    on tenants to misy_tenant;

-- What provisioning needs beside the tenant's own row (its owner, and the password chosen for them),
-- sealed under the root key, and only until provisioning has ended.
create table provisionings (
    tenant_id uuid primary key references tenants (id),
    seed bytea not null,
    created_at timestamptz not null default now());
grant select, insert, delete on provisionings to misy_platform;

-- A tenant's keys, each wrapped under the root key.
create table tenant_keys (
    tenant_id uuid not null,
    version integer not null,
    wrapped bytea not null,
    revoked_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (tenant_id, version));
select misy_protect_tenant_table('tenant_keys');

-- Limits in force for a tenant: its plan's, unless an operator set another.
create table tenant_quotas (
    tenant_id uuid not null,
    name text not null,
    max_count bigint not null check (max_count >= 0),
    source text not null check (source in ('plan', 'operator')),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, name));
select misy_protect_tenant_table('tenant_quotas');
