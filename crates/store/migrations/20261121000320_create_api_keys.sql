create table api_keys (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    prefix text not null,
    role text,
    permissions text[] not null default '{}',
    status text not null default 'active' check (status in ('active', 'revoked')),
    created_by text not null,
    expires_at timestamptz,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, role) references roles (tenant_id, slug));
select misy_protect_tenant_table('api_keys');

-- What a request's key is checked against before its tenant is known: one row, one round trip. The
-- time of the last use is here and not in api_keys, so that it is written in one statement for all
-- tenants.
create table api_key_routes (
    key_id uuid primary key,
    tenant_id uuid not null,
    secret_hash bytea not null,
    role text,
    permissions text[] not null default '{}',
    expires_at timestamptz,
    last_used_at timestamptz);
create index api_key_routes_tenant_id_idx on api_key_routes (tenant_id);
select misy_protect_directory('api_key_routes', 'tenant_id');
