-- Domains of a tenant's people. A domain counts once its owner has published the token in the DNS.
create table domains (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    token text not null,
    connection_id uuid,
    verified_at timestamptz,
    checked_at timestamptz,
    version bigint not null default 1,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, name),
    foreign key (tenant_id, connection_id)
        references sso_connections (tenant_id, id) on delete set null (connection_id));
create index domains_connection_id_idx on domains (tenant_id, connection_id)
    where connection_id is not null;
select misy_protect_tenant_table('domains');

-- Where the people of a verified domain sign in, before any credential is known. One tenant has it.
create table domain_routes (
    name text primary key,
    tenant_id uuid not null,
    domain_id uuid not null,
    connection_id uuid,
    kind text);
create index domain_routes_tenant_id_idx on domain_routes (tenant_id);
select misy_protect_directory('domain_routes', 'tenant_id');
