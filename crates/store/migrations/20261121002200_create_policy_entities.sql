-- The subjects and resources of a tenant's own applications that the decision API knows, one document
-- a tenant. Not read by requests for anything else; access_notices tells when it was replaced.
create table policy_entities (
    tenant_id uuid primary key,
    entities jsonb not null,
    version bigint not null default 1,
    updated_at timestamptz not null default now());
select misy_protect_tenant_table('policy_entities');
