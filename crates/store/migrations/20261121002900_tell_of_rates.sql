-- How many requests a minute a tenant may make, where every process follows it for all tenants at once
-- instead of asking for each. Whoever changes the limit writes the row in the same transaction; txid
-- tells the others what is new.
create table tenant_rates (
    tenant_id uuid primary key,
    requests_per_minute bigint,
    txid xid8 not null default pg_current_xact_id());
create index tenant_rates_txid_idx on tenant_rates (txid);
select misy_protect_directory('tenant_rates', 'tenant_id');

-- The owner is behind the wall as well, but for this statement.
alter table tenant_quotas no force row level security;
alter table tenant_rates no force row level security;
insert into tenant_rates (tenant_id, requests_per_minute)
    select tenant_id, max_count from tenant_quotas where name = 'api_requests_per_minute';
alter table tenant_quotas force row level security;
alter table tenant_rates force row level security;
