-- A search looked among up to 5,000 messages for a word that one in a hundred has, which took
-- longer than the few milliseconds it may take. It now looks among 2,000 at a time, as it does for
-- rarer words; the answer ends earlier and the next page goes on from there, as before.
reset role;
grant create on schema public to misy_search;
set local role misy_search;

create or replace function misy_find_messages(phrase text, before uuid, wanted integer)
    returns table (id uuid, hit boolean)
    language plpgsql stable security definer
    set search_path = pg_catalog, public, pg_temp set plan_cache_mode = force_custom_plan
    set gin_fuzzy_search_limit = 2400 as $$
#variable_conflict use_column
declare
    tenant constant uuid := current_setting('misy.tenant')::uuid;
    below constant uuid := coalesce(before, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    asked constant tsquery := plainto_tsquery('simple', phrase);
    stems constant text[] := tsvector_to_array(to_tsvector('simple', phrase));
    sample constant integer := 800;
    glance constant integer := 200;
    few constant integer := 480;
    depth integer := sample;
    looked integer;
    lowest uuid;
    hits uuid[];
    rarest text[] := stems;
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
        if cardinality(stems) > 1 then
            select case when count(*) filter (where near.words @@ one.query) * 20 < glance
                    then array[one.stem] end into rarest
                from (select stem, quote_literal(stem)::tsquery as query
                    from unnest(stems) as stem offset 0) as one,
                    (select message.words from public.messages as message
                    where message.tenant_id = tenant and message.id < below
                    order by message.id desc limit glance) as near
                group by one.stem
                order by count(*) filter (where near.words @@ one.query), length(one.stem) desc
                limit 1;
        end if;
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
        depth := 2000;
    end loop;
    return query select one, true from unnest(hits) as one order by one desc limit wanted;
    if looked >= depth and cardinality(hits) < wanted then
        return query select lowest, false;
    end if;
end $$;

reset role;
revoke create on schema public from misy_search;
set local role misy_owner;
