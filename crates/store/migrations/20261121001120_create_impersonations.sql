-- Visits of operators inside a tenant: who, as whom, why, until when. The tenant sees them.
create table impersonations (
    tenant_id uuid not null,
    id uuid not null,
    operator_id uuid not null,
    user_id uuid,
    role text not null,
    read_only boolean not null,
    reason text not null,
    started_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz,
    ended_by text,
    primary key (tenant_id, id));
select misy_protect_tenant_table('impersonations');

-- Which tenants' passwords a sign-in has proved: those it may be switched to. Of a password only what
-- tells that it is still the same.
create table session_reaches (
    session_id uuid not null references sessions (id) on delete cascade,
    tenant_id uuid not null,
    proof bytea not null,
    primary key (session_id, tenant_id));
grant select, insert, update, delete on session_reaches to misy_platform;
