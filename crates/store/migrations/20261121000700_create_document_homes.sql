-- Where a tenant's documents live, and how far a move to another home has come. While `other`
-- names a home, every write leaves the document's id in document_changes, so that it can follow.
create table document_homes (
    tenant_id uuid not null,
    home text not null check (home in ('embedded', 'mongo')),
    other text check (other in ('embedded', 'mongo') and other <> home),
    phase text not null default 'settled' check (phase in ('settled', 'copying', 'open')),
    at_kind text not null default '',
    at_id uuid,
    copied bigint not null default 0,
    updated_at timestamptz not null default now(),
    primary key (tenant_id),
    check ((phase = 'settled') = (other is null)));
select misy_protect_tenant_table('document_homes');

-- Documents that were written since the other home saw them; the stamp tells a write from a later
-- one.
create table document_changes (
    tenant_id uuid not null,
    kind text not null,
    id uuid not null,
    stamp uuid not null,
    primary key (tenant_id, kind, id));
select misy_protect_tenant_table('document_changes');
