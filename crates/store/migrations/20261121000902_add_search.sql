-- Search by words. Under row-level security a condition on words could not use an index, because
-- its operators are not leakproof. So an index is asked by functions that run as misy_search, a
-- role that cannot sign in, sees ids and words of these two tables and nothing else, and belongs
-- to nobody. The functions take the tenant from the transaction and give ids only; the rows
-- themselves come through the policies as ever.

-- What an index of words holds: a number for each pair of tenant and word. No two tenants share
-- an entry, however often both use a word; two words that came to one number are told apart by
-- the words.
create function misy_tenant_words(tenant uuid, words tsvector) returns bigint[]
    language sql immutable strict parallel safe as $$
    select array(select hashtextextended(word, uuid_hash_extended(tenant, 0))
        from unnest(tsvector_to_array(words)) as word) $$;

-- What people read of a message.
create function misy_message_text(content jsonb) returns text
    language sql immutable strict parallel safe as $$
    select left(concat_ws(' ', content ->> 'header', content ->> 'title', content ->> 'text',
        content ->> 'footer', content ->> 'filename', content ->> 'name', content ->> 'address',
        nullif(jsonb_path_query_array(content, 'lax $.cards[*].title')::text, '[]'),
        nullif(jsonb_path_query_array(content, 'lax $.cards[*].text')::text, '[]')), 100000) $$;

-- The languages of a conversation change from one message to the next: words are kept as written.
alter table messages add column words tsvector not null
    generated always as (to_tsvector('simple'::regconfig, misy_message_text(content))) stored;
create index messages_words_idx on messages using gin (misy_tenant_words(tenant_id, words))
    with (gin_pending_list_limit = 256);

alter table knowledge_entries add column words tsvector not null
    generated always as (to_tsvector(misy_text_config(language), question)
        || to_tsvector(misy_text_config(language), answer)) stored;
create index knowledge_entries_words_idx on knowledge_entries
    using gin (misy_tenant_words(tenant_id, words)) with (gin_pending_list_limit = 256);

create policy search_reads on messages for select to misy_search using (true);
create policy search_reads on knowledge_entries for select to misy_search using (true);
grant select (tenant_id, id, words) on messages, knowledge_entries to misy_search;

reset role;
grant create, usage on schema public to misy_search;
set local role misy_search;

-- The newest messages in which all words occur, older than `before` if that is given. Words that
-- are in one message of 250 or more are found faster by walking back from the newest than by
-- fetching all that the index names; both come to about the same there, with 400,000 messages of
-- a tenant. Plans are made for the tenant at hand: one for all would treat the largest as if it
-- were the average.
create function misy_find_messages(phrase text, before uuid, wanted integer) returns setof uuid
    language plpgsql stable security definer
    set search_path = pg_catalog, public, pg_temp set plan_cache_mode = force_custom_plan as $$
declare
    tenant constant uuid := current_setting('misy.tenant')::uuid;
    below constant uuid := coalesce(before, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    asked constant tsquery := plainto_tsquery('simple', phrase);
    keys constant bigint[] := public.misy_tenant_words(tenant, to_tsvector('simple', phrase));
    sample constant integer := 800;
    depth integer := sample;
    looked integer;
    hits uuid[];
begin
    if cardinality(keys) = 0 then return; end if;
    loop
        select count(*), coalesce(array_agg(near.id) filter (where near.words @@ asked), '{}')
            into looked, hits
            from (select message.id, message.words from public.messages as message
                where message.tenant_id = tenant and message.id < below
                order by message.id desc limit depth) as near;
        if looked < depth or cardinality(hits) >= wanted then
            return query select unnest(hits) as id order by id desc limit wanted;
            return;
        end if;
        exit when depth > sample or cardinality(hits) * 250 < sample;
        depth := least(20000, sample * wanted / cardinality(hits) * 3 / 2);
    end loop;
    return query
        with hit as materialized (
            select message.id, message.tenant_id from public.messages as message
            where public.misy_tenant_words(message.tenant_id, message.words) @> keys
                and message.words @@ asked)
        select hit.id from hit where hit.tenant_id = tenant and hit.id < below
        order by hit.id desc limit wanted;
end $$;
revoke all on function misy_find_messages(text, uuid, integer) from public;
grant execute on function misy_find_messages(text, uuid, integer) to misy_tenant;

-- The knowledge entries in which any of the words occurs. Words are stems of the entries' language.
create function misy_find_knowledge(stems text[]) returns setof uuid
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    tenant constant uuid := current_setting('misy.tenant')::uuid;
    asked constant tsvector := array_to_tsvector(stems);
    keys constant bigint[] := public.misy_tenant_words(tenant, asked);
begin
    return query
        with hit as materialized (
            select entry.id, entry.tenant_id, entry.words from public.knowledge_entries as entry
            where public.misy_tenant_words(entry.tenant_id, entry.words) && keys)
        select hit.id from hit
        where hit.tenant_id = tenant and tsvector_to_array(hit.words) && stems;
end $$;
revoke all on function misy_find_knowledge(text[]) from public;
grant execute on function misy_find_knowledge(text[]) to misy_tenant;

reset role;
revoke create on schema public from misy_search;
set local role misy_owner;
