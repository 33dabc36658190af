-- Which marks of a limit were told in a period, so that each is told once.
create table quota_notices (
    tenant_id uuid not null,
    name text not null check (name ~ '^[a-z_]{1,64}$'),
    period text not null,
    level text not null check (level in ('warning', 'reached')),
    created_at timestamptz not null,
    primary key (tenant_id, name, period, level));
select misy_protect_tenant_table('quota_notices');

-- What is there for good is counted in slots too; what is there already begins in the first of them.
-- The owner is behind the wall as well, but for these statements.
alter table contacts no force row level security;
alter table knowledge_documents no force row level security;
alter table quota_slots no force row level security;
with found as (
    select tenant_id, 'contacts' as name, count(*) as used from contacts group by tenant_id
    union all
    select tenant_id, 'storage_bytes', sum(bytes)::bigint from knowledge_documents
    group by tenant_id)
insert into quota_slots (tenant_id, name, period, slot, used, allotted)
    select tenant_id, name, 'all', slot, used, used from (
        select tenant_id, name, slot, case when slot = 0 then used else 0 end as used
        from found cross join generate_series(0, 7) slot) as spread
    on conflict do nothing;
alter table contacts force row level security;
alter table knowledge_documents force row level security;
alter table quota_slots force row level security;
