-- What tenants forbid and permit beside their roles, in Cedar. access_notices tells every process which
-- version is the newest.
create table policies (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    description text not null default '',
    text text not null,
    forbids boolean not null,
    template text,
    enabled boolean not null default true,
    version bigint not null default 1,
    created_by text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, name));
select misy_protect_tenant_table('policies');

-- The types and actions of a tenant's own applications, for the decision API.
create table policy_schemas (
    tenant_id uuid primary key,
    text text not null,
    version bigint not null default 1,
    updated_at timestamptz not null default now());
select misy_protect_tenant_table('policy_schemas');

-- Decisions that were written down: what policies denied, and everything sensitive.
create table decisions (
    tenant_id uuid not null,
    id uuid not null,
    principal text not null,
    action text not null,
    resource text not null,
    allowed boolean not null,
    policies text[] not null,
    policy_version bigint not null,
    reason text not null,
    request_id text not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id));
select misy_protect_tenant_table('decisions');
revoke update on decisions from misy_tenant;
