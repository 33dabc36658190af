-- Lists of tenants begin behind a tenant, by status or by plan; each is a range of an index.
create index tenants_status_id_idx on tenants (status, id);
create index tenants_plan_id_idx on tenants (plan, id);
-- A slug is free again when its tenant is gone, so that it may be many tenants'.
create index tenants_slug_id_idx on tenants (slug, id);

-- Every run of one, two and three characters of a text. Whatever holds a text holds all runs of it,
-- so an index of runs finds a part of a name anywhere in it, however short, in any alphabet, on a
-- server without extensions.
create function misy_grams(hay text) returns text[]
    language sql immutable strict parallel safe cost 1000 as $$
    select coalesce(array_agg(distinct substr(hay, place, length)), '{}')
    from generate_series(1, 3) length, generate_series(1, length(hay) - length + 1) place $$;

-- No list of what waits to be indexed, which every search would have to read through.
create index tenants_grams_idx on tenants
    using gin (misy_grams(lower(slug || ' ' || name || ' ' || site_id))) with (fastupdate = off);

-- A browser that says only where it comes from: any tenant may allow that.
create index tenants_allowed_origins_idx on tenants using gin (allowed_origins)
    with (fastupdate = off) where status = 'active' and allowed_origins <> '{}';
