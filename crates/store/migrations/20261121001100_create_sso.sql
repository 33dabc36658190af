-- Connections to identity providers of a tenant. Settings by kind are checked by the program; secrets
-- are sealed under the tenant's key and only their names are told.
create table sso_connections (
    tenant_id uuid not null,
    id uuid not null,
    kind text not null check (kind in ('oidc', 'saml')),
    name text not null,
    status text not null check (status in ('enabled', 'disabled')),
    settings jsonb not null,
    secrets bytea not null,
    secret_names text[] not null,
    rules jsonb not null,
    version bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, name));
select misy_protect_tenant_table('sso_connections');

-- Which tenant a connection is of, before any credential is known.
create table sso_routes (
    connection_id uuid primary key,
    tenant_id uuid not null,
    kind text not null);
create index sso_routes_tenant_id_idx on sso_routes (tenant_id);
select misy_protect_directory('sso_routes', 'tenant_id');

-- Whom a provider means by a subject.
create table sso_identities (
    tenant_id uuid not null,
    connection_id uuid not null,
    subject text not null,
    user_id uuid not null,
    created_at timestamptz not null,
    used_at timestamptz not null,
    primary key (tenant_id, connection_id, subject),
    foreign key (tenant_id, connection_id)
        references sso_connections (tenant_id, id) on delete cascade,
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade);
create index sso_identities_user_id_idx on sso_identities (tenant_id, user_id);
select misy_protect_tenant_table('sso_identities');

-- Logins under way. Of state, cookie and code only hashes are kept, and nonce and PKCE verifier are
-- derived from the state: whoever reads this table can finish no login.
create table sso_logins (
    tenant_id uuid not null,
    id uuid not null,
    connection_id uuid not null,
    status text not null check (status in ('started', 'taken', 'entered', 'redeemed')),
    state_hash bytea not null,
    browser_hash bytea,
    challenge text,
    return_to text not null,
    expires_at timestamptz not null,
    user_id uuid,
    subject text,
    session_index text,
    id_token bytea,
    code_hash bytea,
    primary key (tenant_id, id),
    unique (tenant_id, state_hash),
    foreign key (tenant_id, connection_id)
        references sso_connections (tenant_id, id) on delete cascade,
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade);
create unique index sso_logins_code_hash_idx on sso_logins (tenant_id, code_hash)
    where code_hash is not null;
create index sso_logins_connection_id_idx on sso_logins (tenant_id, connection_id);
create index sso_logins_user_id_idx on sso_logins (tenant_id, user_id) where user_id is not null;
create index sso_logins_expires_at_idx on sso_logins (tenant_id, expires_at);
select misy_protect_tenant_table('sso_logins');

-- Which of our sessions came from which of a provider's, for logout in both directions.
create table sso_sessions (
    tenant_id uuid not null,
    session_id uuid not null,
    connection_id uuid not null,
    user_id uuid not null,
    subject text not null,
    session_index text,
    id_token bytea,
    expires_at timestamptz not null,
    primary key (tenant_id, session_id),
    foreign key (tenant_id, connection_id)
        references sso_connections (tenant_id, id) on delete cascade,
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade);
create index sso_sessions_subject_idx on sso_sessions (tenant_id, connection_id, subject);
create index sso_sessions_session_index_idx
    on sso_sessions (tenant_id, connection_id, session_index) where session_index is not null;
create index sso_sessions_user_id_idx on sso_sessions (tenant_id, user_id);
create index sso_sessions_expires_at_idx on sso_sessions (tenant_id, expires_at);
select misy_protect_tenant_table('sso_sessions');

-- Messages of providers that may be used once: logout tokens, assertions.
create table sso_replays (
    tenant_id uuid not null,
    connection_id uuid not null,
    message_id text not null,
    expires_at timestamptz not null,
    primary key (tenant_id, connection_id, message_id),
    foreign key (tenant_id, connection_id)
        references sso_connections (tenant_id, id) on delete cascade);
create index sso_replays_expires_at_idx on sso_replays (tenant_id, expires_at);
select misy_protect_tenant_table('sso_replays');
