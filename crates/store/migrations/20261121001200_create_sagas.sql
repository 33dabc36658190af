-- Work of several steps that a tenant sees as one: each step is entered in the transaction of its own
-- effects, whoever holds the lease goes on, and a holder that was succeeded changes nothing any more,
-- for its fence is too low.
create table sagas (
    tenant_id uuid not null,
    name text not null check (octet_length(name) between 1 and 100),
    -- Another one each time the saga begins anew.
    run uuid not null,
    state text not null check (state in ('doing', 'done', 'undoing', 'undone', 'parked')),
    -- While doing: steps that are done. While undoing: steps that are left to undo.
    place smallint not null,
    fence bigint not null default 1,
    lease_until timestamptz not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, name))
    with (fillfactor = 80);
create index sagas_open_idx on sagas (lease_until) where state in ('doing', 'undoing');
select misy_protect_directory('sagas', 'tenant_id');

create table saga_steps (
    tenant_id uuid not null,
    saga text not null,
    number smallint not null,
    name text not null,
    state text not null default 'waiting'
        check (state in ('waiting', 'failing', 'done', 'undone', 'stuck')),
    attempts integer not null default 0,
    -- What the step's error says of itself. Holds no content.
    error text,
    ended_at timestamptz,
    primary key (tenant_id, saga, number),
    foreign key (tenant_id, saga) references sagas (tenant_id, name) on delete cascade)
    with (fillfactor = 80);
select misy_protect_directory('saga_steps', 'tenant_id');
