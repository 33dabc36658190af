-- Sign-ups: somebody who has no tenant yet asks for one. An address may stand in any number of them,
-- whether or not it has an account, and nobody is told.
create table signups (
    id uuid primary key,
    slug text not null,
    name text not null,
    email text not null,
    owner_name text not null,
    locale text not null,
    time_zone text not null,
    plan text not null,
    status text not null check (status in ('pending', 'waiting', 'accepted', 'rejected')),
    -- Makes the link of its letter; the link itself is kept nowhere.
    nonce bytea not null,
    -- A digest of the network that it came from, under a key: nothing but a count is wanted of it.
    peer bytea not null,
    -- The password chosen, sealed under the root key, while an operator has yet to decide.
    seed bytea,
    tenant_id uuid references tenants (id),
    reason text,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    verified_at timestamptz,
    decided_at timestamptz,
    check (status <> 'accepted' or tenant_id is not null));
-- A name that somebody waits for is nobody else's.
create unique index signups_slug_idx on signups (slug) where status = 'waiting';
create index signups_email_idx on signups (email, created_at);
create index signups_peer_idx on signups (peer, created_at);
create index signups_expires_at_idx on signups (expires_at) where status = 'pending';
create index signups_decided_at_idx on signups (decided_at) where status in ('accepted', 'rejected');
create index signups_tenant_id_idx on signups (tenant_id) where tenant_id is not null;
grant select, insert, update, delete on signups to misy_platform;
