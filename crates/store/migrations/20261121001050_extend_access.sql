-- Roles of a tenant's own. A person with one has the built-in role viewer beside it; what it grants on
-- top of that reaches every process by access_notices.
alter table roles add column version bigint not null default 1;
alter table roles add column updated_at timestamptz not null default now();
alter table users add column own_role text;
alter table users add foreign key (tenant_id, own_role) references roles (tenant_id, slug);
create index users_own_role_idx on users (tenant_id, own_role) where own_role is not null;
create index api_keys_role_idx on api_keys (tenant_id, role) where role is not null;

-- Programs of a tenant. Their keys can do what the account may, or less.
create table service_accounts (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    description text not null default '',
    role text,
    permissions text[] not null default '{}',
    status text not null default 'active' check (status in ('active', 'disabled')),
    created_by text not null,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, name),
    foreign key (tenant_id, role) references roles (tenant_id, slug));
create index service_accounts_role_idx on service_accounts (tenant_id, role);
select misy_protect_tenant_table('service_accounts');

alter table api_keys add column mode text not null default 'live' check (mode in ('live', 'test'));
alter table api_keys add column service_account_id uuid;
alter table api_keys add column overlap_until timestamptz;
alter table api_keys add foreign key (tenant_id, service_account_id)
    references service_accounts (tenant_id, id) on delete cascade;
create index api_keys_service_account_id_idx on api_keys (tenant_id, service_account_id);

-- The secret before the last rotation goes on working until previous_until.
alter table api_key_routes add column mode text not null default 'live';
alter table api_key_routes add column service_account_id uuid;
alter table api_key_routes add column previous_hash bytea;
alter table api_key_routes add column previous_until timestamptz;
create index api_key_routes_service_account_id_idx
    on api_key_routes (tenant_id, service_account_id);

-- What every process has to learn at once of who may do what: the effect of a role of a tenant's own on
-- one of its bearers (a user, a key, a service account), and which version a tenant's policies have. Who
-- changes the thing writes the row in the same transaction; txid tells the others what is new.
create table access_notices (
    subject uuid primary key,
    tenant_id uuid not null,
    kind text not null check (kind in ('user', 'key', 'account', 'policies')),
    role text,
    permissions text[] not null default '{}',
    disabled boolean not null default false,
    version bigint not null default 0,
    txid xid8 not null default pg_current_xact_id());
create index access_notices_txid_idx on access_notices (txid);
create index access_notices_tenant_id_idx on access_notices (tenant_id);
select misy_protect_directory('access_notices', 'tenant_id');

-- People who run the platform do not all run it: support and auditors only look.
alter table operators add column role text not null default 'operator'
    check (role in ('operator', 'support', 'auditor'));
alter table operators add column name text not null default '';
alter table operators add column version bigint not null default 1;
