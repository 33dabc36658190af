-- Documents from which answers are taken. Their texts are documents, wherever those of the tenant
-- live; here is what is listed, and the passages by which they are found.
create table knowledge_documents (
    tenant_id uuid not null,
    id uuid not null,
    title text not null,
    language text not null,
    tags text[] not null default '{}',
    -- The document that holds the text; each text has one of its own, so that a change is seen
    -- with this row and not before.
    body_id uuid not null,
    bytes integer not null,
    version bigint not null default 1,
    -- Of which version the passages are.
    indexed_version bigint not null default 0,
    passages integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id));
create index knowledge_documents_language_idx on knowledge_documents (tenant_id, language);
select misy_protect_tenant_table('knowledge_documents');

create table knowledge_passages (
    tenant_id uuid not null,
    id uuid not null,
    document_id uuid not null,
    position integer not null,
    language text not null,
    heading text not null,
    body text not null,
    words tsvector not null generated always as (to_tsvector(misy_text_config(language), heading)
        || to_tsvector(misy_text_config(language), body)) stored,
    primary key (tenant_id, id),
    unique (tenant_id, document_id, position),
    foreign key (tenant_id, document_id) references knowledge_documents (tenant_id, id)
        on delete cascade);
select misy_protect_tenant_table('knowledge_passages');
create index knowledge_passages_words_idx on knowledge_passages
    using gin (misy_tenant_words(tenant_id, words)) with (gin_pending_list_limit = 256);

create policy search_reads on knowledge_passages for select to misy_search using (true);
grant select (tenant_id, id, words) on knowledge_passages to misy_search;

reset role;
grant create on schema public to misy_search;
set local role misy_search;

-- The passages in which most of the words occur, at most so many. Words are stems of the passages'
-- language.
create function misy_find_passages(stems text[], wanted integer) returns setof uuid
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    tenant constant uuid := current_setting('misy.tenant')::uuid;
    asked constant tsvector := array_to_tsvector(stems);
    keys constant bigint[] := public.misy_tenant_words(tenant, asked);
begin
    return query
        with hit as materialized (
            select passage.id, passage.tenant_id, passage.words
            from public.knowledge_passages as passage
            where public.misy_tenant_words(passage.tenant_id, passage.words) && keys)
        select hit.id from hit
        where hit.tenant_id = tenant and tsvector_to_array(hit.words) && stems
        order by length(ts_delete(hit.words, stems)) - length(hit.words), hit.id limit wanted;
end $$;
revoke all on function misy_find_passages(text[], integer) from public;
grant execute on function misy_find_passages(text[], integer) to misy_tenant;

reset role;
revoke create on schema public from misy_search;
set local role misy_owner;
