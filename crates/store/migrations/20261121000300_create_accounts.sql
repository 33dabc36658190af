-- People across tenants. Control data: an address and nothing of any tenant.
create table accounts (
    id uuid primary key,
    email text not null unique,
    status text not null default 'active' check (status in ('active', 'disabled')),
    created_at timestamptz not null default now());
grant select, insert, update, delete on accounts to misy_platform;

-- The account of an address, made if there is none. Lets a tenant add a person in its own transaction
-- and see nothing of the accounts but the id of the one it names.
create function misy_account_of(wanted_email text, new_id uuid) returns uuid
    language plpgsql security definer set search_path = pg_catalog, public as $$
declare found_id uuid;
begin
    -- The idle update waits for a sweep that is about to remove the row as unused.
    insert into accounts (id, email) values (new_id, wanted_email)
        on conflict (email) do update set email = excluded.email
        returning id into found_id;
    return found_id;
end $$;
revoke all on function misy_account_of(text, uuid) from public;
grant execute on function misy_account_of(text, uuid) to misy_tenant;

-- Tables that lead from a credential to its tenant: a tenant writes its own rows in the transaction
-- that changes the thing itself, the platform's role reads them before any tenant is known.
create function misy_protect_directory(tbl regclass, owner_column text) returns void
    language plpgsql as $$
begin
    execute format('alter table %s enable row level security', tbl);
    execute format('alter table %s force row level security', tbl);
    execute format(
        'create policy tenant_writes on %s for all to misy_tenant
             using (%I = (select current_setting(''misy.tenant'')::uuid))
             with check (%I = (select current_setting(''misy.tenant'')::uuid))',
        tbl, owner_column, owner_column);
    execute format(
        'create policy platform on %s for all to misy_platform using (true) with check (true)', tbl);
    execute format('grant select, insert, update, delete on %s to misy_tenant, misy_platform', tbl);
end $$;
revoke all on function misy_protect_directory(regclass, text) from public;

-- A password opens one realm: a tenant, or the platform (the nil uuid). An administrator who adds a
-- person sets a password for that tenant only, so nobody can prepare an account for an address that is
-- not theirs and wait until another tenant trusts it.
create table credentials (
    account_id uuid not null references accounts (id) on delete cascade,
    realm uuid not null,
    password_hash text not null,
    changed_at timestamptz not null default now(),
    primary key (account_id, realm));
create index credentials_realm_idx on credentials (realm);
select misy_protect_directory('credentials', 'realm');

-- The name a tenant goes by at sign-in.
create table realms (
    tenant_id uuid primary key,
    slug text not null unique);
select misy_protect_directory('realms', 'tenant_id');

-- Which account is which person of which tenant. uv is the version that access tokens carry: role,
-- status and password changes raise it. era is what sessions carry: disabling a person raises it, and
-- sessions from before stay dead when the person is enabled again.
create table memberships (
    tenant_id uuid not null,
    user_id uuid not null,
    account_id uuid not null,
    role text not null,
    status text not null check (status in ('invited', 'active', 'disabled')),
    uv bigint not null default 1,
    era bigint not null default 1,
    primary key (tenant_id, user_id),
    unique (tenant_id, account_id));
create index memberships_account_id_idx on memberships (account_id);
select misy_protect_directory('memberships', 'tenant_id');

-- People who run the platform.
create table operators (
    id uuid primary key,
    account_id uuid not null unique references accounts (id) on delete cascade,
    status text not null default 'active' check (status in ('active', 'disabled')),
    uv bigint not null default 1,
    era bigint not null default 1,
    created_at timestamptz not null default now());
grant select, insert, update, delete on operators to misy_platform;

-- Roles of a tenant; the built-in ones are seeded so that people and keys can refer to them, and what
-- they grant is in the program.
create table roles (
    tenant_id uuid not null,
    id uuid not null,
    slug text not null,
    name text not null,
    parent text,
    permissions text[] not null default '{}',
    built_in boolean not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, slug),
    foreign key (tenant_id, parent) references roles (tenant_id, slug));
select misy_protect_tenant_table('roles');

create table users (
    tenant_id uuid not null,
    id uuid not null,
    account_id uuid not null,
    email text not null,
    name text not null,
    role text not null,
    status text not null check (status in ('invited', 'active', 'disabled')),
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, email),
    unique (tenant_id, account_id),
    foreign key (tenant_id, role) references roles (tenant_id, slug));
create index users_role_idx on users (tenant_id, role);
select misy_protect_tenant_table('users');
