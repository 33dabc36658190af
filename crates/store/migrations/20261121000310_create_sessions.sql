-- Sign-ins. Control data: who, until when; nothing of a tenant.
create table sessions (
    id uuid primary key,
    account_id uuid not null references accounts (id) on delete cascade,
    tenant_id uuid,
    user_id uuid,
    operator_id uuid references operators (id) on delete cascade,
    sv bigint not null default 1,
    era bigint not null,
    device text,
    created_at timestamptz not null,
    used_at timestamptz not null,
    idle_until timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz,
    end_reason text check (end_reason in ('logout', 'revoked', 'password', 'reuse')),
    check ((tenant_id is null) = (user_id is null)),
    check ((user_id is null) <> (operator_id is null)));
create index sessions_user_id_idx on sessions (user_id) where user_id is not null;
create index sessions_operator_id_idx on sessions (operator_id) where operator_id is not null;
create index sessions_account_id_idx on sessions (account_id);
create index sessions_idle_until_idx on sessions (idle_until);
grant select, insert, update, delete on sessions to misy_platform;

-- Refresh tokens by their hash. The chain parent -> child is the session's family; access_id is the
-- access token given with it, access_used_at when that was first seen.
create table refresh_tokens (
    hash bytea primary key,
    session_id uuid not null references sessions (id) on delete cascade,
    parent bytea,
    access_id uuid not null,
    issued_at timestamptz not null,
    spent_at timestamptz,
    superseded_at timestamptz,
    access_used_at timestamptz);
create index refresh_tokens_session_id_idx on refresh_tokens (session_id);
create index refresh_tokens_parent_idx on refresh_tokens (parent);
create index refresh_tokens_access_id_idx on refresh_tokens (access_id) where access_used_at is null;
create index refresh_tokens_spent_at_idx on refresh_tokens (spent_at);
grant select, insert, update, delete on refresh_tokens to misy_platform;

-- What is no longer believed though its access token has not expired: tokens of the subject with a
-- version below the minimum. txid lets every process read what was committed since its last look,
-- whatever the order of commits. Rows outlive access tokens by a little and are swept.
create table revocations (
    subject uuid primary key,
    tenant_id uuid,
    kind text not null check (kind in ('session', 'user')),
    minimum bigint not null,
    txid xid8 not null default pg_current_xact_id(),
    created_at timestamptz not null default now());
create index revocations_txid_idx on revocations (txid);
create index revocations_created_at_idx on revocations (created_at);
select misy_protect_directory('revocations', 'tenant_id');

-- Keys that sign access tokens. The private half is sealed under a key derived from the root key.
create table signing_keys (
    id uuid primary key,
    public_key bytea not null,
    sealed_seed bytea not null,
    signs_from timestamptz not null,
    retired_at timestamptz,
    created_at timestamptz not null default now());
grant select, insert, update, delete on signing_keys to misy_platform;
