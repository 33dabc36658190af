-- These functions are called for every row that is written and every search. In SQL each call
-- parses and plans its body anew, which costs more than the rest of an insert; PL/pgSQL keeps the
-- plan for the session. What they give is the same, so indexes and columns made of them stand.
create or replace function misy_tenant_words(tenant uuid, words tsvector) returns bigint[]
    language plpgsql immutable strict parallel safe as $$
begin
    return array(select hashtextextended(word, uuid_hash_extended(tenant, 0))
        from unnest(tsvector_to_array(words)) as word);
end $$;

create or replace function misy_message_text(content jsonb) returns text
    language plpgsql immutable strict parallel safe as $$
begin
    return left(concat_ws(' ', content ->> 'header', content ->> 'title', content ->> 'text',
        content ->> 'footer', content ->> 'filename', content ->> 'name', content ->> 'address',
        nullif(jsonb_path_query_array(content, 'lax $.cards[*].title')::text, '[]'),
        nullif(jsonb_path_query_array(content, 'lax $.cards[*].text')::text, '[]')), 100000);
end $$;

create or replace function misy_text_config(language text) returns regconfig
    language plpgsql immutable parallel safe as $$
begin
    return case split_part(language, '-', 1)
        when 'ar' then 'arabic' when 'da' then 'danish' when 'de' then 'german'
        when 'en' then 'english' when 'es' then 'spanish' when 'fi' then 'finnish'
        when 'fr' then 'french' when 'hu' then 'hungarian' when 'it' then 'italian'
        when 'nl' then 'dutch' when 'no' then 'norwegian' when 'pt' then 'portuguese'
        when 'ro' then 'romanian' when 'ru' then 'russian' when 'sv' then 'swedish'
        when 'tr' then 'turkish' else 'simple' end::regconfig;
end $$;

create or replace function misy_grams(hay text) returns text[]
    language plpgsql immutable strict parallel safe cost 1000 as $$
begin
    return (select coalesce(array_agg(distinct substr(hay, place, length)), '{}')
        from generate_series(1, 3) length, generate_series(1, length(hay) - length + 1) place);
end $$;
