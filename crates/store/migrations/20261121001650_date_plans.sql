-- A plan can be changed and retired; what it allows is dated.
alter table plans
    add column version bigint not null default 1,
    add column retired_at timestamptz,
    add column updated_at timestamptz not null default now();

-- What a plan allows from when on. Of several that have begun the latest counts.
create table plan_versions (
    plan text not null references plans (id),
    number integer not null,
    effective_from timestamptz not null,
    limits jsonb not null,
    made_by text not null,
    created_at timestamptz not null,
    -- When all its tenants had it.
    applied_at timestamptz,
    primary key (plan, number));
grant select, insert, update on plan_versions to misy_platform;
insert into plan_versions (plan, number, effective_from, limits, made_by, created_at, applied_at)
    select id, 1, created_at, limits, 'system', created_at, created_at from plans;

-- Which tenant has which plan from when on: what an invoice is written from, so it outlives the tenant.
create table plan_changes (
    tenant_id uuid not null,
    id uuid not null,
    plan text not null references plans (id),
    effective_from timestamptz not null,
    made_by text not null,
    created_at timestamptz not null,
    applied_at timestamptz,
    withdrawn_at timestamptz,
    primary key (tenant_id, id));
grant select, insert, update on plan_changes to misy_platform;
-- The owner is behind the wall as well, but for this statement.
alter table tenants no force row level security;
insert into plan_changes (tenant_id, id, plan, effective_from, made_by, created_at, applied_at)
    select id, gen_random_uuid(), plan, created_at, 'system', created_at, created_at from tenants
    where status not in ('failed', 'purged');
alter table tenants force row level security;
