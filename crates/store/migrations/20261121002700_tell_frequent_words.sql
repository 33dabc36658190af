-- A search for a word that was frequent once and is not recent took up to 85 ms on five million
-- messages: the planner, who knows that the word is frequent, read the table instead of the index.
-- The index is never passed over now. Words that are in three of eight looks at a tenant's history
-- are not asked of it, for it reads all that it has of a word; fewer rows are fetched only to see
-- that there are too many, and fewer are looked at afterwards.
reset role;
grant create on schema public to misy_search;
set local role misy_search;

create or replace function misy_find_messages(phrase text, before uuid, wanted integer)
    returns table (id uuid, hit boolean)
    language plpgsql stable security definer
    set search_path = pg_catalog, public, pg_temp set plan_cache_mode = force_custom_plan
    set gin_fuzzy_search_limit = 2000 set enable_seqscan = off as $$
#variable_conflict use_column
declare
    tenant constant uuid := current_setting('misy.tenant')::uuid;
    below constant uuid := coalesce(before, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    asked constant tsquery := plainto_tsquery('simple', phrase);
    stems constant text[] := tsvector_to_array(to_tsvector('simple', phrase));
    sample constant integer := 800;
    few constant integer := 400;
    depth integer := sample;
    looked integer;
    lowest uuid;
    hits uuid[];
    times uuid[];
    rarest text[];
    fetched integer;
begin
    if cardinality(stems) = 0 then return; end if;
    for round in 1..2 loop
        select count(*), (array_agg(near.id))[depth],
                coalesce(array_agg(near.id) filter (where near.words @@ asked), '{}')
            into looked, lowest, hits
            from (select message.id, message.words from public.messages as message
                where message.tenant_id = tenant and message.id < below
                order by message.id desc limit depth) as near;
        exit when round = 2 or looked < depth or cardinality(hits) >= wanted;
        if cardinality(hits) * 200 >= sample then
            depth := least(2000, sample * wanted / cardinality(hits) * 4 / 3);
            continue;
        end if;
        select array_agg((lpad(to_hex(oldest + (newest - oldest) * eighth / 8), 12, '0')
                || repeat('f', 20))::uuid) into times
            from (select ('x' || left(replace(lowest::text, '-', ''), 12))::bit(48)::bigint
                        as newest,
                    ('x' || left(replace(message.id::text, '-', ''), 12))::bit(48)::bigint
                        as oldest
                from public.messages as message where message.tenant_id = tenant
                order by message.id limit 1) as history, generate_series(1, 8) as eighth;
        select case when one.found < 3 then array[one.stem] end into rarest
            from (select each.stem, count(*) filter (where each.found) as found
                from (select word.stem, bool_or(near.words @@ word.query) as found
                    from unnest(times) as time,
                        lateral (select message.words from public.messages as message
                            where message.tenant_id = tenant and message.id <= time
                            order by message.id desc limit 25) as near,
                        (select stem, quote_literal(stem)::tsquery as query
                            from unnest(stems) as stem offset 0) as word
                    group by word.stem, time) as each
                group by each.stem) as one
            order by one.found, length(one.stem) desc
            limit 1;
        if rarest is not null then
            select count(*), coalesce(array_agg(near.id) filter (where near.fits), '{}')
                into fetched, hits
                from (select message.id, message.tenant_id = tenant and message.id < below
                        and message.words @@ asked as fits
                    from public.messages as message
                    where public.misy_tenant_words(message.tenant_id, message.words)
                        @> public.misy_tenant_words(tenant, array_to_tsvector(rarest))
                    limit few) as near;
            if fetched < few then
                looked := 0;
                exit;
            end if;
        end if;
        depth := 1200;
    end loop;
    return query select one, true from unnest(hits) as one order by one desc limit wanted;
    if looked >= depth and cardinality(hits) < wanted then
        return query select lowest, false;
    end if;
end $$;

reset role;
revoke create on schema public from misy_search;
set local role misy_owner;
