-- Documents of a tenant, of kinds that the program names. They are found by id, or by the fields that
-- their kind declares, which are kept beside them: an operator of jsonb in a predicate would lose its
-- index under row-level security.
create table documents (
    tenant_id uuid not null,
    kind text not null check (kind ~ '^[a-z_]{1,40}$'),
    id uuid not null,
    body jsonb not null check (jsonb_typeof(body) = 'object'),
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, kind, id));
select misy_protect_tenant_table('documents');

create table document_fields (
    tenant_id uuid not null,
    kind text not null,
    document_id uuid not null,
    name text not null,
    value text not null,
    primary key (tenant_id, kind, document_id, name),
    foreign key (tenant_id, kind, document_id) references documents (tenant_id, kind, id)
        on delete cascade);
create index document_fields_value_idx
    on document_fields (tenant_id, kind, name, value, document_id);
select misy_protect_tenant_table('document_fields');
