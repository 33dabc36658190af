//! Room `bench`: rows for every table, made by the database itself, so that plans are chosen as
//! they are in an installation that is in use.

/// Fills every table that is empty with `$rows` rows for each of `$tenants` tenants, as superuser.
/// Values follow from types and constraints; ids are such that rows refer to each other.
pub fn fill(tenants: usize, rows: usize) -> String {
    FILL.replace("$tenants", &tenants.to_string()).replace("$rows", &rows.to_string())
}

/// The id of the tenant of a number, from 1.
pub fn tenant(number: usize) -> uuid::Uuid {
    uuid::Uuid::from_u128(number as u128)
}

const FILL: &str = r"
set session_replication_role = replica;
create or replace function pg_temp.uid(tenant bigint, n bigint) returns uuid language sql immutable
    as $$ select md5(tenant || '-' || n)::uuid $$;
create or replace function pg_temp.tid(tenant bigint) returns uuid language sql immutable
    as $$ select lpad(to_hex(tenant), 32, '0')::uuid $$;
create or replace function pg_temp.value(tbl regclass, col pg_attribute) returns text
    language plpgsql as $$
declare
    def text;
    kind constant text := format_type(col.atttypid, null);
begin
    if col.attname in ('tenant_id', 'realm') or (tbl = 'tenants'::regclass and col.attname = 'id')
        then return 'pg_temp.tid(k)'; end if;
    if kind = 'uuid' and col.attname = 'id' then return 'pg_temp.uid(k, n)'; end if;
    if kind = 'uuid' then return case when col.attnotnull then 'pg_temp.uid(k, n % $rows)'
        else 'case when n <= $rows then pg_temp.uid(k, n % $rows) end' end; end if;
    select pg_get_constraintdef(c.oid) into def from pg_constraint c
        where c.conrelid = tbl and c.contype = 'c' and c.conkey = array[col.attnum]
            and pg_get_constraintdef(c.oid) like '%= ANY (ARRAY[%';
    if def is not null then
        return (select format('(array[%s])[1 + n %% %s]', string_agg(quote_literal(m[1]), ','),
            count(*)) from regexp_matches(def, '''([^'']+)''::text', 'g') m);
    end if;
    if kind = 'text' and col.attname = 'language' then
        return '(array[''en'',''de'',''fr''])[1 + n % 3]'; end if;
    return case kind
        when 'text' then '''x'' || k || ''-'' || n'
        when 'bytea' then 'sha256((k || ''-'' || n)::bytea)'
        when 'boolean' then 'n % 2 = 0'
        when 'smallint' then 'n % 100'
        when 'integer' then 'n' when 'bigint' then 'n' when 'xid8' then '''1''::xid8'
        when 'jsonb' then 'jsonb_build_object(''type'', ''text'', ''text'', ''parcel '' || n)'
        when 'json' then '''{}''::json'
        when 'text[]' then '''{}''::text[]' when 'uuid[]' then '''{}''::uuid[]'
        when 'timestamp with time zone[]' then '''{}''::timestamptz[]'
        when 'integer[]' then '''{}''::integer[]' when 'bytea[]' then '''{}''::bytea[]'
        when 'timestamp with time zone' then 'now() - n * interval ''1 minute'''
        else 'null' end;
end $$;
do $fill$
declare t record; names text; vals text; per bigint; filled boolean;
begin
    for t in select c.oid::regclass as tbl, c.relname from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
            and not c.relispartition order by c.relname
    loop
        execute format('select exists (select from %s)', t.tbl) into filled;
        continue when filled;
        select string_agg(quote_ident(a.attname), ', ' order by a.attnum),
            string_agg(pg_temp.value(t.tbl, a), ', ' order by a.attnum)
            into names, vals from pg_attribute a
            where a.attrelid = t.tbl and a.attnum > 0 and not a.attisdropped
                and a.attgenerated = '';
        per := case when t.relname in ('tenants', 'realms', 'provisionings') then 1
            when t.relname = 'messages' then 4 * $rows else $rows end;
        declare c record; begin
            for c in select conname from pg_constraint where conrelid = t.tbl and contype = 'c'
            loop execute format('alter table %s drop constraint %I', t.tbl, c.conname); end loop;
        end;
        execute format('insert into %s (%s) select %s from generate_series(1, $tenants) k,
            generate_series(1, %s) n on conflict do nothing', t.tbl, names, vals, per);
    end loop;
end $fill$;
set session_replication_role = origin;
analyze";
