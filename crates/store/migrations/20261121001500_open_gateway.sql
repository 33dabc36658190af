-- Deliveries of all accounts that arrive together are written together: one statement and one
-- commit, however many tenants they are for. The function that writes them runs as misy_gateway, a
-- role that cannot sign in, may add payloads and can read none. Whose a payload is was settled
-- before, by the account's route and the signature; from here on only its tenant sees it.

grant insert (tenant_id, channel_id, id, digest, body, received_at) on inbox to misy_gateway;
grant select (tenant_id, channel_id, id, state, received_at, due_at) on inbox to misy_gateway;
create policy gateway_adds on inbox for insert to misy_gateway with check (true);
create policy gateway_sees on inbox for select to misy_gateway using (true);

-- Accounts are marked as disconnected, never deleted, so the check protected from nothing; it cost
-- as much as the row itself, and made every delivery lock the same row of `channels`.
alter table inbox drop constraint inbox_tenant_id_channel_id_fkey;

reset role;
grant create, usage on schema public to misy_gateway;
set local role misy_gateway;

-- A payload that is there already was delivered twice.
create function misy_keep_payloads(
    tenants uuid[], channels uuid[], ids uuid[], digests bytea[], bodies bytea[],
    arrived timestamptz) returns void
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    insert into public.inbox (tenant_id, channel_id, id, digest, body, received_at)
    select new.tenant_id, new.channel_id, new.id, new.digest, new.body, arrived
    from unnest(tenants, channels, ids, digests, bodies)
        as new (tenant_id, channel_id, id, digest, body)
    on conflict do nothing;
end $$;
revoke all on function misy_keep_payloads(uuid[], uuid[], uuid[], bytea[], bytea[], timestamptz)
    from public;
grant execute
    on function misy_keep_payloads(uuid[], uuid[], uuid[], bytea[], bytea[], timestamptz)
    to misy_platform;

-- Accounts whose oldest waiting payload has waited since before `arrived`, one index probe each.
create function misy_find_waiting(arrived timestamptz, wanted integer)
    returns table (tenant_id uuid, channel_id uuid)
    language plpgsql stable security definer
    set search_path = pg_catalog, public, pg_temp set enable_seqscan = off as $$
begin
    return query
        with recursive waiting (tenant, channel, since) as (
            (select one.tenant_id, one.channel_id, one.received_at from public.inbox as one
             where one.state = 'pending'
             order by one.tenant_id, one.channel_id, one.id limit 1)
            union all
            select next.tenant_id, next.channel_id, next.received_at
            from waiting cross join lateral (
                select one.tenant_id, one.channel_id, one.received_at from public.inbox as one
                where one.state = 'pending'
                    and (one.tenant_id, one.channel_id) > (waiting.tenant, waiting.channel)
                order by one.tenant_id, one.channel_id, one.id limit 1) as next)
        select waiting.tenant, waiting.channel from waiting
        where waiting.since < arrived limit wanted;
end $$;
revoke all on function misy_find_waiting(timestamptz, integer) from public;
grant execute on function misy_find_waiting(timestamptz, integer) to misy_platform;

reset role;
revoke create on schema public from misy_gateway;
set local role misy_owner;
