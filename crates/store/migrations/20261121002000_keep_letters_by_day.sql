-- Dead letters lie in days too, by the delivery they are of. When its day is dropped the event is gone and
-- nothing can be replayed, and until now the letter stayed for ever.
alter table webhook_dead_letters no force row level security;
alter table webhook_dead_letters rename to webhook_dead_letters_before;
alter index webhook_dead_letters_pkey rename to webhook_dead_letters_before_pkey;
alter index webhook_dead_letters_endpoint_id_idx rename to webhook_dead_letters_before_endpoint_id_idx;

create table webhook_dead_letters (
    tenant_id uuid not null,
    id uuid not null,
    event_id uuid not null,
    endpoint_id uuid not null,
    type text not null,
    reason text not null,
    attempts smallint not null,
    died_at timestamptz not null,
    primary key (tenant_id, id)) partition by range (id);
create table webhook_dead_letters_rest partition of webhook_dead_letters default;
create index webhook_dead_letters_endpoint_id_idx on webhook_dead_letters (tenant_id, endpoint_id, id);

-- The same function for one table more. New is also that the rest is emptied, whole, as soon as
-- everything in it is over.
create or replace function misy_keep_webhook_days(at timestamptz, ahead integer, keep integer)
    returns integer language plpgsql security definer
    set search_path = pg_catalog, public, pg_temp set lock_timeout = '5s' as $$
declare
    tables constant text[] := array['webhook_events', 'webhook_deliveries', 'webhook_attempts',
        'webhook_dead_letters', 'source_receipts', 'source_marks'];
    today constant date := (at at time zone 'UTC')::date;
    tbl text;
    leaf text;
    day date;
    changed integer := 0;
    low text;
    high text;
    held boolean;
    needed boolean;
begin
    if ahead not between 0 and 60 or keep not between 1 and 4000 then
        raise exception 'out of range' using errcode = '22023';
    end if;
    foreach tbl in array tables loop
        for step in -1 .. ahead loop
            day := today + step;
            leaf := tbl || '_' || to_char(day, 'YYYYMMDD');
            continue when to_regclass('public.' || leaf) is not null;
            low := lpad(to_hex(extract(epoch from day::timestamp)::bigint * 1000), 12, '0');
            high := lpad(to_hex(extract(epoch from (day + 1)::timestamp)::bigint * 1000), 12, '0');
            low := left(low, 8) || '-' || right(low, 4) || '-0000-0000-000000000000';
            high := left(high, 8) || '-' || right(high, 4) || '-0000-0000-000000000000';
            begin
                execute format('create table public.%I partition of public.%I
                    for values from (%L) to (%L) with (fillfactor = 80)', leaf, tbl, low, high);
                changed := changed + 1;
            exception when check_violation then
                -- The rest holds rows of that day already; they stay where they are.
                raise warning 'rows of % lie in the rest', leaf;
            end;
        end loop;
        for leaf in
            select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = ('public.' || tbl)::regclass
                and c.relname ~ ('^' || tbl || '_[0-9]{8}$')
                and to_date(right(c.relname, 8), 'YYYYMMDD') < today - keep
        loop
            execute format('drop table public.%I', leaf);
            changed := changed + 1;
        end loop;
        low := lpad(to_hex(extract(epoch from (today - keep)::timestamp)::bigint * 1000), 12, '0');
        low := left(low, 8) || '-' || right(low, 4) || '-0000-0000-000000000000';
        execute format('select exists (select from public.%1$I),
            exists (select from public.%1$I where id >= %2$L)', tbl || '_rest', low)
            into held, needed;
        if held and not needed then
            execute format('truncate public.%I', tbl || '_rest');
            changed := changed + 1;
        end if;
    end loop;
    return changed;
end $$;

-- Days for the letters that are there, so that they go with their time.
do $$
declare
    day date;
begin
    for day in
        select distinct (to_timestamp(('x0000' || left(replace(id::text, '-', ''), 12))::bit(64)::bigint
            / 1000.0) at time zone 'UTC')::date
        from webhook_dead_letters_before
    loop
        execute format('create table public.%I partition of public.webhook_dead_letters
            for values from (%L) to (%L) with (fillfactor = 80)',
            'webhook_dead_letters_' || to_char(day, 'YYYYMMDD'),
            rpad(lpad(to_hex(extract(epoch from day::timestamp)::bigint * 1000), 12, '0'), 32, '0')::uuid,
            rpad(lpad(to_hex(extract(epoch from (day + 1)::timestamp)::bigint * 1000), 12, '0'), 32,
                '0')::uuid);
    end loop;
end $$;
insert into webhook_dead_letters select tenant_id, id, event_id, endpoint_id, type, reason, attempts, died_at
    from webhook_dead_letters_before;
drop table webhook_dead_letters_before;
select misy_protect_tenant_table('webhook_dead_letters');
