-- What a directory keeps about people and groups by SCIM 2.0.

-- The document of a person as it was settled by the schema. Who has no row was never written by a
-- directory. name_key is userName in lower case.
create table scim_users (
    tenant_id uuid not null,
    user_id uuid not null,
    name_key text not null,
    external_id text,
    document jsonb not null,
    primary key (tenant_id, user_id),
    unique (tenant_id, name_key),
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade);
create index scim_users_external_id_idx on scim_users (tenant_id, external_id);
select misy_protect_tenant_table('scim_users');

create table scim_groups (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    name_key text not null,
    external_id text,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, name_key));
create index scim_groups_external_id_idx on scim_groups (tenant_id, external_id);
select misy_protect_tenant_table('scim_groups');

create table scim_members (
    tenant_id uuid not null,
    group_id uuid not null,
    user_id uuid not null,
    primary key (tenant_id, group_id, user_id),
    foreign key (tenant_id, group_id) references scim_groups (tenant_id, id) on delete cascade,
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade);
create index scim_members_user_id_idx on scim_members (tenant_id, user_id);
select misy_protect_tenant_table('scim_members');

-- Members of the group of this name get this role; never owner.
create table scim_role_mappings (
    tenant_id uuid not null,
    name_key text not null,
    name text not null,
    role text not null check (role <> 'owner'),
    primary key (tenant_id, name_key),
    foreign key (tenant_id, role) references roles (tenant_id, slug));
create index scim_role_mappings_role_idx on scim_role_mappings (tenant_id, role);
select misy_protect_tenant_table('scim_role_mappings');

-- People whose role came from a group, so that it goes with the group; a role given by hand stays.
create table scim_given_roles (
    tenant_id uuid not null,
    user_id uuid not null,
    primary key (tenant_id, user_id),
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade);
select misy_protect_tenant_table('scim_given_roles');
